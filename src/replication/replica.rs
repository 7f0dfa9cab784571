//! The replica's end of a socket: does what [`Link`] says, and tells it what happened.
//!
//! Frames are taken where they come, when they are few and nothing of them waits for the disk;
//! else on a thread that may take its time, so that whoever is served by this one does not wait.
//! What comes meanwhile waits in the socket, and makes the next lot larger.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_resp::encode_request;
use headwater_store::cut::cut;
use headwater_store::disk::Disk;
use headwater_store::install::install;
use headwater_store::{KeyEvent, Lsn, RealDisk, ReceiveError, Received, SyncPolicy};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::link::{Action, Event, Facts, Link, Why};
use super::shipment::{Incoming, PIECE_MAX, Taken, Trouble};
use super::wire::{self, Item, LINE_MAX};
use super::{Address, Shipped, Takeover};
use crate::clients::{Client, Clients};
use crate::clock;
use crate::commits::Point;
use crate::config;
use crate::loading::{self, Opened};
use crate::pubsub::{Publication, Terms};
use crate::server::{Reason, Server};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// Taking so many bytes of frames is work for longer than others should wait.
const LONG_BYTES: usize = 64 << 10;

/// How a conversation ended.
enum Ended {
    /// To be tried again.
    Broken,
    /// The log is to be cut here first.
    Cut(Lsn),
    /// Everything up to here came, and lies beside the data.
    Received(Lsn),
    /// The other does not take over.
    Declined,
}

/// Follows a master until the next turn.
pub(super) async fn follow(
    server: &Arc<Server>,
    of: &Address,
    takeover: Takeover,
    turns: &mut watch::Receiver<u64>,
) {
    let mut replica = Replica {
        server,
        of,
        takeover,
        link: Link::new(0),
        wants_everything: false,
        incoming: Arc::default(),
        has_asked: false,
        taking: None,
        said: None,
    };
    let began_ms = replica.now_ms();
    loop {
        let ended = tokio::select! {
            biased;
            changed = turns.changed() => {
                changed.expect("the sender lives as long as the server");
                // What has come belongs to the time before.
                if let Some(taking) = replica.taking.take() {
                    // It was not begun when the server ended before that.
                    if let Ok(lot) = taking.await {
                        replica.serve(&lot.events);
                    }
                }
                return;
            }
            ended = replica.converse() => ended,
        };
        replica.show();
        let ended = match ended {
            // Whoever was never asked has not taken over; whoever was, may have.
            Ended::Broken if takeover != Takeover::No && !replica.has_asked => {
                let is_late = replica.now_ms() >= began_ms + replica.timeout_ms();
                if is_late { Ended::Declined } else { ended }
            }
            ended => ended,
        };
        match ended {
            Ended::Broken => {}
            Ended::Cut(at) => replica.cut(at).await,
            Ended::Received(end) => replica.install(end).await,
            Ended::Declined => {
                tracing::warn!(%of, "does not take over; leads again");
                server.replication.decline(server);
            }
        }
    }
}

struct Replica<'a> {
    server: &'a Arc<Server>,
    of: &'a Address,
    takeover: Takeover,
    link: Link,
    /// What it has is of no use.
    wants_everything: bool,
    /// What of a shipment has come; looked for when it is needed.
    incoming: Arc<Mutex<Option<Incoming>>>,
    /// `PSYNC` has been said.
    has_asked: bool,
    /// Takes frames on another thread.
    taking: Option<JoinHandle<Lot>>,
    /// The last complaint, which is not said twice.
    said: Option<String>,
}

