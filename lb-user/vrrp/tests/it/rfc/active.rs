//! Section 6.4.3, the Active state, and the order in which it begins and ends.
//!
//! Not here: what this machine does beyond the RFC ([`crate::takeover`]).

use std::time::Duration;

use vrrp::{Input, Priority, Router, State};

use super::{Row, row, run};
use crate::desk::{Desk, host, interval, params, priority, words};

const SECOND: Duration = Duration::from_secs(1);

pub(super) const TABLE: &[Row] = &[
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
            assert_eq!(
                desk.due_in(),
                Some(interval(400).active_down(priority(100)))
            );
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
fn the_table_of_active() {
    run(TABLE);
}
