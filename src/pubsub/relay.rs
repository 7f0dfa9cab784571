//! What waits for one replica: messages, each with the place of the log that goes before it.
//!
//! Messages are not durable, and a replica that lags is not to cost memory: what does not fit is
//! dropped, and its subscribers do not hear of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use headwater_store::Lsn;
use parking_lot::Mutex;

use super::PubSub;
use super::outbox::Wakers;

/// So many bytes of messages wait for a replica at most, or else one message.
pub(super) const RELAY_BYTES: usize = 8 << 20;

/// A replica that hears everything that is published here, until this is dropped.
pub(crate) struct Relay {
    pubsub: PubSub,
    queue: Arc<Queue>,
}

/// The messages that wait for one replica.
#[derive(Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    messages: VecDeque<(Lsn, Arc<[u8]>)>,
    bytes: usize,
    dropped: u64,
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn put(&self, at: Lsn, request: &Arc<[u8]>, wakers: &mut Wakers) {
        let mut inner = self.0.lock();
        if inner.bytes > 0 && inner.bytes + request.len() > RELAY_BYTES {
            inner.dropped += 1;
            return;
        }
        inner.bytes += request.len();
        inner.messages.push_back((at, Arc::clone(request)));
        wakers.add(inner.waker.take());
    }
}

impl Relay {
    pub(super) fn new(pubsub: PubSub, queue: Arc<Queue>) -> Self {
        Self { pubsub, queue }
    }

    /// Appends to `out` the messages that a replica may have which has the log up to `upto`, until
    /// there are `bytes` of output. Says how many did not fit since it was asked last.
    pub(crate) fn take(&self, upto: Lsn, bytes: usize, out: &mut Vec<u8>) -> u64 {
        let mut inner = self.queue.0.lock();
        while out.len() < bytes
            && let Some((_, request)) = inner.messages.pop_front_if(|(at, _)| *at <= upto)
        {
            inner.bytes -= request.len();
            out.extend_from_slice(&request);
        }
        std::mem::take(&mut inner.dropped)
    }

    /// Ready when there is a message for a replica that has the log up to `upto`.
    pub(crate) fn poll(&self, upto: Lsn, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.queue.0.lock();
        if inner.messages.front().is_some_and(|(at, _)| *at <= upto) {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.pubsub.unrelay(&self.queue);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}
