//! Many threads at one zone. Many clients: `proxy/tests/limit_memory.rs`.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::*;

const THREADS: u32 = 4;

/// Runs `work` on several threads that start together, and sums what they return.
fn together(work: impl Fn(u32) -> u64 + Sync) -> u64 {
    let (barrier, work) = (Barrier::new(THREADS as usize), &work);
    thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|n| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                work(n)
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    })
}

fn accepted(limits: &Limits, now: u64, keys: &[Option<ClientKey>]) -> u64 {
    let decision = limits.decide_for(Millis(now), keys);
    u64::from(decision.outcome == Outcome::Passed)
}

#[test]
fn at_one_moment_all_threads_together_get_the_burst_and_one() {
    for _ in 0..20 {
        let limits = limits(vec![limit(&zone("12r/m", 4), 500, Delay::NEVER)]);
        let sum = together(|_| {
            let one = || accepted(&limits, 1_000_000, &[client(1)]);
            (0..1000).map(|_| one()).sum()
        });
        assert_eq!(sum, 501);
    }
}

/// The clock is advanced by the threads themselves, each a little behind or ahead of the others.
#[test]
fn while_time_passes_no_interleaving_lets_in_more_than_the_formula() {
    for _ in 0..20 {
        let zone = zone("100r/s", 4);
        let limits = limits(vec![limit(&zone, 10, Delay::NEVER)]);
        let clock = AtomicU64::new(1_000_000);
        let sum = together(|_| {
            let one = || accepted(&limits, clock.fetch_add(1, Ordering::Relaxed), &[client(1)]);
            (0..2000).map(|_| one()).sum()
        });
        let passed = clock.into_inner() - 1_000_000;
        let most = 11 + passed * 100 / 1000;
        assert!(sum <= most, "{sum} of {most}");
        // And not much less: only what a thread behind the others could not use.
        assert!(sum > most / 2, "{sum} of {most}");
    }
}

#[test]
fn two_limits_charge_all_or_none_whatever_the_interleaving() {
    for _ in 0..20 {
        let (wide, narrow) = (zone("12r/m", 4), zone("12r/m", 4));
        let there = limits(vec![
            limit(&wide, 2000, Delay::NEVER),
            limit(&narrow, 300, Delay::NEVER),
        ]);
        // The other order, so that a deadlock would show.
        let back = limits(vec![
            limit(&narrow, 300, Delay::NEVER),
            limit(&wide, 2000, Delay::NEVER),
        ]);
        let keys = [client(1); 2];
        let sum = together(|n| {
            let limits = if n % 2 == 0 { &there } else { &back };
            let one = || accepted(limits, 1_000_000, &keys);
            (0..500).map(|_| one()).sum()
        });
        assert_eq!(sum, 301);
        let wide = limits(vec![limit(&wide, 2000, Delay::NEVER)]);
        let decision = wide.decide_for(Millis(1_000_000), &keys);
        // The first was free, 300 were charged, and this is one more.
        assert_eq!(wide.quota(&decision).unwrap().1.remaining, 2000 - 301);
    }
}

#[test]
fn requests_under_way_never_exceed_the_limit_and_all_places_come_back() {
    let key = Key::address();
    let zone = Arc::new(ConnZone::new("one", key, Size::for_clients(10)).unwrap());
    let limit = ConnLimit {
        zone: Arc::clone(&zone),
        most: 2,
    };
    let limits = Arc::new(ConnLimits::new(vec![limit], Status::default(), false).unwrap());
    let (under_way, request) = (AtomicU64::new(0), Request::from("192.0.2.1"));
    let entered = together(|_| {
        let one = || {
            let Ok(guard) = limits.enter(&request) else {
                return 0;
            };
            assert!(under_way.fetch_add(1, Ordering::SeqCst) < 2);
            under_way.fetch_sub(1, Ordering::SeqCst);
            drop(guard);
            1
        };
        (0..5000).map(|_| one()).sum()
    });
    assert!(entered > 0);
    assert_eq!(zone.stats().clients, 0);
}
