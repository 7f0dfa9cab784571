//! One connection: read, execute what has arrived, wait for the log, write.
//!
//! ```text
//!  read --> decode, execute, decode, execute, ... --> wait until the log holds it --> write --+
//!   ^                          | a command waits for keys                ^                     |
//!   |                          +--> wait for its ticket, the time,       |                     |
//!   |                               or the end of the socket             |                     |
//!   |  messages for a subscriber ----------------------------------------+                     |
//!   +------------------------------------------------------------------------------------------+
//! ```
//!
//! Everything that has arrived is executed before anything is written, so a pipeline costs one
//! write, and all connections that are ready in one round of the runtime share one write of the
//! log. A command that lacks blocks of settled entries halts before it has changed anything; they
//! are read where waiting for the disk holds nobody up, and the request runs again.
//!
//! Requests are not read while replies cannot be sent: a client that does not read its
//! replies holds one round of them, never more.
//!
//! A subscriber's messages stand among its replies where they were published: those that have come
//! go out before the next request runs, and whenever the connection waits, for whatever it is. They
//! wait for the log as replies do.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use headwater_resp::{Decoder, Limits, Writer};
use headwater_store::{Cold, Loaded};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::clients::Client;
use crate::clock;
use crate::command::{Halt, Park, Until};
use crate::config::{self, OutputLimit};
use crate::execute::{Round, Step, Warm, refused};
use crate::pause::Released;
use crate::pubsub::{Mail, Subscriber};
use crate::refusal::Refusal;
use crate::replication::feed::{self, Feed};
use crate::sentinel::NotSaved;
use crate::server::Server;
use crate::session::Session;
use crate::waiters::{Answer, Ticket, Unblock};

/// Replies are sent once there are so many bytes of them, even if more requests have arrived.
const OUTPUT_ROUND: usize = 256 * 1024;

/// Requests executed before others get their turn.
const REQUESTS_ROUND: usize = 1024;

/// The least room to read into.
const INPUT_ROOM: usize = 16 * 1024;

/// Buffers that grew beyond this are given back once they are empty.
const BUFFER_KEEP: usize = 256 * 1024;

/// A connection that adds rests so many milliseconds at most before it may add more.
const REST_MS_MAX: u64 = 250;

/// How much of what a client sends is read while it waits for keys, so that its end is noticed.
const INPUT_WHILE_PARKED: usize = 64 * 1024;

/// How often it is looked what waits for a subscriber that takes nothing.
const WEIGH_PERIOD: Duration = Duration::from_secs(1);

/// Why a client is closed that is beyond the hard limit of `client-output-buffer-limit`.
const HARD: &str = "more replies wait for it than the hard output limit allows";

/// Why a client is closed that stays beyond the soft limit.
const SOFT: &str = "it takes no replies, and more wait than the soft output limit allows";

/// Why a connection ended.
enum End {
    /// The peer closed, or the socket failed: nobody is there to be told.
    Gone,
    /// Too few replicas have what was executed, for too long.
    InDoubt,
    /// The file of a monitor could not be written.
    NotSaved,
    /// What was executed may not be acknowledged: the log failed, or the data were closed.
    Unacknowledged,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(crate) struct Connection {
    server: Arc<Server>,
    socket: Arc<TcpStream>,
    session: Session,
    decoder: Decoder,
    input: Vec<u8>,
    /// Bytes of `input` that are executed.
    done: usize,
    output: Vec<u8>,
    /// Bytes of `output` that the peer has taken.
    sent: usize,
    /// Since when more waits for a subscriber than the soft output limit allows.
    slow_since: Option<Instant>,
    /// For the next request, when it comes again.
    warm: Warm,
}

/// What to do after a round of requests.
enum Turn {
    /// All that has arrived is executed.
    Read,
    /// There may be more to execute.
    Again,
    /// The next request needs blocks that are not in memory.
    Cold {
        lacks: Cold,
        has: Loaded,
    },
    Park(Park),
    Paused,
    /// The connection belongs to a replica from now on.
    Feed(Feed),
    Close,
}

impl Connection {
    pub(crate) fn new(server: Arc<Server>, socket: Arc<TcpStream>, client: Arc<Client>) -> Self {
        let authenticated = server.config.text(config::REQUIREPASS).is_empty();
        Self {
            server,
            socket,
            session: Session::new(client, authenticated),
            decoder: Decoder::new(),
            input: Vec::new(),
            done: 0,
            output: Vec::new(),
            sent: 0,
            slow_since: None,
            warm: Ok(Loaded::default()),
        }
    }

