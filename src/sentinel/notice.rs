//! What is told to the world: events with a name, a level and a text.
//!
//! ```text
//!                log line   published on the channel      notification-script
//!                           that is named as the event
//!     Debug         x
//!     Verbose       x              x
//!     Notice        x              x
//!     Warning       x              x                      x (if it is about a master)
//! ```
//!
//! Most texts begin by saying what they are about (`%@` in Sentinel's documentation):
//!
//! ```text
//!     master <name> <ip> <port>
//!     slave <name> <ip> <port> @ <master> <ip> <port>
//!     sentinel <run ID> <ip> <port> @ <master> <ip> <port>
//! ```
//!
//! Clients take these apart by position, so no word may be added or left out.

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
}

/// An event that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) level: Level,
    /// The channel on which it is published.
    pub(crate) event: &'static str,
    pub(crate) text: Box<str>,
}

const fn debug(name: &'static str) -> Event {
    let level = Level::Debug;
    Event { name, level }
}

const fn verbose(name: &'static str) -> Event {
    let level = Level::Verbose;
    Event { name, level }
}

const fn notice(name: &'static str) -> Event {
    let level = Level::Notice;
    Event { name, level }
}

const fn warning(name: &'static str) -> Event {
    let level = Level::Warning;
    Event { name, level }
}

// What is watched.
pub(crate) const MONITOR: Event = warning("+monitor");
pub(crate) const UNMONITOR: Event = warning("-monitor");
pub(crate) const SET: Event = warning("+set");
pub(crate) const RESET_MASTER: Event = warning("+reset-master");
pub(crate) const SLAVE: Event = notice("+slave");
pub(crate) const SENTINEL: Event = notice("+sentinel");
pub(crate) const SENTINEL_ADDRESS_SWITCH: Event = notice("+sentinel-address-switch");
pub(crate) const SENTINEL_ADDRESS_UPDATE: Event = notice("+sentinel-address-update");
pub(crate) const SENTINEL_INVALID_ADDR: Event = notice("+sentinel-invalid-addr");
pub(crate) const COMMAND_LINK: Event = debug("-cmd-link-reconnection");
pub(crate) const MESSAGE_LINK: Event = debug("-pubsub-link-reconnection");

// How it is.
pub(crate) const SDOWN: Event = warning("+sdown");
pub(crate) const NOT_SDOWN: Event = warning("-sdown");
pub(crate) const ODOWN: Event = warning("+odown");
pub(crate) const NOT_ODOWN: Event = warning("-odown");
pub(crate) const REBOOT: Event = notice("+reboot");
pub(crate) const ROLE_AGREES: Event = verbose("+role-change");
pub(crate) const ROLE_DIFFERS: Event = verbose("-role-change");
pub(crate) const TILT: Event = warning("+tilt");
pub(crate) const NOT_TILT: Event = warning("-tilt");

// What is done about it.
pub(crate) const NEW_EPOCH: Event = warning("+new-epoch");
pub(crate) const TRY_FAILOVER: Event = warning("+try-failover");
pub(crate) const VOTE: Event = warning("+vote-for-leader");
pub(crate) const ELECTED: Event = warning("+elected-leader");
pub(crate) const SELECT_SLAVE: Event = warning("+failover-state-select-slave");
pub(crate) const SELECTED_SLAVE: Event = warning("+selected-slave");
pub(crate) const SEND_NO_ONE: Event = notice("+failover-state-send-slaveof-noone");
pub(crate) const WAIT_PROMOTION: Event = notice("+failover-state-wait-promotion");
pub(crate) const PROMOTED_SLAVE: Event = warning("+promoted-slave");
pub(crate) const RECONF_SLAVES: Event = warning("+failover-state-reconf-slaves");
pub(crate) const RECONF_SENT: Event = notice("+slave-reconf-sent");
pub(crate) const RECONF_IN_PROGRESS: Event = notice("+slave-reconf-inprog");
pub(crate) const RECONF_DONE: Event = notice("+slave-reconf-done");
pub(crate) const RECONF_TIMEOUT: Event = notice("-slave-reconf-sent-timeout");
pub(crate) const RECONF_BEST_EFFORT: Event = notice("+slave-reconf-sent-be");
pub(crate) const FAILOVER_END: Event = warning("+failover-end");
pub(crate) const FAILOVER_END_FOR_TIMEOUT: Event = warning("+failover-end-for-timeout");
pub(crate) const NOT_ELECTED: Event = warning("-failover-abort-not-elected");
pub(crate) const NO_GOOD_SLAVE: Event = warning("-failover-abort-no-good-slave");
pub(crate) const SLAVE_TIMEOUT: Event = warning("-failover-abort-slave-timeout");
pub(crate) const MASTER_TIMEOUT: Event = warning("-failover-abort-master-timeout");
pub(crate) const SWITCH_MASTER: Event = warning("+switch-master");
pub(crate) const CONFIG_UPDATE: Event = warning("+config-update-from");
pub(crate) const CONVERT: Event = notice("+convert-to-slave");
pub(crate) const FIX_CONFIG: Event = notice("+fix-slave-config");

// Scripts.
pub(crate) const SCRIPT_STARTS: Event = debug("+script-child");
pub(crate) const SCRIPT_ENDS: Event = debug("-script-child");
pub(crate) const SCRIPT_ERROR: Event = warning("-script-error");
pub(crate) const SCRIPT_TIMEOUT: Event = warning("-script-timeout");
