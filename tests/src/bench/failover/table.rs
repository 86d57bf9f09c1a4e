//! The figures of `failover`, their goals, and the table of them.
//!
//! Not here: measuring them (`rig`).

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde::Serialize;

use super::{Options, contender::Contender, rig::Sample};
use crate::{bench::write_json, lab::watch::Urgency};

/// A table of figures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the benchmark.
    bench: &'static str,
    /// Between two adverts, in milliseconds.
    interval_ms: u64,
    /// Whether the processors were kept busy.
    strained: bool,
    /// Whether the ones who watch ran before everyone else.
    watched_first: bool,
    /// The rows, in the order of the table.
    rows: Vec<Row>,
}

/// What came of one fault, or its undoing, with one contender.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Who.
    contender: String,
    /// What.
    event: &'static str,
    /// What is to be reached.
    #[serde(skip)]
    goal: Option<Goal>,
    /// The goal in words.
    goal_text: Option<String>,
    /// Whether it is; none without a goal or a sample.
    reached: Option<bool>,
    /// Each run.
    samples: Vec<Sample>,
    /// What went wrong, run by run.
    failures: Vec<String>,
}

/// What is to be reached, of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// Median and longest gap at most, in milliseconds.
    Gap(f64, f64),
    /// No echo lost.
    NoneLost,
    /// No takeover.
    NoTakeover,
}

/// The name of a row, for choosing.
pub(super) fn case(contender: Contender, event: &str) -> String {
    format!("{contender}: {event}")
}

impl Row {
    pub(super) fn new(contender: Contender, event: &'static str, interval: Duration) -> Self {
        let goal = goal(event, interval);
        Self {
            contender: contender.to_string(),
            event,
            goal,
            goal_text: goal.map(Goal::text),
            reached: None,
            samples: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn is(&self, contender: Contender, event: &str) -> bool {
        self.contender == contender.to_string() && self.event == event
    }

    pub(super) fn add(&mut self, sample: Result<Sample>) {
        match sample {
            Ok(sample) => self.samples.push(sample),
            Err(error) => self.failures.push(format!("{error:#}")),
        }
        let judged = self.goal.filter(|_| !self.samples.is_empty());
        self.reached = judged.map(|goal| goal.is_reached(self));
    }

    /// Median, 90th percentile and greatest of a figure; zeros without any.
    fn spread(&self, figure: impl Fn(&Sample) -> f64) -> [f64; 3] {
        let mut figures: Vec<_> = self.samples.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let last = figures.len().saturating_sub(1);
        let at = |of_ten: usize| {
            figures
                .get((last * of_ten).div_ceil(10))
                .copied()
                .unwrap_or(0.0)
        };
        [at(5), at(9), at(10)]
    }

    fn most(&self, figure: impl Fn(&Sample) -> u64) -> u64 {
        self.samples.iter().map(figure).max().unwrap_or(0)
    }

    fn line(&self, width: usize) -> String {
        let name = format!("{}: {}", self.contender, self.event);
        let [median, p90, most] = self.spread(|sample| sample.gap_ms);
        let [.., stall] = self.spread(|sample| sample.stall_ms);
        let mut line = format!(
            "{name:width$}  {:>4}  {median:>8.1} {p90:>8.1} {most:>8.1}  {:>6}  {:>6}  {:>6}  {stall:>6.1}",
            self.samples.len(),
            self.most(|sample| sample.lost),
            self.most(|sample| sample.doubles),
            self.most(|sample| sample.takeovers),
        );
        if let Some(goal) = &self.goal_text {
            line += &format!("  {goal}");
        }
        if self.reached == Some(false) {
            line += ": MISSED";
        }
        let unsettled = self.samples.iter().filter(|sample| !sample.settled).count();
        if unsettled > 0 {
            line += &format!("  ({unsettled} never settled)");
        }
        if !self.failures.is_empty() {
            line += &format!("  ({} runs went wrong)", self.failures.len());
        }
        line
    }
}

/// Set for adverts of 10 ms; those that are not times hold for any.
fn goal(event: &str, interval: Duration) -> Option<Goal> {
    match event {
        "node death" if interval == Duration::from_millis(10) => Some(Goal::Gap(40.0, 50.0)),
        "graceful stop" | "preempt back" => Some(Goal::NoneLost),
        "heal" => {
            let ms = interval.as_secs_f64() * 1000.0;
            Some(Goal::Gap(ms, ms))
        }
        "no fault" => Some(Goal::NoTakeover),
        _ => None,
    }
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::Gap(median, most) => format!("median <= {median:.0}, max <= {most:.0} ms"),
            Self::NoneLost => "none lost".to_owned(),
            Self::NoTakeover => "no takeover".to_owned(),
        }
    }

