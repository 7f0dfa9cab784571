//! A disk with a volatile cache, for a machine that loses its power.
//!
//! It serves one image as a network block device (NBD, newstyle). A write is answered when it is in
//! the cache, as disks do; a flush makes all that was answered before last. When the power goes,
//! each write since the last flush is there, or not, or in part, sector by sector, in any
//! combination: that is all that a disk promises.
//!
//! ```text
//!  image:     what reads see                          cut: undo all that is listed, newest first,
//!  unsynced:  (place, bytes before, bytes written)...      then do again what chance lets survive
//! ```
//!
//! Writes with FUA are not offered, so the kernel flushes instead.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::chance::Chance;

/// What survives as a whole or not at all.
const SECTOR: usize = 512;
/// How long a flush takes: as long as a real one, so that the power also goes meanwhile.
const FLUSH_TIME: Duration = Duration::from_millis(2);
/// The kernel sends less. A wrong length must not become an allocation.
const REQUEST_MAX: u32 = 64 << 20;

const HELLO: [&[u8]; 2] = [b"NBDMAGIC", b"IHAVEOPT"];
/// Fixed newstyle, and no padding after an export's facts.
const HANDSHAKE: u16 = 1 | 2;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const OPTION_EXPORT_NAME: u32 = 1;
const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = (1 << 31) | 1;
const INFO_EXPORT: u16 = 0;
/// Has flags, and takes flushes.
const EXPORT: u16 = 1 | 4;
const REQUEST: u32 = 0x2560_9513;
const ANSWER: u32 = 0x6744_6698;
const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
/// `EIO`
const FAILED: u32 = 5;

/// See the module. It serves as long as the process lives.
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    port: u16,
}

struct State {
    image: File,
    unsynced: Vec<Unsynced>,
    /// The machine it is plugged into.
    socket: Option<TcpStream>,
}

/// A write since the last flush.
struct Unsynced {
    place: u64,
    before: Vec<u8>,
    written: Vec<u8>,
}

