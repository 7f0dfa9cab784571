//! The intervals of a monitor, as `SENTINEL DEBUG` shows and sets them, in milliseconds.

/// One interval: its name, and where it is.
type Row = (&'static str, fn(&mut Timers) -> &mut u64);

/// The intervals that are the same for all masters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    /// A node is asked for INFO as often while all is well.
    pub(crate) info_period_ms: u64,
    pub(crate) ping_period_ms: u64,
    /// The other monitors are asked as often whether they think that a master is down.
    pub(crate) ask_period_ms: u64,
    pub(crate) publish_period_ms: u64,
    /// What a new master begins with.
    pub(crate) default_down_after_ms: u64,
    pub(crate) default_failover_timeout_ms: u64,
    /// Who was not there for so long does not trust what he sees...
    pub(crate) tilt_trigger_ms: u64,
    /// ...for so long.
    pub(crate) tilt_period_ms: u64,
    pub(crate) reconf_timeout_ms: u64,
    /// No connection is given up before it is as old.
    pub(crate) min_link_reconnect_period_ms: u64,
    pub(crate) election_timeout_ms: u64,
    pub(crate) script_max_runtime_ms: u64,
    pub(crate) script_retry_delay_ms: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            info_period_ms: 10_000,
            ping_period_ms: 1000,
            ask_period_ms: 1000,
            publish_period_ms: 2000,
            default_down_after_ms: 30_000,
            default_failover_timeout_ms: 180_000,
            tilt_trigger_ms: 2000,
            tilt_period_ms: 30_000,
            reconf_timeout_ms: 10_000,
            min_link_reconnect_period_ms: 15_000,
            election_timeout_ms: 10_000,
            script_max_runtime_ms: 60_000,
            script_retry_delay_ms: 30_000,
        }
    }
}

/// In the order in which they are shown.
const ROWS: [Row; 13] = [
    ("INFO-PERIOD", |timers| &mut timers.info_period_ms),
    ("PING-PERIOD", |timers| &mut timers.ping_period_ms),
    ("ASK-PERIOD", |timers| &mut timers.ask_period_ms),
    ("PUBLISH-PERIOD", |timers| &mut timers.publish_period_ms),
    ("DEFAULT-DOWN-AFTER", |timers| {
        &mut timers.default_down_after_ms
    }),
    ("DEFAULT-FAILOVER-TIMEOUT", |timers| {
        &mut timers.default_failover_timeout_ms
    }),
    ("TILT-TRIGGER", |timers| &mut timers.tilt_trigger_ms),
    ("TILT-PERIOD", |timers| &mut timers.tilt_period_ms),
    ("SLAVE-RECONF-TIMEOUT", |timers| {
        &mut timers.reconf_timeout_ms
    }),
    ("MIN-LINK-RECONNECT-PERIOD", |timers| {
        &mut timers.min_link_reconnect_period_ms
    }),
    ("ELECTION-TIMEOUT", |timers| &mut timers.election_timeout_ms),
    ("SCRIPT-MAX-RUNTIME", |timers| {
        &mut timers.script_max_runtime_ms
    }),
    ("SCRIPT-RETRY-DELAY", |timers| {
        &mut timers.script_retry_delay_ms
    }),
];

impl Timers {
    /// All of them, with their names.
    pub(crate) fn shown(&self) -> Vec<(&'static str, u64)> {
        let mut copy = self.clone();
        ROWS.iter()
            .map(|(name, place)| (*name, *place(&mut copy)))
            .collect()
    }

    /// The one of this name, in any case.
    pub(crate) fn by_name(&mut self, name: &str) -> Option<&mut u64> {
        let (_, place) = ROWS.iter().find(|row| row.0.eq_ignore_ascii_case(name))?;
        Some(place(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_shown_as_sentinel_debug_does() {
        let text: Vec<_> = Timers::default()
            .shown()
            .iter()
            .map(|(name, ms)| format!("{name} {ms}"))
            .collect();
        assert_eq!(
            text.join(" "),
            "INFO-PERIOD 10000 PING-PERIOD 1000 ASK-PERIOD 1000 PUBLISH-PERIOD 2000 \
             DEFAULT-DOWN-AFTER 30000 DEFAULT-FAILOVER-TIMEOUT 180000 TILT-TRIGGER 2000 \
             TILT-PERIOD 30000 SLAVE-RECONF-TIMEOUT 10000 MIN-LINK-RECONNECT-PERIOD 15000 \
             ELECTION-TIMEOUT 10000 SCRIPT-MAX-RUNTIME 60000 SCRIPT-RETRY-DELAY 30000"
        );
    }

    #[test]
    fn one_is_found_in_any_case() {
        let mut timers = Timers::default();
        *timers.by_name("info-Period").unwrap() = 5;
        assert_eq!(timers.info_period_ms, 5);
        assert_eq!(timers.by_name("info"), None);
    }
}
