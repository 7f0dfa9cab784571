//! What a monitor says of the master that it watches.

use std::net::SocketAddr;

use super::node::Node;
use crate::reply::Reply;

/// The name of the master, to monitors and clients.
pub(super) const MASTER: &str = "headwater";

/// Where a monitor says that the master is.
pub(super) fn master(monitor: &Node) -> Option<SocketAddr> {
    let reply = monitor.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER])?;
    address(reply.elements()?)
}

/// An address from its two parts.
pub(super) fn address(parts: &[Reply]) -> Option<SocketAddr> {
    let [ip, port] = parts else {
        return None;
    };
    let text = |reply: &Reply| String::from_utf8(reply.text()?.to_vec()).ok();
    format!("{}:{}", text(ip)?, text(port)?).parse().ok()
}

/// Why a monitor would not, or could not, start a failover of a master with so many replicas, in a
/// company of so many monitors, if that is so.
pub(super) fn unready(monitor: &Node, replicas: usize, others: usize) -> Option<String> {
    let asked = monitor.ask(&["SENTINEL", "MASTER", MASTER]);
    let Some(master) = asked.as_ref().map(Instance) else {
        return Some("does not answer".to_owned());
    };
    let flags = master.get("flags");
    if flags != "master" {
        return Some(format!("says that the master is {flags:?}"));
    }
    let known = master.get("num-other-sentinels");
    if known != others.to_string() {
        return Some(format!("knows {known:?} other monitors"));
    }
    let asked = monitor.ask(&["SENTINEL", "REPLICAS", MASTER]);
    let known = asked.as_ref().and_then(Reply::elements).unwrap_or_default();
    if known.len() != replicas {
        return Some(format!("knows {} replicas", known.len()));
    }
    let replica = known.iter().map(Instance).find(|replica| {
        let (flags, link) = (replica.get("flags"), replica.get("master-link-status"));
        flags != "slave" || link != "ok" || replica.get("role-reported") != "slave"
    });
    if let Some(replica) = replica {
        let (name, flags) = (replica.get("name"), replica.get("flags"));
        let link = replica.get("master-link-status");
        return Some(format!(
            "says that {name} is {flags:?}, with its link {link:?}"
        ));
    }
    let asked = monitor.ask(&["SENTINEL", "SENTINELS", MASTER]);
    let known = asked.as_ref().and_then(Reply::elements).unwrap_or_default();
    let mut flags = known.iter().map(Instance).map(|other| other.get("flags"));
    // One of them may still say of another that it holds the master for down.
    let other = flags.find(|flags| flags.contains("s_down") || flags.contains("disconnected"))?;
    Some(format!("says that another monitor is {other:?}"))
}

/// What a monitor says of one process.
struct Instance<'a>(&'a Reply);

impl Instance<'_> {
    /// The value of a field, or nothing.
    fn get(&self, name: &str) -> String {
        let pairs = self.0.pairs().unwrap_or_default();
        let found = pairs
            .iter()
            .find(|(key, _)| key.text() == Some(name.as_bytes()));
        let value = found.and_then(|(_, value)| value.text());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_read_as_an_array_and_as_a_map() {
        for wire in [
            "*2\r\n$5\r\nflags\r\n$6\r\nmaster\r\n",
            "%1\r\n$5\r\nflags\r\n$6\r\nmaster\r\n",
        ] {
            let reply = Reply::read(&mut wire.as_bytes()).unwrap();
            assert_eq!(Instance(&reply).get("flags"), "master");
            assert_eq!(Instance(&reply).get("name"), "");
        }
    }

    #[test]
    fn an_address_has_two_parts() {
        let part = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        let both = [part("127.0.0.1"), part("7000")];
        assert_eq!(address(&both), "127.0.0.1:7000".parse().ok());
        assert_eq!(address(&both[..1]), None);
        assert_eq!(address(&[part("127.0.0.1"), part("x")]), None);
    }
}
