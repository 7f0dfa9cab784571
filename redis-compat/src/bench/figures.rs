//! From samples to figures: rates, medians over the rounds, ratios of rounds that ran together.
//!
//! A ratio is not the quotient of two medians. Round `i` of both servers ran within seconds of
//! each other and shared the state of the machine; its quotient cancels that, and the ratio is
//! the median of those quotients.

use super::{fault::Fault, load::Sample, restart::Restart};

/// A share of its time above which a side has no room for more.
const BUSY: f64 = 0.9;

/// A share of the time taken by others above which the figures are theirs too. The kernel's own
/// threads, which write to the disk, stay below it.
const DISTURBED: f64 = 0.15;

const MIB: f64 = 1024.0 * 1024.0;

/// The figures of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) ops_per_s: f64,
    pub(super) entries_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Microseconds of the server's processor time per operation.
    pub(super) cpu_us: f64,
    /// The server's own memory at the end.
    pub(super) memory_mib: f64,
    /// The share of the time that the server was on a processor (above 1 if on several).
    pub(super) server_busy: f64,
    /// The same for the load generator.
    pub(super) load_busy: f64,
    /// The same for all else that ran on their processors.
    pub(super) others_busy: f64,
}

impl From<Sample> for Figures {
    fn from(sample: Sample) -> Self {
        let wall = sample.wall.as_secs_f64();
        let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
        Self {
            ops_per_s: sample.ops as f64 / wall,
            entries_per_s: sample.entries as f64 / wall,
            p50_us: micros(sample.p50),
            p99_us: micros(sample.p99),
            cpu_us: micros(sample.server_cpu) / sample.ops as f64,
            memory_mib: sample.memory.anonymous as f64 / MIB,
            server_busy: sample.server_cpu.as_secs_f64() / wall,
            load_busy: sample.load_cpu.as_secs_f64() / wall,
            others_busy: sample.others_cpu.as_secs_f64() / wall,
        }
    }
}

impl Figures {
    /// Whether this run measured the load generator: it had no time left and the server had.
    pub(super) fn is_bound_by_load(&self) -> bool {
        self.load_busy > BUSY && self.server_busy < BUSY
    }

    /// Whether something else took so much of the processors that the figures tell of it too.
    pub(super) fn is_disturbed(&self) -> bool {
        self.others_busy > DISTURBED
    }
}

/// The figures of one restart.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestartFigures {
    pub(super) anonymous_mib: f64,
    pub(super) resident_mib: f64,
    pub(super) disk_mib: f64,
    pub(super) after_kill_us: f64,
    pub(super) after_stop_us: f64,
}

impl From<Restart> for RestartFigures {
    fn from(restart: Restart) -> Self {
        Self {
            anonymous_mib: restart.memory.anonymous as f64 / MIB,
            resident_mib: restart.memory.resident as f64 / MIB,
            disk_mib: restart.disk_bytes as f64 / MIB,
            after_kill_us: restart.after_kill.as_secs_f64() * 1e6,
            after_stop_us: restart.after_stop.as_secs_f64() * 1e6,
        }
    }
}

/// One server's rounds of one scenario.
pub(super) type Rounds<F> = [Result<F, Fault>];

/// The median of one figure over the rounds that gave any.
pub(super) fn median<F>(rounds: &Rounds<F>, figure: impl Fn(&F) -> f64) -> Option<f64> {
    middle(rounds.iter().flatten().map(figure).collect())
}

/// How many times as large `figure` is in `ours` as in `theirs`, round by round.
pub(super) fn ratio<F>(
    ours: &Rounds<F>,
    theirs: &Rounds<F>,
    figure: impl Fn(&F) -> f64,
) -> Option<f64> {
    let pairs = ours.iter().zip(theirs).filter_map(|(ours, theirs)| {
        let (ours, theirs) = (ours.as_ref().ok()?, theirs.as_ref().ok()?);
        Some(figure(ours) / figure(theirs))
    });
    middle(pairs.filter(|quotient| quotient.is_finite()).collect())
}

/// The value in the middle; of two, their mean.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// Three digits and a unit: `57.2k`.
pub(super) fn short_rate(rate: f64) -> String {
    scaled(rate, &[(1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// Three digits and a unit, of microseconds: `1.32ms`.
pub(super) fn short_time(micros: f64) -> String {
    scaled(micros, &[(1e6, "s"), (1e3, "ms"), (1.0, "us")])
}

/// Three digits, or all before the point.
pub(super) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |&&(scale, _): &&(f64, &str)| value.abs() >= scale * 0.9995;
    let (scale, unit) = units
        .iter()
        .find(fits)
        .or(units.last())
        .unwrap_or(&(1.0, ""));
    format!("{}{unit}", short(value / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Vec<Result<f64, Fault>> {
        values
            .iter()
            .map(|&value| {
                if value < 0.0 {
                    Err(Fault::Silent)
                } else {
                    Ok(value)
                }
            })
            .collect()
    }

    #[test]
    fn the_median_is_the_middle_of_the_rounds_that_gave_figures() {
        for (values, expected) in [
            (&[][..], None),
            (&[-1.0], None),
            (&[3.0], Some(3.0)),
            (&[9.0, -1.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 100.0, 2.0], Some(3.0)),
        ] {
            assert_eq!(
                median(&rounds(values), |&value| value),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_ratio_pairs_the_rounds_and_leaves_out_broken_pairs() {
        // The machine was half as fast in the second round: the ratio does not see it.
        let ours = rounds(&[100.0, 50.0, 999.0, 120.0]);
        let theirs = rounds(&[50.0, 25.0, -1.0, 40.0]);
        assert_eq!(ratio(&ours, &theirs, |&value| value), Some(2.0));
        assert_eq!(ratio(&ours, &rounds(&[0.0]), |&value| value), None);
    }

    #[test]
    fn a_number_is_shown_with_three_digits() {
        for (rate, text) in [
            (0.0, "0.00"),
            (9.999, "10.0"),
            (999.0, "999"),
            (999.9, "1.00k"),
            (57_234.0, "57.2k"),
            (296_000.0, "296k"),
            (1_234_567.0, "1.23M"),
        ] {
            assert_eq!(short_rate(rate), text);
        }
        assert_eq!(short_time(2.94), "2.94us");
        assert_eq!(short_time(1320.0), "1.32ms");
        assert_eq!(short_time(2_500_000.0), "2.50s");
    }

    #[test]
    fn the_load_is_the_bound_only_while_the_server_has_time() {
        let figures = |server_busy, load_busy| Figures {
            ops_per_s: 1.0,
            entries_per_s: 1.0,
            p50_us: 1.0,
            p99_us: 1.0,
            cpu_us: 1.0,
            memory_mib: 1.0,
            server_busy,
            load_busy,
            others_busy: 0.0,
        };
        for (server, load, bound) in [
            (0.5, 0.95, true),
            (0.99, 0.95, false),
            (0.5, 0.5, false),
            (0.99, 0.1, false),
        ] {
            assert_eq!(
                figures(server, load).is_bound_by_load(),
                bound,
                "{server} {load}"
            );
        }
    }
}
