//! The master's end of a socket: sends its log, and hears how far the replica is.
//!
//! Two loops side by side, either of which ends the connection. The one that sends reads the log
//! from where the replica is; what has just been written is in memory, and what is old is read
//! where waiting for the disk holds nobody up. The socket is its only buffer: a replica that is
//! slow costs no memory here, except for messages, of which a few megabytes wait for it and the
//! rest are dropped.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use headwater_resp::{Decoder, Limits};
use headwater_store::disk::Disk as _;
use headwater_store::{Lsn, RealDisk};
use tokio::net::TcpStream;

use super::shipment::{self, PIECE_MAX};
use super::wire::{self, Answer, Has};
use super::{Stage, resync};
use crate::clients::Client;
use crate::command::parse_uint;
use crate::config;
use crate::loading::Opened;
use crate::pubsub::Relay;
use crate::server::Server;

/// How much is sent at once, unless one frame has more.
const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a shipment that are sent before others have their turn.
const PART_BYTES: usize = 64 << 10;

/// A replica that is so far behind needs what may have to be read from the disk.
const COLD_BYTES: u64 = 32 << 20;

/// How much is read at once of what the replica says.
const READ_BYTES: usize = 16 << 10;

/// What a connection has agreed with a replica, and is to do.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Where the replica can be reached.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Where its log ends; `None` when it gets everything anew.
    pub(crate) from: Option<Lsn>,
    /// What is published from now on; nothing to who gets everything anew.
    pub(crate) relay: Option<Relay>,
    /// It would have gone on from what it has, and cannot.
    pub(crate) asked_for_more: bool,
    /// What it has of a shipment.
    pub(crate) has: Option<Has>,
    /// Of which life of the data that is.
    pub(crate) life: u64,
}

/// Feeds a replica until one of the two has enough. `input` has come already.
///
/// # Cancel safety
///
/// Dropping the future ends the connection.
pub(crate) async fn feed(
    server: &Arc<Server>,
    socket: &TcpStream,
    client: &Arc<Client>,
    feed: Feed,
    input: Vec<u8>,
) -> io::Result<()> {
    let place = Place::take(server, client, &feed);
    let feeding = Feeding {
        server,
        socket,
        id: client.id,
        life: feed.life,
    };
    let send = async {
        match (feed.from, &feed.relay) {
            (Some(from), Some(relay)) => feeding.send(from, relay).await,
            _ => feeding.ship(feed.has.as_ref()).await,
        }
    };
    let ended = tokio::select! {
        ended = send => ended,
        ended = feeding.listen(input) => ended,
        () = server.loading.end_of(feed.life) => Err(closed()),
    };
    drop(place);
    ended
}

/// A replica's place in the table, while it is there.
struct Place<'a> {
    server: &'a Server,
    client: &'a Client,
}

impl<'a> Place<'a> {
    fn take(server: &'a Server, client: &'a Client, feed: &Feed) -> Self {
        let stage = if feed.from.is_some() {
            Stage::Online
        } else {
            Stage::Copying
        };
        let replication = &server.replication;
        let now_ms = replication.now_ms();
        let mut replicas = replication.replicas.lock();
        let from = feed.from.unwrap_or(Lsn::ZERO);
        replicas.enter(client.id, &feed.host, feed.port, stage, from, now_ms);
        drop(replicas);
        let stats = &server.stats;
        let is_full = feed.from.is_none();
        for (counter, counts) in [
            (&stats.full_syncs, is_full),
            (&stats.partial_syncs, !is_full),
            (&stats.partial_refused, is_full && feed.asked_for_more),
        ] {
            counter.fetch_add(u64::from(counts), Ordering::Relaxed);
        }
        client.is_replica.store(true, Ordering::Relaxed);
        let wants = feed
            .from
            .map_or_else(|| "everything".to_owned(), |from| from.to_string());
        tracing::info!(replica = %client.addr, port = feed.port, from = wants, "feeds a replica");
        Self { server, client }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let replication = &self.server.replication;
        replication.replicas.lock().leave(self.client.id);
        replication.state.lock().alone_since_ms = Some(replication.now_ms());
        replication.agree(self.server);
        tracing::info!(replica = %self.client.addr, "the replica is gone");
    }
}

