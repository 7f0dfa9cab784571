//! One connection's part: what it subscribes to, and what it has taken from its outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use headwater_resp::Writer;

use super::outbox::{Mail, Message, Outbox};
use super::{Kind, Names, PubSub};
use crate::commits::{Outlook, Point};

/// A connection that has subscribed to something once. Dropping it ends its subscriptions.
pub(crate) struct Subscriber {
    pubsub: PubSub,
    id: u64,
    outbox: Arc<Outbox>,
    /// How many names it subscribes to, by [`Kind`].
    counts: [usize; 3],
    /// Out of the outbox, and not output yet.
    taken: VecDeque<Arc<Message>>,
    /// What the messages depend on that are output and not sent yet.
    owed: Option<Point>,
}

impl Subscriber {
    pub(super) fn new(pubsub: PubSub, id: u64) -> Self {
        Self {
            pubsub,
            id,
            outbox: Arc::default(),
            counts: [0; 3],
            taken: VecDeque::new(),
            owed: None,
        }
    }

    /// To how many names of a kind it subscribes.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    /// Whether it subscribes to anything.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.counts.iter().any(|&count| count > 0)
    }

    /// What it subscribes to.
    pub(crate) fn names(&self) -> Names {
        let registry = self.pubsub.0.lock();
        registry.members.get(&self.id).cloned().unwrap_or_default()
    }

    /// The names of a kind that it subscribes to, in any order.
    pub(crate) fn all(&self, kind: Kind) -> Vec<Arc<[u8]>> {
        self.names().of(kind).iter().cloned().collect()
    }

    pub(crate) fn subscribe(&mut self, kind: Kind, name: &[u8]) {
        let mut registry = self.pubsub.0.lock();
        self.counts[kind as usize] = registry.enter(kind, name, self.id, &self.outbox);
    }

    /// Nothing of that name is put into the outbox from now on.
    pub(crate) fn unsubscribe(&mut self, kind: Kind, name: &[u8]) {
        let mut registry = self.pubsub.0.lock();
        self.counts[kind as usize] = registry.leave(kind, name, self.id);
    }

    /// Subscribes to what it did once, and to nothing else.
    pub(crate) fn restore(&mut self, names: &Names) {
        self.pubsub.expel(self.id);
        self.counts = [0; 3];
        for kind in Kind::ALL {
            for name in names.of(kind) {
                self.subscribe(kind, name);
            }
        }
    }

    /// Takes messages for output until there are about `upto` bytes of it, or the next depends on
    /// something of which those before it say nothing: that is [owed](Self::owed) first.
    ///
    /// A message that depends on what will never be committed is dropped.
    pub(crate) fn take(&mut self, out: &mut Writer<'_>, upto: usize) {
        while out.len() < upto {
            if self.taken.is_empty() {
                self.outbox.take_all(&mut self.taken);
            }
            let Some(message) = self.taken.front() else {
                break;
            };
            let after = message.after.as_ref();
            match after.map_or(Outlook::Committed, Point::outlook) {
                Outlook::Committed => message.write(out),
                Outlook::Open => {
                    if !after.is_none_or(|after| after.join(&mut self.owed)) {
                        break;
                    }
                    message.write(out);
                }
                Outlook::Never => {}
            }
            let bytes = message.bytes();
            self.outbox.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.taken.pop_front();
        }
    }

    /// What has to be committed before what was taken is sent.
    pub(crate) fn owed(&self) -> Option<&Point> {
        self.owed.as_ref()
    }

    /// It is committed.
    pub(crate) fn settle(&mut self) {
        self.owed = None;
    }

    /// Says how much output the peer has not taken, and returns how much waits with it.
    pub(crate) fn weigh(&self, unsent: usize) -> u64 {
        let unsent = unsent as u64;
        self.outbox.unsent.store(unsent, Ordering::Relaxed);
        unsent + self.outbox.waiting.load(Ordering::Relaxed)
    }

    /// Ready when there are messages, or were too many; the latter only if it is not for
    /// `messages`.
    pub(crate) fn poll(&self, messages: bool, cx: &Context<'_>) -> Poll<Mail> {
        match self.outbox.poll(messages, cx) {
            Poll::Pending if messages && !self.taken.is_empty() => Poll::Ready(Mail::Waits),
            mail => mail,
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.pubsub.expel(self.id);
    }
}
