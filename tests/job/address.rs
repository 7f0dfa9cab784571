//! Where a test's servers listen.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// An address that nobody listens on. It lies below the ports that the system gives to outgoing
/// connections: one of those could take it, or connect to itself, while the server is down.
pub(crate) fn free_address() -> SocketAddr {
    /// Tests that run side by side in this process do not find the same one.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id();
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
}
