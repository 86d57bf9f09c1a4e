//! The fifteen rules of nginx's limit_req, one test each, in the rules' order.

use std::time::Duration;

use super::super::req::LimitsError;
use super::*;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// Some time after the machine came up.
const NOW: u64 = 1_000_000;

fn at(limits: &Limits, now: u64, number: u32) -> Outcome {
    let keys = [client(number); 8];
    limits.decide_for(Millis(now), &keys).outcome
}

fn passes(limits: &Limits, now: u64, number: u32) -> bool {
    match at(limits, now, number) {
        Outcome::Passed => true,
        Outcome::Rejected { .. } => false,
        other @ (Outcome::Unlimited | Outcome::Delayed(_)) => panic!("{other:?}"),
    }
}

fn delayed(millis: u64) -> Outcome {
    Outcome::Delayed(Duration::from_millis(millis))
}

fn rejected(millis: u64) -> Outcome {
    Outcome::Rejected {
        retry_after: Duration::from_millis(millis),
    }
}

#[test]
fn the_documented_example_lets_twelve_at_once_and_refuses_the_thirteenth() {
    let limits = limits(vec![limit(&zone("12r/m", 10), 11, Delay::NEVER)]);
    for n in 0..12 {
        assert!(passes(&limits, NOW, 1), "request {n}");
    }
    assert_eq!(at(&limits, NOW, 1), rejected(5000));
    assert!(!passes(&limits, NOW + 4999, 1));
    assert!(passes(&limits, NOW + 5000, 1));
    assert!(!passes(&limits, NOW + 5000, 1));
}

#[test]
fn rule_1_units_are_thousandths_rounded_down() {
    let thousandths = |text: &str| text.parse::<Rate>().unwrap().thousandths();
    assert_eq!(thousandths("12r/m"), 200);
    assert_eq!(thousandths("7r/m"), 116);
    assert_eq!(thousandths("1r/m"), 16);
    assert_eq!(thousandths("5r/s"), 5000);
    assert_eq!(thousandths("5"), 5000);
    assert_eq!(Burst::new(11).unwrap().thousandths(), 11_000);
    assert_eq!(Burst::default().thousandths(), 0);
    assert_eq!(Delay::after(3).unwrap().thousandths(), 3_000);
    assert_eq!(Delay::default().thousandths(), 0);
    assert!(Delay::NEVER.thousandths() > Burst::new(rate::MOST).unwrap().thousandths());
    assert!(Burst::new(0).is_err());
    assert!(Delay::after(0).is_err());
    assert!("0r/s".parse::<Rate>().is_err());
}

#[test]
fn rule_2_the_bucket_drains_by_whole_thousandths_and_the_clock_may_go_back() {
    // 7r/m is 116: after 8620 ms 999.92 have drained, which counts as 999.
    let slow = limits(vec![limit(&zone("7r/m", 10), 0, Delay::NEVER)]);
    assert!(passes(&slow, NOW, 1));
    assert!(!passes(&slow, NOW + 8620, 1));
    assert!(passes(&slow, NOW + 8621, 1));

    // A clock up to 60 s behind counts as no time, further back as 1 ms.
    let fast = limits(vec![limit(&zone("1000r/s", 10), 0, Delay::NEVER)]);
    assert!(passes(&fast, NOW, 1));
    assert!(!passes(&fast, NOW - MINUTE, 1));
    assert!(passes(&fast, NOW - MINUTE - 1, 1));
    // And that set the client's clock, so 1 ms from there is 1 ms.
    assert!(passes(&fast, NOW - MINUTE, 1));
}

