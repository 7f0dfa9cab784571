//! The doors: binding addresses and accepting connections.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_resp::{Protocol, Writer};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::{self, Config};
use crate::connection::Connection;
use crate::refusal::Refusal;
use crate::server::{Fault, Server};

/// A bound address that nobody accepts from yet.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    socket: std::net::TcpListener,
}

/// How long to wait when the process has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds every address of the `bind` directive. An address with a leading `-` may be missing on
/// this machine, as in redis.conf.
pub(crate) fn bind(config: &Config) -> Result<Vec<Listener>, Fault> {
    let port = u16::try_from(config.int(config::PORT)).unwrap_or_default();
    let backlog = i32::try_from(config.int(config::TCP_BACKLOG)).unwrap_or(i32::MAX);
    let mut listeners: Vec<Listener> = Vec::new();
    for word in config.text(config::BIND).split_whitespace() {
        let (host, optional) = match word.strip_prefix('-') {
            Some(host) => (host, true),
            None => (word, false),
        };
        let host = match host {
            "*" => "0.0.0.0",
            "::*" => "::",
            host => host,
        };
        // With port 0 all addresses share the port that the first one got.
        let port = listeners.first().map_or(port, |first| first.address.port());
        match bind_one(host, port, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(source) if optional => {
                tracing::info!("does not listen on {host}: {source}");
            }
            Err(source) => {
                return Err(Fault::Bind {
                    address: format!("{host}:{port}"),
                    source,
                });
            }
        }
    }
    Ok(listeners)
}

fn bind_one(host: &str, port: u16, backlog: i32) -> io::Result<Listener> {
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let socket = std::net::TcpListener::from(socket);
    Ok(Listener {
        address: socket.local_addr()?,
        socket,
    })
}

/// Accepts connections for as long as the server runs.
pub(crate) async fn accept(server: Arc<Server>, listener: Listener) {
    let socket = match TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(
                "could not accept connections on {}: {error}",
                listener.address
            );
            return;
        }
    };
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => admit(&server, stream, peer),
            Err(error) => {
                // The peer went away, or descriptors ran out: both pass.
                tracing::warn!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts serving a client, unless there are too many.
fn admit(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let most = usize::try_from(server.config.int(config::MAXCLIENTS)).unwrap_or(usize::MAX);
    let refusal = if server.clients.len() >= most {
        Some(Refusal::MaxClients)
    } else if is_unprotected(server, peer) {
        Some(Refusal::Protected)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        server.clients.refused.fetch_add(1, Ordering::Relaxed);
        let mut text = Vec::new();
        Writer::new(&mut text, Protocol::Resp2).error(refusal);
        // The peer learns why if its buffer takes the line; it is closed either way.
        drop(stream.try_write(&text));
        return;
    }
    prepare(server, &stream);
    let laddr = stream.local_addr().unwrap_or(peer);
    let stream = Arc::new(stream);
    let client = server.clients.enter(Arc::clone(&stream), peer, laddr);
    tokio::spawn(Connection::new(Arc::clone(server), stream, client).run());
}

/// Whether protected mode keeps this peer out: it comes from another machine, and nobody has set a
/// password.
fn is_unprotected(server: &Server, peer: SocketAddr) -> bool {
    server.config.flag(config::PROTECTED_MODE)
        && server.config.text(config::REQUIREPASS).is_empty()
        && !peer.ip().to_canonical().is_loopback()
}

/// Small replies leave at once; a peer that vanished is noticed.
fn prepare(server: &Server, stream: &TcpStream) {
    // A socket that refuses an option still serves.
    drop(stream.set_nodelay(true));
    let seconds = u64::try_from(server.config.int(config::TCP_KEEPALIVE)).unwrap_or_default();
    if seconds > 0 {
        let time = Duration::from_secs(seconds);
        let keepalive = TcpKeepalive::new()
            .with_time(time)
            .with_interval(time / 3)
            .with_retries(3);
        drop(SockRef::from(stream).set_tcp_keepalive(&keepalive));
    }
}
