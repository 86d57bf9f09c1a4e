//! The packet table: every decision about a frame, said once and asked twice: of the host function
//! `lb_ebpf::steer`, and of the loaded program through `BPF_PROG_TEST_RUN`.
//!
//! ```text
//!   site ─► the services, servers and routes of the table     table ─► frames and what becomes of them
//!   case ─► one frame, its expectation, how they differ       stories ─► frames between changes of the site
//!   stage ─► tables, counters ─► plane ─► host | kernel       truncations, random, fuzz ─► frames nobody wrote
//! ```
//!
//! Frames are compared whole and counters to the packet. Not here: frames on wires, which is what
//! the lab's tests are about; `BPF_PROG_TEST_RUN` does not tell to which interface one is redirected.

mod case;
mod crowd;
mod fuzz;
mod host;
mod instructions;
mod kernel;
mod kinds;
mod messages;
mod network;
mod random;
mod requests;
mod room;
mod routers;
mod served;
mod site;
mod stage;
mod stories;
mod table;
mod truncations;

use anyhow::{Result, ensure};
use tests::packet::anatomy;
use tests::require;

use self::case::Case;
use self::stage::Stage;

#[test]
fn the_host_function_decides_every_frame_of_the_table() -> Result<()> {
    every_case(&mut host::stage()?)
}

#[test]
fn the_loaded_program_decides_every_frame_of_the_table() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| every_case(&mut kernel::stage()?))
}

#[test]
fn every_story_of_a_changing_site_holds_on_the_host() -> Result<()> {
    every_story(&mut host::stage()?)
}

#[test]
fn every_story_of_a_changing_site_holds_in_the_kernel() -> Result<()> {
    require!(root, tools, xdp);
    network::within(|| every_story(&mut kernel::stage()?))
}

/// Runs the table; all that fail are told, by name.
fn every_case(stage: &mut Stage) -> Result<()> {
    let cases = table::cases();
    ensure!(
        cases.len() >= 1300,
        "only {} cases: where is the rest of the table?",
        cases.len()
    );
    names_are_unique(cases.iter().map(|case| case.name.as_str()))?;
    stage.load(&site::wish())?;
    routers::lend(stage);
    tell(
        cases
            .iter()
            .filter_map(|case: &Case| Some((case.name.as_str(), case.check(stage).err()?))),
    )
}

/// Runs the stories, each as on a stage of its own.
fn every_story(stage: &mut Stage) -> Result<()> {
    let stories = stories::all();
    names_are_unique(stories.iter().map(|(name, _)| *name))?;
    let mut run = |story: &stories::Story| {
        stage.reset()?;
        story(stage)
    };
    tell(
        stories
            .iter()
            .filter_map(|(name, story)| Some((*name, run(story).err()?))),
    )
}

/// Fails with all failures, each under its name.
fn tell<'a>(failures: impl Iterator<Item = (&'a str, anyhow::Error)>) -> Result<()> {
    let told: Vec<_> = failures
        .map(|(name, why)| format!("\n==== {name}\n{why:#}"))
        .collect();
    ensure!(told.is_empty(), "{} failed:{}", told.len(), told.concat());
    Ok(())
}

fn names_are_unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        ensure!(seen.insert(name), "two are called `{name}`");
    }
    Ok(())
}
