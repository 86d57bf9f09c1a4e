//! When exactly a backup takes over, for every priority and interval; tracking, reload, preempt delay
//! and late waking.
//!
//! Not here: the RFC's clauses one by one ([`crate::rfc`]).

use std::time::Duration;

use proptest::prelude::*;
use vrrp::{Input, Params, Preempt, Reason, State};

use crate::desk::{Desk, interval, params, priority, words};

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #[test]
    fn a_backup_takes_over_at_the_nanosecond(
        own in 1_u8..=254,
        theirs in 1_u16..=4095,
        ours in 1_u16..=4095,
        after in 0_u64..3_000_000,
    ) {
        let mut desk = Desk::started(params(own).with_interval(interval(ours)));
        desk.wait(Duration::from_nanos(after));
        assert!(desk.hear_at(20, 255, theirs).is_empty());
        let nanos = u64::from(theirs) * 10_000_000;
        let down = nanos * 3 + nanos * (256 - u64::from(own)) / 256;
        prop_assert_eq!(desk.due_in(), Some(Duration::from_nanos(down)));
        desk.wait(Duration::from_nanos(down - 1));
        prop_assert!(desk.give(Input::Timer).is_empty());
        desk.wait(Duration::from_nanos(1));
        prop_assert_eq!(desk.give(Input::Timer).len(), 5);
        prop_assert_eq!(desk.router.state(), State::Active);
    }
}

#[test]
fn another_priority_changes_the_skew_of_a_running_timer_by_the_difference() {
    let mut desk = Desk::backup(100);
    let _actions = desk.hear(20, 200);
    desk.wait(SECOND);
    assert_eq!(desk.due_in(), Some(SECOND * 2 + SECOND * 156 / 256));
    desk.router.set_priority(priority(150));
    assert_eq!(desk.due_in(), Some(SECOND * 2 + SECOND * 106 / 256));
}

#[test]
fn a_router_whose_tracking_fails_says_so_with_its_next_advert_and_yields_to_a_better_one() {
    let mut desk = Desk::active(200);
    desk.router.set_priority(priority(50));
    let actions = desk.ring();
    assert_eq!(words(&desk, &actions), ["lease 3s", "advert 50"]);
    let actions = desk.hear(20, 100);
    assert_eq!(actions.first(), Some(&vrrp::Action::StepDown));
}

#[test]
fn an_offer_that_nobody_takes_costs_no_moment_of_the_lease() {
    let mut desk = Desk::active(100);
    let actions = desk.give(Input::Offer);
    assert_eq!(
        words(&desk, &actions),
        ["lease 2s", "advert 0", "active -> resigning: resign"]
    );
    for _ in 0..2 {
        let actions = desk.ring();
        assert_eq!(words(&desk, &actions), ["lease 2s", "advert 0"]);
    }
    let actions = desk.ring();
    assert_eq!(
        words(&desk, &actions),
        [
            "take over",
            "lease 3s",
            "advert 100",
            "announce",
            "resigning -> active: no_successor"
        ]
    );
}

#[test]
fn an_offer_that_is_taken_is_a_resignation() {
    let mut desk = Desk::active(100);
    let _actions = desk.give(Input::Offer);
    desk.wait(SECOND / 2);
    let actions = desk.hear(20, 50);
    assert_eq!(
        words(&desk, &actions),
        [
            "step down",
            "advert 1",
            "resigning -> initialize: succeeded"
        ]
    );
    let mut backup = Desk::backup(100);
    let _actions = backup.give(Input::Offer);
    assert_eq!(backup.router.state(), State::Initialize);
}

#[test]
fn an_offer_that_was_slept_through_leaves_a_backup() {
    let mut desk = Desk::active(100);
    let _actions = desk.give(Input::Offer);
    desk.wait(SECOND * 3);
    let actions = desk.give(Input::Timer);
    assert_eq!(
        words(&desk, &actions),
        ["step down", "resigning -> backup: woken_late"]
    );
}