    /// Serves the client until one of the two has enough.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection. What was executed stays executed.
    pub(crate) async fn run(mut self) {
        // Whatever ended it, the socket closes now.
        drop(self.serve().await);
        self.server.clients.leave(&self.session.client);
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut released = None;
        loop {
            let turn = self.execute();
            drop(released.take());
            self.publish();
            self.flush().await?;
            if std::mem::take(&mut self.session.publishes) {
                // Those who heard of it have their turn before they hear more.
                tokio::task::yield_now().await;
            }
            if std::mem::take(&mut self.session.adds) {
                self.rest().await;
            }
            match turn {
                Turn::Again => {}
                Turn::Close => return Ok(()),
                Turn::Feed(feed) => return self.feed(feed).await,
                Turn::Cold { lacks, has } => self.warm = self.load(lacks, has).await?,
                Turn::Park(park) => {
                    self.park(park).await?;
                    // What it depends on means nothing in another life of the data, which the next
                    // round may be in.
                    self.flush().await?;
                }
                Turn::Paused => released = Some(self.held().await?),
                Turn::Read => self.receive().await?,
            }
        }
    }

    /// Lets CLIENT LIST see where this connection is.
    fn publish(&self) {
        self.session.publish();
        let buffers = &self.session.client.buffers;
        let input = self.input.len() - self.done;
        buffers.input.store(input, Ordering::Relaxed);
        let free = self.input.capacity() - input;
        buffers.input_free.store(free, Ordering::Relaxed);
        let replies = self.output.capacity();
        buffers.replies.store(replies, Ordering::Relaxed);
    }

    /// Executes requests until none is whole, one has to wait, or it is time to send.
    fn execute(&mut self) -> Turn {
        let mut round = Round::new(&self.server);
        if round.enter(&mut self.session) {
            // What was loaded for the next request belongs to other data.
            self.warm = Ok(Loaded::default());
        }
        let mut limits = self.limits();
        let client = &self.session.client;
        client.active_ms.store(round.now(), Ordering::Relaxed);
        for _ in 0..REQUESTS_ROUND {
            if self.session.closing || self.session.client.is_killed() {
                return Turn::Close;
            }
            if self.output.len() >= OUTPUT_ROUND {
                return Turn::Again;
            }
            let input = &self.input[self.done..];
            let length = match self.decoder.decode(input, &limits) {
                Ok(Some(length)) => length,
                Ok(None) => {
                    self.session.take_messages(&mut self.output, OUTPUT_ROUND);
                    return Turn::Read;
                }
                Err(error) => {
                    let refusal = Refusal::Protocol(error);
                    Writer::new(&mut self.output, self.session.protocol).error(&refusal);
                    self.server.stats.rejected(None, &refusal);
                    return Turn::Close;
                }
            };
            let request = self.decoder.request(input);
            if request.is_empty() {
                self.done += length;
                continue;
            }
            if is_http(request.word(0)) {
                tracing::warn!(
                    client = %self.session.client.addr,
                    "closed a connection that speaks HTTP: possibly an attack across protocols"
                );
                return Turn::Close;
            }
            // All that were published before, however many: what it asks for may end them.
            self.session.take_messages(&mut self.output, usize::MAX);
            let was_authenticated = self.session.authenticated;
            let warm = std::mem::replace(&mut self.warm, Ok(Loaded::default()));
            match round.execute(&mut self.session, request, warm, &mut self.output) {
                Step::Next => self.done += length,
                Step::Park(park) => {
                    self.done += length;
                    return Turn::Park(park);
                }
                Step::Cold { lacks, has } => return Turn::Cold { lacks, has },
                Step::Paused => return Turn::Paused,
                Step::Feed(feed) => {
                    self.done += length;
                    return Turn::Feed(feed);
                }
            }
            if self.session.authenticated != was_authenticated {
                limits = self.limits();
            }
        }
        Turn::Again
    }

