//! Figures: collecting, medians, ratios, and the table.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use indexmap::IndexMap;

/// The figures of one row: by side, in the unit of the row.
type Row = IndexMap<String, Vec<f64>>;

/// Everything that was measured so far.
pub(crate) struct Series {
    sides: Vec<String>,
    rows: IndexMap<String, (Unit, Row)>,
    counting: bool,
}

#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Mebibytes,
}

impl Series {
    /// No figures yet, for these sides; the first is the one compared.
    pub(crate) fn new(sides: Vec<String>) -> Self {
        Self {
            sides,
            rows: IndexMap::new(),
            counting: true,
        }
    }

    /// Whether what is added from now on counts.
    pub(crate) fn counting(&mut self, counts: bool) {
        self.counting = counts;
    }

    /// Adds a time.
    pub(crate) fn add(&mut self, side: &str, what: &str, took: Duration) {
        self.push(side, what, Unit::Milliseconds, took.as_secs_f64() * 1000.0);
    }

    /// Adds a size in KiB.
    pub(crate) fn add_memory(&mut self, side: &str, what: &str, kib: u64) {
        let kib = u32::try_from(kib).map_or(f64::INFINITY, f64::from);
        self.push(side, what, Unit::Mebibytes, kib / 1024.0);
    }

    fn push(&mut self, side: &str, what: &str, unit: Unit, value: f64) {
        if self.counting {
            let (_, row) = self
                .rows
                .entry(what.to_owned())
                .or_insert_with(|| (unit, Row::new()));
            row.entry(side.to_owned()).or_default().push(value);
        }
    }

    /// The table: medians, the ratio to each other side, and the floor.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| what |");
        let others: Vec<&String> = self.sides.iter().skip(1).collect();
        let mut heads: Vec<String> = self.sides.clone();
        heads.extend(others.iter().map(|other| format!("{other} / skiff")));
        heads.push("floor".to_owned());
        for head in &heads {
            write!(text, " {head} |").ok();
        }
        writeln!(text, "\n|---|{}", "---|".repeat(heads.len())).ok();
        for (what, (unit, row)) in &self.rows {
            let own = self.sides.first().and_then(|side| median(row.get(side)?));
            write!(text, "| {what} |").ok();
            for side in &self.sides {
                write!(
                    text,
                    " {} |",
                    show(row.get(side).and_then(|v| median(v)), *unit)
                )
                .ok();
            }
            for other in &others {
                let theirs = row.get(*other).and_then(|values| median(values));
                match (own, theirs) {
                    (Some(own), Some(theirs)) if own > 0.0 => {
                        write!(text, " {:.1} |", theirs / own)
                    }
                    _ => write!(text, " |"),
                }
                .ok();
            }
            writeln!(
                text,
                " {} |",
                show(row.get("floor").and_then(|v| median(v)), *unit)
            )
            .ok();
        }
        text
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn show(value: Option<f64>, unit: Unit) -> String {
    match (value, unit) {
        (None, _) => String::new(),
        (Some(value), Unit::Milliseconds) if value >= 1000.0 => format!("{:.2} s", value / 1000.0),
        (Some(value), Unit::Milliseconds) => format!("{value:.1} ms"),
        (Some(value), Unit::Mebibytes) => format!("{value:.1} MiB"),
    }
}

/// One run of the floor: the total that it prints.
pub(crate) fn floor(program: &Path, root: &Path, count: usize) -> Duration {
    let mut command = Command::new("unshare");
    command
        .arg("-m")
        .arg(program)
        .arg(root)
        .args([&count.to_string(), "1", "1"]);
    let output = command.output().expect("unshare (package util-linux)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let total = text
        .split("total ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    Duration::from_secs_f64(total.map_or(0.0, |ms: f64| ms / 1000.0))
}

/// A line about date and machine.
pub(crate) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{}, Linux {}, {cores} cores ({}); medians\n",
        jiff::Zoned::now().date(),
        kernel.trim(),
        model.map_or("unknown", |(_, name)| name)
    )
}
