//! A table of one trial: a line for each figure, a column for each server.
//!
//! The first server is the measure of the others: where that says something, a column tells how
//! many times as much each of them has. Of several rounds the median is shown, and the median of
//! the quotients of rounds that ran side by side.

use super::{
    fault::Fault,
    figures::{median, ratio, short, short_rate, short_time},
};
use std::{
    io::{self, Write},
    time::Duration,
};

/// What a figure counts, which decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    BytesPerSecond,
    Count,
    PerSecond,
    Time,
    Times,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Bytes => short_bytes(value),
            Self::BytesPerSecond => short_bytes(value) + "/s",
            Self::Count => format!("{value:.0}"),
            Self::PerSecond => short_rate(value) + "/s",
            Self::Time => short_time(value * 1e6),
            Self::Times => format!("{value:.3}"),
        }
    }
}

/// Three digits and a unit, of bytes.
fn short_bytes(bytes: f64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units
        .iter()
        .find(|(power, _)| bytes >= f64::from(1 << power) * 0.9995);
    match fits {
        Some((power, unit)) => format!("{} {unit}", short(bytes / f64::from(1 << power))),
        None => format!("{bytes:.0} B"),
    }
}

/// One figure of one run.
#[derive(Clone, Debug)]
struct Fact {
    what: String,
    unit: Unit,
    value: f64,
}

/// The figures of one run, in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(Vec<Fact>);

impl Facts {
    /// Of what is stored.
    pub(super) fn bytes(&mut self, what: impl Into<String>, bytes: u64) {
        self.put(what, Unit::Bytes, bytes as f64);
    }

    /// Of what is moved in a time.
    pub(super) fn throughput(&mut self, what: impl Into<String>, bytes: u64, time: Duration) {
        self.put(
            what,
            Unit::BytesPerSecond,
            bytes as f64 / time.as_secs_f64(),
        );
    }

    /// Of things.
    pub(super) fn count(&mut self, what: impl Into<String>, count: u64) {
        self.put(what, Unit::Count, count as f64);
    }

    /// Of what is done in a time.
    pub(super) fn rate(&mut self, what: impl Into<String>, count: u64, time: Duration) {
        self.put(what, Unit::PerSecond, count as f64 / time.as_secs_f64());
    }

    /// How long something takes.
    pub(super) fn time(&mut self, what: impl Into<String>, time: Duration) {
        self.put(what, Unit::Time, time.as_secs_f64());
    }

    /// How many times as large the one is as the other.
    pub(super) fn times(&mut self, what: impl Into<String>, one: f64, other: f64) {
        self.put(what, Unit::Times, one / other);
    }

    fn put(&mut self, what: impl Into<String>, unit: Unit, value: f64) {
        let what = what.into();
        self.0.push(Fact { what, unit, value });
    }

    fn value(&self, what: &str) -> f64 {
        let mut facts = self.0.iter();
        facts
            .find(|fact| fact.what == what)
            .map_or(f64::NAN, |fact| fact.value)
    }
}

/// One server's rounds.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) rounds: Vec<Result<Facts, Fault>>,
}

/// The table of one trial.
pub(super) struct Sheet(pub(super) Vec<Column>);