    fn limits(&self) -> Limits {
        if self.session.authenticated {
            let size = |id| usize::try_from(self.server.config.size(id)).unwrap_or(usize::MAX);
            Limits {
                request_bytes: size(config::CLIENT_QUERY_BUFFER_LIMIT),
                ..Limits::new(size(config::PROTO_MAX_BULK_LEN))
            }
        } else {
            Limits::before_auth()
        }
    }

    /// Rests after adding while upkeep cannot keep up, the longer the further it is behind: what is
    /// only in the log takes memory.
    async fn rest(&self) {
        let opened = self.server.loading.opened();
        let behind = opened.map_or(0, |opened| opened.store.behind());
        if behind > 0 {
            let rest = Duration::from_millis((behind / 10).clamp(1, REST_MS_MAX));
            tokio::time::sleep(rest).await;
        }
    }

    /// Returns when the log holds everything that the replies depend on; of a monitor, the file.
    async fn committed(&self) -> Result<(), End> {
        if let Some(sentinel) = &self.server.sentinel {
            let saved = sentinel.saved(self.session.needs_state).await;
            return saved.map_err(|NotSaved| End::NotSaved);
        }
        let depends_on = self.session.depends_on;
        let Some(commits) = self.session.commits.as_ref() else {
            // There have been no data yet.
            return Ok(());
        };
        let reached = commits.reached(depends_on);
        let config = &self.server.config;
        let patience_ms = match config.int(config::SYNC_REPLICAS) {
            0 => 0,
            _ => config.size(config::SYNC_REPLICAS_TIMEOUT),
        };
        let reached = match patience_ms {
            0 => reached.await,
            ms => match tokio::time::timeout(Duration::from_millis(ms), reached).await {
                Ok(reached) => reached,
                Err(_elapsed) => return Err(End::InDoubt),
            },
        };
        reached.map_err(|_ended| End::Unacknowledged)
    }

    /// Returns when everything is committed that messages in the output depend on. Nobody has asked
    /// for these, so there is nobody to be told that it takes long.
    async fn settled(&mut self) -> Result<(), End> {
        let subscriber = self.session.subscriber.as_deref();
        let Some(owed) = subscriber.and_then(Subscriber::owed).cloned() else {
            return Ok(());
        };
        tokio::select! {
            biased;
            reached = owed.reached() => reached.map_err(|_ended| End::Unacknowledged)?,
            end = self.gone() => return Err(end),
        }
        if let Some(subscriber) = &mut self.session.subscriber {
            subscriber.settle();
        }
        Ok(())
    }

    /// Sends what there is to be said, once the log holds what it depends on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: what is left is sent next time.
    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        if let Err(end) = self.committed().await {
            let refusal = match end {
                End::InDoubt => Some(Refusal::InDoubt),
                End::NotSaved => Some(Refusal::NotSaved),
                End::Gone | End::Unacknowledged => None,
            };
            if let Some(refusal) = refusal.filter(|_| self.sent == 0) {
                self.output.clear();
                let mut out = Writer::new(&mut self.output, self.session.protocol);
                out.error(&refusal);
                self.send().await?;
            }
            return Err(end);
        }
        self.settled().await?;
        self.send().await
    }

