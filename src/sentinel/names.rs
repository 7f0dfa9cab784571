//! What is known of host names.
//!
//! A name is never waited for: who asks gets the address that was found last, and has it looked up
//! again now and then. Two places are the same if they have the same port and the same name, in
//! any case, or the same address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Address;

/// A name is not looked up more often than this because somebody asks for it.
const REST_MS: u64 = 10_000;

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    ip: Option<IpAddr>,
    /// When it was looked up last.
    asked_ms: u64,
}

/// The names that ever were asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<Box<str>, Known>,
    /// To be looked up now.
    wanted: Vec<Box<str>>,
}

impl Names {
    /// The address of a host that is given by name or by address.
    pub(crate) fn ip(&mut self, host: &str, now_ms: u64) -> Option<IpAddr> {
        if let Ok(ip) = host.parse() {
            return Some(ip);
        }
        match self.known.get_mut(host) {
            Some(known) => {
                if now_ms >= known.asked_ms + REST_MS {
                    known.asked_ms = now_ms;
                    self.wanted.push(host.into());
                }
                known.ip
            }
            None => {
                self.look_up(host, now_ms);
                None
            }
        }
    }

    /// The same, of what is known already.
    pub(crate) fn known(&self, host: &str) -> Option<IpAddr> {
        let parsed = host.parse().ok();
        parsed.or_else(|| self.known.get(host).and_then(|known| known.ip))
    }

    /// Has a name looked up, whether it is known or not.
    pub(crate) fn look_up(&mut self, host: &str, now_ms: u64) {
        if host.parse::<IpAddr>().is_ok() {
            return;
        }
        let known = self.known.entry(host.into()).or_default();
        known.asked_ms = now_ms;
        if self.wanted.iter().all(|wanted| **wanted != *host) {
            self.wanted.push(host.into());
        }
    }

    /// What was found. A name that is not found any more keeps its address.
    pub(crate) fn resolved(&mut self, name: &str, ip: Option<IpAddr>) {
        if let (Some(known), Some(ip)) = (self.known.get_mut(name), ip) {
            known.ip = Some(ip);
        }
    }

    /// What is to be looked up now.
    pub(crate) fn take_wanted(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.wanted)
    }

    /// Whether two hosts are one.
    pub(crate) fn same_host(&mut self, one: &str, other: &str, now_ms: u64) -> bool {
        if one.eq_ignore_ascii_case(other) {
            return true;
        }
        let ip = self.ip(one, now_ms);
        ip.is_some() && ip == self.ip(other, now_ms)
    }

    /// Whether two places are one.
    pub(crate) fn same(&mut self, one: &Address, other: &Address, now_ms: u64) -> bool {
        one.port == other.port && self.same_host(&one.host, &other.host, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_names_until_their_addresses_are_known() {
        let mut names = Names::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(names.same_host("Node-A", "node-a", 0));
        assert!(!names.same_host("node-a", "10.0.0.1", 0));
        assert_eq!(names.take_wanted(), ["node-a".into()]);
        names.resolved("node-a", Some(ip("10.0.0.1")));
        assert!(names.same_host("node-a", "10.0.0.1", 1));
        names.resolved("node-a", None);
        assert_eq!(names.known("node-a"), Some(ip("10.0.0.1")));
        assert_eq!(names.take_wanted(), []);
        assert!(names.same_host("10.0.0.1", "node-a", REST_MS));
        assert_eq!(names.take_wanted(), ["node-a".into()]);
        let (one, other) = (Address::new("node-a", 1), Address::new("10.0.0.1", 2));
        assert!(!names.same(&one, &other, REST_MS));
    }
}
