//! Networks of 2 to 5 routers in simulated time: loss, delay, reordering, doubled packets, partitions
//! of one way and of both, stalls, crashes, restarts, changing priorities and planned moves.
//!
//! `VRRP_SEEDS=100000` runs more of them than the usual. A seed that fails prints its events and
//! ends with the line that plays it again: `VRRP_SEED=chaos:17 cargo test -p vrrp sim::replay`.
//!
//! Not here: real time, real sockets.

mod dice;
mod plan;
mod watch;
mod world;

use std::collections::BTreeMap;

use plan::Kind;
use world::World;

use crate::desk::base;

/// How many seeds are run when nothing is said.
const SEEDS: u64 = 3000;

/// How much of a trace is printed.
const LINES: usize = 400;

fn seeds() -> u64 {
    let wanted = std::env::var("VRRP_SEEDS").ok();
    wanted.map_or(SEEDS, |wanted| wanted.parse().expect("a number"))
}

/// One seed; a failure is played again to be told.
fn play(kind: Kind, seed: u64) -> BTreeMap<&'static str, u64> {
    let base = base();
    match World::new(kind, seed, base, false).run() {
        Ok(watch) => watch.tally,
        Err(failure) => {
            let again = World::new(kind, seed, base, true).run();
            let told = again.err().map_or_else(Vec::new, |again| again.trace);
            let skipped = told.len().saturating_sub(LINES);
            eprintln!("… {skipped} lines");
            for line in &told[skipped..] {
                eprintln!("{line}");
            }
            let kind = format!("{kind:?}").to_lowercase();
            panic!(
                "{}\nVRRP_SEED={kind}:{seed} cargo test -p vrrp sim::replay",
                failure.what
            );
        }
    }
}

/// All seeds of a kind; what they had to do with must have occurred.
fn play_all(kind: Kind, must_occur: &[&str]) {
    let mut total = BTreeMap::new();
    for seed in 0..seeds() {
        for (what, count) in play(kind, seed) {
            *total.entry(what).or_insert(0) += count;
        }
    }
    eprintln!("{kind:?}: {} seeds, {total:#?}", seeds());
    for what in must_occur {
        assert!(total.contains_key(what), "{what} has never occurred");
    }
}

#[test]
fn whatever_happens_it_ends_well() {
    let reasons = [
        "startup",
        "shutdown",
        "resign",
        "silence",
        "active_resigned",
        "preempting",
        "beaten",
        "woken_late",
        "succeeded",
        "no_successor",
        "packets lost",
        "moments with two",
    ];
    play_all(Kind::Chaos, &reasons);
}

#[test]
fn planned_moves_are_not_noticed() {
    let reasons = [
        "resign",
        "succeeded",
        "active_resigned",
        "preempting",
        "beaten",
    ];
    play_all(Kind::Planned, &reasons);
}

#[test]
fn a_dead_router_is_replaced_to_the_nanosecond() {
    play_all(Kind::Death, &["silence"]);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..20 {
        assert_eq!(play(Kind::Chaos, seed), play(Kind::Chaos, seed));
    }
}

/// `VRRP_SEED=chaos:17`, as a failure says.
#[test]
fn replay() {
    let Ok(wanted) = std::env::var("VRRP_SEED") else {
        return;
    };
    let (kind, seed) = wanted.split_once(':').expect("kind:seed");
    let kind = match kind {
        "chaos" => Kind::Chaos,
        "planned" => Kind::Planned,
        "death" => Kind::Death,
        other => panic!("no kind {other}: chaos, planned or death"),
    };
    let tally = play(kind, seed.parse().expect("a number"));
    eprintln!("it ends well: {tally:#?}");
}
