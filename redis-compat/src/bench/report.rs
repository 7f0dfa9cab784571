//! The tables: one line for each scenario and server, Headwater's first.
//!
//! A line is printed as soon as its scenario is over. In a terminal the columns have fixed
//! widths; as Markdown they are what the README takes.

use super::figures::{
    Figures, RestartFigures, Rounds, median, ratio, short, short_rate, short_time,
};
use super::server::Make;
use std::io::{self, Write};

/// The columns of the scenarios, with their widths.
const SCENARIOS: &[(&str, usize)] = &[
    ("scenario", 24),
    ("server", 9),
    ("ops/s", 7),
    ("entries", 7),
    ("p50", 6),
    ("p99", 6),
    ("cpu/op", 6),
    ("busy", 4),
    ("load", 4),
    ("MiB", 4),
    ("faster", 6),
    ("leaner", 6),
];

/// The columns of the restart, with their widths.
const RESTART: &[(&str, usize)] = &[
    ("scenario", 24),
    ("server", 9),
    ("MiB", 7),
    ("resident", 9),
    ("disk", 7),
    ("kill -9", 7),
    ("stop", 7),
    ("faster", 6),
    ("leaner", 6),
];

const LEGEND: &str = "\
An operation is an XADD; an XREADGROUP with the XACK of what it brought; an XRANGE; in flow an
entry on its way from producer to consumer; in fan-out its delivery to one reader. entries are
those moved in a second; p50 and p99 are latencies of operations; cpu/op is the server's processor
time for one; busy and load are the shares of the time that server and load generator were on
their cores; MiB is the server's memory without mapped files, after the run. kill -9 and stop are
the times from a start after them until every entry is there. faster: how many times as much
Headwater does in the same time as this server, or how many times as soon it is back; leaner: how
many times as much processor time for an operation (after a restart: memory) this server needs.
Above 1 Headwater is better. Both are medians over rounds that ran side by side.";

/// One server's rounds.
pub(super) struct Line<'a, F> {
    pub(super) make: Make,
    pub(super) rounds: &'a Rounds<F>,
}

/// Prints the tables.
pub(super) struct Report<W> {
    out: W,
    markdown: bool,
    bound_by_load: bool,
    disturbed: bool,
}

impl<W: Write> Report<W> {
    /// A report that goes to `out`.
    pub(super) fn new(out: W, markdown: bool) -> Self {
        Self {
            out,
            markdown,
            bound_by_load: false,
            disturbed: false,
        }
    }

    /// What the figures were measured on, a line each, ahead of the table.
    ///
    /// # Errors
    ///
    /// What the output returns; so for all of them.
    pub(super) fn facts(&mut self, facts: &[String]) -> io::Result<()> {
        for fact in facts {
            let bullet = if self.markdown { "- " } else { "" };
            writeln!(self.out, "{bullet}{fact}")?;
        }
        writeln!(self.out)
    }

    /// The head of the scenarios' table.
    pub(super) fn scenarios_head(&mut self) -> io::Result<()> {
        self.head(SCENARIOS)
    }

