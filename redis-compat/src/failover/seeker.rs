//! A client as small as can be: it goes to the master that the monitors name, and makes sure that
//! it is one, as the libraries do. Without monitors it looks at one node after the other.

use std::net::SocketAddr;
use std::time::Duration;

use super::ground::Ground;
use super::monitor::{MASTER, address};
use crate::connection::{Answer, Connection};
use crate::reply::Reply;

/// How long a monitor, or a node that is asked for its role, may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where to ask.
#[derive(Clone)]
pub(super) struct Seeker {
    monitors: Vec<SocketAddr>,
    nodes: Vec<SocketAddr>,
    /// How long a reply of the master may take.
    patience: Duration,
}

impl Seeker {
    pub(super) fn on(ground: &Ground, patience: Duration) -> Self {
        Self {
            monitors: ground.watch(),
            nodes: ground.nodes.iter().map(|node| node.address).collect(),
            patience,
        }
    }

    /// A connection to the master, if there is one.
    pub(super) fn connect(&self) -> Option<Connection> {
        if self.monitors.is_empty() {
            return self.nodes.iter().find_map(|&node| self.at(node));
        }
        let named = self.monitors.iter().find_map(|&monitor| named(monitor))?;
        self.at(named)
    }

    /// A connection to that node, if it is a master.
    fn at(&self, node: SocketAddr) -> Option<Connection> {
        let role = ask(node, &["ROLE"])?;
        if role.elements()?.first()?.text() != Some(b"master") {
            return None;
        }
        Connection::open_with(node, self.patience).ok()
    }
}

/// Where a monitor says that the master is.
fn named(monitor: SocketAddr) -> Option<SocketAddr> {
    let reply = ask(monitor, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER])?;
    address(reply.elements()?)
}

fn ask(of: SocketAddr, words: &[&str]) -> Option<Reply> {
    let mut connection = Connection::open_with(of, PATIENCE).ok()?;
    match connection.ask(words) {
        Answer::Reply(reply) => Some(reply),
        _ => None,
    }
}
