//! Section 6: parameters, timers and the three states.
//!
//! Not here: what this machine does beyond the RFC ([`crate::takeover`]).

use std::time::Duration;

use vrrp::{Input, Priority, Router, State};

use super::{Row, row, run};
use crate::desk::{Desk, host, interval, params, priority, words};

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
    row(
        "6.4.3: on Shutdown an Active router sends priority 0 and is in Initialize",
        || {
            let mut desk = Desk::active(100);
            let actions = desk.give(Input::Shutdown);
            let expected = ["step down", "advert 0", "active -> initialize: shutdown"];
            assert_eq!(words(&desk, &actions), expected);
            assert_eq!(desk.due_in(), None);
        },
        || {
            let mut desk = Desk::backup(100);
            let actions = desk.give(Input::Shutdown);
            assert!(!words(&desk, &actions).contains(&"advert 0".to_owned()));
        },
    ),
    row(
        "6.4.3: when the Adver_Timer fires, an Active router sends an advert and sets it anew",
        || {
            let mut desk = Desk::active(100);
            for _ in 0..10 {
                let before = desk.now;
                let actions = desk.ring();
                assert_eq!(words(&desk, &actions), ["lease 3s", "advert 100"]);
                assert_eq!(desk.now - before, SECOND);
            }
        },
        || {
            let mut desk = Desk::active(100);
            desk.wait(SECOND - Duration::from_nanos(1));
            assert!(desk.give(Input::Timer).is_empty());
        },
    ),
    row(
        "6.4.3: on priority 0 an Active router sends an advert and sets the Adver_Timer anew",
        || {
            let mut desk = Desk::active(100);
            desk.wait(SECOND / 4);
            let actions = desk.hear(20, 0);
            assert_eq!(words(&desk, &actions), ["lease 3s", "advert 100"]);
            assert_eq!(desk.due_in(), Some(SECOND));
        },
        || {
            let mut desk = Desk::backup(100);
            assert!(desk.hear(20, 0).is_empty());
        },
    ),
    row(
        "6.4.3: on a higher priority an Active router is Backup, with the timer of that advert",
        || {
            let mut desk = Desk::active(100);
            let actions = desk.hear_at(1, 101, 400);
            let expected = ["step down", "advert 100", "active -> backup: beaten"];
            assert_eq!(words(&desk, &actions), expected);
            assert_eq!(desk.due_in(), Some(down() * 4));
        },
        || {
            let mut desk = Desk::active(100);
            let _actions = desk.hear(1, 99);
            assert_eq!(desk.router.state(), State::Active);
        },
    ),
    row(
        "6.4.3: on an equal priority and a greater address an Active router is Backup",
        || {
            for greater in [11, 200] {
                let mut desk = Desk::active(100);
                let _actions = desk.hear(greater, 100);
                assert_eq!(desk.router.state(), State::Backup);
            }
            // 200 is greater than 10 only where octets are unsigned.
            assert!(host(200) > host(10));
        },
        || {
            let mut desk = Desk::active(100);
            let actions = desk.hear(9, 100);
            assert_eq!(words(&desk, &actions), ["lease 3s", "advert 100"]);
        },
    ),
    row(
        "6.4.3: on a lower priority an Active router sends an advert at once",
        || {
            let mut desk = Desk::active(100);
            desk.wait(SECOND / 4);
            let actions = desk.hear(20, 99);
            assert_eq!(words(&desk, &actions), ["lease 3s", "advert 100"]);
            assert_eq!(
                desk.due_in(),
                Some(SECOND * 3 / 4),
                "the Adver_Timer runs on"
            );
        },
        || {
            let mut desk = Desk::active(100);
            let actions = desk.hear(20, 101);
            assert!(!words(&desk, &actions).contains(&"lease 3s".to_owned()));
        },
    ),
    row(
        "8.1.2 and 8.2.2: nothing is announced before the data plane is ready for it",
        || {
            let mut desk = Desk::backup(100);
            let actions = words(&desk.clone(), &desk.ring());
            let place = |word| actions.iter().position(|it| it == word);
            assert!(place("take over") < place("advert 100"));
            assert!(place("take over").is_some() && place("take over") < place("announce"));
        },
        || {
            let mut desk = Desk::active(100);
            let actions = desk.hear(20, 101);
            let actions = words(&desk, &actions);
            assert_eq!(actions[0], "step down", "and it ends before it is told");
        },
    ),
    row(
        "5.2.4: priority 0 is sent by no router that goes on",
        || {
            let router = Router::new(params(100));
            assert_eq!(router.advert(None).priority.map_or(0, Priority::get), 0);
        },
        || assert!(Priority::from_wire(0).is_none(), "none can be configured"),
    ),
];

#[test]
fn the_table_of_the_machine() {
    run(TABLE);
}
