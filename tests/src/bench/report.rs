//! The table and the JSON file: figure, baseline, ratio, target and whether it is met.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

/// All rows of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    rounds: usize,
    requests: usize,
    rows: Vec<Row>,
    failures: Vec<String>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) figure: Option<Figure>,
    /// What it is compared with in the same run, and that one's figure.
    pub(super) baseline: Option<(&'static str, Figure)>,
    pub(super) ratio: Option<f64>,
    /// DESIGN §10's words; empty for a row that only informs.
    pub(super) target: &'static str,
    pub(super) met: Option<bool>,
}

/// A value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// Microseconds.
    Micros(f64),
    /// Per second.
    PerSecond(f64),
    /// Mebibytes.
    Mebibytes(f64),
    /// A plain number.
    Count(u64),
}

/// What makes a row met.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The figure, in its own unit, is at most this.
    AtMost(f64),
    /// The figure is at least this.
    AtLeast(f64),
    /// The ratio to the baseline is at most this.
    RatioAtMost(f64),
    /// No target: the row informs.
    Informs,
}

impl Report {
    pub(super) fn new(rounds: usize, requests: usize) -> Self {
        Self {
            rounds,
            requests,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a measured row.
    pub(super) fn row(
        &mut self,
        what: &'static str,
        figure: Figure,
        baseline: Option<(&'static str, Figure)>,
        target: (Target, &'static str),
    ) {
        let ratio = baseline.and_then(|(_, base)| ratio(figure, base));
        let met = match target.0 {
            Target::AtMost(bound) => Some(figure.number() <= bound),
            Target::AtLeast(bound) => Some(figure.number() >= bound),
            Target::RatioAtMost(bound) => ratio.map(|ratio| ratio <= bound),
            Target::Informs => None,
        };
        self.rows.push(Row {
            what,
            figure: Some(figure),
            baseline,
            ratio,
            target: target.1,
            met,
        });
    }

    /// Adds a row of a later version.
    pub(super) fn not_measured(&mut self, what: &'static str, target: &'static str) {
        self.rows.push(Row {
            what,
            figure: None,
            baseline: None,
            ratio: None,
            target,
            met: None,
        });
    }

    /// Notes a section that could not be measured to its end.
    pub(super) fn failed(&mut self, section: &str, error: &anyhow::Error) {
        self.failures.push(format!("{section}: {error:#}"));
    }

    /// Whether every section was measured; targets may still be missed.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// Writes the JSON beside earlier builds, under `bench/` of cargo's target folder.
    pub fn save(&self, target: &Path) -> Result<PathBuf> {
        let folder = target.join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join("bench.json");
        fs::write(&path, serde_json::to_string_pretty(self)?).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["", "figure", "baseline", "ratio", "target", "met"]);
        for row in &self.rows {
            table.add_row([
                row.what.to_owned(),
                row.figure
                    .map_or_else(|| "not measured".to_owned(), |figure| figure.to_string()),
                row.baseline
                    .map(|(name, figure)| format!("{figure} {name}"))
                    .unwrap_or_default(),
                row.ratio.map(|ratio| format!("{ratio:.2}×")).unwrap_or_default(),
                row.target.to_owned(),
                row.met
                    .map(|met| if met { "yes" } else { "NO" })
                    .unwrap_or_default()
                    .to_owned(),
            ]);
        }
        writeln!(formatter, "{table}")?;
        write!(
            formatter,
            "medians over {} rounds of {} requests per lane",
            self.rounds, self.requests
        )?;
        self.failures
            .iter()
            .try_for_each(|failure| write!(formatter, "\nfailed: {failure}"))
    }
}

impl From<Duration> for Figure {
    fn from(time: Duration) -> Self {
        Self::Micros(time.as_secs_f64() * 1e6)
    }
}

impl Figure {
    fn number(self) -> f64 {
        match self {
            Self::Micros(value) | Self::PerSecond(value) | Self::Mebibytes(value) => value,
            // Counts here are calls of one run; above 2³² the comparison with a bound is decided anyway.
            Self::Count(count) => f64::from(u32::try_from(count).unwrap_or(u32::MAX)),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Micros(value) if *value >= 1e4 => write!(formatter, "{:.1} ms", value / 1e3),
            Self::Micros(value) if *value >= 100.0 => write!(formatter, "{value:.0} µs"),
            Self::Micros(value) => write!(formatter, "{value:.1} µs"),
            Self::PerSecond(value) => write!(formatter, "{value:.0} /s"),
            Self::Mebibytes(value) => write!(formatter, "{value:.1} MiB"),
            Self::Count(count) => write!(formatter, "{count}"),
        }
    }
}

fn ratio(figure: Figure, base: Figure) -> Option<f64> {
    let base = base.number();
    (base > 0.0).then(|| figure.number() / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_judged_by_figure_or_by_ratio() {
        let mut report = Report::new(1, 1);
        let base = Some(("nginx", Figure::Micros(10.0)));
        report.row("a", Figure::Micros(14.0), base, (Target::RatioAtMost(1.5), "≤ 1.5×"));
        report.row("b", Figure::Micros(16.0), base, (Target::RatioAtMost(1.5), "≤ 1.5×"));
        report.row("c", Figure::Micros(99.0), None, (Target::AtMost(100.0), "≤ 100 µs"));
        report.row(
            "d",
            Figure::PerSecond(19_999.0),
            None,
            (Target::AtLeast(20_000.0), "≥ 20 000"),
        );
        report.row("e", Figure::Mebibytes(1.0), None, (Target::Informs, ""));
        report.not_measured("f", "≤ 3 ms");
        let met: Vec<Option<bool>> = report.rows.iter().map(|row| row.met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(true), Some(false), None, None]);
        assert!(report.to_string().contains("not measured"));
    }
}
