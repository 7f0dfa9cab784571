//! What waits for one subscriber.
//!
//! ```text
//!  publishers --(under the registry's lock)--> put --> [ m m m m ] --> take_all --> its connection
//! ```
//!
//! The connection takes all there is at once, so publishers and it hardly ever meet. It is woken by
//! the first message of many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use headwater_resp::{Protocol, Writer};
use parking_lot::Mutex;

use crate::commits::Point;

/// A message as it is sent, but for the mark before it, which is the subscriber's protocol's.
pub(crate) struct Message {
    parts: usize,
    /// The parts, encoded.
    body: Box<[u8]>,
    /// Nobody gets it before this is committed.
    pub(super) after: Option<Point>,
}

impl Message {
    pub(super) fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        const HEADER: usize = 16;
        let bytes: usize = parts.iter().map(|part| part.len() + HEADER).sum();
        let mut body = Vec::with_capacity(bytes);
        // Strings are the same in both protocols.
        let mut out = Writer::new(&mut body, Protocol::Resp3);
        parts.iter().for_each(|part| out.bulk(part));
        Self {
            parts: N,
            body: body.into(),
            after: None,
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.push(self.parts);
        out.raw(&self.body);
    }

    /// About how many bytes it is on the wire and in an outbox.
    pub(super) fn bytes(&self) -> u64 {
        const REFERENCE: usize = size_of::<Arc<Message>>();
        (self.body.len() + REFERENCE) as u64
    }
}

/// The messages that wait for one subscriber.
#[derive(Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    /// Bytes of messages that are not taken for output, wherever they are.
    pub(super) waiting: AtomicU64,
    /// Bytes of output that the peer has not taken.
    pub(super) unsent: AtomicU64,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Arc<Message>>,
    /// There was more than may wait; nothing is taken any more.
    is_over: bool,
    waker: Option<Waker>,
}

/// What a subscriber's connection is told when it looks into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// There are messages.
    Waits,
    /// There were more than may wait: the connection is to be closed.
    TooMuch,
}

impl Outbox {
    /// Adds a message, unless more than `limit` bytes would wait then (0 is no limit): the outbox
    /// is emptied then, and takes nothing any more.
    pub(super) fn put(&self, message: &Arc<Message>, limit: u64, wakers: &mut Wakers) {
        let mut inner = self.inner.lock();
        if inner.is_over {
            return;
        }
        let waiting = self.waiting.fetch_add(message.bytes(), Ordering::Relaxed) + message.bytes();
        inner.is_over = limit > 0 && waiting + self.unsent.load(Ordering::Relaxed) > limit;
        if inner.is_over {
            inner.messages = VecDeque::new();
            wakers.add(inner.waker.take());
            return;
        }
        if inner.messages.is_empty() {
            wakers.add(inner.waker.take());
        }
        inner.messages.push_back(Arc::clone(message));
    }

    /// Gives all messages away in exchange for `none`.
    pub(super) fn take_all(&self, none: &mut VecDeque<Arc<Message>>) {
        debug_assert!(none.is_empty(), "what was taken before goes first");
        std::mem::swap(&mut self.inner.lock().messages, none);
    }

    /// Ready when there are messages, or were too many; the latter only if it is not for
    /// `messages`.
    pub(super) fn poll(&self, messages: bool, cx: &Context<'_>) -> Poll<Mail> {
        let mut inner = self.inner.lock();
        if inner.is_over {
            return Poll::Ready(Mail::TooMuch);
        }
        if messages && !inner.messages.is_empty() {
            return Poll::Ready(Mail::Waits);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Those to be woken once no lock is held: what wakes them may need it.
#[derive(Default)]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(super) fn add(&mut self, waker: Option<Waker>) {
        self.0.extend(waker);
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}
