//! The load generator: one thread, one epoll, any number of connections.
//!
//! What is said over the connections is a [`Workload`]; this file moves its bytes and keeps the
//! time. One turn of the loop:
//!
//! ```text
//!   epoll -> for each ready connection: read once -> scan -> Workload::hear -> Outbox
//!                                                                                |
//!   timer (timerfd) <- Workload::tick <------------------- write what was said <-+
//! ```
//!
//! All connections read into one buffer, which stays in the cache; only an incomplete token is
//! kept with its connection. A generator that is the bottleneck measures itself, therefore the
//! thread's own processor time is part of every [`Sample`].
//!
//! Invariants: the loop never blocks but in epoll; counting begins after the warm-up and both
//! ends of the measured time are taken together with the processor times; an error reply ends the
//! run.

use super::{
    client::{Client, refused},
    clock::{self, SECOND},
    fault::Fault,
    machine::{self, Cores},
    process::Memory,
    server::Server,
    wire::{Reply, Scanner, Token},
};
use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Bytes read at once: several of the largest replies, and far less than a second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;
/// How long the last replies are waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest latency that is told from longer ones.
const LATENCY_MAX: u64 = 60 * SECOND;
/// The number under which epoll knows the timer.
const TIMER: u64 = u64::MAX;

/// A conversation over several connections.
pub(super) trait Workload {
    /// Over how many connections.
    fn connections(&self) -> usize;

    /// Says what comes first.
    fn begin(&mut self, now: u64, outbox: &mut Outbox);

    /// Hears a token of a reply on the connection `turn.who` and may say something on any.
    ///
    /// # Errors
    ///
    /// When the reply is not what the request must lead to.
    fn hear(&mut self, token: Token<'_>, turn: &mut Turn<'_>) -> Result<(), Fault>;

    /// Says what the clock demands by `now`, and when it will demand more, if ever.
    fn tick(&mut self, _now: u64, _outbox: &mut Outbox) -> Option<u64> {
        None
    }

    /// Begins nothing more by itself; whether what is under way is to be waited for.
    fn wind_up(&mut self) -> bool {
        false
    }

    /// Whether nothing is left to be said or heard.
    fn is_done(&self) -> bool {
        false
    }

    /// Holds what was counted against what the server has now.
    ///
    /// # Errors
    ///
    /// When they differ.
    fn check(&self, _client: &mut Client) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a workload works with while it hears one connection.
pub(super) struct Turn<'a> {
    pub(super) who: usize,
    /// When the bytes arrived.
    pub(super) now: u64,
    pub(super) outbox: &'a mut Outbox,
    pub(super) tally: &'a mut Tally,
}

/// What is to be written, by connection.
pub(super) struct Outbox {
    queues: Vec<Vec<u8>>,
    /// Connections whose queue was empty before; may name one twice.
    spoken: Vec<usize>,
}

impl Outbox {
    fn new(connections: usize) -> Self {
        Self {
            queues: vec![Vec::new(); connections],
            spoken: Vec::new(),
        }
    }

    /// The bytes that will be written to `who`, to be appended to.
    pub(super) fn to(&mut self, who: usize) -> &mut Vec<u8> {
        let queue = &mut self.queues[who];
        if queue.is_empty() {
            self.spoken.push(who);
        }
        queue
    }
}

/// What was completed since the warm-up.
pub(super) struct Tally {
    ops: u64,
    entries: u64,
    latencies: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, 3)
            .expect("the bounds and three digits are within what a histogram takes");
        Self {
            ops: 0,
            entries: 0,
            latencies,
        }
    }

    /// Counts one completed operation, the entries it moved and how long it took.
    pub(super) fn done(&mut self, entries: u64, nanos: u64) {
        self.ops += 1;
        self.entries += entries;
        self.latencies.saturating_record(nanos);
    }
}

/// What a workload needs while nobody is at the other end.
#[cfg(test)]
pub(super) struct Rehearsal {
    outbox: Outbox,
    tally: Tally,
}