impl Replica<'_> {
    fn now_ms(&self) -> u64 {
        self.server.replication.now_ms()
    }

    /// What `repl-timeout` says.
    fn timeout_ms(&self) -> u64 {
        self.server.config.size(config::REPL_TIMEOUT) * 1000
    }

    fn show(&self) {
        self.server.replication.show(self.link.standing());
    }

    fn complain(&mut self, text: String) {
        if self.said.as_ref() != Some(&text) {
            tracing::warn!(master = %self.of, "the link is down: {text}");
            self.said = Some(text);
        }
    }

    /// Returns when time alone has something done.
    async fn due(&self) {
        let left = self.link.due_ms().saturating_sub(self.now_ms());
        tokio::time::sleep(Duration::from_millis(left)).await;
    }

    /// One conversation, from the first attempt to connect to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection.
    async fn converse(&mut self) -> Ended {
        self.link.set_timeout(self.timeout_ms());
        while self.link.step(self.now_ms(), Event::Tick) != Some(Action::Connect) {
            self.due().await;
        }
        self.show();
        let connecting = TcpStream::connect((&*self.of.host, self.of.port));
        let connected = tokio::select! {
            connected = connecting => connected,
            () = self.due() => Err(io::ErrorKind::TimedOut.into()),
        };
        let socket = match connected {
            Ok(socket) => Arc::new(socket),
            Err(error) => return self.lost(&error),
        };
        // A socket that refuses the option still serves.
        drop(socket.set_nodelay(true));
        match self.ask(&socket).await {
            Ok(ended) => ended,
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&mut self, error: &io::Error) -> Ended {
        self.complain(error.to_string());
        self.link.step(self.now_ms(), Event::Lost);
        Ended::Broken
    }

    /// The handshake, and what follows it.
    async fn ask(&mut self, socket: &Arc<TcpStream>) -> io::Result<Ended> {
        let mut input = Vec::new();
        let facts = self.facts();
        let mut action = self.link.step(self.now_ms(), Event::Connected(facts));
        self.show();
        loop {
            match action {
                Some(Action::Say(words)) => {
                    self.has_asked |= words.first().is_some_and(|word| word == "PSYNC");
                    say(socket, &words).await?;
                }
                Some(Action::Follow) => return self.stream(socket, input).await,
                Some(Action::Cut(at)) => return Ok(Ended::Cut(at)),
                Some(Action::Receive(end)) => return self.receive(socket, input, end).await,
                Some(Action::HangUp(why)) => return Ok(self.hung_up(&why)),
                None | Some(Action::Connect) => {}
            }
            let line = tokio::select! {
                line = read_line(socket, &mut input) => Some(line?),
                () = self.due() => None,
            };
            let now_ms = self.now_ms();
            action = match &line {
                Some(line) => self.link.step(now_ms, Event::Line(line)),
                None => self.link.step(now_ms, Event::Tick),
            };
        }
    }

    fn hung_up(&mut self, why: &Why) -> Ended {
        self.complain(why.to_string());
        // Another master of the same mind would say the same; this one may yet come to lead.
        let for_now = |text: &str| text.starts_with("NOMASTERLINK") || text.starts_with("LOADING");
        match why {
            Why::Refused(text) if self.takeover != Takeover::No && !for_now(text) => {
                Ended::Declined
            }
            _ => Ended::Broken,
        }
    }

    /// What this server has to say of itself.
    fn facts(&self) -> Facts {
        let config = &self.server.config;
        let announced = u16::try_from(config.int(config::REPLICA_ANNOUNCE_PORT)).unwrap_or(0);
        let (history, end) = match self.server.loading.opened() {
            Some(opened) => (opened.store.history(), opened.store.log().appended()),
            None => Default::default(),
        };
        Facts {
            user: config.text(config::MASTERUSER),
            password: config.text(config::MASTERAUTH),
            port: if announced == 0 {
                self.server.identity.port
            } else {
                announced
            },
            host: config.text(config::REPLICA_ANNOUNCE_IP),
            history,
            end,
            wants_everything: self.wants_everything,
            has: self.incoming.lock().as_ref().and_then(Incoming::has),
            takeover: self.takeover,
        }
    }

    /// Takes frames for as long as they come.
    async fn stream(&mut self, socket: &Arc<TcpStream>, input: Vec<u8>) -> io::Result<Ended> {
        let Some(opened) = self.server.loading.opened() else {
            return Err(io::Error::other("there are no data"));
        };
        tracing::info!(master = %self.of, end = %opened.store.log().appended(), "follows");
        self.show();
        let listed = Listed::enter(&self.server.clients, socket)?;
        if self.takeover != Takeover::No {
            self.takeover = Takeover::No;
            self.server.replication.taken_over(self.server);
        }
        let mut stream = wire::Stream::default();
        let mut frames = Vec::new();
        let mut input = input;
        loop {
            if !input.is_empty() {
                self.server.replication.show_heard();
                listed.heard();
                self.link.step(self.now_ms(), Event::Heard);
                self.take_in(&opened, &mut stream, &mut input, &mut frames)
                    .await?;
            }
            let log = opened.store.log();
            let (written, durable) = (log.written(), log.durable());
            let marks = Event::Marks { written, durable };
            let now_ms = self.now_ms();
            let mut action = self.link.step(now_ms, marks);
            if action.is_none() {
                action = self.link.step(now_ms, Event::Tick);
            }
            match action {
                Some(Action::Say(words)) => say(socket, &words).await?,
                Some(Action::HangUp(why)) => return Ok(self.hung_up(&why)),
                _ => {}
            }
            input.reserve(READ_BYTES);
            tokio::select! {
                read = read(socket, &mut input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                () = synced(&opened, durable) => {}
                () = self.due() => {}
            }
        }
    }

    /// Takes what has come: frames as soon as they are whole, and messages between them.
    async fn take_in(
        &mut self,
        opened: &Arc<Opened>,
        stream: &mut wire::Stream,
        input: &mut Vec<u8>,
        frames: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut at = 0;
        loop {
            let next = stream.next(&input[at..]);
            let (pass, item) = next.map_err(|garbled| io::Error::other(garbled.to_string()))?;
            at += pass;
            match item {
                Item::Frames(bytes) => {
                    frames.extend_from_slice(&input[at..at + bytes]);
                    at += bytes;
                }
                Item::Message(bytes) => {
                    // What was changed before it is seen before it.
                    self.apply(opened, frames, stream.is_urgent()).await?;
                    let message = stream.message(&input[at..]);
                    if let Some(publication) = Publication::read(message) {
                        self.publish(opened, publication);
                    }
                    at += bytes;
                }
                Item::Nothing => break,
            }
        }
        input.drain(..at);
        self.apply(opened, frames, stream.is_urgent()).await
    }

    /// Tells subscribers of this server, and its replicas, once it has on its disk what it has now.
    fn publish(&self, opened: &Opened, publication: Publication<'_>) {
        let end = opened.store.log().appended();
        let terms = Terms {
            after: Point::ahead(&opened.commits(), end),
            relay_at: Some(end),
        };
        self.server.pubsub.publish(publication, &terms);
    }

    /// Takes the whole frames that have come. With `urgent`, somebody waits until they are on the
    /// disk, whatever this server's own clients are content with.
    async fn apply(
        &mut self,
        opened: &Arc<Opened>,
        frames: &mut Vec<u8>,
        urgent: bool,
    ) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let little = frames.len() < LONG_BYTES;
        let mut lot = Lot::new(std::mem::take(frames), urgent);
        if little {
            lot.take(opened, |frames| opened.store.receive_at_once(frames));
        }
        if !little || lot.waits {
            let opened = Arc::clone(opened);
            let take = move || {
                lot.take(&opened, |frames| opened.store.receive(frames));
                lot
            };
            // It is kept here, for who drops this future must wait for it.
            let taking = self.taking.insert(tokio::task::spawn_blocking(take));
            let taken = taking.await;
            self.taking = None;
            lot = match taken {
                // The server ends before its turn came.
                Err(error) if error.is_cancelled() => return Err(io::Error::other(error)),
                taken => taken.expect("taking frames does not panic"),
            };
        }
        self.serve(&lot.events);
        if let Some(fault) = lot.fault {
            return Err(io::Error::other(fault));
        }
        if lot.done > 0 {
            self.said = None;
            lot.frames.drain(..lot.done);
        }
        *frames = lot.frames;
        Ok(())
    }

    /// Lets those see what happened to keys who wait for them.
    fn serve(&self, events: &[KeyEvent]) {
        let server = self.server;
        if events.is_empty() {
            return;
        }
        // Who waits is sent away when the data are closed.
        if let Some(opened) = server.loading.opened() {
            let now = clock::unix_ms();
            server.waiters.serve(server, &opened, events, now);
        }
    }

    /// Takes a shipment. What has come of it stays when the connection breaks.
    async fn receive(
        &mut self,
        socket: &Arc<TcpStream>,
        mut input: Vec<u8>,
        end: Lsn,
    ) -> io::Result<Ended> {
        tracing::info!(master = %self.of, %end, "receives everything");
        self.show();
        let mut shipped = Shipped::default();
        loop {
            if !input.is_empty() {
                self.link.step(self.now_ms(), Event::Heard);
                let (taken, rest) = self.take(input).await?;
                input = rest;
                shipped.total = taken.total.unwrap_or(shipped.total);
                shipped.done += taken.bytes;
                self.server.replication.show_shipment(shipped);
                if taken.complete.is_some() {
                    self.link.step(self.now_ms(), Event::Complete);
                    return Ok(Ended::Received(end));
                }
            }
            match self.link.step(self.now_ms(), Event::Tick) {
                Some(Action::Say(words)) => say(socket, &words).await?,
                Some(Action::HangUp(why)) => return Ok(self.hung_up(&why)),
                _ => {}
            }
            input.reserve(PIECE_MAX);
            tokio::select! {
                read = read(socket, &mut input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                () = self.due() => {}
            }
        }
    }

    /// Takes what of a shipment has come, where waiting for the disk holds nobody up; gives back
    /// what is not whole.
    async fn take(&self, mut input: Vec<u8>) -> io::Result<(Taken, Vec<u8>)> {
        let (incoming, dir) = (Arc::clone(&self.incoming), self.dir());
        let taking = tokio::task::spawn_blocking(move || {
            let mut incoming = incoming.lock();
            let incoming = match &mut *incoming {
                Some(incoming) => incoming,
                none => none.insert(Incoming::find(Arc::new(RealDisk), &dir)?),
            };
            let taken = incoming.take_all(&mut input)?;
            Ok((taken, input))
        });
        let taken: Result<_, Trouble> = taking.await.expect("taking a shipment does not panic");
        taken.map_err(io::Error::other)
    }

    /// Where the data are.
    fn dir(&self) -> PathBuf {
        PathBuf::from(self.server.config.text(config::DIR))
    }

    /// Cuts the log.
    async fn cut(&mut self, at: Lsn) {
        let cut = move |disk: &dyn Disk, dir: &Path| cut(disk, dir, at);
        match self.change(cut).await {
            None => {}
            Some(Ok(cut)) => {
                let kept = cut.kept.unwrap_or_default();
                tracing::warn!(
                    %at, bytes = cut.bytes, kept = %kept.display(),
                    "cut off what the master never had"
                );
            }
            Some(Err(error)) => {
                tracing::warn!(%at, "cannot cut the log, and so needs everything anew: {error}");
                self.wants_everything = true;
            }
        }
    }

    /// Puts what was received in the place of the data.
    async fn install(&mut self, end: Lsn) {
        let install = move |disk: &dyn Disk, dir: &Path| install(disk, dir, end);
        match self.change(install).await {
            None => {}
            Some(Ok(_)) => {
                self.wants_everything = false;
                tracing::info!("has everything that its master had");
            }
            Some(Err(error)) => tracing::error!("cannot use what was received: {error}"),
        }
        *self.incoming.lock() = None;
    }

    /// Closes the data, changes their directory, and opens them again; `None` when the server ends
    /// meanwhile.
    async fn change<T: Send + 'static, E: Send + 'static>(
        &self,
        change: impl FnOnce(&dyn Disk, &Path) -> Result<T, E> + Send + 'static,
    ) -> Option<Result<T, E>> {
        let server = self.server;
        // A log that has failed ends the server.
        server.loading.close(&server.clients).await.ok()?;
        let dir = self.dir();
        let changing = tokio::task::spawn_blocking(move || change(&RealDisk, &dir));
        let changed = changing.await.expect("changing the data does not panic");
        match loading::load(server).await {
            Ok(store) => {
                loading::publish(server, store);
                Some(changed)
            }
            Err(fault) => {
                server.shutdown.request(Reason::Unusable(fault.to_string()));
                None
            }
        }
    }
}

/// The link among the connections that people see, while it is there.
struct Listed<'a> {
    clients: &'a Clients,
    client: Arc<Client>,
}