impl Disk {
    /// Serves an image at an address of this machine.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn serve(image: &Path, address: Ipv4Addr) -> io::Result<Self> {
        let image = File::options().read(true).write(true).open(image)?;
        let state = Arc::new(Mutex::new(State {
            image,
            unsynced: Vec::new(),
            socket: None,
        }));
        let listener = TcpListener::bind(SocketAddr::from((address, 0)))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || {
                for socket in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    // A machine that loses its power says nothing any more.
                    thread::spawn(move || attend(&shared, &socket).unwrap_or_default());
                }
            })?;
        Ok(Self { state, port })
    }

    /// The port where it serves.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The power goes: nothing is done any more for the machine that it serves, and of what was not
    /// flushed chance decides what is there. Says how many writes that were.
    ///
    /// # Errors
    ///
    /// What the image says.
    pub(super) fn cut(&self, chance: &mut Chance) -> io::Result<usize> {
        let mut state = lock(&self.state);
        if let Some(socket) = state.socket.take() {
            // The other side may be dead already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let unsynced = std::mem::take(&mut state.unsynced);
        for write in unsynced.iter().rev() {
            state.image.write_all_at(&write.before, write.place)?;
        }
        // Out of eight: how much of all this survives.
        let share = chance.one_of(&[0, 1, 4, 4, 7, 8]);
        for write in &unsynced {
            let torn = chance.once_in(4);
            let whole = chance.below(8) < share;
            let mut place = write.place;
            for sector in write.written.chunks(SECTOR) {
                let survives = if torn { chance.below(8) < share } else { whole };
                if survives {
                    state.image.write_all_at(sector, place)?;
                }
                place += sector.len() as u64;
            }
        }
        Ok(unsynced.len())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one machine until it goes away.
fn attend(state: &Mutex<State>, socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut wire = socket;
    if !greet(&mut wire, lock(state).image.metadata()?.len())? {
        return Ok(());
    }
    lock(state).socket = Some(socket.try_clone()?);
    loop {
        if number::<4>(&mut wire)? != REQUEST.to_be_bytes() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let _flags = number::<2>(&mut wire)?;
        let kind = u16::from_be_bytes(number(&mut wire)?);
        let handle = number::<8>(&mut wire)?;
        let place = u64::from_be_bytes(number(&mut wire)?);
        let length = u32::from_be_bytes(number(&mut wire)?);
        let mut data = Vec::new();
        if kind == READ || kind == WRITE {
            if length > REQUEST_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            data.resize(length as usize, 0);
        }
        if kind == WRITE {
            wire.read_exact(&mut data)?;
        }
        if kind == FLUSH {
            thread::sleep(FLUSH_TIME);
        }
        let mut state = lock(state);
        // A request of a machine whose power is gone is not done any more.
        if state.socket.is_none() {
            return Ok(());
        }
        let done = match kind {
            READ => state.image.read_exact_at(&mut data, place),
            WRITE => state.write(place, std::mem::take(&mut data)),
            FLUSH => {
                state.unsynced.clear();
                Ok(())
            }
            DISCONNECT => return Ok(()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        drop(state);
        let mut answer = ANSWER.to_be_bytes().to_vec();
        let failed = if done.is_ok() { 0 } else { FAILED };
        answer.extend(failed.to_be_bytes());
        answer.extend(handle);
        if done.is_ok() && kind == READ {
            answer.extend(data);
        }
        wire.write_all(&answer)?;
    }
}

impl State {
    fn write(&mut self, place: u64, written: Vec<u8>) -> io::Result<()> {
        let mut before = vec![0; written.len()];
        self.image.read_exact_at(&mut before, place)?;
        self.image.write_all_at(&written, place)?;
        self.unsynced.push(Unsynced {
            place,
            before,
            written,
        });
        Ok(())
    }
}

/// Agrees on what is served. `false` when the other side wants something else.
fn greet(wire: &mut (impl Read + Write), bytes: u64) -> io::Result<bool> {
    let mut hello = HELLO.concat();
    hello.extend(HANDSHAKE.to_be_bytes());
    wire.write_all(&hello)?;
    let _flags = number::<4>(wire)?;
    let facts = [&bytes.to_be_bytes()[..], &EXPORT.to_be_bytes()].concat();
    loop {
        if number::<8>(wire)? != HELLO[1] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let option = u32::from_be_bytes(number(wire)?);
        let length = u32::from_be_bytes(number(wire)?);
        io::copy(&mut Read::by_ref(wire).take(length.into()), &mut io::sink())?;
        let mut reply = |kind: u32, data: &[u8]| -> io::Result<()> {
            let mut reply = OPTION_REPLY.to_be_bytes().to_vec();
            reply.extend(option.to_be_bytes());
            reply.extend(kind.to_be_bytes());
            reply.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
            reply.extend(data);
            wire.write_all(&reply)
        };
        match option {
            OPTION_EXPORT_NAME => {
                wire.write_all(&facts)?;
                return Ok(true);
            }
            OPTION_GO => {
                let info = [&INFO_EXPORT.to_be_bytes()[..], &facts].concat();
                reply(REPLY_INFO, &info)?;
                reply(REPLY_ACK, &[])?;
                return Ok(true);
            }
            OPTION_ABORT => {
                reply(REPLY_ACK, &[])?;
                return Ok(false);
            }
            _ => reply(REPLY_UNSUPPORTED, &[])?,
        }
    }
}

fn number<const BYTES: usize>(wire: &mut impl Read) -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    wire.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 16 * SECTOR;

    /// A machine that the disk is plugged into.
    struct Plugged(TcpStream);

    impl Plugged {
        fn new(disk: &Disk) -> Self {
            let mut wire = TcpStream::connect((Ipv4Addr::LOCALHOST, disk.port())).unwrap();
            let hello = number::<18>(&mut wire).unwrap();
            assert_eq!(hello[..16], HELLO.concat());
            let mut wanted = 3_u32.to_be_bytes().to_vec();
            wanted.extend(HELLO[1]);
            wanted.extend(OPTION_EXPORT_NAME.to_be_bytes());
            wanted.extend(0_u32.to_be_bytes());
            wire.write_all(&wanted).unwrap();
            let facts = number::<10>(&mut wire).unwrap();
            assert_eq!(facts[..8], (BYTES as u64).to_be_bytes());
            Self(wire)
        }

        fn ask(&mut self, kind: u16, place: usize, data: &[u8], length: usize) -> Vec<u8> {
            let mut request = REQUEST.to_be_bytes().to_vec();
            request.extend([0; 2]);
            request.extend(kind.to_be_bytes());
            request.extend(*b"a handle");
            request.extend((place as u64).to_be_bytes());
            request.extend(u32::try_from(length).unwrap().to_be_bytes());
            request.extend(data);
            self.0.write_all(&request).unwrap();
            let answer = number::<16>(&mut self.0).unwrap();
            assert_eq!(answer[4..], *b"\0\0\0\0a handle");
            let mut read = vec![0; if kind == READ { length } else { 0 }];
            self.0.read_exact(&mut read).unwrap();
            read
        }

        fn write(&mut self, place: usize, byte: u8, bytes: usize) {
            self.ask(WRITE, place, &vec![byte; bytes], bytes);
        }

        fn read(&mut self) -> Vec<u8> {
            self.ask(READ, 0, &[], BYTES)
        }
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may_in_any_part() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        std::fs::write(&image, [0; BYTES]).unwrap();
        let disk = Disk::serve(&image, Ipv4Addr::LOCALHOST).unwrap();
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        let mut chance = Chance::new(1);
        for _ in 0..100 {
            let mut plugged = Plugged::new(&disk);
            plugged.write(0, 0, BYTES);
            plugged.write(0, 1, 4 * SECTOR);
            plugged.ask(FLUSH, 0, &[], 0);
            plugged.write(2 * SECTOR, 2, 4 * SECTOR);
            plugged.write(4 * SECTOR, 3, 4 * SECTOR);
            let seen = plugged.read();
            assert_eq!((seen[0], seen[3 * SECTOR], seen[4 * SECTOR]), (1, 2, 3));
            assert_eq!(disk.cut(&mut chance).unwrap(), 2);

            let found = Plugged::new(&disk).read();
            assert_eq!(found[..2 * SECTOR], [1; 2 * SECTOR]);
            assert_eq!(found[8 * SECTOR..], [0; 8 * SECTOR]);
            let last: Vec<u8> = found.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(
                [1, 2].contains(&last[2]) && [0, 2, 3].contains(&last[4]),
                "{last:?}"
            );
            match last[6..8] {
                [0, 0] => lost += 1,
                [3, 3] => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 0 && kept > 0 && torn > 0, "{lost} {kept} {torn}");
    }
}
