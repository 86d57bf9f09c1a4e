//! The machine against its rules: by example, and against a naive model over random histories.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const FAILED: Outcome = Outcome::Failed(Failure::Refused);

fn spec(rise: u32, fall: u32) -> Spec {
    let count = |n| NonZeroU32::new(n).unwrap();
    Spec {
        rise: count(rise),
        fall: count(fall),
        ..Spec::default()
    }
}

/// Any instant does as the start of time.
#[expect(
    clippy::disallowed_methods,
    reason = "a base for the test's own time line"
)]
fn base() -> Instant {
    Instant::now()
}

/// Lets the next probe start when it is due and end after `took`.
fn probe(monitor: &mut Monitor, took: Duration, outcome: Outcome) -> Vec<Action> {
    let start = monitor.deadline();
    assert_eq!(monitor.handle(start, Input::Timer), [Action::StartProbe]);
    monitor.handle(start + took, Input::Result(outcome))
}

fn verdicts(monitor: &mut Monitor, outcomes: &[Outcome]) -> Vec<Verdict> {
    let step = |&outcome: &Outcome| {
        let before = monitor.verdict();
        let actions = probe(monitor, Duration::ZERO, outcome);
        let after = monitor.verdict();
        let changed = Action::Changed {
            from: before,
            to: after,
            reason: outcome,
        };
        assert_eq!(
            actions,
            if before == after {
                vec![]
            } else {
                vec![changed]
            }
        );
        after
    };
    outcomes.iter().map(step).collect()
}

#[test]
fn the_first_passed_probe_makes_a_new_target_up_whatever_rise_is() {
    let mut monitor = Monitor::new(spec(5, 3), base(), Duration::ZERO);
    assert_eq!(monitor.verdict(), Verdict::Checking);
    assert_eq!(
        verdicts(&mut monitor, &[FAILED, Outcome::Passed]),
        [Verdict::Checking, Verdict::Up]
    );
}

#[test]
fn a_new_target_is_down_after_fall_failures() {
    let mut monitor = Monitor::new(spec(1, 2), base(), Duration::ZERO);
    assert_eq!(
        verdicts(&mut monitor, &[FAILED, FAILED]),
        [Verdict::Checking, Verdict::Down]
    );
}

#[test]
fn a_result_of_the_other_kind_starts_the_count_anew() {
    use Verdict::{Down, Up};
    let mut monitor = Monitor::resume(spec(2, 2), Up, base(), Duration::ZERO);
    let history = [
        FAILED,
        Outcome::Passed,
        FAILED,
        FAILED,
        Outcome::Passed,
        FAILED,
    ];
    assert_eq!(
        verdicts(&mut monitor, &history),
        [Up, Up, Up, Down, Down, Down]
    );
    assert_eq!(
        verdicts(&mut monitor, &[Outcome::Passed, Outcome::Passed]),
        [Down, Up]
    );
}

#[test]
fn probes_start_an_interval_apart_however_long_they_take() {
    let start = base();
    let mut monitor = Monitor::new(Spec::default(), start, Duration::from_millis(300));
    assert_eq!(monitor.deadline(), start + Duration::from_millis(300));
    drop(probe(
        &mut monitor,
        Duration::from_millis(900),
        Outcome::Passed,
    ));
    assert_eq!(monitor.deadline(), start + Duration::from_millis(1300));
    // Longer than the interval: the next one starts at once, and only then.
    drop(probe(
        &mut monitor,
        Duration::from_millis(1200),
        Outcome::Passed,
    ));
    assert_eq!(monitor.deadline(), start + Duration::from_millis(2500));
}

#[test]
fn early_timers_and_late_results_do_nothing() {
    let start = base();
    let mut monitor = Monitor::new(spec(1, 1), start, Duration::from_millis(5));
    assert_eq!(monitor.handle(start, Input::Timer), []);
    assert_eq!(monitor.handle(start, Input::Result(FAILED)), []);
    assert_eq!(monitor.verdict(), Verdict::Checking);
    assert_eq!(monitor.last(), None);
}

#[test]
fn a_lost_result_says_nothing_and_the_schedule_goes_on() {
    let start = base();
    let mut monitor = Monitor::new(spec(1, 1), start, Duration::ZERO);
    assert_eq!(monitor.handle(start, Input::Timer), [Action::StartProbe]);
    let give_up = monitor.deadline();
    assert_eq!(give_up, start + Duration::from_secs(1) + GRACE);
    assert_eq!(
        monitor.handle(give_up - Duration::from_nanos(1), Input::Timer),
        []
    );
    assert_eq!(monitor.handle(give_up, Input::Timer), []);
    assert_eq!(monitor.verdict(), Verdict::Checking);
    assert_eq!(monitor.last(), Some(Outcome::Failed(Failure::Lost)));
    assert_eq!(
        monitor.handle(monitor.deadline(), Input::Timer),
        [Action::StartProbe]
    );
}

