//! `datapath`: what a packet costs, in nanoseconds of thread CPU time, by `BPF_PROG_TEST_RUN`.
//!
//! A front program writes each frame anew, as a packet of another flow, and runs the program under
//! test; the floor is the front with a program that only sends the frame back. Every case is
//! checked: all its packets must have left for the reason it is about. In reading order: [`case`]
//! what is measured, [`site`] what it is measured on, [`rig`] how.

mod case;
mod rig;
mod site;

use anyhow::Result;

use super::{Report, rows};
use case::{Before, UnderTest, cases};
use rig::Rig;

/// Measures the cases with `only` in their names, or all. A quick run is for a smoke check, its
/// figures are worth nothing.
///
/// # Errors
/// The objects are not built, the kernel refuses them, or packets left for another reason than
/// the case is about.
pub fn run(quick: bool, only: Option<&str>) -> Result<Report> {
    let (rounds, packets) = if quick { (1, 2_000) } else { (9, 100_000) };
    let mut cases = cases();
    if let Some(text) = only {
        cases.retain(|case| case.name.contains(text) || case.under_test == UnderTest::Floor);
    }
    if quick {
        let known = cases.iter_mut().filter(|case| case.before == Before::Flows);
        known.for_each(|case| case.flows = case.flows.min(1024));
    }
    let mut rig = Rig::load()?;
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let round: Result<Vec<f64>> = cases
            .iter()
            .map(|case| rig.measure(case, packets))
            .collect();
        figures.push(round?);
    }
    let named = cases.into_iter().map(|case| (case.name, case.goal));
    Ok(Report {
        bench: "datapath",
        what: "ns of CPU time a packet, front included (its floor is the first row)",
        rows: rows(&named.collect::<Vec<_>>(), &figures),
    })
}