#[test]
fn rule_3_a_rejected_request_charges_nothing() {
    let limits = limits(vec![limit(&zone("1r/s", 10), 0, Delay::NEVER)]);
    assert!(passes(&limits, NOW, 1));
    for millis in 1..SECOND {
        assert_eq!(at(&limits, NOW + millis, 1), rejected(SECOND - millis));
    }
    assert!(passes(&limits, NOW + SECOND, 1));

    // What is just as large as the burst is let in.
    let limits = super::limits(vec![limit(&zone("1r/s", 10), 1, Delay::NEVER)]);
    assert!(passes(&limits, NOW, 1) && passes(&limits, NOW, 1));
    assert!(!passes(&limits, NOW, 1));
}

#[test]
fn rule_3_a_rejected_request_makes_its_client_the_newest() {
    let limits = limits(vec![limit(&zone("12r/m", 2), 0, Delay::NEVER)]);
    assert!(passes(&limits, NOW, 1) && passes(&limits, NOW, 2));
    assert!(!passes(&limits, NOW, 1));
    // So the third forces the second out, and the first is still known.
    assert!(passes(&limits, NOW, 3));
    assert!(!passes(&limits, NOW, 1));
    assert!(passes(&limits, NOW, 2));
}

#[test]
fn rule_4_last_moves_only_when_time_has_passed() {
    let limits = limits(vec![limit(&zone("1r/s", 10), 5, Delay::NEVER)]);
    for _ in 0..4 {
        assert!(passes(&limits, NOW, 1));
    }
    // Its clock behind by 400 ms: charged (4 ahead), but `last` stays, so this is 600 ms later.
    assert!(passes(&limits, NOW - 400, 1));
    let decision = limits.decide_for(Millis(NOW + 600), &[client(1)]);
    assert_eq!(limits.quota(&decision).unwrap().1.remaining, 0);
    assert_eq!(at(&limits, NOW + 600, 1), rejected(400));
}

#[test]
fn rule_5_the_first_request_is_free_and_burst_n_lets_in_n_and_one() {
    for burst in [0, 1, 7] {
        let limits = limits(vec![limit(&zone("12r/m", 10), burst, Delay::NEVER)]);
        for _ in 0..=burst {
            assert!(passes(&limits, NOW, 1));
        }
        assert!(!passes(&limits, NOW, 1));
        assert!(!passes(&limits, NOW + 4999, 1));
        assert!(passes(&limits, NOW + 5000, 1));
    }
}

