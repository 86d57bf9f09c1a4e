//! From a flow to a slot of the ring, and from the slot to a real server.
//!
//! Not here: what memory says of a flow ([`crate::track`]), and how rings are filled (lb-user's
//! `tables`).

use crate::abi::{Addr, Be16, Be32, HASH_CLIENT, REAL_DRAINING, REAL_UP, Real, Service, Slot};
use crate::lookups::Lookups;
use crate::parse::Packet;

/// Hash of a flow as the client sees it. Two directors must agree on it, and so must two versions:
/// it is part of the ABI.
///
/// Three rounds of multiply and fold (after the finaliser of MurmurHash3): 3 ns, no helper.
#[inline(always)]
pub const fn flow_hash(client: &Addr, client_port: Be16, port: Be16, protocol: u8) -> u32 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xbf58_476d_1ce4_e5b9;
    const C: u64 = 0x94d0_49bb_1331_11eb;
    let (high, low) = client.halves();
    let ports = (client_port.bits() as u64) << 32 | (port.bits() as u64) << 16 | protocol as u64;
    let mut hash = (high ^ A).wrapping_mul(B);
    hash = (hash ^ (hash >> 32) ^ low).wrapping_mul(C);
    hash = (hash ^ (hash >> 29) ^ ports).wrapping_mul(B);
    hash = (hash ^ (hash >> 32)).wrapping_mul(C);
    (hash >> 32) as u32
}

/// The slot of a hash in a ring of `ring_len` slots, without a division: the high half of the
/// product is as even as the hash is.
#[inline(always)]
pub const fn slot_of(hash: u32, ring_len: u32) -> u32 {
    ((hash as u64 * ring_len as u64) >> 32) as u32
}

/// The hash of a packet's flow.
#[inline(always)]
pub const fn hash_of(packet: &Packet) -> u32 {
    flow_hash(
        &packet.source,
        packet.source_port,
        packet.destination_port,
        packet.protocol,
    )
}

/// The first `bits` of an address, of 128; an IPv4 address has 96 before its own.
#[inline(always)]
pub const fn masked(address: &Addr, bits: u8) -> Addr {
    let [a, b, c, d] = address.words();
    Addr::from_words([
        masked_word(*a, bits, 0),
        masked_word(*b, bits, 32),
        masked_word(*c, bits, 64),
        masked_word(*d, bits, 96),
    ])
}

#[inline(always)]
const fn masked_word(word: Be32, bits: u8, before: u8) -> Be32 {
    let kept = bits.saturating_sub(before);
    let mask = if kept >= 32 {
        u32::MAX
    } else {
        !(u32::MAX >> kept)
    };
    Be32::new(word.get() & mask)
}

/// Hash of a client, or of a network of them, where that is all that decides.
#[inline(always)]
pub const fn client_hash(client: &Addr, bits: u8) -> u32 {
    flow_hash(&masked(client, bits), Be16::new(0), Be16::new(0), 0)
}

/// What decides for a packet of this service: the hash of its flow or of its client.
#[inline(always)]
pub const fn service_hash(packet: &Packet, service: &Service) -> u32 {
    if service.flags & HASH_CLIENT != 0 {
        client_hash(&packet.source, service.client_bits)
    } else {
        hash_of(packet)
    }
}

/// The slot of the service's ring that a packet belongs to.
#[inline(always)]
pub fn slot<L: Lookups + ?Sized>(packet: &Packet, service: &Service, lookups: &L) -> Option<Slot> {
    if service.ring_len == 0 {
        return None;
    }
    lookups.slot(service.ring + slot_of(service_hash(packet, service), service.ring_len))
}

/// A member of a service: its real server's id.
#[inline(always)]
pub fn member<L: Lookups + ?Sized>(lookups: &L, service: &Service, member: u16) -> Option<u32> {
    if member >= service.members_len {
        return None;
    }
    lookups.member(service.members + u32::from(member))
}

/// Whether a real server of this service is up.
#[inline(always)]
pub const fn is_up(real: &Real, service: &Service) -> bool {
    real.service == service.id && real.flags & REAL_UP != 0
}

/// Whether a real server of this service is up and takes new flows.
#[inline(always)]
pub const fn is_willing(real: &Real, service: &Service) -> bool {
    is_up(real, service) && real.flags & REAL_DRAINING == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Be32;

    #[test]
    fn the_hash_is_the_one_that_was_released() {
        let client = Addr::v4(Be32::new(0x0a4d_0001));
        let hash = flow_hash(&client, Be16::new(40_000), Be16::new(80), 6);
        assert_eq!(
            hash, HASH_OF_THE_EXAMPLE,
            "two versions of Viaduct must place a flow alike"
        );
    }

    const HASH_OF_THE_EXAMPLE: u32 = 0xf645_0096;

    #[test]
    fn consecutive_ports_and_addresses_spread_evenly() {
        // Chi-squared over 64 slots: 64 ± 5 standard deviations (√126 each).
        for vary_port in [true, false] {
            let mut counts = [0u32; 64];
            for i in 0..64_000u32 {
                let (address, port) = if vary_port { (7, i) } else { (i, 7) };
                #[expect(clippy::cast_possible_truncation, reason = "below 64,000")]
                let port = Be16::new(port as u16);
                let client = Addr::v4(Be32::new(0x0a00_0000 + address));
                counts[slot_of(flow_hash(&client, port, Be16::new(443), 6), 64) as usize] += 1;
            }
            let chi: f64 = counts
                .iter()
                .map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0)
                .sum();
            assert!(
                (10.0..120.0).contains(&chi),
                "chi-squared {chi} with vary_port {vary_port}"
            );
        }
    }

    #[test]
    fn a_slot_is_always_inside_the_ring() {
        for len in [1, 2, 4099, 65_537] {
            assert_eq!(slot_of(0, len), 0);
            assert_eq!(slot_of(u32::MAX, len), len - 1);
        }
    }
}
