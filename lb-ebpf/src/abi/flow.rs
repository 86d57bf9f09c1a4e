//! The flow table: what has to be remembered of single flows, in plain arrays that the program and
//! the daemon share.
//!
//! A *bucket* is one cache line of eight [`Way`]s: tag, state and expiry of each, all that finding
//! a flow or making room takes. Behind each way lies one entry, a [`FlowKey`] and a [`Flow`], a
//! cache line too, read only where the tag fits. Both are made of aligned words that are read and
//! written one at a time: nobody locks. Not here: how the table is searched and kept
//! ([`crate::flow`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Addr, Be16};

/// What an entry is about: [`FlowKey::kind`].
pub mod kind {
    /// A client's flow: where it goes, whatever the ring says.
    pub const FLOW: u8 = 1;
    /// A client, or a network of them: where its new flows go (persistence; LVS's template).
    pub const CLIENT: u8 = 2;
    /// The later fragments of a packet: where the first one went.
    pub const FRAGMENT: u8 = 3;
    /// The way back of a fullnat flow: from the real server to the director's own address.
    pub const RETURN: u8 = 4;
    /// The later fragments of a nat real server's reply.
    pub const REPLY_FRAGMENT: u8 = 5;
}

/// What an entry is found by.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C, align(8))]
pub struct FlowKey {
    /// Who sends: the client; of the way back of fullnat, the real server.
    pub source: Addr,
    /// Whom to: the VIP; of the way back of fullnat, the director's own address.
    pub destination: Addr,
    /// The sender's port; of fragments, half of what identifies the packet; of clients, zero.
    pub source_port: Be16,
    /// The port it sends to; of fragments, the other half.
    pub destination_port: Be16,
    /// IP protocol number.
    pub protocol: u8,
    /// A number of [`kind`].
    pub kind: u8,
    /// Zero.
    pub _pad: u16,
}

/// What an entry says.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Flow {
    /// The service's id.
    pub service: u32,
    /// The real server's id.
    pub real: u32,
    /// Of a fullnat flow: place of the entry of the other direction, plus one; 0: none.
    pub peer: u32,
    /// Of a fullnat flow: the director's address, by its place in `POOL`.
    pub pool: u16,
    /// Of a fullnat flow: the director's port.
    pub port: Be16,
    /// Of fragments: the port that the first one went to.
    pub vip_port: Be16,
    /// Zero.
    pub _pad: [u16; 3],
}

/// States of an entry: [`Way::state`]. The names are LVS's where it has one.
pub mod state {
    /// Nobody's.
    pub const FREE: u8 = 0;
    /// Being written by one CPU; nobody else's to read or take.
    pub const BUSY: u8 = 1;
    /// One packet was seen, perhaps forged: gives way when room is needed (LVS: SYN_RECV).
    pub const NEW: u8 = 2;
    /// Packets went on coming: never gives way to a new flow (LVS: ESTABLISHED).
    pub const ESTABLISHED: u8 = 3;
    /// One side has said that it ends (LVS: FIN_WAIT).
    pub const CLOSING: u8 = 4;
    /// Reset (LVS: CLOSE); gives way as a new one does.
    pub const CLOSED: u8 = 5;
}

/// A way of a bucket: a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Way(pub u64);

impl Way {
    /// Bits of a tag.
    pub const TAG_BITS: u32 = 24;

    /// A way in `state` until kernel tick `expires`.
    #[inline(always)]
    pub const fn new(tag: u32, state: u8, expires: u32) -> Self {
        Self((state as u64) << 56 | ((tag & 0xff_ffff) as u64) << 32 | expires as u64)
    }

    /// A number of [`state`].
    #[inline(always)]
    pub const fn state(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Part of the key's hash.
    #[inline(always)]
    pub const fn tag(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff_ffff
    }

    /// Kernel tick (low half of `jiffies64`) at which the entry is forgotten.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub const fn expires(self) -> u32 {
        self.0 as u32
    }

    /// Whether its time is not over before `until`.
    #[inline(always)]
    pub const fn lasts(self, until: u32) -> bool {
        !self.is_expired(until)
    }

    /// Whether its time is over at `now`.
    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, reason = "ticks wrap")]
    pub const fn is_expired(self, now: u32) -> bool {
        // Wrapped difference: right for up to 2^31 ticks, 24 days at 1000 a second.
        now.wrapping_sub(self.expires()) as i32 > 0
    }
}

impl core::fmt::Debug for Way {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "state {} tag {:06x} until {}",
            self.state(),
            self.tag(),
            self.expires()
        )
    }
}

/// A next hop the kernel has no Ethernet address for: the daemon has it resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Unresolved {
    /// The client that a reply could not be sent to.
    pub destination: Addr,
    /// Interface the reply came in by.
    pub ifindex: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_tells_what_it_was_made_of() {
        let way = Way::new(0xff12_3456, state::ESTABLISHED, 77);
        assert_eq!(
            (way.tag(), way.state(), way.expires()),
            (0x12_3456, state::ESTABLISHED, 77)
        );
    }

    #[test]
    fn a_way_expires_after_its_tick_also_across_the_wrap() {
        let way = Way::new(1, state::NEW, u32::MAX);
        assert!(!way.is_expired(u32::MAX - 100));
        assert!(!way.is_expired(u32::MAX));
        assert!(way.is_expired(0));
        assert!(!Way::new(1, state::NEW, 5).is_expired(u32::MAX));
    }
}