    /// The lines of one scenario.
    pub(super) fn scenario(&mut self, name: &str, lines: &[Line<'_, Figures>]) -> io::Result<()> {
        for (nth, line) in lines.iter().enumerate() {
            let rounds = line.rounds;
            let shown = |figure: fn(&Figures) -> f64, show: fn(f64) -> String| {
                median(rounds, figure).map(show).unwrap_or_default()
            };
            let percent = |share: f64| format!("{:.0}%", share * 100.0);
            let bound = rounds.iter().flatten().any(Figures::is_bound_by_load);
            self.bound_by_load |= bound;
            let disturbed = rounds.iter().flatten().any(Figures::is_disturbed);
            self.disturbed |= disturbed;
            let mark = [
                if disturbed { "~" } else { "" },
                if bound { "*" } else { "" },
            ]
            .concat();
            let ratio = |figure: fn(&Figures) -> f64| ratio_to(lines, rounds, figure);
            let cells = [
                if nth == 0 {
                    name.to_owned()
                } else {
                    String::new()
                },
                line.make.name().to_owned(),
                shown(|f| f.ops_per_s, short_rate) + &mark,
                shown(|f| f.entries_per_s, short_rate),
                shown(|f| f.p50_us, short_time),
                shown(|f| f.p99_us, short_time),
                shown(|f| f.cpu_us, short_time),
                shown(|f| f.server_busy, percent),
                shown(|f| f.load_busy, percent),
                shown(|f| f.memory_mib, short),
                ratio(|f| f.ops_per_s),
                ratio(|f| 1.0 / f.cpu_us),
            ];
            self.row(SCENARIOS, &cells)?;
            self.faults(SCENARIOS, rounds)?;
        }
        self.out.flush()
    }

    /// The table of the restart.
    pub(super) fn restart(
        &mut self,
        name: &str,
        lines: &[Line<'_, RestartFigures>],
    ) -> io::Result<()> {
        writeln!(self.out)?;
        self.head(RESTART)?;
        for (nth, line) in lines.iter().enumerate() {
            let rounds = line.rounds;
            let shown = |figure: fn(&RestartFigures) -> f64, show: fn(f64) -> String| {
                median(rounds, figure).map(show).unwrap_or_default()
            };
            let ratio = |figure: fn(&RestartFigures) -> f64| ratio_to(lines, rounds, figure);
            let cells = [
                if nth == 0 {
                    name.to_owned()
                } else {
                    String::new()
                },
                line.make.name().to_owned(),
                shown(|f| f.anonymous_mib, short),
                shown(|f| f.resident_mib, short),
                shown(|f| f.disk_mib, short),
                shown(|f| f.after_kill_us, short_time),
                shown(|f| f.after_stop_us, short_time),
                ratio(|f| 1.0 / f.after_kill_us),
                ratio(|f| 1.0 / f.anonymous_mib),
            ];
            self.row(RESTART, &cells)?;
            self.faults(RESTART, rounds)?;
        }
        self.out.flush()
    }

    /// What the columns mean, and which figures are the generator's own.
    pub(super) fn legend(&mut self) -> io::Result<()> {
        writeln!(self.out, "\n{LEGEND}")?;
        if self.bound_by_load {
            writeln!(
                self.out,
                "\n* The load generator had no time left and the server had: it can do more."
            )?;
        }
        if self.disturbed {
            writeln!(
                self.out,
                "\n~ Something else ran on the same cores for a good part of the time."
            )?;
        }
        Ok(())
    }

    fn head(&mut self, columns: &[(&str, usize)]) -> io::Result<()> {
        let titles: Vec<String> = columns
            .iter()
            .map(|(title, _)| (*title).to_owned())
            .collect();
        self.row(columns, &titles)?;
        if self.markdown {
            let rule = |at| if at < 2 { ":--" } else { "--:" }.to_owned();
            let rules: Vec<String> = (0..columns.len()).map(rule).collect();
            self.row(columns, &rules)?;
        }
        Ok(())
    }

    fn row(&mut self, columns: &[(&str, usize)], cells: &[String]) -> io::Result<()> {
        if self.markdown {
            return writeln!(self.out, "| {} |", cells.join(" | "));
        }
        let mut line = String::new();
        for (at, (cell, (_, width))) in cells.iter().zip(columns).enumerate() {
            line += &if at < 2 {
                format!("{cell:width$} ")
            } else {
                format!("{cell:>width$} ")
            };
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    /// Tells why rounds are missing from the line above.
    fn faults<F>(&mut self, columns: &[(&str, usize)], rounds: &Rounds<F>) -> io::Result<()> {
        let mut told = Vec::new();
        for fault in rounds.iter().filter_map(|round| round.as_ref().err()) {
            let text = fault.to_string();
            if !told.contains(&text) {
                let mut cells = vec![String::new(); columns.len()];
                cells[1].clone_from(&text);
                self.row(columns, &cells)?;
                told.push(text);
            }
        }
        Ok(())
    }
}

/// Headwater's ratio to the server of these rounds; empty on its own line, or without it.
fn ratio_to<F>(lines: &[Line<'_, F>], theirs: &Rounds<F>, figure: impl Fn(&F) -> f64) -> String {
    let ours = lines
        .iter()
        .find(|line| line.make == Make::Headwater)
        .map(|line| line.rounds);
    ours.filter(|ours| !std::ptr::eq(*ours, theirs))
        .and_then(|ours| ratio(ours, theirs, figure))
        .map(|ratio| short(ratio) + "x")
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fault::Fault;
    use super::*;

    fn rounds(ops_per_s: &[f64], load_busy: f64) -> Vec<Result<Figures, Fault>> {
        let figures = |ops_per_s: &f64| {
            Ok(Figures {
                ops_per_s: *ops_per_s,
                entries_per_s: 10.0 * ops_per_s,
                p50_us: 412.0,
                p99_us: 1320.0,
                cpu_us: 1e5 / ops_per_s,
                memory_mib: 12.34,
                server_busy: 0.5,
                load_busy,
                others_busy: 0.0,
            })
        };
        ops_per_s.iter().map(figures).collect()
    }

    /// The table of one scenario with three servers, of which the last had a bad round.
    fn shown(markdown: bool) -> String {
        let (ours, redis) = (
            rounds(&[100e3, 120e3, 110e3], 0.95),
            rounds(&[50e3, 40e3, 55e3], 0.2),
        );
        let mut valkey = rounds(&[50e3, 50e3], 0.2);
        valkey.push(Err(Fault::Silent));
        let lines = [
            (Make::Headwater, &ours),
            (Make::Redis, &redis),
            (Make::Valkey, &valkey),
        ]
        .map(|(make, rounds)| Line { make, rounds });
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, markdown);
        report.scenarios_head().unwrap();
        report.scenario("xadd/everysec/p1/c50", &lines).unwrap();
        assert!(report.bound_by_load && !report.disturbed);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_medians_and_the_ratio_of_paired_rounds() {
        let expected = "\
scenario                 server      ops/s entries    p50    p99 cpu/op busy load  MiB faster leaner
xadd/everysec/p1/c50     headwater   110k*   1.10M  412us 1.32ms 0.91us  50%  95% 12.3
                         redis       50.0k    500k  412us 1.32ms 2.00us  50%  20% 12.3  2.00x  2.00x
                         valkey      50.0k    500k  412us 1.32ms 2.00us  50%  20% 12.3  2.20x  2.20x
                         no reply in the whole time of measuring
";
        assert_eq!(shown(false), expected);
    }

    #[test]
    fn markdown_has_a_rule_and_as_many_cells_in_every_line() {
        let text = shown(true);
        let cells: Vec<usize> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [13, 13, 13, 13, 13, 13], "{text}");
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .starts_with("| :-- | :-- | --: |"),
            "{text}"
        );
    }
}
