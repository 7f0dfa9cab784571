//! The clients: who is connected, as others may see and influence them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::clock;
use crate::command::Command;
use crate::pubsub::Kind;
use crate::waiters::{Ticket, Unblock};

/// One client as `CLIENT LIST` shows it. Its own connection writes it; everybody may read.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) laddr: SocketAddr,
    pub(crate) connected_ms: u64,
    socket: Arc<TcpStream>,
    pub(crate) said: Mutex<Said>,
    /// When it last sent a request, in milliseconds since 1970.
    pub(crate) active_ms: AtomicU64,
    last_command: AtomicUsize,
    pub(crate) db: AtomicU8,
    pub(crate) resp3: AtomicBool,
    pub(crate) no_evict: AtomicBool,
    pub(crate) no_touch: AtomicBool,
    /// Commands queued since MULTI plus one; zero outside a transaction.
    pub(crate) multi: AtomicUsize,
    pub(crate) watched: AtomicUsize,
    /// How many names of each [`Kind`] it subscribes to.
    pub(crate) subscriptions: [AtomicUsize; 3],
    pub(crate) buffers: Buffers,
    /// It is a replica's.
    pub(crate) is_replica: AtomicBool,
    /// It was begun here, and the master of this server is at its other end.
    pub(crate) is_master: bool,
    /// CLIENT PAUSE holds its next request back.
    pub(crate) held: AtomicBool,
    /// The connection was told to go and says no more.
    killed: AtomicBool,
    parked: Mutex<Option<Arc<Ticket>>>,
}

/// What a client told of itself.
#[derive(Clone, Default)]
pub(crate) struct Said {
    pub(crate) name: Box<str>,
    pub(crate) lib_name: Box<str>,
    pub(crate) lib_ver: Box<str>,
}

/// Sizes of a connection's buffers and its traffic, in bytes.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) input: AtomicUsize,
    pub(crate) input_free: AtomicUsize,
    pub(crate) output: AtomicUsize,
    /// The size of the buffer that replies are written to.
    pub(crate) replies: AtomicUsize,
    pub(crate) queued: AtomicUsize,
    pub(crate) net_in: AtomicU64,
    pub(crate) net_out: AtomicU64,
    pub(crate) commands: AtomicU64,
}

/// The number that no command has.
const NO_COMMAND: usize = usize::MAX;

impl Client {
    pub(crate) fn note_command(&self, command: &Command) {
        self.last_command.store(command.number, Ordering::Relaxed);
    }

    /// The last command's place in the table.
    pub(crate) fn last_command(&self) -> Option<usize> {
        let number = self.last_command.load(Ordering::Relaxed);
        (number != NO_COMMAND).then_some(number)
    }

    /// Closes the connection from outside: it executes nothing any more and takes no entry that
    /// it waits for. Its task sees the end of the socket.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.unblock(Unblock::Timeout);
        // An error means that the peer has closed already.
        drop(SockRef::from(&*self.socket).shutdown(std::net::Shutdown::Both));
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_parked(&self, ticket: Option<Arc<Ticket>>) {
        let waits = ticket.is_some();
        *self.parked.lock() = ticket;
        if waits && self.is_killed() {
            self.unblock(Unblock::Timeout);
        }
    }

    /// How many names of a kind it subscribes to.
    pub(crate) fn subscriptions(&self, kind: Kind) -> usize {
        self.subscriptions[kind as usize].load(Ordering::Relaxed)
    }

    /// Whether it subscribes to anything.
    pub(crate) fn is_subscribed(&self) -> bool {
        Kind::ALL
            .into_iter()
            .any(|kind| self.subscriptions(kind) > 0)
    }

    /// The descriptor of its socket.
    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether it waits: for keys, for the disk, or for the end of a pause.
    pub(crate) fn is_blocked(&self) -> bool {
        self.held.load(Ordering::Relaxed) || self.parked.lock().is_some()
    }

    /// Ends the wait of a client that waits. Says whether it did.
    pub(crate) fn unblock(&self, how: Unblock) -> bool {
        self.parked
            .lock()
            .as_ref()
            .is_some_and(|ticket| ticket.unblock(how))
    }
}

/// Everybody who is connected, by ID.
#[derive(Default)]
pub(crate) struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
    pub(crate) total: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Clients {
    /// Enters a new connection.
    pub(crate) fn enter(
        &self,
        socket: Arc<TcpStream>,
        addr: SocketAddr,
        laddr: SocketAddr,
    ) -> Arc<Client> {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.put(socket, [addr, laddr], false)
    }

    /// Enters a connection to the master of this server.
    ///
    /// # Errors
    ///
    /// When it is none any more.
    pub(crate) fn enter_master(&self, socket: Arc<TcpStream>) -> io::Result<Arc<Client>> {
        let ends = [socket.peer_addr()?, socket.local_addr()?];
        Ok(self.put(socket, ends, true))
    }

    fn put(
        &self,
        socket: Arc<TcpStream>,
        [addr, laddr]: [SocketAddr; 2],
        is_master: bool,
    ) -> Arc<Client> {
        let now = clock::unix_ms();
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            addr,
            laddr,
            connected_ms: now,
            socket,
            said: Mutex::default(),
            active_ms: AtomicU64::new(now),
            last_command: AtomicUsize::new(NO_COMMAND),
            db: AtomicU8::new(0),
            resp3: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            multi: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            subscriptions: Default::default(),
            buffers: Buffers::default(),
            is_replica: AtomicBool::new(false),
            is_master,
            held: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            parked: Mutex::new(None),
        });
        self.by_id.lock().insert(client.id, Arc::clone(&client));
        client
    }

    pub(crate) fn leave(&self, client: &Client) {
        self.by_id.lock().remove(&client.id);
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.lock().get(&id).cloned()
    }

    /// Sends away all who wait, for good: what they wait for will not come.
    pub(crate) fn dismiss_waiting(&self) {
        for client in self.all() {
            client.unblock(Unblock::Changed);
        }
    }

    /// Everybody, in the order of their IDs.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.lock().values().cloned().collect()
    }
}
