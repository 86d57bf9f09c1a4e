//! Virtual services, their rings and real servers, as the program reads them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Addr, Be16, Mac};

/// Forwarding methods as numbers: [`Service::method`].
pub mod method {
    /// LVS-NAT: the destination becomes the real server; replies return through the director.
    pub const NAT: u8 = 1;
    /// Direct routing: only the Ethernet addresses change; the real server holds the VIP.
    pub const DR: u8 = 2;
    /// Encapsulation (LVS-TUN): the packet travels whole inside another one to the real server.
    pub const TUNNEL: u8 = 3;
}

/// Encapsulations of [`method::TUNNEL`] as numbers: [`Real::encapsulation`].
pub mod encapsulation {
    /// The inner packet right behind the outer IP header: IPIP (RFC 2003), 6in4 (RFC 4213), 4in6
    /// and 6in6 (RFC 2473), by the families of both.
    pub const IPIP: u8 = 1;
    /// Generic UDP Encapsulation, variant 1: the inner packet right behind a UDP header
    /// (draft-ietf-intarea-gue section 4).
    pub const GUE: u8 = 2;
    /// UDP port of GUE (IANA).
    pub const GUE_PORT: u16 = 6080;
}

/// A virtual service: where its ring and its members are, and how packets reach them.
///
/// A service is replaced as a whole, so a packet sees either the old ring or the new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Service {
    /// Index of its counters, and part of its flows' keys.
    pub id: u32,
    /// First of its slots in `RING_SLOTS`.
    pub ring: u32,
    /// Number of its slots; 0 when no real server takes new flows and none holds old ones.
    pub ring_len: u32,
    /// First of its members in `MEMBERS`.
    pub members: u32,
    /// Kernel ticks after which a silent flow is forgotten.
    pub timeout: u32,
    /// Number of its members.
    pub members_len: u16,
    /// A number of [`method`].
    pub method: u8,
    /// Zero.
    pub _pad: u8,
}

/// One slot of a ring: who takes new flows, and who may still own old ones.
///
/// *Settled* slots are decided by the ring alone. In an *unsettled* one, flows of a former owner may
/// be alive: SYNs go to [`current`](Self::current), other packets to the flow's entry, else to
/// [`settled`](Self::settled_owner) while that is up.
///
/// The mark is a bit of its own, not the inequality of the two owners: after A → B → A both are A,
/// and B's flows still live in their entries.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Slot(u32);

const UNSETTLED: u32 = 1 << 31;

impl Slot {
    /// Members a service can have: 15 bits' worth, less one for [`Self::NOBODY`].
    pub const MEMBERS_MAX: u16 = 0x7fff;
    /// No member: new flows are dropped by name.
    pub const NOBODY: u16 = 0x7fff;

    /// A slot decided by the ring alone.
    pub const fn settled(owner: u16) -> Self {
        let owner = (owner & 0x7fff) as u32;
        Self(owner << 16 | owner)
    }

    /// A slot whose flows may have another owner than the ring says.
    pub const fn unsettled(current: u16, settled: u16) -> Self {
        Self(UNSETTLED | (settled & 0x7fff) as u32 | ((current & 0x7fff) as u32) << 16)
    }

    /// Who takes new flows.
    #[inline(always)]
    pub const fn current(self) -> u16 {
        (self.0 >> 16 & 0x7fff) as u16
    }

    /// Who owned the slot when it last was settled.
    #[inline(always)]
    pub const fn settled_owner(self) -> u16 {
        (self.0 & 0x7fff) as u16
    }

    /// Whether entries have to be asked.
    #[inline(always)]
    pub const fn is_unsettled(self) -> bool {
        self.0 & UNSETTLED != 0
    }
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.is_unsettled() {
            true => write!(f, "{}<-{}", self.current(), self.settled_owner()),
            false => write!(f, "{}", self.current()),
        }
    }
}

/// [`Real::flags`]: up; it keeps its flows. Whether it takes new ones is the ring's matter.
pub const REAL_UP: u16 = 1;
/// [`Real::flags`]: weight 0; it keeps its flows until they end.
pub const REAL_DRAINING: u16 = 2;
/// [`Real::flags`]: it is this host itself (LVS's LOCALNODE): packets pass to its own stack.
pub const REAL_LOCAL: u16 = 4;

/// A real server of one virtual service, with the next hop towards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Real {
    /// Its address.
    pub address: Addr,
    /// Interface its packets leave by.
    pub ifindex: u32,
    /// Its port (nat).
    pub port: Be16,
    /// [`REAL_UP`], [`REAL_DRAINING`], [`REAL_LOCAL`].
    pub flags: u16,
    /// Ethernet address of the next hop: itself, or the gateway towards it.
    pub next_hop: Mac,
    /// Ethernet address of the interface its packets leave by.
    pub source: Mac,
    /// The service it belongs to.
    pub service: u32,
    /// Source address of the packets that carry others to it (tunnel).
    pub tunnel_source: Addr,
    /// Bytes an IP packet may have on the way to it.
    pub mtu: u16,
    /// A number of [`encapsulation`] (tunnel).
    pub encapsulation: u8,
    /// Zero.
    pub _pad: [u8; 5],
}

/// How a reply of a nat real server becomes a reply of the virtual service: stateless, found by the
/// reply's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NatReply {
    /// The VIP.
    pub vip: Addr,
    /// The service's port.
    pub port: Be16,
    /// Zero.
    pub _pad: u16,
    /// The service's id.
    pub service: u32,
    /// The real server's id.
    pub real: u32,
}

/// [`Interface::flags`]: some service uses nat, so replies have to be looked for.
pub const NAT_REPLIES: u32 = 1;

/// An interface the program is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Interface {
    /// Its index, since several indices share a slot of the table; 0 means an empty slot.
    pub ifindex: u32,
    /// [`NAT_REPLIES`].
    pub flags: u32,
    /// Its Ethernet address: frames for others pass untouched.
    pub mac: Mac,
    /// Zero.
    pub _pad: [u8; 2],
}

/// Counters of a service or of a real server, one per CPU; they only grow.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Traffic {
    /// Packets towards the real servers.
    pub packets: u64,
    /// Bytes towards them, IP header included (as `ipvsadm --stats` counts).
    pub bytes: u64,
    /// New TCP connections: SYNs forwarded.
    pub connections: u64,
    /// Packets back from them (nat only: other replies do not come this way).
    pub reply_packets: u64,
    /// Bytes back from them.
    pub reply_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_tells_both_owners_and_its_mark() {
        let slot = Slot::settled(7);
        assert_eq!(
            (slot.current(), slot.settled_owner(), slot.is_unsettled()),
            (7, 7, false)
        );
        let slot = Slot::unsettled(0x7ffe, 3);
        assert_eq!(
            (slot.current(), slot.settled_owner(), slot.is_unsettled()),
            (0x7ffe, 3, true)
        );
    }

    #[test]
    fn a_slot_that_came_back_to_its_owner_is_still_unsettled() {
        assert!(Slot::unsettled(1, 1).is_unsettled());
        assert_ne!(Slot::unsettled(1, 1), Slot::settled(1));
    }
}
