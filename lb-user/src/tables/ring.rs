//! Maglev rings (Eisenbud et al., NSDI 2016, section 3.4) with weights, and how a new ring
//! remembers the old one.
//!
//! Every real server has a quota of slots, exact to the nearest whole slot, and takes its turns
//! evenly spread in time; at a turn it takes the next free slot of its own permutation. The result
//! depends on the set of servers and weights only, so two directors agree, and a server that comes
//! back gets its slots back.
//!
//! Sizes are powers of two, where the paper has primes: an odd stride walks all slots of such a
//! ring too, and a ring that doubles splits each slot in two, so a growing service keeps its flows
//! (docs/adr/0001).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;

use lb_ebpf::abi::Slot;

/// Smallest ring.
pub const SIZE_MIN: u32 = 1 << 12;
/// Largest ring.
pub const SIZE_MAX: u32 = 1 << 16;
/// Slots a real server has on average at least, while the ring is below [`SIZE_MAX`].
const SLOTS_PER_SERVER: u32 = 100;

/// A real server as the ring sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Index among the service's members: what the slots will say.
    pub member: u16,
    /// What its permutation is made of: its address; where the service has several real servers at
    /// that, the port as well, else 0, so that services of the same hosts have the same ring.
    pub identity: SocketAddr,
    /// Its share; not 0.
    pub weight: u16,
}

/// The size of the ring of a service with so many real servers, up or not; never less than
/// `present`, the size it has now, since shrinking would lose track of flows.
pub fn size_for(servers: usize, present: u32) -> u32 {
    let wanted = u32::try_from(servers)
        .unwrap_or(u32::MAX)
        .saturating_mul(SLOTS_PER_SERVER);
    wanted
        .clamp(SIZE_MIN, SIZE_MAX)
        .next_power_of_two()
        .max(present)
}

/// Who owns each slot of a ring of `size` slots (a power of two): a member, or [`Slot::NOBODY`]
/// where there is no candidate.
pub fn fill(candidates: &[Candidate], size: u32) -> Vec<u16> {
    debug_assert!(size.is_power_of_two(), "an odd stride must walk all slots");
    let mut owners = vec![Slot::NOBODY; size as usize];
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by_key(|candidate| candidate.identity);
    let quotas = quotas(&order, size);
    let mut walks: Vec<Walk> = order.iter().map(|c| Walk::new(c.identity, size)).collect();
    // The time of turn t of q is (2t + 1) / 2q; compared as fractions of 2^32, ties by order.
    let time = |turn: u32, quota: u32| ((u64::from(turn) * 2 + 1) << 32) / (u64::from(quota) * 2);
    let mut turns: BinaryHeap<Reverse<(u64, usize, u32)>> = quotas
        .iter()
        .enumerate()
        .filter(|(_, quota)| **quota > 0)
        .map(|(at, quota)| Reverse((time(0, *quota), at, 0)))
        .collect();
    while let Some(Reverse((_, at, turn))) = turns.pop() {
        let slot = walks[at].next_free(&owners);
        owners[slot] = order[at].member;
        if turn + 1 < quotas[at] {
            turns.push(Reverse((time(turn + 1, quotas[at]), at, turn + 1)));
        }
    }
    owners
}

/// Slots for each candidate: proportional to weight, by largest remainder, at least one each, and
/// `size` in all.
pub(super) fn quotas(candidates: &[&Candidate], size: u32) -> Vec<u32> {
    let total: u64 = candidates.iter().map(|c| u64::from(c.weight)).sum();
    if total == 0 {
        return vec![0; candidates.len()];
    }
    let exact = |c: &Candidate| u64::from(c.weight) * u64::from(size);
    let mut quotas: Vec<u32> = candidates
        .iter()
        .map(|c| u32::try_from(exact(c) / total).unwrap_or(size))
        .collect();
    let mut by_remainder: Vec<usize> = (0..candidates.len()).collect();
    by_remainder.sort_by_key(|at| Reverse(exact(candidates[*at]) % total));
    let missing = size - quotas.iter().sum::<u32>();
    for at in by_remainder.into_iter().take(missing as usize) {
        quotas[at] += 1;
    }
    for at in 0..quotas.len() {
        if quotas[at] == 0 {
            if let Some(largest) = (0..quotas.len()).max_by_key(|at| quotas[*at]) {
                quotas[largest] -= 1;
                quotas[at] = 1;
            }
        }
    }
    quotas
}

/// A server's permutation of the slots, and how far it has come.
struct Walk {
    next: u32,
    stride: u32,
    mask: u32,
}

impl Walk {
    fn new(identity: SocketAddr, size: u32) -> Self {
        let hash = identity_hash(identity);
        let low = (hash & 0xffff_ffff) as u32;
        let high = (hash >> 32) as u32;
        Self {
            next: low & (size - 1),
            stride: high & (size - 1) | 1,
            mask: size - 1,
        }
    }

    /// The next slot of the permutation that nobody owns. There is one: the quotas add up to the
    /// number of slots.
    fn next_free(&mut self, owners: &[u16]) -> usize {
        loop {
            let slot = self.next as usize;
            self.next = (self.next + self.stride) & self.mask;
            if owners[slot] == Slot::NOBODY {
                return slot;
            }
        }
    }
}

/// A hash of an address and port that never changes between versions: two directors, and two
/// versions of one, must fill the same ring. FNV-1a, finished as MurmurHash3 does.
fn identity_hash(identity: SocketAddr) -> u64 {
    let octets = match identity.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(v6) => v6.octets(),
    };
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in octets.into_iter().chain(identity.port().to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The new ring with the memory of the old one: a slot whose owner changed is unsettled, and one
/// that was unsettled stays so until [`settle`]d. `known` tells which members still exist.
pub fn carry(old: &[Slot], owners: &[u16], known: impl Fn(u16) -> bool) -> Arc<[Slot]> {
    // A ring only ever doubles: each old slot has become `split` new ones.
    let split = if old.is_empty() {
        1
    } else {
        (owners.len() / old.len()).max(1)
    };
    let carry_one = |(at, owner): (usize, &u16)| {
        let Some(before) = old.get(at / split) else {
            return Slot::settled(*owner);
        };
        let former = before.settled_owner();
        if before.is_unsettled() {
            return Slot::unsettled(*owner, if known(former) { former } else { *owner });
        }
        match former == *owner || !known(former) {
            true => Slot::settled(*owner),
            false => Slot::unsettled(*owner, former),
        }
    };
    owners.iter().enumerate().map(carry_one).collect()
}

/// The ring with those slots settled that `is_due` names: their former owner's flows are gone.
pub fn settle(ring: &[Slot], is_due: impl Fn(usize) -> bool) -> Arc<[Slot]> {
    ring.iter()
        .enumerate()
        .map(|(at, slot)| match slot.is_unsettled() && is_due(at) {
            true => Slot::settled(slot.current()),
            false => *slot,
        })
        .collect()
}

#[cfg(test)]
mod tests;
