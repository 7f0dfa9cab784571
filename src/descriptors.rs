//! File descriptors: enough for as many clients as are allowed, and some for the log.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, Config};

/// Kept for files, the listeners and the runtime: a log that cannot open its next file is full.
const RESERVED: u64 = 64;

/// Raises this process' limit so that it suffices for `maxclients`. Where the system does not let
/// it, fewer clients are allowed, and the operator learns it.
pub(crate) fn provide(config: &Config) {
    let wanted = config.size(config::MAXCLIENTS);
    let granted = raise_to(wanted.saturating_add(RESERVED)).saturating_sub(RESERVED);
    if granted >= wanted {
        return;
    }
    let granted = granted.max(1);
    tracing::warn!(
        "maxclients is {granted} instead of {wanted}: the system allows this process no more file \
         descriptors (ulimit -n)"
    );
    let set = config.set(&[(b"maxclients", granted.to_string().as_bytes())]);
    debug_assert!(set.is_ok(), "one client or more may be allowed");
}

/// Raises the limit to `wanted`, or as far as it goes, and returns what it is then.
fn raise_to(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (Some(current), most) = (current, maximum.unwrap_or(u64::MAX)) else {
        return u64::MAX;
    };
    if current >= wanted {
        return current;
    }
    let raised = Rlimit {
        current: Some(wanted.min(most)),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted.min(most),
        Err(_) => current,
    }
}