#[test]
fn a_probe_that_this_host_could_not_make_counts_neither_way() {
    let mut monitor = Monitor::resume(spec(2, 2), Verdict::Up, base(), Duration::ZERO);
    let local = Outcome::Failed(Failure::Local);
    for outcome in [local, FAILED, local, local] {
        assert_eq!(probe(&mut monitor, Duration::ZERO, outcome), []);
    }
    assert_eq!(monitor.verdict(), Verdict::Up);
    let changes = probe(&mut monitor, Duration::ZERO, FAILED);
    assert_eq!((changes.len(), monitor.verdict()), (1, Verdict::Down));
}

/// What the rules say of a whole history, without a counter: a verdict flips when the tail of it is
/// long enough and all of the other kind.
fn model(history: &[bool], rise: usize, fall: usize) -> Verdict {
    let tail = |n: usize, kind: bool| {
        history.len() >= n
            && history[history.len() - n..]
                .iter()
                .all(|&passed| passed == kind)
    };
    let Some((_, before)) = history.split_last() else {
        return Verdict::Checking;
    };
    match model(before, rise, fall) {
        Verdict::Checking if tail(1, true) => Verdict::Up,
        Verdict::Checking | Verdict::Up if tail(fall, false) => Verdict::Down,
        Verdict::Down if tail(rise, true) => Verdict::Up,
        unchanged @ (Verdict::Checking | Verdict::Up | Verdict::Down) => unchanged,
    }
}

/// What a careless driver may do: wake at odd times, report twice, or lose a result.
#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Timer,
    Result(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u64..2500).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        3 => Just(Step::Timer),
        3 => any::<bool>().prop_map(Step::Result),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn flips_only_by_the_rules(
        history in proptest::collection::vec(any::<bool>(), 0..60), rise in 1_u32..5, fall in 1_u32..5,
    ) {
        let mut monitor = Monitor::new(spec(rise, fall), base(), Duration::ZERO);
        for known in 1..=history.len() {
            let outcome = if history[known - 1] { Outcome::Passed } else { FAILED };
            drop(probe(&mut monitor, Duration::ZERO, outcome));
            let expected = model(&history[..known], rise as usize, fall as usize);
            prop_assert_eq!(monitor.verdict(), expected, "after {:?}", &history[..known]);
        }
    }

    #[test]
    fn whatever_the_driver_does_one_probe_is_in_flight_and_none_is_forever(
        steps in steps(), rise in 1_u32..4, fall in 1_u32..4,
    ) {
        let mut now = base();
        let mut monitor = Monitor::new(spec(rise, fall), now, Duration::ZERO);
        // When the probe in flight, if any, was started; kept by the test, not by the machine.
        let mut in_flight: Option<Instant> = None;
        let mut history = Vec::new();
        for step in steps {
            let (input, passed) = match step {
                Step::Wait(time) => { now += time; continue; }
                Step::Timer => (Input::Timer, false),
                Step::Result(true) => (Input::Result(Outcome::Passed), true),
                Step::Result(false) => (Input::Result(FAILED), false),
            };
            let patience = monitor.spec().timeout + GRACE;
            let lost = input == Input::Timer && in_flight.is_some_and(|at| now >= at + patience);
            let before = history.len();
            if in_flight.is_some() && (lost || matches!(input, Input::Result(_))) {
                if !lost {
                    history.push(passed);
                }
                in_flight = None;
            }
            let from = model(&history[..before], rise as usize, fall as usize);
            let to = model(&history, rise as usize, fall as usize);
            for action in monitor.handle(now, input) {
                match action {
                    Action::StartProbe => {
                        prop_assert!(in_flight.is_none(), "two probes in flight");
                        in_flight = Some(now);
                    }
                    Action::Changed { from: was, to: is, .. } => {
                        prop_assert_ne!(was, is);
                        prop_assert_eq!((was, is), (from, to));
                    }
                }
            }
            prop_assert_eq!(monitor.verdict(), to);
            prop_assert!(monitor.deadline() <= now + patience.max(monitor.spec().interval));
        }
    }
}
