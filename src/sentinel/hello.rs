//! The message on `__sentinel__:hello`, by which monitors find each other and agree on masters.
//!
//! ```text
//!  10.0.0.7,26379,5f3c...,12,orders,10.0.0.1,6379,11
//!  '---- the sender ----'  |  '------- a master ------'
//!   ip   port   run ID   epoch  name   ip    port  its configuration's epoch
//! ```
//!
//! The greater epoch of the configuration wins: who has a smaller one takes over the address that
//! the message has.

use std::fmt;

/// The channel, on data nodes and on the port of every monitor.
pub(crate) const CHANNEL: &str = "__sentinel__:hello";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) run_id: &'a str,
    pub(crate) epoch: u64,
    pub(crate) master: &'a str,
    pub(crate) master_host: &'a str,
    pub(crate) master_port: u16,
    pub(crate) config_epoch: u64,
}

impl<'a> Hello<'a> {
    /// Reads a message; `None` if it is none.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(payload).ok()?;
        let mut tokens = text.split(',');
        let hello = Self {
            host: tokens.next()?,
            port: tokens.next()?.parse().ok()?,
            run_id: tokens.next()?,
            epoch: tokens.next()?.parse().ok()?,
            master: tokens.next()?,
            master_host: tokens.next()?,
            master_port: tokens.next()?.parse().ok()?,
            config_epoch: tokens.next()?.parse().ok()?,
        };
        tokens.next().is_none().then_some(hello)
    }
}

impl fmt::Display for Hello<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{},{},{},{},{},{},{},{}",
            self.host,
            self.port,
            self.run_id,
            self.epoch,
            self.master,
            self.master_host,
            self.master_port,
            self.config_epoch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "10.0.0.7,26379,5f3c,12,orders,fe80::1,6379,11";
        let hello = Hello::read(text.as_bytes()).unwrap();
        assert_eq!(hello.to_string(), text);
        assert_eq!((hello.epoch, hello.config_epoch), (12, 11));
        assert_eq!((hello.master, hello.master_host), ("orders", "fe80::1"));
    }

    #[test]
    fn what_is_no_hello_is_dropped() {
        for text in [
            "",
            "10.0.0.7,26379,5f3c,12,orders,10.0.0.1,6379",
            "10.0.0.7,26379,5f3c,12,orders,10.0.0.1,6379,11,more",
            "10.0.0.7,65536,5f3c,12,orders,10.0.0.1,6379,11",
            "10.0.0.7,26379,5f3c,-1,orders,10.0.0.1,6379,11",
            "10.0.0.7,26379,5f3c,12,orders,10.0.0.1,none,11",
        ] {
            assert_eq!(Hello::read(text.as_bytes()), None, "{text}");
        }
    }
}
