//! The figures of `proxy`, their goals, and the table of them.
//!
//! Not here: measuring them.

use std::{fmt::Write as _, path::Path};

use serde::{Serialize, Serializer};

use super::{case::Case, contender::Contender, load::Seen};
use crate::bench::write_json;

/// Bytes that an idle connection of ours may take.
const IDLE_GOAL: f64 = 2048.0;

/// A table of figures.
#[derive(Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    what: &'static str,
    /// Connections of clients at a time.
    connections: usize,
    rows: Vec<Row>,
    idle: Vec<Idle>,
}

/// One contender in one case.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(rename = "case", serialize_with = "case_name")]
    case: Case,
    #[serde(rename = "contender", serialize_with = "contender_name")]
    who: Contender,
    #[serde(skip)]
    rounds: Vec<Round>,
    /// CPU time a request, in microseconds: the least of all rounds, and the median.
    cpu_us_min: f64,
    cpu_us_median: f64,
    /// Requests a second, the median of all rounds.
    requests_per_second: f64,
    /// What a client waits, in microseconds, the median of all rounds.
    p50_us: f64,
    p99_us: f64,
    /// System calls a request; none where they could not be counted.
    pub(super) syscalls: Option<f64>,
    /// Of ours: its least against the best of the others that do as much.
    to_best: Option<f64>,
    /// Of ours: its least against the best of all others, those that do less included.
    to_bare: Option<f64>,
    goal: Option<f64>,
}

fn case_name<S: Serializer>(case: &Case, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(case.name)
}

fn contender_name<S: Serializer>(who: &Contender, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(who)
}

/// What one round showed.
#[derive(Clone, Copy, Debug)]
struct Round {
    cpu_us: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

/// What a contender's idle connections take.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) contender: String,
    pub(super) connections: usize,
    pub(super) bytes_per_connection: f64,
}

impl Row {
    pub(super) fn new(case: Case, who: Contender) -> Self {
        Self {
            case,
            who,
            rounds: Vec::new(),
            cpu_us_min: 0.0,
            cpu_us_median: 0.0,
            requests_per_second: 0.0,
            p50_us: 0.0,
            p99_us: 0.0,
            syscalls: None,
            to_best: None,
            to_bare: None,
            goal: None,
        }
    }

    pub(super) fn case(&self) -> Case {
        self.case
    }

    pub(super) fn who(&self) -> Contender {
        self.who
    }

    /// Adds a round in which so many nanoseconds were used.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn add(&mut self, seen: &Seen, nanoseconds: u64) {
        let requests = seen.requests.max(1) as f64;
        self.rounds.push(Round {
            cpu_us: nanoseconds as f64 / 1000.0 / requests,
            rate: requests * 1e6 / seen.micros.max(1) as f64,
            p50: f64::from(seen.quantile(500)),
            p99: f64::from(seen.quantile(990)),
        });
    }

    fn settle(&mut self) {
        let of = |figure: fn(&Round) -> f64| {
            let mut figures: Vec<f64> = self.rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            let median = figures.get(figures.len() / 2).copied();
            (
                figures.first().copied().unwrap_or(0.0),
                median.unwrap_or(0.0),
            )
        };
        (self.cpu_us_min, self.cpu_us_median) = of(|round| round.cpu_us);
        self.requests_per_second = of(|round| round.rate).1;
        self.p50_us = of(|round| round.p50).1;
        self.p99_us = of(|round| round.p99).1;
    }
}

impl Report {
    /// The figures of all rounds.
    pub(super) fn new(connections: usize, mut rows: Vec<Row>, idle: Vec<Idle>) -> Self {
        rows.iter_mut().for_each(Row::settle);
        for at in 0..rows.len() {
            let (case, own) = (rows[at].case, rows[at].cpu_us_min);
            if rows[at].who != Contender::Viaduct {
                continue;
            }
            let best = |bare: bool| {
                let others = rows.iter().filter(|row| {
                    row.case == case && row.who != Contender::Viaduct && (bare || row.who.is_full())
                });
                let least = others.map(|row| row.cpu_us_min).min_by(f64::total_cmp);
                least.map(|least| own / least)
            };
            let (to_best, to_bare) = (best(false), best(true));
            let row = &mut rows[at];
            (row.to_best, row.to_bare) = (to_best, to_bare);
            row.goal = Some(case.goal);
        }
        Self {
            bench: "proxy",
            what: "one processor each; us of CPU time a request; least CPU time of ours, to the best \
                   of the others, with all that ours does and with the bare ones",
            connections,
            rows,
            idle,
        }
    }

    /// The table, for people.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "proxy: {}; {} connections\n\n{:18} {:13} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7} {:>6}\n",
            self.what,
            self.connections,
            "case",
            "contender",
            "cpu min",
            "median",
            "req/s",
            "p50 us",
            "p99 us",
            "syscalls",
            "to best",
            "to bare",
            "goal"
        );
        let or_blank = |figure: Option<f64>| figure.map_or(String::new(), |f| format!("{f:.2}"));
        for row in &self.rows {
            let missed = row.to_best.zip(row.goal).filter(|(part, goal)| part > goal);
            let line = format!(
                "{:18} {:13} {:8.1} {:8.1} {:9.0} {:8.0} {:8.0} {:>8} {:>7} {:>7} {:>6}{}",
                row.case.name,
                row.who.to_string(),
                row.cpu_us_min,
                row.cpu_us_median,
                row.requests_per_second,
                row.p50_us,
                row.p99_us,
                or_blank(row.syscalls),
                or_blank(row.to_best),
                or_blank(row.to_bare),
                or_blank(row.goal),
                missed.map_or("", |_| " missed"),
            );
            writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        }
        for idle in &self.idle {
            let is_ours = idle.contender == Contender::Viaduct.to_string();
            let goal = if is_ours {
                format!("; goal {IDLE_GOAL:.0}")
            } else {
                String::new()
            };
            writeln!(
                text,
                "idle: {:13} {:8.0} bytes a connection, of {}{goal}",
                idle.contender, idle.bytes_per_connection, idle.connections
            )
            .unwrap_or_default();
        }
        text
    }

    /// Writes the figures for a machine to read.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        write_json(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::case::CASES, *};

    fn row(who: Contender, cpu: u64) -> Row {
        let mut row = Row::new(CASES[0], who);
        let seen = Seen {
            requests: 10,
            micros: 1000,
            latencies: vec![5; 10],
        };
        row.add(&seen, cpu * 2);
        row.add(&seen, cpu);
        row
    }

    #[test]
    fn ours_is_measured_against_the_best_of_the_others() {
        let rows = vec![
            row(Contender::Viaduct, 170_000),
            row(Contender::Nginx { full: true }, 250_000),
            row(Contender::Haproxy { full: true }, 200_000),
            row(Contender::Nginx { full: false }, 100_000),
        ];
        let report = Report::new(32, rows, Vec::new());
        let ours = &report.rows[0];
        assert_eq!((ours.cpu_us_min, ours.cpu_us_median), (17.0, 34.0));
        assert_eq!((ours.to_best, ours.to_bare), (Some(0.85), Some(1.7)));
        assert!(!report.render().contains("missed"), "{}", report.render());
    }
}