#[cfg(test)]
impl Rehearsal {
    /// For so many connections.
    pub(super) fn new(connections: usize) -> Self {
        Self {
            outbox: Outbox::new(connections),
            tally: Tally::new(),
        }
    }

    /// What is to be written.
    pub(super) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What was to be written to one, which has it now.
    pub(super) fn said_to(&mut self, who: usize) -> String {
        let said = std::mem::take(&mut self.outbox.queues[who]);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Hearing one at a moment.
    pub(super) fn turn(&mut self, who: usize, now: u64) -> Turn<'_> {
        Turn {
            who,
            now,
            outbox: &mut self.outbox,
            tally: &mut self.tally,
        }
    }

    /// The latencies that were counted: how many, and the longest.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.tally.ops, self.tally.latencies.max())
    }
}

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

impl Window {
    /// So many seconds, within what a person can wait for, after as short a warm-up as will do.
    pub(super) fn of(seconds: f64) -> Self {
        let measured = Duration::from_secs_f64(seconds.clamp(0.01, 4.0 * 3600.0));
        Self {
            warm_up: (measured / 5).min(Duration::from_millis(500)),
            measured,
        }
    }
}

/// What one run has shown.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) wall: Duration,
    pub(super) ops: u64,
    pub(super) entries: u64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) p999: Duration,
    pub(super) max: Duration,
    pub(super) server_cpu: Duration,
    /// Of the replica that the server has; nothing when it has none.
    pub(super) replica_cpu: Duration,
    pub(super) load_cpu: Duration,
    /// How long anything else was on the processors of the two.
    pub(super) others_cpu: Duration,
    pub(super) memory: Memory,
}

/// Runs a workload against a server, until it is done or the time is over.
///
/// # Errors
///
/// See [`Fault`].
pub(super) fn drive(
    work: &mut impl Workload,
    server: &Server,
    cores: &Cores,
    window: Window,
) -> Result<Sample, Fault> {
    drive_pair(work, server, None, cores, window)
}

/// The same with a look at the server's replica, too.
///
/// # Errors
///
/// See [`Fault`].
pub(super) fn drive_pair(
    work: &mut impl Workload,
    server: &Server,
    replica: Option<&Server>,
    cores: &Cores,
    window: Window,
) -> Result<Sample, Fault> {
    let mut load = Load::connect(work.connections(), server.address())?;
    work.begin(clock::now(), &mut load.outbox);
    load.until(work, clock::now() + nanos(window.warm_up))?;
    load.tally = Tally::new();
    let begin = Mark::now(server, replica, cores)?;
    load.until(work, begin.at + nanos(window.measured))?;
    let end = Mark::now(server, replica, cores)?;
    let tally = std::mem::replace(&mut load.tally, Tally::new());
    if work.wind_up() {
        load.until(work, clock::now() + nanos(PATIENCE))?;
        if !work.is_done() {
            return Err(Fault::Wrong("a reply to everything that was asked"));
        }
    }
    work.check(&mut server.client()?)?;

    if tally.ops == 0 {
        return Err(Fault::Silent);
    }
    let quantile = |q| Duration::from_nanos(tally.latencies.value_at_quantile(q));
    let server_cpu = end.server.saturating_sub(begin.server);
    let replica_cpu = end.replica.saturating_sub(begin.replica);
    let load_cpu = end.load - begin.load;
    Ok(Sample {
        wall: Duration::from_nanos(end.at - begin.at),
        ops: tally.ops,
        entries: tally.entries,
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: Duration::from_nanos(tally.latencies.max()),
        server_cpu,
        replica_cpu,
        load_cpu,
        others_cpu: end
            .all
            .saturating_sub(begin.all + server_cpu + replica_cpu + load_cpu),
        memory: server.process().memory()?,
    })
}

/// One end of the measured time.
struct Mark {
    at: u64,
    server: Duration,
    replica: Duration,
    load: Duration,
    /// All that ran on the processors of them, and they themselves.
    all: Duration,
}

