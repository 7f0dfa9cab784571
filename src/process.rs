//! What the kernel knows of this process: its memory and processor time, and the machine's memory.
//!
//! Figures that the kernel does not tell (no `/proc`, say) are zero.

use std::time::Duration;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What the process has taken for itself, in memory or swapped out; without maps of files.
    pub(crate) used: u64,
    /// What is in memory, with the parts of files that are mapped (those of the log).
    pub(crate) resident: u64,
    /// The most that ever was in memory.
    pub(crate) resident_peak: u64,
    /// The memory of the machine.
    pub(crate) machine: u64,
}

/// Processor time of all threads since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

pub(crate) fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let info = rustix::system::sysinfo();
    Memory {
        used: size(&status, "RssAnon") + size(&status, "VmSwap"),
        resident: size(&status, "VmRSS"),
        resident_peak: size(&status, "VmHWM"),
        machine: info.totalram * u64::from(info.mem_unit),
    }
}

/// The size in a line such as `VmRSS:      1234 kB`.
fn size(status: &str, name: &str) -> u64 {
    let line = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(label, _)| *label == name);
    let kilobytes =
        line.and_then(|(_, value)| value.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

pub(crate) fn cpu() -> Cpu {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    times(&stat, ticks_per_second).unwrap_or_default()
}

/// Fields 14 and 15, counted behind the name of the program, which may hold spaces.
fn times(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut next = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_micros(
            ticks.checked_mul(1_000_000)? / ticks_per_second,
        ))
    };
    Some(Cpu {
        user: next()?,
        system: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 100";
        let cpu = Cpu {
            user: Duration::from_millis(2500),
            system: Duration::from_millis(500),
        };
        assert_eq!(times(stat, 100), Some(cpu));
        assert_eq!(times("7 (a", 100), None);
    }

    #[test]
    fn sizes_are_read_by_their_names() {
        let status = "VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(size(status, "VmRSS"), 1 << 20);
        assert_eq!(size(status, "VmSwap"), 0);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory();
        assert!(
            memory.used > 0 && memory.used <= memory.resident,
            "{memory:?}"
        );
        assert!(memory.resident <= memory.machine, "{memory:?}");
    }
}
