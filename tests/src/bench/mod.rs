//! Measurements: what `cargo xtask bench NAME` runs, one file each, and the table they print.
//!
//! The machine is shared and noisy: a figure is to be compared with what was measured in the same run,
//! several rounds, rounds of all cases interleaved; a cost is CPU time. Not here: any assertion on
//! time.

pub mod datapath;
pub mod failover;
pub mod limiter;
pub mod proxy;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// A table of figures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the benchmark.
    pub bench: &'static str,
    /// What the figures are and how they were taken.
    pub what: &'static str,
    /// The rows, in the order measured.
    pub rows: Vec<Row>,
}

/// A row of figures.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// Least of all rounds, in nanoseconds.
    pub min_ns: f64,
    /// Median of all rounds, in nanoseconds.
    pub median_ns: f64,
    /// Least, less the floor's least: what the work itself costs.
    pub net_ns: f64,
    /// What the least is to be at most.
    pub goal_ns: Option<f64>,
}

/// What a case is to cost at most.
#[derive(Clone, Debug)]
pub enum Goal {
    /// Nanoseconds.
    AtMost(f64),
    /// So many more than another case of the same run.
    Over(String, f64),
}

impl Report {
    /// The table, for people.
    #[must_use]
    pub fn render(&self) -> String {
        let width = self
            .rows
            .iter()
            .map(|row| row.case.len())
            .max()
            .unwrap_or(0)
            .max(4);
        let mut text = format!("{}: {}\n\n", self.bench, self.what);
        text += &format!(
            "{:width$}  {:>8}  {:>8}  {:>8}  {:>8}\n",
            "case", "min", "median", "net", "goal"
        );
        for row in &self.rows {
            text += &format!(
                "{:width$}  {:>8.1}  {:>8.1}  {:>8.1}{}\n",
                row.case,
                row.min_ns,
                row.median_ns,
                row.net_ns,
                row.judged()
            );
        }
        text
    }

    /// Writes the figures for a machine to read.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        write_json(self, path)
    }
}

fn write_json(report: &impl Serialize, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

impl Row {
    /// The goal, and by how much it is missed.
    fn judged(&self) -> String {
        match self.goal_ns {
            None => String::new(),
            Some(goal) if self.min_ns <= goal => format!("  {goal:>8.1}"),
            Some(goal) => format!("  {goal:>8.1}  missed by {:.1}", self.min_ns - goal),
        }
    }
}

/// Least and median of the rounds of each case, with the first case as the floor.
fn rows(cases: &[(String, Option<Goal>)], rounds: &[Vec<f64>]) -> Vec<Row> {
    let sorted: Vec<Vec<f64>> = (0..cases.len())
        .map(|case| {
            let mut figures: Vec<f64> = rounds.iter().map(|round| round[case]).collect();
            figures.sort_by(f64::total_cmp);
            figures
        })
        .collect();
    let least = |name: &str| {
        let mut named = cases.iter().zip(&sorted);
        named.find_map(|((case, _), figures)| (case == name).then(|| figures[0]))
    };
    let floor = sorted.first().map_or(0.0, |figures| figures[0]);
    cases
        .iter()
        .zip(&sorted)
        .map(|((case, goal), figures)| Row {
            case: case.clone(),
            min_ns: figures[0],
            median_ns: figures[figures.len() / 2],
            net_ns: figures[0] - floor,
            goal_ns: match goal {
                None => None,
                Some(Goal::AtMost(ns)) => Some(*ns),
                Some(Goal::Over(case, ns)) => least(case).map(|least| least + ns),
            },
        })
        .collect()
}