    fn is_reached(self, row: &Row) -> bool {
        match self {
            Self::Gap(median, most) => {
                let [is_median, _, is_most] = row.spread(|sample| sample.gap_ms);
                is_median <= median && is_most <= most
            }
            Self::NoneLost => row.most(|sample| sample.lost) == 0,
            Self::NoTakeover => row.most(|sample| sample.takeovers) == 0,
        }
    }
}

impl Report {
    pub(super) fn new(options: &Options, urgency: Urgency, rows: Vec<Row>) -> Self {
        Self {
            bench: "failover",
            interval_ms: u64::try_from(options.interval.as_millis()).unwrap_or(u64::MAX),
            strained: !options.idle,
            watched_first: urgency == Urgency::First,
            rows,
        }
    }

    /// The table, for people.
    #[must_use]
    pub fn render(&self) -> String {
        let names = self
            .rows
            .iter()
            .map(|row| row.contender.len() + row.event.len() + 2);
        let width = names.max().unwrap_or(0);
        let load = if self.strained {
            "twice the processors"
        } else {
            "none"
        };
        let mut text = format!(
            "failover: adverts each {} ms, load: {load}\n\
             the client's longest wait for an answer in ms, and the most of any run:\n\
             lost     echoes never answered\n\
             two      who-has, one each 2 ms, with two answers after the takeover (goal: 0)\n\
             false    takeovers without need (goal: 0)\n\
             stall    ms between two echoes: what is shorter was not seen, and the machine itself stood still\n\n",
            self.interval_ms
        );
        if !self.watched_first {
            text += "This machine gives no real-time priority: the client's own delays are in the figures.\n\n";
        }
        text += &format!(
            "{:width$}  {:>4}  {:>8} {:>8} {:>8}  {:>6}  {:>6}  {:>6}  {:>6}  goal\n",
            "case", "runs", "median", "p90", "max", "lost", "two", "false", "stall"
        );
        for row in &self.rows {
            text += &format!("{}\n", row.line(width));
        }
        for row in &self.rows {
            for failure in &row.failures {
                let first = failure.lines().next().unwrap_or_default();
                text += &format!("\n{}: {}: {first}", row.contender, row.event);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(event: &'static str, gaps: &[f64], lost: u64) -> Row {
        let mut row = Row::new(Contender::Keepalived, event, Duration::from_millis(10));
        for gap_ms in gaps {
            row.add(Ok(Sample {
                gap_ms: *gap_ms,
                lost,
                takeover_ms: None,
                doubles: 0,
                takeovers: 0,
                settled: true,
                stall_ms: 1.0,
            }));
        }
        row
    }

    #[test]
    fn the_spread_of_ten_runs_is_their_fifth_ninth_and_last() {
        let gaps: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let spread = row("SIGSTOP", &gaps, 0).spread(|sample| sample.gap_ms);
        assert_eq!(spread, [6.0, 10.0, 10.0]);
        assert_eq!(
            row("SIGSTOP", &[], 0).spread(|sample| sample.gap_ms),
            [0.0; 3]
        );
    }

    #[test]
    fn a_goal_is_of_the_median_and_of_the_worst() {
        assert_eq!(
            row("node death", &[39.0, 40.0, 50.0], 9).reached,
            Some(true)
        );
        assert_eq!(
            row("node death", &[39.0, 40.0, 50.1], 9).reached,
            Some(false)
        );
        assert_eq!(
            row("node death", &[39.0, 41.0, 50.0], 9).reached,
            Some(false)
        );
        assert_eq!(row("preempt back", &[1.0], 1).reached, Some(false));
        assert_eq!(row("preempt back", &[1.0], 0).reached, Some(true));
        assert_eq!(row("SIGSTOP", &[1.0], 1).reached, None);
    }

    #[test]
    fn a_run_that_went_wrong_is_told_and_reaches_nothing() {
        let mut row = row("node death", &[], 0);
        row.add(Err(anyhow::anyhow!("nobody serves")));
        assert_eq!(row.reached, None);
        assert!(
            row.line(30).contains("1 runs went wrong"),
            "{}",
            row.line(30)
        );
    }
}
