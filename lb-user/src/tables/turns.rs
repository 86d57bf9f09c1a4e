//! The order of turns of `rr` and `wrr`, written down as a list of members that the program goes
//! through over and over.

use std::cmp::Reverse;
use std::sync::Arc;

use lb_ebpf::abi::Slot;

use super::ring::{self, Candidate};

/// Longest list; weights that would need more are rounded to parts of this.
pub const TURNS_MAX: u32 = 4096;

/// Each candidate once, whatever its weight.
pub fn equal(candidates: &[Candidate]) -> Arc<[Slot]> {
    ordered(candidates)
        .iter()
        .map(|candidate| Slot::settled(candidate.member))
        .collect()
}

/// Each candidate as often as its weight says, spread as evenly as nginx does (smooth weighted
/// round robin).
pub fn weighted(candidates: &[Candidate]) -> Arc<[Slot]> {
    let order = ordered(candidates);
    let shares = shares(&order);
    let total: i64 = shares.iter().sum();
    let mut credit = vec![0i64; order.len()];
    let mut turns = Vec::with_capacity(usize::try_from(total).unwrap_or_default());
    for _ in 0..total {
        for (credit, share) in credit.iter_mut().zip(&shares) {
            *credit += share;
        }
        // Of equals, the first.
        let best = (0..order.len()).max_by_key(|at| (credit[*at], Reverse(*at)));
        let Some(best) = best else { break };
        credit[best] -= total;
        turns.push(Slot::settled(order[best].member));
    }
    turns.into()
}

/// Turns of each: weights without their common divisor, or parts of [`TURNS_MAX`].
fn shares(order: &[&Candidate]) -> Vec<i64> {
    let divisor = order
        .iter()
        .fold(0, |divisor, candidate| gcd(divisor, candidate.weight));
    let total: u64 = order.iter().map(|c| u64::from(c.weight)).sum();
    if total / u64::from(divisor.max(1)) > u64::from(TURNS_MAX) {
        return ring::quotas(order, TURNS_MAX)
            .into_iter()
            .map(i64::from)
            .collect();
    }
    order
        .iter()
        .map(|candidate| i64::from(candidate.weight / divisor.max(1)))
        .collect()
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// In an order that depends on nothing but the real servers.
fn ordered(candidates: &[Candidate]) -> Vec<&Candidate> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by_key(|candidate| candidate.identity);
    order
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn candidates(weights: &[u16]) -> Vec<Candidate> {
        let candidate = |(member, weight): (u16, &u16)| {
            let [high, low] = member.to_be_bytes();
            Candidate {
                member,
                identity: SocketAddr::new(Ipv4Addr::new(10, 1, high, low).into(), 0),
                weight: *weight,
            }
        };
        (0..).zip(weights).map(candidate).collect()
    }

    fn members(turns: &[Slot]) -> Vec<u16> {
        turns.iter().map(|slot| slot.current()).collect()
    }

    #[test]
    fn equal_turns_are_one_each_in_the_order_of_addresses() {
        let mut three = candidates(&[5, 1, 9]);
        three.reverse();
        assert_eq!(members(&equal(&three)), [0, 1, 2]);
        assert!(equal(&[]).is_empty() && weighted(&[]).is_empty());
    }

    #[test]
    fn weighted_turns_are_those_of_nginx() {
        // The example of nginx's commit: {5, 1, 1} is a a b a c a a.
        assert_eq!(
            members(&weighted(&candidates(&[5, 1, 1]))),
            [0, 0, 1, 0, 2, 0, 0]
        );
        assert_eq!(members(&weighted(&candidates(&[100, 200]))), [1, 0, 1]);
    }

    #[test]
    fn weights_that_have_nothing_in_common_are_rounded() {
        let turns = members(&weighted(&candidates(&[65_535, 65_534, 1])));
        assert_eq!(turns.len(), 4096);
        assert_eq!(turns.iter().filter(|member| **member == 2).count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn everyone_has_turns_in_proportion(weights in proptest::collection::vec(1u16..20, 1..8)) {
            let turns = members(&weighted(&candidates(&weights)));
            let total: u32 = weights.iter().map(|w| u32::from(*w)).sum();
            for (member, weight) in (0..).zip(&weights) {
                let count = turns.iter().filter(|turn| **turn == member).count();
                prop_assert_eq!(count * total as usize, turns.len() * usize::from(*weight));
            }
        }
    }
}
