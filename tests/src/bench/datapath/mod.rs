//! `datapath`: what a packet costs, in nanoseconds of thread CPU time, by `BPF_PROG_TEST_RUN`.
//!
//! A front program writes each frame anew, as a packet of another flow, and runs the program under
//! test; the floor is the front with a program that only sends the frame back. Every case is
//! checked: all its packets must have left for the reason it is about. After these come live frames
//! over a veth, with a floor of their own: their source. In reading order: `case` what is measured,
//! `site` what it is measured on, `rig` how, `live` how with live frames.

mod case;
mod live;
mod rig;
mod site;

use anyhow::Result;

use super::{Report, Row, rows};
use case::{Before, Case, UnderTest, cases};
use live::Live;
use rig::Rig;

/// Measures the cases with `only` in their names, or all. A quick run is for a smoke check, its
/// figures are worth nothing.
///
/// # Errors
/// The objects are not built, the kernel refuses them, or packets left for another reason than
/// the case is about.
pub fn run(quick: bool, only: Option<&str>) -> Result<Report> {
    let (rounds, packets) = if quick { (1, 2_000) } else { (9, 100_000) };
    let wanted = |cases: Vec<Case>| chosen(cases, quick, only);
    let mut rig = Rig::load()?;
    let mut all = measured(&wanted(cases()), rounds, |case| rig.measure(case, packets))?;
    let live = wanted(case::live());
    // The floor alone is nothing that anyone asked for.
    if live.len() > 2 {
        let mut network = Live::build(rig)?;
        all.extend(measured(&live, rounds, |case| {
            network.measure(case, packets)
        })?);
    }
    Ok(Report {
        bench: "datapath",
        what: "ns of CPU time a packet; net of the first row, the front with what only sends \
               back, and with live frames of their source alone",
        rows: all,
    })
}

/// The cases that are asked for, with their floors.
fn chosen(mut cases: Vec<Case>, quick: bool, only: Option<&str>) -> Vec<Case> {
    if let Some(text) = only {
        let is_floor = |case: &Case| matches!(case.under_test, UnderTest::Floor | UnderTest::Sink);
        cases.retain(|case| case.name.contains(text) || is_floor(case));
    }
    if quick {
        let known = cases.iter_mut().filter(|case| case.before == Before::Flows);
        known.for_each(|case| case.flows = case.flows.min(1024));
    }
    cases
}

/// The rows of some cases, rounds of all of them interleaved.
fn measured(
    cases: &[Case],
    rounds: usize,
    mut measure: impl FnMut(&Case) -> Result<f64>,
) -> Result<Vec<Row>> {
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let round: Result<Vec<f64>> = cases.iter().map(&mut measure).collect();
        figures.push(round?);
    }
    let named = cases
        .iter()
        .map(|case| (case.name.clone(), case.goal.clone()));
    Ok(rows(&named.collect::<Vec<_>>(), &figures))
}
