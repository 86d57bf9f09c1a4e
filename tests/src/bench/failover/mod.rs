//! `failover`: for how long a client is not answered when a director fails, stops or comes back, ours
//! and keepalived in the same run.
//!
//! A client sends an echo to the VIP each millisecond, by its kernel's neighbour cache; a third host
//! asks each 2 ms who has the VIP. Both run before everyone else, so that what they see is not their own
//! delay. What the contenders run under is a load of twice the processors. In reading order: [`fault`]
//! what is done, [`contender`] to whom, [`rig`] how it is measured, [`strain`] the load,
//! [`table`] the figures.

mod contender;
mod fault;
mod rig;
mod strain;
mod table;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::lab::{
    Lab, link,
    require::{Need, missing},
    topology::{LB1, LB2},
    watch::Urgency,
};
use contender::Contender;
use fault::Fault;
use rig::{Rig, Sample};
use strain::Strain;
pub use table::Report;
use table::Row;

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each fault is made.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// How often the Active one advertises: "10ms", "1s".
    #[arg(long, default_value = "10ms", value_parser = interval)]
    interval: Duration,
    /// Without the load of twice the processors.
    #[arg(long)]
    idle: bool,
    /// Makes no fault: counts takeovers, for so many seconds a contender.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    false_takeovers: Option<u64>,
}

/// Whole hundredths of a second, as VRRP has them: 10 ms to 40.95 s.
fn interval(text: &str) -> Result<Duration> {
    let interval = humantime::parse_duration(text)?;
    let ms = interval.as_millis();
    ensure!(
        ms % 10 == 0 && (10..=40_950).contains(&ms),
        "adverts are sent every 10ms to 40950ms, in steps of 10ms"
    );
    Ok(interval)
}

/// Measures the contenders and faults with `only` in their names, or all. A quick run is for a smoke check,
/// its figures are worth nothing.
///
/// # Errors
/// This machine lacks something; or a contender can't be started at all. A single run that goes
/// wrong is a line of the report.
pub fn run(options: &Options, only: Option<&str>, quick: bool) -> Result<Report> {
    let needs = [
        Need::root,
        Need::tools,
        Need::xdp,
        Need::daemon,
        Need::keepalived,
    ];
    if missing(&needs)? {
        bail!("this machine lacks what the measurement needs: `cargo xtask setup`");
    }
    Lab::sweep()?;
    let mut options = options.clone();
    if quick {
        options.runs = 1;
        options.interval = options.interval.max(Duration::from_millis(100));
        options.false_takeovers = options.false_takeovers.map(|_| 1);
    }
    let urgency = Urgency::best();
    let bench = Bench {
        plan: plan(only)?,
        options,
        urgency,
    };
    let rows = match bench.options.false_takeovers {
        Some(seconds) => bench.calm(Duration::from_secs(seconds))?,
        None => bench.faults(),
    };
    Ok(Report::new(&bench.options, urgency, rows))
}

/// A contender and the faults it is to suffer.
type Plan = Vec<(Contender, Vec<Fault>)>;

fn plan(only: Option<&str>) -> Result<Plan> {
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    let of = |contender: Contender| {
        let faults = Fault::ALL.into_iter().filter(|fault| {
            fault
                .names()
                .iter()
                .any(|name| wanted(&table::case(contender, name)))
        });
        (contender, faults.collect::<Vec<_>>())
    };
    let plan: Plan = Contender::ALL.into_iter().map(of).collect();
    let plan: Plan = plan
        .into_iter()
        .filter(|(_, faults)| !faults.is_empty())
        .collect();
    ensure!(!plan.is_empty(), "no case has {only:?} in its name");
    Ok(plan)
}

/// One measurement.
struct Bench {
    plan: Plan,
    options: Options,
    urgency: Urgency,
}

impl Bench {
    /// All faults on all contenders, contender after contender in each round.
    fn faults(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (contender, faults) in &self.plan {
            let names = faults.iter().flat_map(|fault| fault.names());
            rows.extend(names.map(|name| Row::new(*contender, name, self.options.interval)));
        }
        for round in 1..=self.options.runs {
            for (contender, faults) in &self.plan {
                eprintln!("round {round} of {}: {contender}", self.options.runs);
                self.round(*contender, faults, &mut rows);
            }
        }
        rows
    }

    /// Each fault once. What goes wrong is written down; a network of its own for the rest.
    fn round(&self, contender: Contender, faults: &[Fault], rows: &mut [Row]) {
        let mut left = faults.iter();
        while !left.as_slice().is_empty() {
            let result = self.on_rig(contender, |rig| {
                for fault in left.by_ref() {
                    let mut note = |half: usize, sample: Result<Sample>| {
                        let failed = !sample.as_ref().is_ok_and(|sample| sample.settled);
                        let name = fault.names()[half];
                        let mut rows = rows.iter_mut();
                        if let Some(row) = rows.find(|row| row.is(contender, name)) {
                            row.add(sample);
                        }
                        failed
                    };
                    if note(0, rig.fault(*fault)) || note(1, rig.undo(*fault)) {
                        return Ok(());
                    }
                }
                Ok(())
            });
            if let Err(error) = result {
                // Not one of the measured halves: the pair itself did not come up.
                eprintln!("{contender}: {error:#}");
                let failed = left.next();
                let mut rows = rows.iter_mut();
                let row = rows
                    .find(|row| failed.is_some_and(|fault| row.is(contender, fault.names()[0])));
                if let Some(row) = row {
                    row.add(Err(error));
                }
            }
        }
    }

    /// No fault at all, for so long.
    fn calm(&self, time: Duration) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (contender, _) in &self.plan {
            eprintln!("{contender}: {time:?} without a fault");
            let mut row = Row::new(*contender, "no fault", self.options.interval);
            self.on_rig(*contender, |rig| {
                row.add(rig.calm(time));
                Ok(())
            })?;
            rows.push(row);
        }
        Ok(rows)
    }

    fn on_rig(
        &self,
        contender: Contender,
        work: impl FnOnce(&mut Rig<'_>) -> Result<()>,
    ) -> Result<()> {
        let lab = contender.network()?;
        for host in [LB1, LB2] {
            // Else a director that has lost the VIP sends on, by its routes, what still comes to it, and a
            // client that was never told does not notice.
            link::sysctls(&lab.netns(host), &[("ipv4/ip_forward", "0")])?;
        }
        {
            let mut rig = Rig::start(&lab, contender, &self.options, self.urgency)?;
            let strain = (!self.options.idle).then(Strain::twice_the_processors);
            let result = work(&mut rig);
            drop(strain);
            result?;
        }
        // Frames lost on a full ring are a matter of the load, not of the lab's.
        lab.let_go();
        Ok(())
    }
}