impl<'a> Listed<'a> {
    fn enter(clients: &'a Clients, socket: &Arc<TcpStream>) -> io::Result<Self> {
        let client = clients.enter_master(Arc::clone(socket))?;
        Ok(Self { clients, client })
    }

    fn heard(&self) {
        let now = clock::unix_ms();
        self.client.active_ms.store(now, Ordering::Relaxed);
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.clients.leave(&self.client);
    }
}

/// Frames that have come together, and what became of them.
struct Lot {
    frames: Vec<u8>,
    urgent: bool,
    /// So many bytes of them have been taken.
    done: usize,
    /// The next one is there, and waits for the disk.
    waits: bool,
    /// Why the next one cannot be taken.
    fault: Option<ReceiveError>,
    events: Vec<KeyEvent>,
}

impl Lot {
    fn new(frames: Vec<u8>, urgent: bool) -> Self {
        Self {
            frames,
            urgent,
            done: 0,
            waits: false,
            fault: None,
            events: Vec::new(),
        }
    }

    /// Takes the whole frames that are left, as far as `receive` does, and sees to it that they are
    /// written, or synced soon.
    fn take(&mut self, opened: &Opened, receive: impl Fn(&[u8]) -> Result<Received, ReceiveError>) {
        let before = self.done;
        loop {
            match receive(&self.frames[self.done..]) {
                Ok(received) => {
                    self.events.extend(received.events);
                    self.waits = received.waits;
                    if received.consumed == 0 {
                        break;
                    }
                    self.done += received.consumed;
                }
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        if self.done == before {
            return;
        }
        let log = opened.store.log();
        if self.urgent || log.policy() == SyncPolicy::Always {
            log.request_sync();
        } else if let Err(poisoned) = log.try_write() {
            self.fault = Some(poisoned.into());
        }
    }
}

/// Returns when more than `durable` is, or never when the log fails, which ends the server.
async fn synced(opened: &Opened, durable: Lsn) {
    let (log, more) = (opened.store.log(), durable.plus(1));
    if poll_fn(|cx| log.poll_durable(more, cx)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn say(socket: &TcpStream, words: &[String]) -> io::Result<()> {
    let mut request = Vec::new();
    encode_request(&mut request, words.iter().map(String::as_bytes));
    let mut sent = 0;
    while sent < request.len() {
        socket.writable().await?;
        match socket.try_write(&request[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends what has come, at least a byte, unless it was the last.
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
async fn read(socket: &TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        match socket.try_read_buf(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Reads a line, and leaves what comes behind it in `input`.
async fn read_line(socket: &TcpStream, input: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = input.drain(..=end).collect::<Vec<u8>>();
            let line = String::from_utf8_lossy(&line);
            return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
        }
        if input.len() > LINE_MAX {
            return Err(io::Error::other(wire::Garbled.to_string()));
        }
        if read(socket, input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
