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
    ("entries/s", 9),
    ("p50", 7),
    ("p99", 7),
    ("cpu/op", 7),
    ("busy", 5),
    ("load", 5),
    ("MiB", 6),
    ("speed", 7),
    ("economy", 7),
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
    ("speed", 7),
    ("economy", 7),
];

const LEGEND: &str = "\
An operation is an XADD; an XREADGROUP with the XACK of what it brought; an XRANGE; in flow an
entry on its way from producer to consumer; in fan-out its delivery to one reader. p50 and p99 are
latencies of operations; cpu/op is the server's processor time for one; busy and load are the
shares of the time that server and load generator were on their cores; MiB is the server's memory
without mapped files, after the run. kill -9 and stop are the times from a start after them until
every entry is there. speed: how many times as fast as this server Headwater is; economy: how many
times as much processor time (for a restart: memory) this server needs. Above 1 Headwater is
better. Both are medians over rounds that ran side by side.";

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
}

impl<W: Write> Report<W> {
    /// A report that goes to `out`.
    pub(super) fn new(out: W, markdown: bool) -> Self {
        Self {
            out,
            markdown,
            bound_by_load: false,
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
            let mark = if bound { "*" } else { "" };
            let ratio = |figure: fn(&Figures) -> f64| ratio_to(lines, rounds, figure);
            let cells = [
                if nth == 0 {
                    name.to_owned()
                } else {
                    String::new()
                },
                line.make.name().to_owned(),
                shown(|f| f.ops_per_s, short_rate) + mark,
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
            self.faults(rounds)?;
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
            self.faults(rounds)?;
        }
        self.out.flush()
    }

    /// What the columns mean, and which figures are the generator's own.
    pub(super) fn legend(&mut self) -> io::Result<()> {
        writeln!(self.out, "\n{LEGEND}")?;
        if self.bound_by_load {
            writeln!(
                self.out,
                "\n* The load generator had no time left and the server had: it can do more than shown."
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
    fn faults<F>(&mut self, rounds: &Rounds<F>) -> io::Result<()> {
        let mut told = Vec::new();
        for fault in rounds.iter().filter_map(|round| round.as_ref().err()) {
            let text = fault.to_string();
            if !told.contains(&text) {
                let bar = if self.markdown { "| |" } else { "" };
                let indent = if self.markdown { 1 } else { 25 };
                writeln!(self.out, "{bar}{:indent$}{text}", "")?;
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
