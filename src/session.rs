//! What a connection has said so far.

use std::sync::Arc;

use headwater_resp::Protocol;
use headwater_store::{Lsn, StreamNo};

use crate::clients::Client;
use crate::command::Queued;

/// The state of one conversation. Owned by its connection; what others may see of it is in
/// [`Client`].
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    pub(crate) db: u8,
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) watched: Vec<Watched>,
    pub(crate) replies: Replies,
    /// The connection closes once what was said is written.
    pub(crate) closing: bool,
    /// The LSN that the replies written but not yet sent depend on.
    pub(crate) depends_on: Lsn,
}

/// Commands between MULTI and EXEC.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<Queued>,
    /// A command was refused when it was queued: EXEC will discard the transaction.
    pub(crate) refused: bool,
    /// How many bytes the queued requests take.
    pub(crate) bytes: usize,
}

/// A key under WATCH, as it was.
pub(crate) struct Watched {
    pub(crate) db: u8,
    pub(crate) key: Box<[u8]>,
    /// The stream that was there and its version; `None` when there was none.
    pub(crate) was: Option<(StreamNo, u64)>,
}

/// What `CLIENT REPLY` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    On,
    Off,
    /// Not the reply of the command that is running, then on again.
    SkipThis,
    /// Not the reply of the command after the one that is running.
    SkipNext,
}

impl Session {
    pub(crate) fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            transaction: None,
            watched: Vec::new(),
            replies: Replies::On,
            closing: false,
            depends_on: Lsn::ZERO,
        }
    }
}