#[test]
fn the_longest_list_of_actions_has_room() {
    let mut desk = Desk::new(params(255));
    let _actions = desk.give(Input::Startup);
    let _actions = desk.give(Input::Resign);
    desk.wait(SECOND * 3);
    let actions = desk.give(Input::Startup);
    assert_eq!(actions.len(), 7);
    assert_eq!(desk.router.state(), State::Active);
}

#[test]
fn a_stop_during_an_offer_is_a_resignation() {
    let mut desk = Desk::active(100);
    let _actions = desk.give(Input::Offer);
    assert!(desk.give(Input::Resign).is_empty());
    for _ in 0..3 {
        assert_eq!(desk.router.state(), State::Resigning);
        let _actions = desk.ring();
    }
    assert_eq!(desk.router.state(), State::Initialize);
}

#[test]
fn a_group_is_active_together() {
    let mut desk = Desk::backup(100);
    let actions = desk.give(Input::Follow);
    assert_eq!(
        words(&desk, &actions),
        [
            "take over",
            "lease 3s",
            "advert 100",
            "announce",
            "backup -> active: group"
        ]
    );
    assert!(desk.give(Input::Follow).is_empty(), "it is active already");
}

#[test]
fn a_group_is_backup_together_and_asks_its_successor_to_hurry() {
    let mut desk = Desk::active(100);
    let actions = desk.give(Input::Yield);
    assert_eq!(
        words(&desk, &actions),
        ["step down", "advert 0", "active -> backup: group"]
    );
    assert_eq!(desk.due_in(), Some(SECOND * 3 + SECOND * 156 / 256));
    assert!(desk.give(Input::Yield).is_empty(), "it is backup already");
}

#[test]
fn who_takes_no_part_or_is_leaving_goes_with_no_group() {
    let mut out = Desk::new(params(100));
    let mut leaving = Desk::active(100);
    let _actions = leaving.give(Input::Resign);
    for input in [Input::Follow, Input::Yield] {
        assert!(out.give(input).is_empty());
        assert!(leaving.give(input).is_empty());
    }
    assert_eq!(out.router.state(), State::Initialize);
    assert_eq!(leaving.router.state(), State::Resigning);
}

#[test]
fn a_reload_is_told_at_once_and_keeps_the_state() {
    let mut desk = Desk::active(100);
    desk.wait(SECOND / 2);
    let same = desk.router.params().clone();
    let actions = desk.router.reconfigure(desk.now, same.clone());
    assert!(actions.is_empty(), "nothing has changed");
    let faster = same.with_interval(interval(10));
    let actions = desk.router.reconfigure(desk.now, faster.clone());
    assert_eq!(words(&desk, &actions), ["lease 300ms", "advert 100"]);
    let vips = [crate::desk::VIP, crate::desk::host(101)];
    let moved = Params::new(faster.vrid(), faster.priority(), faster.primary(), &vips);
    let moved = moved.expect("parameters").with_interval(interval(10));
    let actions = desk.router.reconfigure(desk.now, moved.clone());
    assert_eq!(
        words(&desk, &actions),
        ["lease 300ms", "advert 100", "announce"]
    );
    let mut backup = Desk::backup(100);
    let actions = backup.router.reconfigure(backup.now, moved);
    assert!(actions.is_empty());
    assert_eq!(backup.router.state(), State::Backup);
}

#[test]
fn a_preempt_delay_counts_from_the_first_advert_of_a_lower_priority() {
    let delay = SECOND * 5;
    let mut desk = Desk::started(params(200).with_preempt(Preempt::After(delay)));
    desk.wait(SECOND);
    for _ in 0..5 {
        let _actions = desk.hear(20, 100);
        assert_eq!(
            desk.due_in(),
            Some(interval(100).active_down(priority(200)))
        );
        desk.wait(SECOND);
    }
    let due = desk.due_in();
    let _actions = desk.hear(20, 100);
    assert_eq!(
        desk.due_in(),
        due,
        "the delay is over: no longer listened to"
    );
    let actions = desk.ring();
    let change = words(&desk, &actions).pop();
    assert_eq!(change.as_deref(), Some("backup -> active: preempting"));
}

