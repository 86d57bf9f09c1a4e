//! What holds of every trace: how much is let in, who is forgotten, when to come back.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Asked {
    rate: String,
    burst: u32,
    /// Milliseconds since the request before.
    steps: Vec<u64>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let rate = prop_oneof![
        (1_u32..200).prop_map(|n| format!("{n}r/m")),
        (1_u32..50).prop_map(|n| format!("{n}r/s")),
    ];
    let step = prop_oneof![Just(0_u64), 1_u64..100, 100_u64..10_000];
    (rate, 0_u32..20, prop::collection::vec(step, 1..200)).prop_map(|(rate, burst, steps)| Asked {
        rate,
        burst,
        steps,
    })
}

fn is_refused(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Rejected { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// In any stretch of time: burst, one more, and what the rate brings.
    #[test]
    fn never_more_are_let_in_than_burst_and_rate_allow(asked in asked()) {
        let zone = zone(&asked.rate, 4);
        let limits = limits(vec![limit(&zone, asked.burst, Delay::NEVER)]);
        let (mut now, mut accepted) = (1_000_000, Vec::new());
        for step in &asked.steps {
            now += step;
            if !is_refused(&limits.decide_for(Millis(now), &[client(1)])) {
                accepted.push(now);
            }
        }
        let rate = u64::from(zone.rate().thousandths());
        for (first, start) in accepted.iter().enumerate() {
            for (last, end) in accepted.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64 * 1000;
                let allowed = u64::from(asked.burst) * 1000 + 1000 + rate * (end - start) / 1000;
                prop_assert!(count <= allowed, "{count} of {allowed} in {} ms", end - start);
            }
        }
    }

    /// What a refused client is told is exact: a millisecond earlier it is refused, then not.
    #[test]
    fn a_refused_client_that_waits_as_told_is_let_in(asked in asked()) {
        let limits = limits(vec![limit(&zone(&asked.rate, 4), asked.burst, Delay::NEVER)]);
        let mut now = 1_000_000;
        for step in &asked.steps {
            now += step;
            let decision = limits.decide_for(Millis(now), &[client(1)]);
            let Outcome::Rejected { retry_after } = decision.outcome else {
                let quota = limits.quota(&decision).unwrap().1;
                prop_assert!(quota.remaining < quota.limit);
                continue;
            };
            let wait = u64::try_from(retry_after.as_millis()).unwrap();
            let told = limits.refusal(&decision).unwrap().retry_after;
            prop_assert!(told * 1000 >= wait && told * 1000 < wait + 1000);
            let early = limits.decide_for(Millis(now + wait - 1), &[client(1)]);
            prop_assert!(is_refused(&early));
            now += wait;
            prop_assert!(!is_refused(&limits.decide_for(Millis(now), &[client(1)])));
        }
    }

    /// `remaining` more go through at once, and not one more; after `reset` it is `limit`.
    #[test]
    fn what_is_said_to_be_left_is_left(asked in asked()) {
        let limits = limits(vec![limit(&zone(&asked.rate, 4), asked.burst, Delay::NEVER)]);
        let mut now = 1_000_000;
        let mut decision = limits.decide_for(Millis(now), &[client(1)]);
        for step in asked.steps.iter().take(20) {
            now += step;
            decision = limits.decide_for(Millis(now), &[client(1)]);
        }
        let quota = limits.quota(&decision).unwrap().1;
        for _ in 0..quota.remaining {
            prop_assert!(!is_refused(&limits.decide_for(Millis(now), &[client(1)])));
        }
        let last = limits.decide_for(Millis(now), &[client(1)]);
        prop_assert!(is_refused(&last));
        now += limits.quota(&last).unwrap().1.reset * 1000;
        for _ in 0..quota.limit {
            prop_assert!(!is_refused(&limits.decide_for(Millis(now), &[client(1)])));
        }
        prop_assert!(quota.window > 0);
    }

    /// While bursts drain within the minute that makes a client idle and nobody is rejected, no
    /// client that has not drained is forgotten while one that has is remembered.
    #[test]
    fn the_drained_go_before_all_others(
        requests in prop::collection::vec((0_u64..20_000, 0_u32..40), 1..300),
    ) {
        // 60r/m: a burst of 60 drains in a minute.
        let zone = zone("60r/m", 8);
        let limits = limits(vec![limit(&zone, 60, Delay::NEVER)]);
        let mut now = 1_000_000;
        let mut known: Vec<(u32, u64)> = Vec::new();
        for (step, number) in requests {
            now += step;
            let before = zone.stats();
            let is_new = !known.iter().any(|(known, _)| *known == number);
            prop_assert!(!is_refused(&limits.decide_for(Millis(now), &[client(number)])));
            let after = zone.stats();
            let (drained, forced) = (after.drained - before.drained, after.forced - before.forced);
            known.retain(|(known, _)| *known != number);
            let idle = |(_, last): &(u32, u64)| now - last >= 60_000;
            if forced > 0 {
                prop_assert!(!known.iter().any(idle), "{known:?} at {now}");
            }
            let gone = usize::try_from(drained + forced).unwrap();
            prop_assert!(is_new || gone == 0);
            let gone: Vec<_> = known.drain(..gone).collect();
            prop_assert!(forced > 0 || gone.iter().all(idle));
            known.push((number, now));
            prop_assert_eq!(known.len(), after.clients as usize);
            prop_assert!(after.clients <= after.capacity);
        }
    }
}
