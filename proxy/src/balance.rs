//! Chooses a server for a request. Pure: what is known of the servers goes in, a place comes out.
//!
//! Not here: what is known of them (`server`, `plan`), cookies that name one (`persistence`), and
//! connections.

use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

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
    /// What it draws lots with: [`seed`] of its address, wherever it stands in the site file.
    pub seed: u64,
}

/// What a choice remembers for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// How far each server is from its next turn (nginx's smooth weighted round robin).
    credits: Vec<i32>,
    /// Where the last choice among equals was.
    last: usize,
    /// What two are drawn by.
    chance: u64,
}

impl Memory {
    /// A memory that draws by this number: another one for each thread, or all draw the same.
    #[must_use]
    pub fn new(chance: u64) -> Self {
        Self {
            chance,
            ..Self::default()
        }
    }

    /// Chooses among the servers that are up; `None` where there is none. What has the same `key`
    /// gets the same server where `balance` goes by it.
    pub fn choose(
        &mut self,
        balance: Balance,
        key: u64,
        count: usize,
        candidate: impl Fn(usize) -> Candidate,
    ) -> Option<usize> {
        match balance {
            Balance::RoundRobin => self.round_robin(count, candidate),
            Balance::LeastConnections => self.least(count, candidate),
            Balance::TwoChoices => self.two(count, candidate),
            Balance::Source | Balance::Hash => (0..count)
                .map(|place| (place, candidate(place)))
                .filter(|(_, candidate)| is_usable(candidate))
                .max_by_key(|(_, candidate)| draw(key, candidate))
                .map(|(place, _)| place),
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
            let this = candidate(place);
            if !is_usable(&this) {
                continue;
            }
            total += i32::from(this.weight);
            self.credits[place] += i32::from(this.weight);
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
            if !is_usable(&this) {
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

    /// Two are drawn, and of these the one that would have fewer for its weight with this request.
    /// Two that see the same numbers do not rush to the same server, as with the least of all.
    fn two(&mut self, count: usize, candidate: impl Fn(usize) -> Candidate) -> Option<usize> {
        let usable = || (0..count).filter(|&place| is_usable(&candidate(place)));
        let number = usable().count();
        let first = self.below(number)?;
        let Some(second) = self.below(number - 1) else {
            return usable().next();
        };
        // Another one than the first.
        let second = second + usize::from(second >= first);
        let (a, b) = (usable().nth(first)?, usable().nth(second)?);
        let load = |place: usize, other: usize| {
            (u64::from(candidate(place).active) + 1) * u64::from(candidate(other).weight)
        };
        Some(if load(b, a) < load(a, b) { b } else { a })
    }

    /// A number below `end`, by chance; none where there is none.
    fn below(&mut self, end: usize) -> Option<usize> {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = (u128::from(mixed(self.chance)) * end as u128) >> 64;
        usize::try_from(drawn).ok().filter(|drawn| *drawn < end)
    }
}

fn is_usable(candidate: &Candidate) -> bool {
    candidate.is_up && candidate.weight > 0
}

/// What stands for bytes in a choice; the same on all proxies and in all versions.
#[must_use]
pub fn key(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEYS[0], KEYS[1]);
    hasher.write(bytes);
    hasher.finish()
}

/// What stands for a client's address in a choice.
#[must_use]
pub fn client_key(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => key(&address.octets()),
        IpAddr::V6(address) => key(&address.octets()),
    }
}

/// What a server draws lots with.
#[must_use]
pub fn seed(server: SocketAddr) -> u64 {
    mixed(client_key(server.ip()) ^ u64::from(server.port()))
}

/// Nothing secret: all proxies have to agree.
const KEYS: [u64; 2] = [0x7669_6164_7563_7420, 0x6c6f_7473_2062_7920];

/// SplitMix64's last step.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What a server draws for a key: the highest wins, so that of a server that goes only its own keys
/// move, and a new one takes its share from all and nothing else moves (rendezvous hashing, by weight).
fn draw(key: u64, candidate: &Candidate) -> u64 {
    // -ln(u)/w is smallest where this is largest; in whole numbers, so that all proxies agree.
    let uniform = mixed(key ^ candidate.seed) >> 11;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "53 bits are exact, and the quotient is positive and small enough"
    )]
    let score = {
        let unit = (uniform as f64 + 0.5) / (1_u64 << 53) as f64;
        (f64::from(candidate.weight) / -unit.ln() * 1e6) as u64
    };
    score
}

#[cfg(test)]
mod tests;
