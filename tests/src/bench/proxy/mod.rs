//! `proxy`: what a request costs `viaduct-proxy`, nginx and HAProxy in the same run.
//!
//! Each proxy is one process on one processor; the clients and the web server are on another. All of them
//! are there all the time, and take turns: a round of one case is a second of each. In reading order:
//! [`case`] what is asked, [`contender`] of whom, [`load`] by whom, [`usage`] what it costs, [`table`] the
//! figures. Not here: any assertion on time.

mod case;
mod contender;
mod load;
mod table;
mod usage;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::lab::{
    Lab,
    plan::{Host, Plan},
    process::Process,
    require::{Need, missing},
};
use case::{CASES, Case};
use contender::{Contender, HOST, origin};
use load::Until;
pub use table::Report;
use table::{Idle, Row};

/// How much to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Milliseconds of each contender in each case and round.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    time: u64,
    /// Connections of clients at a time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Idle connections whose memory is measured; descriptors end at 20,000 on many machines.
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..=9400))]
    idle: u16,
}

/// Requests in which system calls are counted.
const COUNTED: u64 = 4000;

/// Measures the cases and contenders with `only` in their names, or all. A quick run is for a smoke check,
/// its figures are worth nothing.
///
/// # Errors
/// This machine lacks something, a contender does not come up, or a request is not served.
pub fn run(options: &Options, only: Option<&str>, quick: bool) -> Result<Report> {
    if missing(&[Need::root, Need::tools, Need::proxy, Need::bench])? {
        bail!("this machine lacks what the measurement needs: `cargo xtask setup`");
    }
    Lab::sweep()?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut options = options.clone();
    if quick {
        (options.rounds, options.time, options.idle) = (1, 50, 200);
    }
    // A host of its own: its ports are nobody else's, and nothing outlives it.
    let lab = Lab::build(Plan::default().host(Host::new(HOST)))?;
    let report = measure(&lab, &options, only, quick);
    // Whatever came of it, all of it ends here; a failure shows the logs.
    match report {
        Ok(_) => lab.let_go(),
        Err(_) => drop(lab),
    }
    report
}

fn measure(lab: &Lab, options: &Options, only: Option<&str>, quick: bool) -> Result<Report> {
    let wanted = |case: &Case, who: &Contender| {
        only.is_none_or(|text| format!("{who}: {}", case.name).contains(text))
    };
    let _origin = origin(lab)?;
    let mut bench = Bench {
        lab,
        options,
        contenders: Vec::new(),
    };
    for who in Contender::ALL {
        if CASES.iter().any(|case| wanted(case, &who)) {
            bench.contenders.push((who, who.start(lab)?));
        }
    }
    ensure!(
        !bench.contenders.is_empty(),
        "no case has {only:?} in its name"
    );
    let mut rows = Vec::new();
    for case in CASES {
        let all = bench.contenders.iter().map(|(who, _)| *who);
        rows.extend(
            all.filter(|who| wanted(&case, who))
                .map(|who| Row::new(case, who)),
        );
    }
    // What is new is slower: connections to the web server, memory, the processor's caches.
    bench.round(&mut rows, true)?;
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        bench.round(&mut rows, false)?;
    }
    bench.count(&mut rows, if quick { 50 } else { COUNTED })?;
    let idle = bench.idle()?;
    Ok(Report::new(options.connections.into(), rows, idle))
}

/// All who are measured.
struct Bench<'l> {
    lab: &'l Lab,
    options: &'l Options,
    contenders: Vec<(Contender, Process)>,
}

impl Bench<'_> {
    /// Each case of each contender once.
    fn round(&self, rows: &mut [Row], warming: bool) -> Result<()> {
        for row in rows {
            let (case, who, process) = self.of(row)?;
            let before = usage::cpu(process)?;
            let time = Duration::from_millis(self.options.time) / if warming { 4 } else { 1 };
            let seen = self.ask(case, who, Until::Time(time))?;
            let used = usage::cpu(process)? - before;
            if !warming {
                row.add(&seen, used);
            }
        }
        Ok(())
    }

    /// System calls, once: counting them makes everything slow.
    fn count(&self, rows: &mut [Row], requests: u64) -> Result<()> {
        for row in rows {
            let (case, who, process) = self.of(row)?;
            let work = || self.ask(case, who, Until::Requests(requests)).map(drop);
            let calls = usage::syscalls(self.lab, process, work)?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let each = calls.map(|calls| calls as f64 / requests as f64);
            row.syscalls = each;
        }
        Ok(())
    }

    /// Memory of idle connections, of each contender.
    fn idle(&self) -> Result<Vec<Idle>> {
        let count = usize::from(self.options.idle);
        let one = |(who, process): &(Contender, Process)| {
            let before = usage::memory(process)?;
            let held = load::hold(
                &self.lab.netns(HOST),
                (who.address(), CASES[0], count),
                || usage::memory(process),
            );
            let after = held.with_context(|| process.story())?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let bytes = after.saturating_sub(before) as f64 / count as f64;
            Ok(Idle {
                contender: who.to_string(),
                connections: count,
                bytes_per_connection: bytes,
            })
        };
        self.contenders.iter().map(one).collect()
    }

    fn ask(&self, case: Case, who: Contender, until: Until) -> Result<load::Seen> {
        let connections = usize::from(self.options.connections);
        let target = (who.address(), case, connections);
        let seen = load::ask(&self.lab.netns(HOST), target, until);
        seen.with_context(|| format!("{who}: {}", case.name))
    }

    fn of(&self, row: &Row) -> Result<(Case, Contender, &Process)> {
        let case = row.case();
        let mut contenders = self.contenders.iter();
        let found = contenders.find(|(who, _)| *who == row.who());
        let (who, process) = found.context("nobody to be measured")?;
        Ok((case, *who, process))
    }
}
