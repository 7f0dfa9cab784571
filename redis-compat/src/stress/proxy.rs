//! A connection that can be taken away: forwards to whom it is told to, on one thread a direction.
//!
//! ```text
//!            open(target)                    break_off
//!  closed ----------------> forwarding ----------------> closed: who comes is sent away
//!                              |   ^
//!                         hold |   | release     nothing comes through, and nobody is told
//!                              v   |
//!                             held
//! ```
//!
//! Invariant: when [`break_off`](Proxy::break_off) returns, nothing that was sent before comes
//! through any more.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// See the module. Its threads last as long as the process, but serve nobody once it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nobody is let through without one.
    target: Option<SocketAddr>,
    held: bool,
    /// Both ends of all connections.
    sockets: Vec<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Lets nobody through.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let of = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Whoever cannot be connected is sent away.
                drop(connect(near, &of));
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets through to `target` whoever comes from now on.
    pub(super) fn open(&self, target: SocketAddr) {
        let mut state = self.shared.state();
        (state.target, state.held) = (Some(target), false);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Ends all connections, and lets nobody through.
    pub(super) fn break_off(&self) {
        let mut state = self.shared.state();
        (state.target, state.held) = (None, false);
        for socket in state.sockets.drain(..) {
            // Its peer may have been faster.
            drop(socket.shutdown(Shutdown::Both));
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Keeps what comes, without a sign.
    pub(super) fn hold(&self) {
        self.shared.state().held = true;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.break_off();
    }
}

/// Connects one who has come with the target.
fn connect(near: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = shared.state().target;
    let far = TcpStream::connect(target.ok_or(io::ErrorKind::ConnectionRefused)?)?;
    for socket in [&near, &far] {
        socket.set_nodelay(true)?;
    }
    let ends = [near.try_clone()?, far.try_clone()?];
    let mut state = shared.state();
    if state.target != target {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    state.sockets.retain(|socket| socket.peer_addr().is_ok());
    state.sockets.extend(ends);
    drop(state);
    for (from, into) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // However it ends, so does the other direction.
            drop(forward(&from, &into, &shared));
            drop(from.shutdown(Shutdown::Both));
            drop(into.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

/// Forwards one direction until it ends.
fn forward(mut from: &TcpStream, mut into: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut room = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        let mut state = shared.state();
        while state.held {
            let waited = shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        into.write_all(&room[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn heard(mut socket: &TcpStream) -> io::Result<u8> {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    #[test]
    fn what_is_held_comes_when_it_is_let_go_and_never_when_it_is_broken_off() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (target, proxy) = (server.local_addr().unwrap(), Proxy::new().unwrap());
        assert!(heard(&TcpStream::connect(proxy.address()).unwrap()).is_err());

        proxy.open(target);
        let near = TcpStream::connect(proxy.address()).unwrap();
        let (far, _) = server.accept().unwrap();
        (&near).write_all(b"a").unwrap();
        assert_eq!(heard(&far).unwrap(), b'a');
        proxy.hold();
        (&near).write_all(b"b").unwrap();
        far.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        assert!(heard(&far).is_err(), "it is held");
        far.set_read_timeout(None).unwrap();
        proxy.open(target);
        assert_eq!(heard(&far).unwrap(), b'b');

        proxy.hold();
        (&near).write_all(b"c").unwrap();
        proxy.break_off();
        assert!(heard(&far).is_err());
        assert!(heard(&near).is_err());
    }
}