fn closed() -> io::Error {
    io::Error::other("the data were closed")
}

struct Feeding<'a> {
    server: &'a Arc<Server>,
    socket: &'a TcpStream,
    id: u64,
    life: u64,
}

impl Feeding<'_> {
    /// The data, as long as they are those that the replica has.
    fn opened(&self) -> io::Result<Arc<Opened>> {
        let opened = self.server.loading.opened();
        let opened = opened.filter(|opened| opened.life == self.life);
        opened.ok_or_else(closed)
    }

    /// Sends everything there is, and waits for the replica to go: it comes again when it has put
    /// all in its place.
    async fn ship(&self, has: Option<&Has>) -> io::Result<()> {
        let opened = self.opened()?;
        let id = resync::current(&opened.store.history());
        let outgoing = {
            let server = self.server;
            let mut getting = pin!(server.replication.shipments.get(server, &opened));
            loop {
                // Nothing else is said meanwhile.
                let seconds = server.config.size(config::REPL_PING_REPLICA_PERIOD);
                match tokio::time::timeout(Duration::from_secs(seconds), &mut getting).await {
                    Ok(outgoing) => break outgoing.map_err(io::Error::other)?,
                    Err(_elapsed) => self.write(b"\n").await?,
                }
            }
        };
        drop(opened);
        let manifest = &outgoing.manifest;
        let (first, mut from) = manifest.after(has);
        let answer = Answer::Full(id, outgoing.end);
        let begin = format!("+{answer}\r\n{}", manifest.line());
        self.write(begin.as_bytes()).await?;
        self.server.replication.set_stage(self.id, Stage::Shipping);
        for (name, len) in &manifest.files[first..] {
            self.write(shipment::file_line(name, *len, from).as_bytes())
                .await?;
            self.ship_file(outgoing.dir.join(name), *len, from).await?;
            from = 0;
        }
        self.write(shipment::END_LINE.as_bytes()).await?;
        tracing::info!(id = %manifest.id, "a replica has all of a shipment");
        std::future::pending().await
    }

    /// Sends a file from a place on: reads a piece while the one before is sent. Clients need the
    /// kernel's cache for other things.
    async fn ship_file(&self, path: PathBuf, len: u64, from: u64) -> io::Result<()> {
        let open = move || RealDisk.open_to_read(&path);
        let file = tokio::task::spawn_blocking(open).await;
        let file = file
            .expect("opening does not panic")
            .map_err(io::Error::other)?;
        let read = |at: u64| {
            let file = Arc::clone(&file);
            let left = usize::try_from(len - at).unwrap_or(usize::MAX);
            tokio::task::spawn_blocking(move || {
                file.read_past_cache(at, left.min(PIECE_MAX)).map(|piece| {
                    let line = shipment::piece_line(&piece);
                    (line, piece)
                })
            })
        };
        let mut at = from;
        let mut next = (at < len).then(|| read(at));
        while let Some(reading) = next.take() {
            let read_piece = reading.await.expect("reading does not panic");
            let (line, piece) = read_piece.map_err(io::Error::other)?;
            at += piece.len() as u64;
            next = (at < len).then(|| read(at));
            self.write(line.as_bytes()).await?;
            for part in piece.chunks(PART_BYTES) {
                self.write(part).await?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Sends what is written and published, and signs of life when nothing is.
    async fn send(&self, from: Lsn, relay: &Relay) -> io::Result<()> {
        let mut sent = from;
        let mut chunk = Vec::new();
        let mut has_warned = false;
        loop {
            chunk.clear();
            sent = self.take(sent, &mut chunk).await?;
            let dropped = relay.take(sent, chunk.len() + CHUNK_BYTES, &mut chunk);
            if dropped > 0 && !has_warned {
                has_warned = true;
                tracing::warn!(
                    id = self.id,
                    "a replica lags; its subscribers miss messages"
                );
            }
            if chunk.is_empty() {
                if !self.more_than(sent, relay).await? {
                    chunk.push(b'\n');
                } else {
                    continue;
                }
            }
            self.write(&chunk).await?;
        }
    }

    /// Appends frames from a place on to `chunk`, unless there are none; says where they end.
    async fn take(&self, from: Lsn, chunk: &mut Vec<u8>) -> io::Result<Lsn> {
        let opened = self.opened()?;
        let written = opened.store.log().written();
        if written <= from {
            return Ok(from);
        }
        let urgent = self.server.config.int(config::SYNC_REPLICAS) > 0;
        let mut out = std::mem::take(chunk);
        let read = move || {
            let copy = |frames: &[u8]| {
                let header = wire::chunk_header(frames.len(), urgent);
                out.extend_from_slice(header.as_bytes());
                out.extend_from_slice(frames);
                frames.len() as u64
            };
            let read = opened.store.log().frames(from, CHUNK_BYTES, copy);
            read.map(|bytes| (from.plus(bytes), out))
        };
        let read = if written.since(from) > COLD_BYTES {
            let reading = tokio::task::spawn_blocking(read);
            reading.await.expect("reading the log does not panic")
        } else {
            read()
        };
        let (end, out) = read.map_err(io::Error::other)?;
        *chunk = out;
        Ok(end)
    }

    /// Whether there is a message, or more than `sent` is written, before a sign of life is due.
    async fn more_than(&self, sent: Lsn, relay: &Relay) -> io::Result<bool> {
        let seconds = self.server.config.size(config::REPL_PING_REPLICA_PERIOD);
        let log = Arc::clone(self.opened()?.store.log());
        let more = sent.plus(1);
        let written = poll_fn(|cx| match relay.poll(sent, cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => log.poll_written(more, cx),
        });
        match tokio::time::timeout(Duration::from_secs(seconds), written).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(poisoned)) => Err(io::Error::other(poisoned.to_string())),
            Err(_elapsed) => Ok(false),
        }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            self.socket.writable().await?;
            match self.socket.try_write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.server
            .stats
            .net_out
            .fetch_add(sent as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Hears acknowledgements until the replica is silent for `repl-timeout` seconds.
    async fn listen(&self, mut input: Vec<u8>) -> io::Result<()> {
        let mut decoder = Decoder::new();
        loop {
            let mut done = 0;
            loop {
                let rest = &input[done..];
                let decoded = decoder.decode(rest, &Limits::before_auth());
                let Some(length) = decoded.map_err(|error| io::Error::other(error.to_string()))?
                else {
                    break;
                };
                let request = decoder.request(rest);
                let words: Vec<&[u8]> = request.words().collect();
                self.hear(&words);
                done += length;
            }
            input.drain(..done);
            input.reserve(READ_BYTES);
            let patience = Duration::from_secs(self.server.config.size(config::REPL_TIMEOUT));
            let readable = tokio::time::timeout(patience, self.socket.readable()).await;
            readable.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
            match self.socket.try_read_buf(&mut input) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.server
                        .stats
                        .net_in
                        .fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// `REPLCONF ACK written FACK durable`; whatever else a replica may say changes nothing.
    fn hear(&self, words: &[&[u8]]) {
        let [name, ack, written, rest @ ..] = words else {
            return;
        };
        let is = |word: &[u8], other: &str| word.eq_ignore_ascii_case(other.as_bytes());
        if !is(name, "replconf") || !is(ack, "ack") {
            return;
        }
        let lsn = |word: &[u8]| parse_uint(word).map(Lsn::new);
        let durable = match rest {
            [fack, durable] if is(fack, "fack") => lsn(durable),
            _ => None,
        };
        if let Some(written) = lsn(written) {
            let durable = durable.unwrap_or(Lsn::ZERO);
            self.server
                .replication
                .acked(self.server, self.id, written, durable);
        }
    }
}
