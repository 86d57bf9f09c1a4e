//! Chooses a server for a request. Pure: what is known of the servers goes in, a place comes out.
//!
//! Not here: what is known of them (`server`), and connections.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    net::IpAddr,
};

use crate::config::Balance;

/// What is known of a server when a choice is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its share; 0: nothing.
    pub weight: u16,
    /// Whether it may be chosen.
    pub is_up: bool,
    /// Requests under way to it.
    pub active: u32,
}

/// What a choice remembers for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// How far each server is from its next turn (nginx's smooth weighted round robin).
    credits: Vec<i32>,
    /// Where the last choice among equals was.
    last: usize,
}

impl Memory {
    /// Chooses among the servers that are up and were not `tried`; `None` where there is none.
    pub fn choose(
        &mut self,
        balance: Balance,
        client: IpAddr,
        count: usize,
        candidate: impl Fn(usize) -> Candidate,
    ) -> Option<usize> {
        let usable = |place: &usize| {
            let candidate = candidate(*place);
            candidate.is_up && candidate.weight > 0
        };
        match balance {
            Balance::RoundRobin => self.round_robin(count, candidate),
            Balance::LeastConnections => self.least(count, candidate),
            Balance::Source => (0..count)
                .filter(usable)
                .max_by_key(|&place| draw(client, place, candidate(place).weight)),
        }
    }

    fn round_robin(
        &mut self,
        count: usize,
        candidate: impl Fn(usize) -> Candidate,
    ) -> Option<usize> {
        self.credits.resize(count, 0);
        let mut total = 0;
        let mut best: Option<usize> = None;
        for place in 0..count {
            let Candidate { weight, is_up, .. } = candidate(place);
            if !is_up || weight == 0 {
                continue;
            }
            total += i32::from(weight);
            self.credits[place] += i32::from(weight);
            if best.is_none_or(|best| self.credits[place] > self.credits[best]) {
                best = Some(place);
            }
        }
        let best = best?;
        self.credits[best] -= total;
        Some(best)
    }

    /// Fewest for the weight; equals take turns.
    fn least(&mut self, count: usize, candidate: impl Fn(usize) -> Candidate) -> Option<usize> {
        let mut best: Option<(usize, Candidate)> = None;
        for step in 1..=count {
            let place = (self.last + step) % count;
            let this = candidate(place);
            if !this.is_up || this.weight == 0 {
                continue;
            }
            let busier = |a: &Candidate, b: &Candidate| {
                u64::from(a.active) * u64::from(b.weight)
                    > u64::from(b.active) * u64::from(a.weight)
            };
            if best.is_none_or(|(_, best)| busier(&best, &this)) {
                best = Some((place, this));
            }
        }
        let (place, _) = best?;
        self.last = place;
        Some(place)
    }
}

/// What a server draws for a client: the highest wins, so that of a server that goes only its own
/// clients move (rendezvous hashing, by weight).
fn draw(client: IpAddr, place: usize, weight: u16) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, place).hash(&mut hasher);
    // -ln(u)/w is smallest where this is largest; in whole numbers, so that all proxies agree.
    let uniform = hasher.finish() >> 11;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "53 bits are exact, and the quotient is positive and small enough"
    )]
    let score = {
        let unit = (uniform as f64 + 0.5) / (1_u64 << 53) as f64;
        (f64::from(weight) / -unit.ln() * 1e6) as u64
    };
    score
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn candidates(weights: &[u16]) -> Vec<Candidate> {
        let of = |&weight| Candidate {
            weight,
            is_up: true,
            active: 0,
        };
        weights.iter().map(of).collect()
    }

    fn row(balance: Balance, servers: &[Candidate], length: usize) -> Vec<usize> {
        let mut memory = Memory::default();
        let mut next = || memory.choose(balance, CLIENT, servers.len(), |place| servers[place]);
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
        for balance in [
            Balance::RoundRobin,
            Balance::LeastConnections,
            Balance::Source,
        ] {
            assert_eq!(row(balance, &servers, 3), [1, 1, 1], "{balance:?}");
        }
        servers[1].is_up = false;
        for balance in [
            Balance::RoundRobin,
            Balance::LeastConnections,
            Balance::Source,
        ] {
            assert!(row(balance, &servers, 3).is_empty(), "{balance:?}");
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
    fn a_client_keeps_its_server_and_only_those_of_a_lost_one_move() {
        let mut servers = candidates(&[100, 100, 200]);
        let choose = |servers: &[Candidate], n: u32| {
            let client = IpAddr::from(n.to_be_bytes());
            let mut memory = Memory::default();
            memory.choose(Balance::Source, client, 3, |place| servers[place])
        };
        let before: Vec<_> = (0..4000).map(|n| choose(&servers, n)).collect();
        let mut shares = BTreeMap::new();
        before
            .iter()
            .for_each(|place| *shares.entry(*place).or_insert(0) += 1);
        assert!((850..1150).contains(&shares[&Some(0)]), "{shares:?}");
        assert!((1850..2150).contains(&shares[&Some(2)]), "{shares:?}");
        servers[1].is_up = false;
        for (n, before) in (0..).zip(&before) {
            let after = choose(&servers, n);
            assert!(after == *before || *before == Some(1), "client {n}");
        }
    }
}
