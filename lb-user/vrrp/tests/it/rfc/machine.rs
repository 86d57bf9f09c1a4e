//! Section 6: parameters and timers, Initialize and Backup.
//!
//! Not here: Active ([`super::active`]), and what this machine does beyond the RFC ([`crate::takeover`]).

use std::time::Duration;

use vrrp::{Input, State};

use super::{Row, row, run};
use crate::desk::{Desk, interval, params, priority, words};

const SECOND: Duration = Duration::from_secs(1);

/// Skew_Time of priority 100 at one second.
fn skew() -> Duration {
    SECOND * 156 / 256
}

/// Active_Down_Interval of priority 100 at one second.
fn down() -> Duration {
    SECOND * 3 + skew()
}

const TAKEOVER: [&str; 4] = ["take over", "lease 3s", "advert 100", "announce"];

pub(super) const TABLE: &[Row] = &[
    row(
        "6.1: Skew_Time is (256 - Priority) * Active_Adver_Interval / 256",
        || {
            assert_eq!(
                interval(100).skew(priority(100)),
                Duration::from_nanos(609_375_000)
            )
        },
        || {
            assert_eq!(
                interval(10).skew(priority(255)),
                Duration::from_nanos(390_625)
            )
        },
    ),
    row(
        "6.1: Active_Down_Interval is 3 * Active_Adver_Interval + Skew_Time",
        || assert_eq!(interval(100).active_down(priority(100)), down()),
        || {
            assert_ne!(
                interval(1).active_down(priority(1)),
                Duration::from_millis(30)
            )
        },
    ),
    row(
        "6.1: the owner preempts whatever Preempt_Mode is",
        || {
            // An owner is a backup after it was beaten by another one.
            let mut desk = Desk::meek(255);
            let _actions = desk.hear(20, 255);
            desk.wait(SECOND);
            let due = desk.due_in();
            let _actions = desk.hear(21, 254);
            assert_eq!(desk.due_in(), due, "not listened to");
        },
        || {
            let mut desk = Desk::meek(254);
            desk.wait(SECOND);
            let _actions = desk.hear(21, 253);
            let expected = interval(100).active_down(priority(254));
            assert_eq!(desk.due_in(), Some(expected));
        },
    ),
    row(
        "6.4.1: on Startup the owner sends an advert, announces, and is Active",
        || {
            let mut desk = Desk::new(params(255));
            let actions = desk.give(Input::Startup);
            let expected = [
                "take over",
                "lease 3s",
                "advert 255",
                "announce",
                "initialize -> active: startup",
            ];
            assert_eq!(words(&desk, &actions), expected);
            assert_eq!(desk.due_in(), Some(SECOND));
        },
        || {
            let mut desk = Desk::new(params(254));
            let actions = desk.give(Input::Startup);
            assert_eq!(words(&desk, &actions), ["initialize -> backup: startup"]);
        },
    ),
    row(
        "6.4.1: on Startup others wait for Active_Down_Interval of their own interval as Backup",
        || {
            let mut desk = Desk::new(params(100));
            let _actions = desk.give(Input::Startup);
            assert_eq!(desk.router.state(), State::Backup);
            assert_eq!(desk.due_in(), Some(down()));
        },
        || {
            let mut desk = Desk::backup(100);
            desk.wait(SECOND);
            assert!(desk.give(Input::Startup).is_empty(), "started already");
            assert_eq!(desk.due_in(), Some(down() - SECOND));
        },
    ),
    row(
        "6.4.1: in Initialize nothing but Startup matters",
        || {
            let mut desk = Desk::new(params(100));
            for input in [Input::Timer, Input::Shutdown, Input::Resign] {
                assert!(desk.give(input).is_empty());
            }
            assert!(desk.hear(20, 1).is_empty());
            assert!(desk.hear(20, 0).is_empty());
            assert_eq!(
                (desk.router.state(), desk.due_in()),
                (State::Initialize, None)
            );
        },
        || assert_eq!(Desk::backup(100).router.state(), State::Backup),
    ),
    row(
        "6.4.2: on Shutdown a Backup cancels its timer and is in Initialize",
        || {
            let mut desk = Desk::backup(100);
            let actions = desk.give(Input::Shutdown);
            assert_eq!(words(&desk, &actions), ["backup -> initialize: shutdown"]);
            assert_eq!(desk.due_in(), None);
        },
        || {
            let mut desk = Desk::backup(100);
            assert!(desk.give(Input::Timer).is_empty());
            assert_eq!(desk.router.state(), State::Backup);
        },
    ),
    row(
        "6.4.2: when the Active_Down_Timer fires, a Backup sends an advert, announces, is Active",
        || {
            let mut desk = Desk::backup(100);
            let actions = desk.ring();
            let mut expected = TAKEOVER.to_vec();
            expected.push("backup -> active: silence");
            assert_eq!(words(&desk, &actions), expected);
            assert_eq!(desk.due_in(), Some(SECOND));
        },
        || {
            let mut desk = Desk::backup(100);
            desk.wait(down() - Duration::from_nanos(1));
            assert!(desk.give(Input::Timer).is_empty());
        },
    ),
    row(
        "6.4.2: the Adver_Timer is then its own Advertisement_Interval, not the learned one",
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 200, 400);
            let _actions = desk.ring();
            assert_eq!(desk.due_in(), Some(SECOND));
        },
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 200, 400);
            assert_eq!(
                desk.due_in(),
                Some(down() * 4),
                "as Backup it is the learned one"
            );
        },
    ),
    row(
        "6.4.2: priority 0 sets the Active_Down_Timer to Skew_Time",
        || {
            let mut desk = Desk::backup(100);
            assert!(desk.hear(20, 0).is_empty());
            assert_eq!(desk.due_in(), Some(skew()));
            let actions = desk.ring();
            let last = words(&desk, &actions).pop();
            assert_eq!(last.as_deref(), Some("backup -> active: active_resigned"));
        },
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear(20, 200);
            assert_eq!(desk.due_in(), Some(down()));
        },
    ),
    row(
        "6.4.2: Skew_Time after priority 0 is that of the learned interval",
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 200, 400);
            let _actions = desk.hear_at(20, 0, 100);
            assert_eq!(desk.due_in(), Some(skew() * 4));
        },
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 0, 400);
            assert_eq!(desk.due_in(), Some(skew()), "what resigns teaches nothing");
        },
    ),
    row(
        "6.4.2: an advert of higher or equal priority sets the Active_Down_Timer anew",
        || {
            for of in [100, 101, 255] {
                let mut desk = Desk::backup(100);
                desk.wait(SECOND);
                assert!(desk.hear(20, of).is_empty());
                assert_eq!(desk.due_in(), Some(down()), "priority {of}");
            }
        },
        || {
            let mut desk = Desk::backup(100);
            desk.wait(SECOND);
            assert!(desk.hear(20, 99).is_empty());
            assert_eq!(desk.due_in(), Some(down() - SECOND));
        },
    ),
    row(
        "6.4.2: the tie-break by address is not for a Backup",
        || {
            let mut desk = Desk::backup(100);
            desk.wait(SECOND);
            let _actions = desk.hear(1, 100);
            assert_eq!(
                desk.due_in(),
                Some(down()),
                "a smaller address of equal priority"
            );
        },
        || {
            let mut desk = Desk::active(100);
            let _actions = desk.hear(1, 100);
            assert_eq!(desk.router.state(), State::Active);
        },
    ),
    row(
        "6.4.2: without Preempt_Mode an advert of any priority sets the timer anew",
        || {
            let mut desk = Desk::meek(100);
            desk.wait(SECOND);
            let _actions = desk.hear(20, 1);
            assert_eq!(desk.due_in(), Some(down()));
        },
        || {
            let mut desk = Desk::meek(100);
            desk.wait(SECOND);
            let _actions = desk.hear(20, 0);
            assert_eq!(desk.due_in(), Some(skew()), "0 is no priority");
        },
    ),
    row(
        "6.4.2: with Preempt_Mode an advert of lower priority is dropped, and the Backup takes over",
        || {
            let mut desk = Desk::backup(100);
            let start = desk.now;
            for _ in 0..3 {
                desk.wait(SECOND);
                assert!(desk.hear_at(20, 99, 7).is_empty());
            }
            let actions = desk.ring();
            let last = words(&desk, &actions).pop();
            assert_eq!(last.as_deref(), Some("backup -> active: preempting"));
            assert_eq!(desk.now - start, down(), "nor is its interval learned");
        },
        || {
            let mut desk = Desk::meek(100);
            desk.wait(SECOND * 3);
            let _actions = desk.hear(20, 99);
            desk.wait(SECOND);
            assert!(desk.give(Input::Timer).is_empty());
        },
    ),
    row(
        "6.4.2: Max Advertise Interval of the advert becomes Active_Adver_Interval",
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 200, 1);
            assert_eq!(desk.due_in(), Some(down() / 100));
        },
        || {
            let mut desk = Desk::backup(100);
            let _actions = desk.hear_at(20, 99, 1);
            assert_eq!(desk.due_in(), Some(down()), "not of one that is dropped");
        },
    ),
];

#[test]
fn the_table_of_initialize_and_backup() {
    run(TABLE);
}