    /// Sends all replies and messages.
    ///
    /// # Cancel safety
    ///
    /// As [`flush`](Self::flush).
    async fn send(&mut self) -> Result<(), End> {
        while self.sent < self.output.len() {
            match self.socket.try_write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.room_to_send().await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let sent = std::mem::take(&mut self.sent);
        let client = &self.session.client;
        client
            .buffers
            .net_out
            .fetch_add(sent as u64, Ordering::Relaxed);
        self.server
            .stats
            .net_out
            .fetch_add(sent as u64, Ordering::Relaxed);
        client.buffers.output.store(0, Ordering::Relaxed);
        if let Some(subscriber) = &self.session.subscriber {
            subscriber.weigh(0);
        }
        self.output.clear();
        if self.output.capacity() > BUFFER_KEEP {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// Returns when the peer takes more of what waits for it.
    ///
    /// A peer that does not is not waited for beyond `client-output-buffer-limit`: it is closed at
    /// once when more than the hard limit waits, and in time when more than the soft one does. More
    /// and more may wait for a subscriber meanwhile.
    async fn room_to_send(&mut self) -> Result<(), End> {
        loop {
            let left = self.output.len() - self.sent;
            let subscriber = self.session.subscriber.as_ref();
            let waits = subscriber.map_or(left as u64, |subscriber| subscriber.weigh(left));
            let output = &self.session.client.buffers.output;
            output.store(
                usize::try_from(waits).unwrap_or(usize::MAX),
                Ordering::Relaxed,
            );
            let limit = self.output_limit();
            if is_beyond(waits, limit.hard_bytes) {
                return Err(self.closed(HARD));
            }
            let now = clock::instant();
            let is_subscribed = self.session.is_subscribed();
            let since = match self.slow_since {
                Some(since) if is_subscribed => since,
                _ => now,
            };
            let is_slow = is_beyond(waits, limit.soft_bytes);
            self.slow_since = is_slow.then_some(since);
            let patience = is_slow.then(|| since + Duration::from_secs(limit.soft_seconds));
            if patience.is_some_and(|patience| now > patience) {
                return Err(self.closed(SOFT));
            }
            let weigh = is_subscribed.then(|| now + WEIGH_PERIOD);
            let look_again = [patience, weigh].into_iter().flatten().min();
            tokio::select! {
                ready = self.socket.writable() => return Ok(ready?),
                _ = self.mail(false) => return Err(self.closed(HARD)),
                () = until(look_again) => {}
            }
        }
    }

    /// What `client-output-buffer-limit` says about this client.
    fn output_limit(&self) -> OutputLimit {
        let limits = self.server.config.output_limits();
        if self.session.is_subscribed() {
            limits.pubsub
        } else {
            limits.normal
        }
    }

    /// Returns when there are messages, or were too many; the latter only if it is not for
    /// `messages`. Never for one who is no subscriber.
    async fn mail(&self, messages: bool) -> Mail {
        match &self.session.subscriber {
            Some(subscriber) => poll_fn(|cx| subscriber.poll(messages, cx)).await,
            None => std::future::pending().await,
        }
    }

    /// Says why the server ends the connection.
    fn closed(&self, why: &str) -> End {
        let client = &self.session.client;
        tracing::warn!(client = %client.addr, id = client.id, "closed a connection: {why}");
        End::Gone
    }

    /// Reads blocks, on a thread that may wait for the disk, for a command that has some already.
    ///
    /// They become a reply: a client that asks for more than it may leave unread is closed.
    async fn load(&mut self, lacks: Cold, mut has: Loaded) -> Result<Warm, End> {
        let limit = self.output_limit();
        if is_beyond(lacks.bytes() + has.bytes(), limit.hard_bytes) {
            return Err(self.closed(HARD));
        }
        let Some(opened) = self.server.loading.opened() else {
            // It comes again, and is told that there are no data.
            return Ok(Ok(Loaded::default()));
        };
        let reading = tokio::task::spawn_blocking(move || opened.store.load(&lacks));
        let read = tokio::select! {
            read = reading => match read {
                // The server ends before its turn came.
                Err(error) if error.is_cancelled() => return Err(End::Gone),
                read => read.expect("reading does not panic"),
            },
            end = self.watch() => return Err(end),
        };
        Ok(read.map(|more| {
            has.merge(more);
            has
        }))
    }

    /// Belongs to a replica, until it goes.
    async fn feed(&mut self, feed: Feed) -> Result<(), End> {
        let input = self.input.split_off(self.done);
        self.session.subscriber = None;
        let client = &self.session.client;
        let fed = feed::feed(&self.server, &self.socket, client, feed, input).await;
        if let Err(error) = fed {
            tracing::info!(replica = %client.addr, "stops feeding a replica: {error}");
        }
        Ok(())
    }

    /// Reads what has arrived, at least a byte, and passes on messages. A peer that sends nothing
    /// for `timeout` seconds is closed, unless it is a subscriber.
    async fn receive(&mut self) -> Result<(), End> {
        self.make_room();
        let seconds = match self.session.is_subscribed() {
            true => 0,
            false => self.server.config.size(config::TIMEOUT),
        };
        loop {
            let heard = if seconds == 0 {
                self.hear(true).await?
            } else {
                let patience = Duration::from_secs(seconds);
                match tokio::time::timeout(patience, self.hear(true)).await {
                    Ok(heard) => heard?,
                    Err(_elapsed) => return Err(End::Gone),
                }
            };
            if heard.messages {
                self.deliver().await?;
            }
            if heard.input && self.read_some()? {
                return Ok(());
            }
        }
    }

    /// Returns when there is input, or if it is for `messages`, some of these.
    async fn hear(&self, messages: bool) -> Result<Heard, End> {
        poll_fn(|cx| {
            let mail = match &self.session.subscriber {
                Some(subscriber) => subscriber.poll(messages, cx),
                None => Poll::Pending,
            };
            if mail == Poll::Ready(Mail::TooMuch) {
                return Poll::Ready(Err(self.closed(HARD)));
            }
            let messages = mail.is_ready();
            match self.socket.poll_read_ready(cx) {
                Poll::Ready(ready) => Poll::Ready(ready.map_err(End::from).map(|()| Heard {
                    messages,
                    input: true,
                })),
                Poll::Pending if messages => Poll::Ready(Ok(Heard {
                    messages,
                    input: false,
                })),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Passes on messages that have come.
    ///
    /// # Cancel safety
    ///
    /// As [`flush`](Self::flush).
    async fn deliver(&mut self) -> Result<(), End> {
        self.session.take_messages(&mut self.output, OUTPUT_ROUND);
        self.flush().await
    }

    /// Moves what is left to the front, and has room for what is wanted.
    fn make_room(&mut self) {
        if self.done == self.input.len() {
            self.input.clear();
            if self.input.capacity() > BUFFER_KEEP {
                self.input = Vec::new();
            }
        } else if self.done > 0 {
            self.input.drain(..self.done);
        }
        self.done = 0;
        let room = self.decoder.wanted().clamp(INPUT_ROOM, BUFFER_KEEP);
        self.input.reserve(room);
    }

    /// Reads without waiting. Says whether something came.
    fn read_some(&mut self) -> Result<bool, End> {
        match self.socket.try_read_buf(&mut self.input) {
            Ok(0) => Err(End::Gone),
            Ok(count) => {
                let client = &self.session.client;
                client
                    .buffers
                    .net_in
                    .fetch_add(count as u64, Ordering::Relaxed);
                self.server
                    .stats
                    .net_in
                    .fetch_add(count as u64, Ordering::Relaxed);
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nothing holds the next request back.
    async fn held(&mut self) -> Result<Released, End> {
        let server = Arc::clone(&self.server);
        let client = Arc::clone(&self.session.client);
        client.held.store(true, Ordering::Relaxed);
        let released = tokio::select! {
            released = server.pause.wait() => Ok(released),
            end = self.watch() => Err(end),
        };
        client.held.store(false, Ordering::Relaxed);
        released
    }

    /// Waits until a command that found nothing has an answer, and takes the answer for output.
    async fn park(&mut self, park: Park) -> Result<(), End> {
        let timeout = (park.timeout_ms > 0).then(|| Duration::from_millis(park.timeout_ms));
        let deadline = timeout.and_then(|timeout| clock::instant().checked_add(timeout));
        let (db, protocol) = (self.session.db, self.session.protocol);
        let (now, wanted) = (clock::unix_ms(), park.until.clone());
        let life = self.session.life;
        let ticket = self
            .server
            .waiters
            .park(&self.server, life, db, protocol, park, now);
        self.session.client.set_parked(Some(Arc::clone(&ticket)));
        if self.server.loading.is_over(life) {
            ticket.unblock(Unblock::Changed);
        }
        let server = Arc::clone(&self.server);
        let mut loaded = Loaded::default();
        let ended = loop {
            let lacks = tokio::select! {
                biased;
                lacks = ticket.called() => lacks,
                () = until(deadline) => None,
                () = look_when(&server, life, &ticket, wanted.as_ref()) => None,
                end = self.watch() => break Err(end),
            };
            let Some(lacks) = lacks else { break Ok(()) };
            match self.load(lacks, std::mem::take(&mut loaded)).await {
                Ok(Ok(warm)) => {
                    loaded = warm;
                    let now = clock::unix_ms();
                    server.waiters.look(&server, &ticket, &loaded, now);
                }
                Ok(Err(fault)) => ticket.refuse(refused(Halt::Unreadable(fault))),
                Err(end) => break Err(end),
            }
        };
        self.session.client.set_parked(None);
        self.server.waiters.leave(&self.server, &ticket);
        let answer = ticket.time_up();
        ended?;
        self.answer(&answer);
        Ok(())
    }

    fn answer(&mut self, answer: &Answer) {
        self.server
            .stats
            .waited(&self.session, answer.refusal.as_ref());
        self.session.closing |= answer.refusal == Some(Refusal::UnblockedByChange);
        let start = self.output.len();
        self.output.extend_from_slice(&answer.reply);
        self.session.end_request(&mut self.output, start, false);
        self.session.depends_on = self.session.depends_on.max(answer.depends_on);
    }

    /// Returns when the peer has gone. Passes on messages, and reads ahead what the peer may send
    /// meanwhile.
    async fn watch(&mut self) -> End {
        self.make_room();
        loop {
            match self.hear_ahead(true).await {
                Ok(Heard { messages: true, .. }) => {
                    if let Err(end) = self.deliver().await {
                        return end;
                    }
                }
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    }

    /// The same without messages.
    async fn gone(&mut self) -> End {
        loop {
            if let Err(end) = self.hear_ahead(false).await {
                return end;
            }
        }
    }

    /// Reads ahead, until there are messages if it is for these.
    async fn hear_ahead(&mut self, messages: bool) -> Result<Heard, End> {
        let heard = if self.input.len() - self.done < INPUT_WHILE_PARKED {
            self.hear(messages).await?
        } else {
            // No more is read; only the end of both directions is noticed now.
            tokio::select! {
                mail = self.mail(messages) => match mail {
                    Mail::Waits => Heard { messages: true, input: false },
                    Mail::TooMuch => return Err(self.closed(HARD)),
                },
                _ = self.socket.ready(Interest::ERROR) => return Err(End::Gone),
            }
        };
        if heard.input {
            self.input.reserve(INPUT_ROOM);
            self.read_some()?;
        }
        Ok(heard)
    }
}

/// What a connection hears while it waits.
struct Heard {
    messages: bool,
    input: bool,
}

/// Looks again on behalf of a ticket once something is so. Does not return: what comes of it calls
/// the ticket.
async fn look_when(server: &Server, life: u64, ticket: &Arc<Ticket>, until: Option<&Until>) {
    let opened = || server.loading.opened().filter(|opened| opened.life == life);
    let is_so = match until {
        None => false,
        Some(Until::Backup(making)) => {
            making.ended().await;
            true
        }
        Some(&Until::Replicas { sync }) => {
            let mut acks = server.replication.acks();
            if let Some(opened) = opened() {
                let sync = move || match sync {
                    true => opened.store.log().sync().map(drop),
                    false => opened.store.log().try_write().map(drop),
                };
                // A log that failed ends the server; nobody acknowledges more until then.
                drop(tokio::task::spawn_blocking(sync).await);
            }
            loop {
                let now = clock::unix_ms();
                server.waiters.look(server, ticket, &Loaded::default(), now);
                let changed = acks.changed().await;
                changed.expect("the sender lives as long as the server");
            }
        }
        Some(&Until::Round(round)) => {
            // However it ended, the command says it.
            poll_fn(|cx| match opened() {
                None => Poll::Pending,
                Some(opened) => opened.store.poll_round(round, cx).map(drop),
            })
            .await;
            true
        }
    };
    if is_so {
        let now = clock::unix_ms();
        server.waiters.look(server, ticket, &Loaded::default(), now);
    }
    std::future::pending::<()>().await;
}

/// Whether there are more bytes than a limit, of which zero is none, allows.
fn is_beyond(bytes: u64, limit: u64) -> bool {
    limit > 0 && bytes > limit
}

/// Returns at the deadline, never without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// A browser that was tricked into talking to this port (the same two words as Redis).
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}