#[test]
fn rule_6_what_exceeds_delay_waits_for_its_turn() {
    let always = limits(vec![limit(&zone("12r/m", 10), 3, Delay::ALWAYS)]);
    let outcomes = [(); 5].map(|()| at(&always, NOW, 1));
    let expected = [
        Outcome::Passed,
        delayed(5000),
        delayed(10_000),
        delayed(15_000),
        rejected(5000),
    ];
    assert_eq!(outcomes, expected);

    let after = limits(vec![limit(&zone("7r/m", 10), 3, Delay::after(2).unwrap())]);
    let outcomes = [(); 4].map(|()| at(&after, NOW, 1));
    // 1000 * 1000 / 116, rounded down.
    let expected = [
        Outcome::Passed,
        Outcome::Passed,
        Outcome::Passed,
        delayed(8620),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn rule_7_several_limits_charge_all_or_none_and_the_longest_delay_wins() {
    let (wide, narrow) = (zone("1r/s", 10), zone("12r/m", 10));
    let both = limits(vec![
        limit(&wide, 2, Delay::ALWAYS),
        limit(&narrow, 1, Delay::ALWAYS),
    ]);
    let wide_alone = limits(vec![limit(&wide, 2, Delay::NEVER)]);
    assert_eq!(at(&both, NOW, 1), Outcome::Passed);
    let decision = both.decide_for(Millis(NOW), &[client(1), client(1)]);
    assert_eq!(decision.outcome, delayed(5000));
    assert_eq!((decision.limit, decision.excess), (1, 1000));
    // The narrow one rejects: the wide one is not charged, however often.
    for _ in 0..10 {
        let decision = both.decide_for(Millis(NOW), &[client(1), client(1)]);
        assert_eq!((decision.limit, decision.excess), (1, 2000));
    }
    assert!(passes(&wide_alone, NOW, 1));
    assert!(!passes(&wide_alone, NOW, 1));
    // Now the wide one rejects first.
    let decision = both.decide_for(Millis(NOW), &[client(1), client(1)]);
    assert_eq!((decision.limit, decision.excess), (0, 3000));

    let twice = Limits::new(
        vec![limit(&wide, 0, Delay::NEVER), limit(&wide, 1, Delay::NEVER)],
        Status::default(),
        false,
    );
    assert_eq!(twice.unwrap_err(), LimitsError::Duplicate("one".to_owned()));
}

#[test]
fn rule_7_of_equal_delays_the_last_limit_is_named() {
    let zones = [(); 3].map(|()| zone("1r/s", 10));
    let limits = limits(zones.map(|zone| limit(&zone, 2, Delay::ALWAYS)).to_vec());
    let keys = [client(1); 3];
    let named = [(); 2].map(|()| limits.decide_for(Millis(NOW), &keys));
    assert_eq!(named[1].outcome, delayed(1000));
    assert_eq!((named[1].limit, named[1].excess), (2, 1000));
    // Where the last has no key, it is the last that has one.
    let two = [client(1), client(1), None];
    let decision = limits.decide_for(Millis(NOW), &two);
    assert_eq!((decision.limit, decision.outcome), (1, delayed(2000)));
}

#[test]
fn rule_7_a_client_only_looked_at_is_remembered_but_its_next_request_is_still_free() {
    let (first, second) = (zone("12r/m", 10), zone("12r/m", 10));
    let second_alone = limits(vec![limit(&second, 0, Delay::NEVER)]);
    let both = limits(vec![
        limit(&first, 0, Delay::NEVER),
        limit(&second, 0, Delay::NEVER),
    ]);
    assert!(passes(&second_alone, NOW, 1));
    assert_eq!(at(&both, NOW, 1), rejected(5000));
    assert_eq!(first.stats().clients, 1);
    let first_alone = limits(vec![limit(&first, 0, Delay::NEVER)]);
    assert!(passes(&first_alone, NOW, 1));
    assert!(!passes(&first_alone, NOW, 1));
}

#[test]
fn rule_8_a_delayed_request_is_judged_once() {
    // Charged when it came; when its turn has come it goes on, and the next finds just its charge.
    let limits = limits(vec![limit(&zone("1r/s", 10), 1, Delay::ALWAYS)]);
    assert_eq!(at(&limits, NOW, 1), Outcome::Passed);
    let decision = limits.decide_for(Millis(NOW), &[client(1)]);
    assert_eq!(decision.admitted(), Some(Duration::from_secs(1)));
    assert_eq!(at(&limits, NOW + SECOND, 1), delayed(1000));
}

#[test]
fn rule_9_an_empty_or_endless_key_is_not_limited() {
    let key = Key::new(vec!["header:x-user".parse().unwrap()]).unwrap();
    let rate = "12r/m".parse().unwrap();
    let by_user = Arc::new(Zone::new("user", key, rate, Size::for_clients(10)).unwrap());
    let limits = limits(vec![limit(&by_user, 0, Delay::NEVER)]);
    let outcome = |request: &Request| limits.decide(Millis(NOW), request).outcome;

    let nobody = Request::from("192.0.2.1");
    let empty = nobody.clone().header("x-user", "");
    let endless = nobody.clone().header("x-user", vec![b'x'; 65_536]);
    for request in [&nobody, &empty, &endless] {
        assert_eq!(outcome(request), Outcome::Unlimited);
        assert_eq!(outcome(request), Outcome::Unlimited);
    }
    assert_eq!(by_user.stats().clients, 0);
    let longest = nobody.clone().header("x-user", vec![b'x'; 65_535]);
    assert_eq!(outcome(&longest), Outcome::Passed);
    assert_eq!(outcome(&longest), rejected(5000));
    // Only that zone is skipped: others still judge.
    let by_address = zone("12r/m", 10);
    let both = super::limits(vec![
        limit(&by_address, 0, Delay::NEVER),
        limit(&by_user, 0, Delay::NEVER),
    ]);
    assert_eq!(both.decide(Millis(NOW), &nobody).outcome, Outcome::Passed);
    assert_eq!(both.decide(Millis(NOW), &nobody).outcome, rejected(5000));
}

#[test]
fn rule_10_a_client_takes_at_most_64_bytes_whatever_its_key() {
    let size = Size::of_bytes(100 << 20).unwrap();
    let zone = Zone::new("one", Key::address(), "12r/m".parse().unwrap(), size).unwrap();
    let capacity = zone.stats().capacity;
    assert!(u64::from(capacity) >= size.bytes() / 41, "{capacity}");
    assert!(Size::for_clients(capacity).bytes() <= size.bytes());
}

#[test]
fn rule_11_a_new_client_frees_up_to_two_of_the_oldest_that_are_idle_and_drained() {
    let zone = zone("12r/m", 10);
    let limits = limits(vec![limit(&zone, 20, Delay::NEVER)]);
    for number in 0..4 {
        assert!(passes(&limits, NOW, number));
    }
    assert!(passes(&limits, NOW + MINUTE - 1, 10));
    assert_eq!(zone.stats().clients, 5);
    assert!(passes(&limits, NOW + MINUTE, 11));
    assert_eq!((zone.stats().clients, zone.stats().drained), (4, 2));
    for _ in 0..20 {
        assert!(passes(&limits, NOW + MINUTE, 2));
    }
    assert!(passes(&limits, NOW + MINUTE, 3));
    assert!(passes(&limits, NOW + 2 * MINUTE, 12));
    assert_eq!(zone.stats().drained, 4, "10 and 11");
    // Now 2 is the oldest, idle for long, but 19 requests ahead take 95 s to drain: it stays, and
    // so does 3, which has drained.
    assert!(passes(&limits, NOW + MINUTE + 94_999, 13));
    assert_eq!((zone.stats().clients, zone.stats().drained), (4, 4));
    assert!(passes(&limits, NOW + MINUTE + 95_000, 14));
    assert_eq!((zone.stats().clients, zone.stats().drained), (3, 6));
}

#[test]
fn rule_11_when_full_the_oldest_goes_by_force() {
    let zone = zone("12r/m", 4);
    let limits = limits(vec![limit(&zone, 0, Delay::NEVER)]);
    let capacity = zone.stats().capacity;
    for number in 0..capacity {
        assert!(passes(&limits, NOW, number));
    }
    assert!(passes(&limits, NOW + 1, 100));
    let stats = zone.stats();
    assert_eq!(
        (stats.clients, stats.drained, stats.forced),
        (capacity, 0, 1)
    );
    // The others are still known, the first starts afresh.
    assert!(!passes(&limits, NOW + 1, 1));
    assert!(passes(&limits, NOW + 1, 0));
}

#[test]
fn rule_11_drained_clients_make_room_before_any_is_forced_out() {
    let zone = zone("12r/m", 4);
    let limits = limits(vec![limit(&zone, 0, Delay::NEVER)]);
    let capacity = zone.stats().capacity;
    for number in 0..capacity {
        assert!(passes(&limits, NOW, number));
    }
    for number in 100..100 + capacity {
        assert!(passes(&limits, NOW + MINUTE, number));
    }
    assert_eq!(zone.stats().forced, 0);
    assert_eq!(zone.stats().drained, u64::from(capacity));
}

#[test]
fn rule_12_the_status_is_429_here_and_503_in_nginx_and_within_400_to_599() {
    let zone = zone("12r/m", 10);
    let refusal = |status| {
        let limits = Limits::new(vec![limit(&zone, 0, Delay::NEVER)], status, false).unwrap();
        let _first = limits.decide_for(Millis(NOW), &[client(1)]);
        let decision = limits.decide_for(Millis(NOW + 1), &[client(1)]);
        limits.refusal(&decision).unwrap()
    };
    let answer = refusal(Status::default());
    assert_eq!((answer.status.code(), answer.retry_after), (429, 5));
    assert_eq!(refusal(Status::SERVICE_UNAVAILABLE).status.code(), 503);
    assert!(Status::new(399).is_err() && Status::new(600).is_err());
    assert!(Status::new(400).is_ok() && Status::new(599).is_ok());
}

#[test]
fn rule_13_the_log_can_name_the_zone_and_the_excess() {
    let limits = limits(vec![limit(&zone("1r/s", 10), 5, Delay::after(4).unwrap())]);
    for _ in 0..5 {
        assert!(passes(&limits, NOW, 1));
    }
    let decision = limits.decide_for(Millis(NOW + 520), &[client(1)]);
    assert_eq!(decision.outcome, delayed(480));
    assert_eq!(decision.excess, 4480);
    let decision = limits.decide_for(Millis(NOW + 521), &[client(1)]);
    // nginx: `limiting requests, excess: 5.479 by zone "one"`.
    assert_eq!(decision.outcome, rejected(479));
    assert_eq!(decision.excess, 5479);
    assert_eq!(limits.limits()[decision.limit].zone.name(), "one");
}

#[test]
fn rule_14_a_dry_run_charges_as_usual_and_holds_up_nobody() {
    let zone = zone("12r/m", 10);
    let burst = vec![limit(&zone, 1, Delay::ALWAYS)];
    let dry = Limits::new(burst.clone(), Status::default(), true).unwrap();
    let real = limits(burst);
    let decide = |limits: &Limits| limits.decide_for(Millis(NOW), &[client(1)]);
    assert_eq!(decide(&dry).word().map(Word::text), Some("PASSED"));
    let second = decide(&dry);
    assert_eq!(second.word().map(Word::text), Some("DELAYED_DRY_RUN"));
    assert_eq!(second.admitted(), Some(Duration::ZERO));
    let third = decide(&dry);
    assert_eq!(third.word().map(Word::text), Some("REJECTED_DRY_RUN"));
    assert_eq!(third.admitted(), Some(Duration::ZERO));
    assert_eq!(dry.refusal(&third), None);
    // Enforced, the same state rejects.
    let fourth = decide(&real);
    assert_eq!(
        (fourth.word(), fourth.admitted()),
        (Some(Word::Rejected), None)
    );
    let none = real.decide_for(Millis(NOW), &[None]);
    assert_eq!(none.word(), None);
}

#[test]
fn rule_15_a_reload_keeps_the_zone_while_its_key_is_the_same() {
    let old = zone("12r/m", 10);
    let before = limits(vec![limit(&old, 0, Delay::NEVER)]);
    assert!(passes(&before, NOW, 1));
    let size = Size::for_clients(10);
    let rate = "1r/s".parse().unwrap();
    let new = Arc::new(old.reloaded(Key::address(), rate, size).unwrap());
    let after = limits(vec![limit(&new, 0, Delay::NEVER)]);
    assert!(!passes(&after, NOW + 999, 1));
    // The old one, still serving its last requests, and the new one charge the same client.
    assert!(passes(&after, NOW + 1000, 1));
    assert!(!passes(&before, NOW + 1001, 1));
    let request = Request::from("192.0.2.1");
    assert_eq!(old.client(&request), new.client(&request));

    let host = Key::new(vec![Part::Host]).unwrap();
    let error = old.reloaded(host, rate, size).unwrap_err().to_string();
    assert!(error.contains("by host, but did so by address"), "{error}");
    let larger = old
        .reloaded(Key::address(), rate, Size::for_clients(100))
        .unwrap();
    assert_eq!(larger.stats().clients, 0);
}
