//! Which real server: from a flow to a slot of the ring, and from the slot to a member.
//!
//! Not here: how rings are filled (lb-user's `tables`), and look-ups of real servers.

use crate::abi::{Addr, Be16, Flow, FlowKey, REAL_DRAINING, REAL_UP, Service, Slot};
use crate::parse::Packet;
use crate::steer::Lookups;
use crate::wire::tcp::Tcp;

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

/// The member that `packet` of `service` goes to; [`Slot::NOBODY`] where there is none.
///
/// The common case reads one slot. Only in an unsettled slot is per-flow memory touched:
/// SYNs go to the current owner; for others the flow's entry decides, else the settled owner while
/// it is up (and, for UDP, not draining), else the current one. What was decided there is recorded.
#[inline(always)]
pub fn member<L: Lookups>(packet: &Packet, service: &Service, lookups: &L, now: u32) -> u16 {
    let hash = hash_of(packet);
    let Some(slot) = lookups.slot(service.ring + slot_of(hash, service.ring_len)) else {
        return Slot::NOBODY;
    };
    if !slot.is_unsettled() {
        return slot.current();
    }
    let key = FlowKey {
        client: packet.source,
        service: service.id,
        port: packet.source_port,
        _pad: 0,
    };
    unsettled(packet, service, slot, &key, lookups, now)
}

/// The member of a flow in an unsettled slot.
#[inline(always)]
fn unsettled<L: Lookups>(
    packet: &Packet,
    service: &Service,
    slot: Slot,
    key: &FlowKey,
    lookups: &L,
    now: u32,
) -> u16 {
    let mut member = slot.current();
    if !packet.is_syn() {
        if let Some(recorded) = lookups.flow(key, now, service.timeout) {
            if standing(service, recorded, lookups) & REAL_UP != 0 {
                return recorded;
            }
        }
        let settled = standing(service, slot.settled_owner(), lookups);
        // A datagram may be a flow's first: a real server that drains would never be done.
        let keeps = packet.protocol == Tcp::PROTOCOL || settled & REAL_DRAINING == 0;
        if settled & REAL_UP != 0 && keeps {
            member = slot.settled_owner();
        }
    }
    if member != Slot::NOBODY {
        lookups.record(
            key,
            &Flow {
                seen: now,
                member,
                _pad: 0,
            },
        );
    }
    member
}

/// The flags of a member's real server; none where there is no such real server any more.
#[inline(always)]
fn standing<L: Lookups>(service: &Service, member: u16, lookups: &L) -> u16 {
    if member >= service.members_len {
        return 0;
    }
    lookups
        .member(service.members + u32::from(member))
        .and_then(|id| lookups.real(id))
        .filter(|real| real.service == service.id)
        .map_or(0, |real| real.flags)
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