impl Mark {
    fn now(server: &Server, replica: Option<&Server>, cores: &Cores) -> Result<Self, Fault> {
        let replica = replica.map(|replica| replica.process().cpu()).transpose()?;
        Ok(Self {
            all: machine::busy(&cores.server)? + machine::busy(&cores.load)?,
            server: server.process().cpu()?,
            replica: replica.unwrap_or_default(),
            load: clock::thread_cpu(),
            at: clock::now(),
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a run takes less than 500 years")
}

struct Socket {
    tcp: TcpStream,
    scanner: Scanner,
    /// An incomplete token.
    rest: Vec<u8>,
    /// Whether the queue is waiting for room in the socket.
    clogged: bool,
}

struct Load {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// When the timer will fire, or has.
    timer_at: u64,
    sockets: Vec<Socket>,
    outbox: Outbox,
    tally: Tally,
    buffer: Vec<u8>,
}

impl Load {
    fn connect(connections: usize, address: SocketAddr) -> Result<Self, Fault> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let mut sockets = Vec::with_capacity(connections);
        for who in 0..connections {
            let tcp = TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            epoll::add(&epoll, &tcp, EventData::new_u64(who as u64), EventFlags::IN)?;
            let scanner = Scanner::default();
            sockets.push(Socket {
                tcp,
                scanner,
                rest: Vec::new(),
                clogged: false,
            });
        }
        let outbox = Outbox::new(connections);
        let buffer = vec![0; BUFFER_BYTES];
        let tally = Tally::new();
        Ok(Self {
            epoll,
            timer,
            timer_at: 0,
            sockets,
            outbox,
            tally,
            buffer,
        })
    }

    /// Turns the loop until `deadline`, or until the workload is done.
    fn until(&mut self, work: &mut impl Workload, deadline: u64) -> Result<(), Fault> {
        let mut events: Vec<Event> = Vec::with_capacity(self.sockets.len() + 1);
        loop {
            let now = clock::now();
            if now >= deadline || work.is_done() {
                return Ok(());
            }
            let next = work.tick(now, &mut self.outbox);
            self.write_spoken()?;
            self.set_timer(next.unwrap_or(deadline).min(deadline))?;

            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            for event in &events {
                // Copied out: the kernel's layout is packed.
                let (data, flags) = (event.data, event.flags);
                let Ok(who) = usize::try_from(data.u64()) else {
                    continue;
                };
                if who >= self.sockets.len() {
                    continue;
                }
                if flags.contains(EventFlags::OUT) {
                    self.write(who)?;
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(who, work)?;
                    self.write_spoken()?;
                }
            }
        }
    }

    /// Reads once and lets the workload hear it.
    fn read(&mut self, who: usize, work: &mut impl Workload) -> Result<(), Fault> {
        let Socket {
            tcp, scanner, rest, ..
        } = &mut self.sockets[who];
        let kept = rest.len();
        self.buffer[..kept].copy_from_slice(rest);
        let read = match tcp.read(&mut self.buffer[kept..]) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(read) => read,
            Err(error) if is_later(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let bytes = &self.buffer[..kept + read];
        let (outbox, tally) = (&mut self.outbox, &mut self.tally);
        let mut turn = Turn {
            who,
            now: clock::now(),
            outbox,
            tally,
        };
        let used = scanner.scan(bytes, |token| match token {
            Token::End(Reply::Refusal(text)) => Err(refused(text)),
            token => work.hear(token, &mut turn),
        })?;
        rest.clear();
        rest.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    fn write_spoken(&mut self) -> Result<(), Fault> {
        while let Some(who) = self.outbox.spoken.pop() {
            self.write(who)?;
        }
        Ok(())
    }

    /// Writes what the socket takes, and asks for room if that was not all.
    fn write(&mut self, who: usize) -> Result<(), Fault> {
        let (socket, queue) = (&mut self.sockets[who], &mut self.outbox.queues[who]);
        let mut written = 0;
        while written < queue.len() {
            match socket.tcp.write(&queue[written..]) {
                Ok(more) => written += more,
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        queue.drain(..written);
        let clogged = !queue.is_empty();
        if clogged != socket.clogged {
            socket.clogged = clogged;
            let out = if clogged {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
            let data = EventData::new_u64(who as u64);
            epoll::modify(&self.epoll, &socket.tcp, data, EventFlags::IN | out)?;
        }
        Ok(())
    }

    /// Makes epoll return at `at`, to the nanosecond; its own timeout counts milliseconds.
    fn set_timer(&mut self, at: u64) -> Result<(), Fault> {
        if at != self.timer_at {
            let never = clock::timespec(0);
            let once = Itimerspec {
                it_interval: never,
                it_value: clock::timespec(at),
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
            self.timer_at = at;
        }
        Ok(())
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{entry, workload::Append};
    use std::{net::TcpListener, thread};

    /// Answers each XADD of one connection with `reply`, `piece` bytes at a time, until the other
    /// side hangs up; returns how many there were.
    fn answer(listener: &TcpListener, reply: &[u8], piece: usize) -> usize {
        let mut request = Vec::new();
        entry::add(&mut request, b"*", &entry::value());
        let mut socket = listener.accept().unwrap().0;
        socket.set_nodelay(true).unwrap();
        let (mut buffer, mut bytes, mut answered) = (vec![0; 1 << 16], 0, 0);
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            bytes += read;
            let replies = reply.repeat(bytes / request.len() - answered);
            answered = bytes / request.len();
            if !replies
                .chunks(piece)
                .all(|piece| socket.write_all(piece).is_ok())
            {
                break;
            }
        }
        answered
    }

    /// What a run against such a server has shown.
    struct Run {
        counted: u64,
        answered: u64,
        /// Whether not all could be written before the server began to read.
        clogged: bool,
    }

    /// Lets one producer speak until `enough` replies are counted.
    fn run(pipeline: usize, enough: u64, reply: &'static [u8], piece: usize) -> Result<Run, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut work = Append::new(pipeline, 1);
        let mut load = Load::connect(1, listener.local_addr()?)?;
        work.begin(clock::now(), &mut load.outbox);
        load.write_spoken()?;
        let clogged = load.sockets[0].clogged;
        let server = thread::spawn(move || answer(&listener, reply, piece));
        let give_up = clock::now() + 20 * SECOND;
        while load.tally.ops < enough && clock::now() < give_up {
            load.until(&mut work, clock::now() + SECOND / 100)?;
        }
        let counted = load.tally.ops;
        assert_eq!(load.tally.latencies.len(), counted);
        drop(load);
        let answered = server.join().unwrap() as u64;
        Ok(Run {
            counted,
            answered,
            clogged,
        })
    }

    #[test]
    fn a_reply_in_pieces_is_counted_once() {
        let run = run(3, 1000, b"$3\r\n1-1\r\n", 2).unwrap();
        assert!(run.counted >= 1000, "{}", run.counted);
        // Only the last pipeline may have been answered and not heard.
        let counted = run.counted..=run.counted + 3;
        assert!(
            counted.contains(&run.answered),
            "{counted:?} of {}",
            run.answered
        );
    }

    #[test]
    fn a_pipeline_larger_than_the_socket_gets_through() {
        // 28 MB, to a server that does not read at first.
        let run = run(200_000, 200_000, b"$3\r\n1-1\r\n", 1 << 20).unwrap();
        assert!(run.clogged, "the pipeline must not fit into the socket");
        assert!(run.counted >= 200_000, "{}", run.counted);
    }

    #[test]
    fn an_error_reply_ends_the_run() {
        for (reply, fault) in [
            (b"-ERR no\r\n".as_slice(), "refused: ERR no"),
            (b":1\r\n", "wrong reply: expected the ID of the new entry"),
        ] {
            let ended = run(1, 1, reply, 99).err().unwrap();
            assert_eq!(ended.to_string(), fault);
        }
    }
}
