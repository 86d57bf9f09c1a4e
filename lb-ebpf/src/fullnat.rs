//! The ports of fullnat: each flow has one of the director's own, and an entry for each direction.
//!
//! An address and port may serve several flows at once, to different real servers: what must be
//! unique is the way back. Not here: the rewrite ([`crate::forward::nat`]).

use crate::abi::{Addr, Be16, Flow, FlowEvent, FlowKey, PoolEntry, Service, kind};
use crate::flow::{self, Found, New};
use crate::lookups::Lookups;
use crate::parse::Packet;
use crate::select;

/// Ports that are tried for a flow. At 95 % of all in use, one of 30 new flows finds none.
const PORTS_TRIED: u32 = 64;

/// The way back from a real server to an address and port of the director.
#[inline(always)]
pub const fn return_key(
    real: Addr,
    real_port: Be16,
    own: Addr,
    own_port: Be16,
    protocol: u8,
) -> FlowKey {
    FlowKey {
        source: real,
        destination: own,
        source_port: real_port,
        destination_port: own_port,
        protocol,
        kind: kind::RETURN,
        _pad: 0,
    }
}

/// How opening a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Opened {
    /// Both entries are there.
    Done = 0,
    /// No port was left.
    Exhausted = 1,
    /// The table had no room.
    Full = 2,
}

/// Records a new flow towards its real server in both directions, and writes into `new` what its
/// entry says.
#[inline(always)]
pub fn open<L: Lookups + ?Sized>(
    packet: &Packet,
    service: &Service,
    key: &FlowKey,
    new: &mut New,
    lookups: &L,
    now: u32,
) -> Opened {
    let Some(real) = lookups.real(new.flow.real) else {
        return Opened::Exhausted;
    };
    let real_port = if real.port.bits() == 0 {
        packet.destination_port
    } else {
        real.port
    };
    let mut random = select::hash_of(packet);
    for _ in 0..PORTS_TRIED {
        // A linear congruential generator (Numerical Recipes); its upper bits are used.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let Some((pool, entry, port)) = candidate(service, random, lookups) else {
            break;
        };
        let back = return_key(
            real.address,
            real_port,
            entry.address,
            port,
            packet.protocol,
        );
        let mut place = None;
        let back = lookups.hold_back(&mut place, back);
        if lookups.is_taken(back, now) {
            continue;
        }
        (new.flow.pool, new.flow.port, new.flow.peer) = (pool, port, 0);
        let Some(back_at) = lookups.record(back, new, now) else {
            continue;
        };
        new.flow.peer = back_at + 1;
        let Some(at) = lookups.record(key, new, now) else {
            flow::forget(lookups, back_at);
            lookups.event(FlowEvent::Refused);
            return Opened::Full;
        };
        flow::set_peer(lookups, back_at, at + 1);
        return Opened::Done;
    }
    Opened::Exhausted
}

/// An address and port of the service's, by chance: the address's place, itself, and the port.
#[inline(always)]
fn candidate<'a, L: Lookups + ?Sized>(
    service: &Service,
    random: u32,
    lookups: &'a L,
) -> Option<(u16, &'a PoolEntry, Be16)> {
    if service.pool_len == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below pool_len")]
    let pool = service.pool + (scaled(random << 13, u32::from(service.pool_len)) as u16);
    let entry = lookups.pool(u32::from(pool))?;
    #[expect(clippy::cast_possible_truncation, reason = "below count")]
    let offset = scaled(random, u32::from(entry.count)) as u16;
    Some((pool, entry, Be16::new(entry.first.wrapping_add(offset))))
}

/// A number below `below`, as even as `random` is.
#[inline(always)]
const fn scaled(random: u32, below: u32) -> u32 {
    ((random as u64 * below as u64) >> 32) as u32
}

/// Whether the entry of the way back is still there and belongs to this flow.
#[inline(always)]
pub fn is_open<L: Lookups + ?Sized>(found: &Found, lookups: &L, now: u32) -> bool {
    if found.flow.peer == 0 {
        return false;
    }
    flow::at(lookups, found.flow.peer - 1, now)
        .is_some_and(|(key, back)| key.kind == kind::RETURN && back.flow.peer == found.at + 1)
}

/// Gives the entry of the other direction the same state and time.
#[inline(always)]
pub fn keep_peer<L: Lookups + ?Sized>(flow: &Flow, new: u8, expires: u32, lookups: &L, now: u32) {
    if let Some((_, peer)) = flow::at(lookups, flow.peer.wrapping_sub(1), now) {
        let _: bool = flow::keep_uncounted(lookups, &peer, new, expires);
    }
}

/// Frees the entry of the way back of a flow that is over.
#[inline(always)]
pub fn close<L: Lookups + ?Sized>(found: &Found, lookups: &L, now: u32) {
    if is_open(found, lookups, now) {
        flow::forget(lookups, found.flow.peer - 1);
    }
}
