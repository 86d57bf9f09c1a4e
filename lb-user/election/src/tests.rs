//! Sites of two proxies, two directors and two servers in virtual time: faults that operators name,
//! every partition in two, and random ones by the thousand.
//!
//! The invariant is looked at after every event: no two proxies write to two servers.

mod site;

use std::time::Duration;

use self::site::{DIRECTORS, Machine, PROXIES, Site};
use super::Server;

const S1: Server = Server(0);
const S2: Server = Server(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A site in which the first server has been writer for a while.
fn running(seed: u64) -> Site {
    let mut site = Site::new(seed);
    site.run(ms(5_000));
    assert_eq!(site.writers(), [Some(S1); 2], "seed {seed}");
    site
}

/// How long until both proxies write to this server.
fn until(site: &mut Site, writer: Server, most: Duration) -> Duration {
    let start = site.now();
    while site.now() < start + most {
        site.run(ms(10));
        let living = site
            .writers()
            .into_iter()
            .zip(0..)
            .filter(|(_, p)| site.lives(*p));
        if living
            .map(|(found, _)| found)
            .all(|found| found == Some(writer))
        {
            return site.now() - start;
        }
    }
    panic!("no writer {writer:?} after {most:?}: {:?}", site.writers());
}

#[test]
fn a_killed_writer_is_replaced_within_a_second_and_comes_back_as_a_reader() {
    for seed in 0..200 {
        let mut site = running(seed);
        site.kill(S1);
        let took = until(&mut site, S2, ms(1_000));
        assert!(took <= ms(1_000), "seed {seed}: {took:?}");
        site.start(S1);
        site.run(ms(10_000));
        assert_eq!(site.writers(), [Some(S2); 2], "seed {seed}: it stays");
    }
}

#[test]
fn a_writer_and_the_proxy_beside_it_may_die_together() {
    for seed in 0..200 {
        let mut site = running(seed);
        site.kill(S1);
        site.kill_proxy(0);
        let took = until(&mut site, S2, ms(1_500));
        assert!(took <= ms(1_500), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_hung_writer_is_replaced_within_three_seconds() {
    for seed in 0..200 {
        let mut site = running(seed);
        site.hang(S1);
        until(&mut site, S2, ms(3_000));
        site.wake(S1);
        site.run(ms(5_000));
        assert_eq!(site.writers(), [Some(S2); 2], "seed {seed}");
    }
}

#[test]
fn a_writer_that_hangs_for_a_moment_stays() {
    for seed in 0..100 {
        let mut site = running(seed);
        site.hang(S1);
        site.run(ms(700));
        site.wake(S1);
        until(&mut site, S1, ms(2_000));
    }
}

#[test]
fn a_writer_that_restarts_at_once_is_writer_again_or_reader_but_never_both_are() {
    for seed in 0..200 {
        let mut site = running(seed);
        site.kill(S1);
        site.run(ms(seed % 40 * 10));
        site.start(S1);
        site.run(ms(8_000));
        let writers = site.writers();
        assert!(
            writers[0].is_some() && writers[0] == writers[1],
            "seed {seed}: {writers:?}"
        );
    }
}

#[test]
fn the_lock_is_taken_over_when_its_holder_dies() {
    for seed in 0..100 {
        let mut site = running(seed);
        site.kill_proxy(0);
        until(&mut site, S1, ms(1_500));
        site.kill_director(0);
        site.start_proxy(0);
        until(&mut site, S1, ms(4_000));
    }
}

/// What both sides of a cut do, for every way to cut the six machines in two. Told as a table in the
/// documents: proxies keep a writer they reach with two voters in all; elect with three.
#[test]
fn every_partition_in_two_has_its_outcome() {
    let machines: Vec<Machine> = Machine::all().collect();
    let mut outcomes = 0;
    for mask in 0_u32..1 << (machines.len() - 1) {
        let here = |machine: &Machine| {
            let at = machines.iter().position(|m| m == machine).unwrap_or(0);
            mask >> at & 1 == 1
        };
        let mut site = running(u64::from(mask));
        site.cut(here);
        site.run(ms(10_000));
        for proxy in 0..PROXIES {
            let side = here(&Machine::Voter(proxy));
            let voters = (0..PROXIES + DIRECTORS).filter(|v| here(&Machine::Voter(*v)) == side);
            let voters = voters.count();
            let reaches = |server: Server| here(&Machine::Server(server)) == side;
            let can_elect_elsewhere = voters >= 3 && !reaches(S1) && reaches(S2);
            let due = match voters {
                2.. if reaches(S1) => Some(S1),
                _ if can_elect_elsewhere => Some(S2),
                _ => None,
            };
            // Where three of the other side have elected, two here cannot keep.
            assert_eq!(
                site.writers()[usize::from(proxy)],
                due,
                "mask {mask:06b}, proxy {proxy}"
            );
            outcomes += 1;
        }
        site.heal();
        site.run(ms(8_000));
        let writers = site.writers();
        assert!(
            writers[0].is_some() && writers[0] == writers[1],
            "mask {mask:06b}: {writers:?}"
        );
    }
    assert_eq!(outcomes, 64);
}

/// The second proxy alone has lost the writer: it cannot elect, and keeps nobody from writing.
#[test]
fn who_alone_finds_the_writer_gone_disturbs_nobody() {
    for seed in 0..50 {
        let mut site = running(seed);
        let before = site.epoch();
        site.cut_way(Machine::Voter(1), Machine::Server(S1));
        site.run(ms(10_000));
        assert_eq!(site.writers(), [Some(S1), None], "seed {seed}");
        assert_eq!(site.epoch(), before, "seed {seed}");
    }
}

/// The first proxy has the first server and one director to itself, which all others have lost. The
/// director that grants to it does not promise to the others: the writer that answers stays.
#[test]
fn who_grants_a_lease_does_not_elect_another() {
    for seed in 0..100 {
        let mut site = running(seed);
        let (alone, friend) = (Machine::Voter(0), Machine::Voter(2));
        for other in [Machine::Voter(1), Machine::Voter(3)] {
            site.cut_way(alone, other);
            site.cut_way(other, Machine::Server(S1));
        }
        site.cut_way(friend, Machine::Server(S1));
        site.run(ms(10_000));
        assert_eq!(site.writers(), [Some(S1), None], "seed {seed}");
    }
}

/// The writer is killed and comes up again at once, as a proxy that is cut off from all voters sees:
/// its leases have not run out, and the others elect.
#[test]
fn leases_end_with_the_process_they_were_for() {
    let mut elsewhere = 0;
    for seed in 0..300 {
        let mut site = running(seed);
        for voter in 1..4 {
            site.cut_way(Machine::Voter(0), Machine::Voter(voter));
        }
        site.kill(S1);
        site.run(ms(100 + seed % 5 * 20));
        site.start(S1);
        site.run(ms(5_000));
        let [alone, other] = site.writers();
        assert_eq!(alone, None, "seed {seed}");
        // Whether it was gone or is elected anew depends on who looked when.
        assert!(other.is_some(), "seed {seed}");
        elsewhere += usize::from(other == Some(S2));
    }
    assert!(elsewhere > 100, "{elsewhere}");
}

mod rules_of_a_voter {
    use super::*;
    use crate::{Epoch, Kept, Reply, Request, Rules, View, Voter};

    const UP: View = View::Up {
        has_lock: true,
        is_read_only: false,
        is_current: true,
    };

    fn new_voter() -> Voter {
        let mut voter = Voter::new(Rules::default(), Kept::first(S1), ms(0));
        voter.seen(ms(0), S1, UP);
        voter.seen(ms(0), S2, UP);
        voter
    }

    fn lease(voter: &mut Voter, now: Duration, epoch: u64) -> bool {
        let (epoch, sent) = (Epoch(epoch), now);
        let reply = voter.asked(now, Request::Lease { epoch, sent });
        reply == Some(Reply::Granted { epoch, sent })
    }

    fn vote(voter: &mut Voter, now: Duration, epoch: u64, writer: Server) -> bool {
        let epoch = Epoch(epoch);
        let request = Request::Vote {
            epoch,
            writer,
            is_planned: false,
        };
        let reply = voter.asked(now, request);
        reply == Some(Reply::Promised { epoch, writer })
    }

    #[test]
    fn it_is_mute_until_whatever_it_had_granted_is_over() {
        let mut voter = new_voter();
        assert!(!lease(&mut voter, ms(1_000), 0));
        assert!(!vote(&mut voter, ms(1_000), 1, S1));
        assert!(lease(&mut voter, ms(1_050), 0));
        assert!(vote(&mut voter, ms(1_050), 1, S1));
    }

    #[test]
    fn it_promises_another_server_only_when_the_office_is_gone_and_its_leases_are_over() {
        let mut voter = new_voter();
        assert!(lease(&mut voter, ms(10_000), 0));
        assert!(!vote(&mut voter, ms(10_000), 1, S2), "it answers");
        voter.seen(ms(10_000), S1, View::Silent);
        voter.seen(ms(11_000), S1, View::Silent);
        assert!(!vote(&mut voter, ms(11_400), 1, S2), "not for long enough");
        assert!(lease(&mut voter, ms(11_400), 0), "others may see it");
        assert!(!vote(&mut voter, ms(12_399), 1, S2), "a lease is out");
        assert!(vote(&mut voter, ms(12_400), 1, S2));
        voter.seen(ms(12_400), S2, View::Dead);
        assert!(
            vote(&mut voter, ms(12_400), 2, S1),
            "the one in office until it is decided"
        );
    }

    #[test]
    fn the_dead_need_no_waiting() {
        let mut voter = new_voter();
        assert!(lease(&mut voter, ms(10_000), 0));
        voter.seen(ms(10_001), S1, View::Dead);
        assert!(vote(&mut voter, ms(10_001), 1, S2));
    }

    #[test]
    fn after_a_promise_nothing_older_is_granted_or_promised() {
        let mut voter = new_voter();
        voter.seen(ms(10_000), S1, View::Dead);
        assert!(vote(&mut voter, ms(10_000), 5, S2));
        voter.seen(ms(10_001), S1, UP);
        assert!(!lease(&mut voter, ms(10_002), 0));
        assert!(!vote(&mut voter, ms(10_002), 4, S1));
        assert!(!vote(&mut voter, ms(10_002), 5, S1), "one server an epoch");
        assert!(vote(&mut voter, ms(10_002), 5, S2), "the same again");
        assert!(!lease(&mut voter, ms(10_002), 5), "not decided");
        let mut again = Voter::new(Rules::default(), voter.kept(), ms(0));
        assert!(!vote(&mut again, ms(9_000), 4, S1), "it outlives a restart");
        let (epoch, writer) = (Epoch(5), S2);
        assert_eq!(
            again.asked(ms(9_000), Request::Decided { epoch, writer }),
            None
        );
        assert!(lease(&mut again, ms(9_000), 5));
    }

    #[test]
    fn a_planned_move_waits_for_leases_only() {
        let mut voter = new_voter();
        let plan = |voter: &mut Voter, now: Duration| {
            let (epoch, writer) = (Epoch(1), S2);
            let is_planned = true;
            let request = Request::Vote {
                epoch,
                writer,
                is_planned,
            };
            voter.asked(now, request) == Some(Reply::Promised { epoch, writer })
        };
        assert!(lease(&mut voter, ms(10_000), 0));
        assert!(!vote(&mut voter, ms(10_010), 1, S2), "it answers");
        assert!(!plan(&mut voter, ms(10_010)), "a lease is out");
        assert!(!lease(&mut voter, ms(10_900), 0), "and no more are granted");
        assert!(plan(&mut voter, ms(11_000)));
        let mut voter = new_voter();
        assert!(lease(&mut voter, ms(10_000), 0));
        assert!(!plan(&mut voter, ms(10_010)));
        assert!(lease(&mut voter, ms(11_010), 0), "it was given up");
    }
}

#[test]
fn a_planned_move_takes_two_seconds_and_may_be_made_back() {
    for seed in 0..200 {
        let mut site = running(seed);
        let proxy = u8::try_from(seed % 2).unwrap();
        site.plan(proxy, S2);
        until(&mut site, S2, ms(1_800));
        site.run(ms(500));
        site.plan(1 - proxy, S1);
        until(&mut site, S1, ms(1_800));
    }
}

#[test]
fn a_planned_move_that_fails_leaves_the_writer() {
    for seed in 0..100 {
        let mut site = running(seed);
        site.kill_director(0);
        site.kill_director(1);
        site.run(ms(1_500));
        assert_eq!(site.writers(), [Some(S1); 2], "two of four keep");
        site.plan(0, S2);
        site.run(ms(5_000));
        assert_eq!(site.writers(), [Some(S1); 2], "and cannot elect");
    }
}

#[test]
fn a_writer_that_is_read_only_or_has_no_lock_is_none() {
    use super::{Elector, Input, Kept, Rules, View, VoterId};
    let seen = |has_lock, is_read_only| {
        let kept = Kept::first(S1);
        let mut elector = Elector::new(VoterId(0), 1, 2, Rules::default(), kept, ms(0));
        let is_current = true;
        let view = View::Up {
            has_lock,
            is_read_only,
            is_current,
        };
        elector.handle(ms(2_000), Input::Seen(S1, view));
        elector.handle(ms(2_000), Input::Timer);
        elector.writer(ms(2_000))
    };
    assert_eq!(seen(true, false), Some(S1));
    assert_eq!(seen(false, false), None);
    assert_eq!(seen(true, true), None);
}

/// What answers after a reset is another process: it needs an epoch of its own.
#[test]
fn a_writer_that_was_dead_for_a_moment_is_none_before_it_is_elected_again() {
    use super::{Elector, Epoch, Input, Kept, Rules, View, VoterId};
    let up = View::Up {
        has_lock: true,
        is_read_only: false,
        is_current: true,
    };
    let kept = Kept::first(S1);
    let mut elector = Elector::new(VoterId(0), 1, 2, Rules::default(), kept, ms(0));
    elector.handle(ms(2_000), Input::Seen(S1, up));
    elector.handle(ms(2_000), Input::Timer);
    assert_eq!(elector.writer(ms(2_010)), Some(S1));
    elector.handle(ms(2_020), Input::Seen(S1, View::Reset));
    elector.handle(ms(2_030), Input::Seen(S1, up));
    assert_eq!(elector.writer(ms(2_030)), None);
    elector.handle(elector.deadline(), Input::Timer);
    assert_eq!(elector.office(), (Epoch(1), S1));
    assert_eq!(elector.writer(ms(2_230)), Some(S1));
}

#[test]
fn whatever_happens_there_are_never_two_writers_and_in_the_end_there_is_one() {
    let seeds = std::env::var("VIADUCT_ELECTION_SEEDS");
    let seeds: u64 = seeds
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(600);
    let mut elections = 0;
    for seed in 0..seeds {
        let mut site = Site::new(seed);
        site.lossy();
        for _ in 0..25 {
            site.mischief();
            let pause = site.random(2_500);
            site.run(ms(pause));
        }
        elections += site.epoch();
        site.heal();
        site.run(ms(12_000));
        let writers = site.writers();
        assert!(
            writers[0].is_some() && writers[0] == writers[1],
            "seed {seed}: {writers:?}"
        );
    }
    assert!(
        elections > 2 * seeds,
        "hardly anything happened: {elections} epochs"
    );
}
