//! Tables of small groups of servers, and laws over many keys.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ALL: [Balance; 5] = [
    Balance::RoundRobin,
    Balance::LeastConnections,
    Balance::TwoChoices,
    Balance::Source,
    Balance::Hash,
];

fn candidates(weights: &[u16]) -> Vec<Candidate> {
    let of = |(place, &weight): (u16, &u16)| Candidate {
        weight,
        is_up: true,
        active: 0,
        seed: seed(([10, 0, 0, 1], place).into()),
    };
    (0..).zip(weights).map(of).collect()
}

fn row(balance: Balance, servers: &[Candidate], length: usize) -> Vec<usize> {
    let mut memory = Memory::new(7);
    let mut next = || memory.choose(balance, 42, servers.len(), |place| servers[place]);
    (0..length).map_while(|_| next()).collect()
}

#[test]
fn round_robin_is_by_weight_and_smooth() {
    let servers = candidates(&[5, 1, 1]);
    assert_eq!(row(Balance::RoundRobin, &servers, 7), [0, 0, 1, 0, 2, 0, 0]);
    let servers = candidates(&[100, 100, 0]);
    assert_eq!(row(Balance::RoundRobin, &servers, 4), [0, 1, 0, 1]);
}

#[test]
fn who_is_down_or_weighs_nothing_is_not_chosen() {
    let mut servers = candidates(&[1, 1, 0]);
    servers[0].is_up = false;
    for balance in ALL {
        assert_eq!(row(balance, &servers, 3), [1, 1, 1], "{balance:?}");
    }
    servers[1].is_up = false;
    for balance in ALL {
        assert!(row(balance, &servers, 3).is_empty(), "{balance:?}");
        assert!(row(balance, &[], 3).is_empty(), "{balance:?}");
    }
}

#[test]
fn the_least_busy_for_its_weight_is_chosen_and_equals_take_turns() {
    let mut servers = candidates(&[1, 1, 2]);
    servers[0].active = 3;
    servers[1].active = 2;
    servers[2].active = 5;
    assert_eq!(row(Balance::LeastConnections, &servers, 2), [1, 1]);
    servers[1].active = 3;
    servers[2].active = 6;
    assert_eq!(row(Balance::LeastConnections, &servers, 4), [1, 2, 0, 1]);
}

#[test]
fn of_two_that_are_drawn_the_less_busy_one_is_chosen() {
    let mut servers = candidates(&[1, 1, 1, 1]);
    servers[2].active = 1000;
    let chosen = row(Balance::TwoChoices, &servers, 3000);
    let count = |place| chosen.iter().filter(|&&one| one == place).count();
    assert_eq!(count(2), 0, "whoever is drawn beside it has fewer");
    for place in [0, 1, 3] {
        assert!((700..1300).contains(&count(place)), "{}", count(place));
    }
    // Of two, always the one with fewer for its weight.
    let mut servers = candidates(&[1, 3]);
    (servers[0].active, servers[1].active) = (1, 4);
    assert!(
        row(Balance::TwoChoices, &servers, 50)
            .iter()
            .all(|&one| one == 1)
    );
    servers[1].active = 6;
    assert!(
        row(Balance::TwoChoices, &servers, 50)
            .iter()
            .all(|&one| one == 0)
    );
}

fn of_key(servers: &[Candidate], n: u32) -> Option<u64> {
    let key = client_key(n.to_be_bytes().into());
    let mut memory = Memory::default();
    let place = memory.choose(Balance::Source, key, servers.len(), |place| servers[place]);
    place.map(|place| servers[place].seed)
}

#[test]
fn a_client_keeps_its_server_and_only_those_of_a_lost_one_move() {
    let mut servers = candidates(&[100, 100, 200]);
    let before: Vec<_> = (0..4000).map(|n| of_key(&servers, n)).collect();
    let mut shares = BTreeMap::new();
    before
        .iter()
        .for_each(|seed| *shares.entry(*seed).or_insert(0) += 1);
    assert!(
        (850..1150).contains(&shares[&Some(servers[0].seed)]),
        "{shares:?}"
    );
    assert!(
        (1850..2150).contains(&shares[&Some(servers[2].seed)]),
        "{shares:?}"
    );
    servers[1].is_up = false;
    for (n, before) in (0..).zip(&before) {
        let after = of_key(&servers, n);
        assert!(
            after == *before || *before == Some(servers[1].seed),
            "client {n}"
        );
    }
}

#[test]
fn a_server_more_takes_its_share_from_all_and_nothing_else_moves() {
    let all = candidates(&[100; 10]);
    let (before, after) = (&all[1..], &all[..]);
    let moved: Vec<_> = (0..10_000)
        .map(|n| (of_key(before, n), of_key(after, n)))
        .filter(|(before, after)| before != after)
        .collect();
    let share = moved.len();
    assert!((850..1150).contains(&share), "{share} of 10,000 moved");
    assert!(moved.iter().all(|(_, after)| *after == Some(all[0].seed)));
    // The order of the file says nothing.
    let mut turned = all.clone();
    turned.rotate_left(3);
    assert!((0..1000).all(|n| of_key(&turned, n) == of_key(&all, n)));
}

proptest! {
    #[test]
    fn whoever_is_chosen_may_be_chosen_and_there_is_a_choice_where_there_can_be(
        servers in proptest::collection::vec((0_u16..4, any::<bool>(), 0_u32..50), 0..9),
        key: u64, chance: u64,
    ) {
        let servers: Vec<Candidate> = (0..).zip(&servers).map(|(seed, &(weight, is_up, active))| {
            Candidate { weight, is_up, active, seed }
        }).collect();
        for balance in ALL {
            let mut memory = Memory::new(chance);
            let chosen = memory.choose(balance, key, servers.len(), |place| servers[place]);
            prop_assert_eq!(chosen.is_some(), servers.iter().any(is_usable));
            prop_assert!(chosen.is_none_or(|place| is_usable(&servers[place])));
        }
    }
}