impl Sheet {
    /// Prints it, and what went wrong below.
    ///
    /// # Errors
    ///
    /// What the output returns.
    pub(super) fn print(&self, out: &mut impl Write, markdown: bool) -> io::Result<()> {
        let rows = self.rows();
        let columns = rows[0].len();
        let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (nth, row) in rows.iter().enumerate() {
            if markdown {
                writeln!(out, "| {} |", row.join(" | "))?;
                if nth == 0 {
                    writeln!(out, "|:--|{}", "--:|".repeat(columns - 1))?;
                }
                continue;
            }
            let mut line = format!("{:1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line += &format!("  {cell:>width$}");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        for column in &self.0 {
            for fault in column
                .rounds
                .iter()
                .filter_map(|round| round.as_ref().err())
            {
                writeln!(out, "\n{}: {fault}", column.name)?;
            }
        }
        out.flush()
    }

    /// Whether every round gave figures.
    pub(super) fn is_whole(&self) -> bool {
        let mut rounds = self.0.iter().flat_map(|column| &column.rounds);
        rounds.all(Result::is_ok)
    }

    /// The head and the lines, with as many cells each.
    fn rows(&self) -> Vec<Vec<String>> {
        let others = self.0.get(1..).unwrap_or_default();
        let names = self.0.iter().map(|column| column.name.clone());
        let ratios = others
            .iter()
            .map(|other| format!("{} / {}", other.name, self.0[0].name));
        let head = std::iter::once(String::new()).chain(names).chain(ratios);
        let mut rows = vec![head.collect()];
        for (what, unit) in self.figures() {
            let of = |facts: &Facts| facts.value(&what);
            let shown = self.0.iter().map(|column| {
                let value = median(&column.rounds, of).filter(|value| value.is_finite());
                value.map(|value| unit.show(value)).unwrap_or_default()
            });
            let ratios = others.iter().map(|other| {
                // Things are counted, and ratios are ratios already.
                let compared = !matches!(unit, Unit::Count | Unit::Times);
                let ratio = ratio(&other.rounds, &self.0[0].rounds, of).filter(|_| compared);
                ratio.map(|ratio| short(ratio) + "x").unwrap_or_default()
            });
            let mut cells = vec![what.clone()];
            cells.extend(shown.chain(ratios));
            rows.push(cells);
        }
        rows
    }

    /// The figures that any round has, in the order in which they first appear.
    fn figures(&self) -> Vec<(String, Unit)> {
        let rounds = self.0.iter().flat_map(|column| &column.rounds).flatten();
        let mut figures = Vec::new();
        for fact in rounds.flat_map(|facts| &facts.0) {
            if !figures.iter().any(|(what, _)| *what == fact.what) {
                figures.push((fact.what.clone(), fact.unit));
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(memory_mib: u64, seconds: u64) -> Facts {
        let mut facts = Facts::default();
        facts.bytes("memory", memory_mib << 20);
        facts.time("restart", Duration::from_secs(seconds));
        facts.count("entries", 12_345_678);
        facts
    }

    fn sheet() -> Sheet {
        let mut more = facts(60, 3);
        more.times("cold / hot", 4.0, 5.0);
        let ours = Column {
            name: "headwater".to_owned(),
            rounds: vec![Ok(more)],
        };
        let theirs = Column {
            name: "redis".to_owned(),
            rounds: vec![Ok(facts(1200, 60))],
        };
        Sheet(vec![ours, theirs])
    }

    fn printed(sheet: &Sheet, markdown: bool) -> String {
        let mut out = Vec::new();
        sheet.print(&mut out, markdown).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_a_figure_and_a_column_a_server() {
        let expected = "            headwater     redis  redis / headwater
memory       60.0 MiB  1.17 GiB              20.0x
restart         3.00s     60.0s              20.0x
entries      12345678  12345678
cold / hot      0.800
";
        assert_eq!(printed(&sheet(), false), expected);
    }

    #[test]
    fn markdown_has_as_many_cells_in_every_line() {
        let text = printed(&sheet(), true);
        let cells: Vec<usize> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(cells, [5; 6], "{text}");
    }

    #[test]
    fn a_round_without_figures_is_told() {
        let mut sheet = sheet();
        assert!(sheet.is_whole());
        sheet.0[1].rounds = vec![Err(Fault::Silent)];
        assert!(!sheet.is_whole());
        let text = printed(&sheet, false);
        assert!(
            text.ends_with("\nredis: no reply in the whole time of measuring\n"),
            "{text}"
        );
    }

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        for (bytes, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.00 KiB"),
            (1_048_576.0 * 999.96, "1000 MiB"),
            (1_048_576.0 * 1024.0 * 20.5, "20.5 GiB"),
        ] {
            assert_eq!(short_bytes(bytes), text);
        }
    }
}