#[test]
fn a_preempt_delay_is_for_preempting_only() {
    let delayed = || {
        let mut desk = Desk::started(params(200).with_preempt(Preempt::After(SECOND * 1000)));
        let _actions = desk.hear(20, 100);
        desk
    };
    let mut silent = delayed();
    let actions = silent.ring();
    assert_eq!(
        words(&silent, &actions).pop().as_deref(),
        Some("backup -> active: silence")
    );
    let mut resigned = delayed();
    let _actions = resigned.hear(20, 0);
    assert_eq!(resigned.due_in(), Some(SECOND * 56 / 256));
}

#[test]
fn a_better_active_router_ends_a_preempt_delay_that_had_begun() {
    let mut desk = Desk::started(params(200).with_preempt(Preempt::After(SECOND * 2)));
    let _actions = desk.hear(20, 100);
    desk.wait(SECOND * 3);
    let _actions = desk.hear(21, 250);
    desk.wait(SECOND);
    let _actions = desk.hear(20, 100);
    assert_eq!(
        desk.due_in(),
        Some(interval(100).active_down(priority(200)))
    );
}

#[test]
fn an_active_router_woken_after_its_lease_is_a_backup_whatever_wakes_it() {
    for input in [Input::Timer, Input::Startup] {
        let mut desk = Desk::active(200);
        desk.wait(SECOND * 3);
        let actions = desk.give(input);
        assert_eq!(
            words(&desk, &actions),
            ["step down", "active -> backup: woken_late"]
        );
        assert_eq!(
            desk.due_in(),
            Some(interval(100).active_down(priority(200)))
        );
    }
    let mut desk = Desk::active(200);
    desk.wait(SECOND * 3);
    let actions = desk.hear(20, 100);
    let expected = ["step down", "active -> backup: woken_late"];
    assert_eq!(words(&desk, &actions), expected, "and does not contend");
    let mut desk = Desk::active(200);
    desk.wait(SECOND * 3 - Duration::from_nanos(1));
    let actions = desk.give(Input::Timer);
    assert_eq!(
        words(&desk, &actions),
        ["lease 3s", "advert 200", "announce"],
        "within its lease it goes on, and announces after the gap"
    );
}

#[test]
fn a_backup_woken_late_waits_for_a_sign_of_life_once() {
    let down = interval(100).active_down(priority(100));
    let mut desk = Desk::backup(100);
    desk.wait(down + SECOND);
    assert_eq!(
        desk.give(Input::Timer).len(),
        5,
        "an interval late is not late"
    );
    let mut desk = Desk::backup(100);
    desk.wait(down + SECOND + Duration::from_nanos(1));
    assert!(desk.give(Input::Timer).is_empty());
    assert_eq!(desk.due_in(), Some(SECOND + SECOND * 156 / 256));
    let mut heard = desk.clone();
    let _actions = heard.hear(20, 200);
    assert_eq!(heard.due_in(), Some(down));
    desk.wait(SECOND * 100);
    assert_eq!(
        desk.give(Input::Timer).len(),
        5,
        "it does not wait for ever"
    );
}

#[test]
fn the_beat_is_kept_by_a_late_call() {
    let mut desk = Desk::active(100);
    desk.wait(SECOND + SECOND / 4);
    let actions = desk.give(Input::Timer);
    assert_eq!(words(&desk, &actions), ["lease 3s", "advert 100"]);
    assert_eq!(desk.due_in(), Some(SECOND * 3 / 4));
    desk.wait(SECOND * 2);
    let _actions = desk.give(Input::Timer);
    assert_eq!(
        desk.due_in(),
        Some(SECOND),
        "what is over is not made up for"
    );
}

#[test]
fn after_a_conflict_the_winner_announces_at_once_and_then_once_an_interval() {
    let mut desk = Desk::active(200);
    desk.wait(SECOND * 2);
    let _actions = desk.give(Input::Timer);
    desk.wait(SECOND / 2);
    let first = ["lease 3s", "advert 200", "announce"];
    // It announced half a second ago, because of the gap.
    let actions = desk.hear(20, 100);
    assert_eq!(words(&desk, &actions), ["lease 3s", "advert 200"]);
    let actions = desk.ring();
    assert_eq!(words(&desk, &actions), first, "owed since the conflict");
    let actions = desk.ring();
    assert_eq!(words(&desk, &actions), ["lease 3s", "advert 200"]);
    let actions = desk.hear(20, 100);
    assert_eq!(words(&desk, &actions), first, "long enough ago");
}

#[test]
fn a_router_that_resigns_serves_until_its_successor_does() {
    let mut desk = Desk::active(200);
    let actions = desk.give(Input::Resign);
    assert_eq!(
        words(&desk, &actions),
        ["lease 2s", "advert 0", "active -> resigning: resign"]
    );
    assert_eq!(desk.due_in(), Some(SECOND));
    let actions = desk.ring();
    assert_eq!(words(&desk, &actions), ["lease 2s", "advert 0"]);
    assert!(desk.hear(21, 0).is_empty(), "another that resigns is none");
    let mut least = desk.clone();
    let actions = desk.hear(20, 2);
    let end = "resigning -> initialize: succeeded";
    assert_eq!(words(&desk, &actions), ["step down", "advert 1", end]);
    assert_eq!(desk.due_in(), None);
    let actions = least.hear(20, 1);
    assert_eq!(words(&least, &actions), ["step down", end]);
}

#[test]
fn without_a_successor_it_gives_up_when_its_lease_ends() {
    let mut desk = Desk::active(200);
    let start = desk.now;
    let _actions = desk.give(Input::Resign);
    for _ in 0..2 {
        let actions = desk.ring();
        assert_eq!(words(&desk, &actions), ["lease 2s", "advert 0"]);
    }
    let actions = desk.ring();
    assert_eq!(
        words(&desk, &actions),
        ["step down", "resigning -> initialize: no_successor"]
    );
    assert_eq!(desk.now - start, SECOND * 4);
}

#[test]
fn resigning_can_be_taken_back_and_cut_short() {
    let resigning = || {
        let mut desk = Desk::active(200);
        let _actions = desk.give(Input::Resign);
        assert!(desk.give(Input::Resign).is_empty());
        desk
    };
    let mut back = resigning();
    let actions = back.give(Input::Startup);
    assert_eq!(
        words(&back, &actions),
        [
            "take over",
            "lease 3s",
            "advert 200",
            "announce",
            "resigning -> active: startup"
        ]
    );
    let mut stopped = resigning();
    let actions = stopped.give(Input::Shutdown);
    assert_eq!(
        words(&stopped, &actions),
        ["step down", "resigning -> initialize: shutdown"]
    );
    let mut backup = Desk::backup(100);
    let actions = backup.give(Input::Resign);
    assert_eq!(
        words(&backup, &actions),
        ["backup -> initialize: resign"],
        "a backup has nothing to hand over"
    );
}

#[test]
fn each_reason_has_a_label_of_its_own() {
    let reasons = [
        Reason::Startup,
        Reason::Shutdown,
        Reason::Resign,
        Reason::Silence,
        Reason::ActiveResigned,
        Reason::Preempting,
        Reason::Beaten,
        Reason::WokenLate,
        Reason::Succeeded,
        Reason::NoSuccessor,
    ];
    let labels = reasons.map(Reason::label);
    let distinct = labels.iter().collect::<std::collections::HashSet<_>>();
    assert_eq!(distinct.len(), labels.len());
}
