//! Virtual services, their rings and real servers, as the program reads them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_ref};

use super::{Addr, Be16, Mac};

/// Forwarding methods as numbers: [`Service::method`].
pub mod method {
    /// LVS-NAT: the destination becomes the real server; replies return through the director.
    pub const NAT: u8 = 1;
    /// Direct routing: only the Ethernet addresses change; the real server holds the VIP.
    pub const DR: u8 = 2;
    /// Encapsulation (LVS-TUN): the packet travels whole inside another one to the real server.
    pub const TUNNEL: u8 = 3;
    /// The destination becomes the real server and the source one of the director's own addresses,
    /// so replies come back to the director by themselves.
    pub const FULLNAT: u8 = 4;
}

/// Schedulers as numbers: [`Service::scheduler`].
pub mod scheduler {
    /// By the ring alone (`maglev`, `sh`): what is hashed is [`super::Service::flags`]' matter.
    pub const RING: u8 = 0;
    /// By turns (`rr`, `wrr`): the order is written in the turns.
    pub const TURNS: u8 = 1;
    /// Fewest connections (`lc`): 256 × active + inactive, as LVS counts.
    pub const LEAST: u8 = 2;
    /// Fewest connections for its weight (`wlc`).
    pub const WEIGHTED_LEAST: u8 = 3;
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

/// [`Service::flags`]: every flow has an entry (rr, wrr, lc, wlc, fullnat, `track = true`), or the
/// ring is not what decides first (QUIC): not for the common path.
pub const TRACKED: u16 = 1;
/// [`Service::flags`]: of a flow, only the client's address is hashed, by its first
/// [`Service::client_bits`] bits (`sh`, persistence).
pub const HASH_CLIENT: u16 = 2;

/// A virtual service: where its ring and its members are, and how packets reach them.
///
/// A service that changes is written to another place, and then pointed to: a packet sees either
/// all of the old one or all of the new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Service {
    /// Index of its counters and of its turn, and what its entries in the flow table say.
    pub id: u32,
    /// First of its slots in `RING_SLOTS`; services with the same ring share it.
    pub ring: u32,
    /// Number of its slots; 0 when no real server takes new flows and none holds old ones.
    pub ring_len: u32,
    /// First of its members in `MEMBERS`.
    pub members: u32,
    /// First of its turns in `RING_SLOTS` ([`scheduler::TURNS`]): settled slots, each a member.
    pub turns: u32,
    /// Number of its turns.
    pub turns_len: u32,
    /// Kernel ticks after which a silent flow is forgotten: an established TCP connection, UDP.
    pub timeout: u32,
    /// The same of a connection of which only a SYN was seen.
    pub syn_timeout: u32,
    /// The same of a connection that a FIN was seen of.
    pub fin_timeout: u32,
    /// The same of one that was reset.
    pub rst_timeout: u32,
    /// Kernel ticks that a client stays with its real server after its last packet; 0: not at all.
    pub persistence: u32,
    /// Number of its members.
    pub members_len: u16,
    /// A number of [`method`].
    pub method: u8,
    /// A number of [`scheduler`].
    pub scheduler: u8,
    /// [`TRACKED`], [`HASH_CLIENT`].
    pub flags: u16,
    /// Bits of an address, of 128 (an IPv4 address has 96 before its own), that tell clients apart.
    pub client_bits: u8,
    /// Length of the server id in QUIC connection ids (draft-ietf-quic-load-balancers); 0: none.
    pub quic_len: u8,
    /// Configuration id in the first three bits of those connection ids.
    pub quic_config: u8,
    /// Zero.
    pub _pad: u8,
    /// First of its addresses in `POOL` (fullnat).
    pub pool: u16,
    /// Number of its addresses in `POOL`.
    pub pool_len: u16,
    /// First port it was asked for: a daemon that starts anew knows it again by that, though other
    /// services may have taken ports out of its range.
    pub first: u16,
    /// Last port it was asked for.
    pub last: u16,
    /// Zero.
    pub _pad2: u16,
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
/// [`Real::flags`]: weight 0, or drained; it keeps its flows until they end.
pub const REAL_DRAINING: u16 = 2;
/// [`Real::flags`]: it is this host itself (LVS's LOCALNODE): packets pass to its own stack.
pub const REAL_LOCAL: u16 = 4;

/// [`Real::flags`]: an operator drains it. For the daemon that comes next; packets do not look at it.
pub const REAL_DRAINED: u16 = 8;

/// A real server of one virtual service, with the next hop towards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Real {
    /// Its address.
    pub address: Addr,
    /// Interface its packets leave by.
    pub ifindex: u32,
    /// Its port (nat, fullnat); 0: the client's is kept.
    pub port: Be16,
    /// [`REAL_UP`], [`REAL_DRAINING`], [`REAL_LOCAL`], [`REAL_DRAINED`].
    pub flags: u16,
    /// Ethernet address of the next hop: itself, or the gateway towards it.
    pub next_hop: Mac,
    /// VLAN that its packets leave by; 0: none.
    pub vlan: u16,
    /// Ethernet address of the interface its packets leave by.
    pub source: Mac,
    /// Its share of new flows ([`scheduler::WEIGHTED_LEAST`]).
    pub weight: u16,
    /// The service it belongs to.
    pub service: u32,
    /// Bytes an IP packet may have on the way to it; 0: any.
    pub mtu: u16,
    /// A number of [`encapsulation`] (tunnel).
    pub encapsulation: u8,
    /// Low bits of an IPv4 [`tunnel_source`](Self::tunnel_source) that become a flow's hash, so that
    /// receivers spread flows over their queues; 0: none.
    pub spread_bits: u8,
    /// Source address of the packets that carry others to it (tunnel).
    pub tunnel_source: Addr,
}

impl Real {
    /// [`Self::next_hop`] and [`Self::source`], each read in one piece.
    #[inline(always)]
    pub const fn macs(&self) -> (Mac, Mac) {
        let words: &[u64; 8] = transmute_ref!(self);
        (
            Mac::from_bits(words[3].to_le()),
            Mac::from_bits(words[4].to_le()),
        )
    }
}

const _: () = assert!(
    core::mem::offset_of!(Real, next_hop) == 24 && core::mem::offset_of!(Real, source) == 32
);

/// How a reply of a nat real server becomes a reply of the virtual service: stateless, found by the
/// reply's source. At the real server's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NatReply {
    /// The VIP.
    pub vip: Addr,
    /// The service's port; 0: the real server's is kept.
    pub port: Be16,
    /// Zero.
    pub _pad: u16,
    /// The service's id.
    pub service: u32,
}

/// An address of the director that fullnat sends from, and the ports it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PoolEntry {
    /// The address.
    pub address: Addr,
    /// First port, in the machine's order.
    pub first: u16,
    /// Number of ports.
    pub count: u16,
}

/// [`Interface::flags`]: frames come in by it.
pub const SERVED: u32 = 1;
/// [`Interface::flags`]: some service uses nat, so replies have to be looked for.
pub const NAT_REPLIES: u32 = 2;
/// [`Interface::flags`]: some VIP is a prefix.
pub const VIP_PREFIXES: u32 = 4;
/// [`Interface::flags`]: fragments for VIPs follow their first one; else the stack gets them all.
pub const FRAGMENTS: u32 = 8;
/// [`Interface::flags`]: some VIP is a virtual router's, so ARP and neighbour solicitations are looked
/// at.
pub const ROUTERS: u32 = 16;
/// [`Interface::flags`]: some virtual router has an Ethernet address of its own.
pub const VIRTUAL_MACS: u32 = 32;

/// An interface that the program is attached to, or a VLAN of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Interface {
    /// Its index, since several indices share a slot of the table; 0 means an empty slot.
    pub ifindex: u32,
    /// [`SERVED`], [`NAT_REPLIES`], [`VIP_PREFIXES`], [`FRAGMENTS`], [`ROUTERS`], [`VIRTUAL_MACS`].
    pub flags: u32,
    /// Its Ethernet address: frames for others pass untouched.
    pub mac: Mac,
    /// The VLAN it is; 0: none.
    pub vlan: u16,
    /// The interface that its frames leave by: itself, or the one it is a VLAN of.
    pub egress: u32,
}

impl Interface {
    /// [`Self::mac`] as a number, as [`Mac::bits`] of another.
    #[inline(always)]
    pub const fn mac_bits(&self) -> u64 {
        let words: &[u32; 5] = transmute_ref!(self);
        (words[2].to_le() as u64) | (words[3].to_le() as u64 & 0xffff) << 32
    }
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
    /// FINs and RSTs forwarded: what [`connections`](Self::connections) is more by is about what is
    /// open, where flows have no entries.
    pub ended: u64,
    /// Packets back from them (nat only: other replies do not come this way).
    pub reply_packets: u64,
    /// Bytes back from them.
    pub reply_bytes: u64,
}

/// Connections of a real server that have entries, as LVS counts them; words that CPUs and the
/// daemon add to.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Connections {
    /// Established.
    pub active: u32,
    /// All others.
    pub inactive: u32,
}

/// A server id in a QUIC connection id of a service.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct QuicKey {
    /// The service's id.
    pub service: u32,
    /// The server id; zeros after its end.
    pub id: [u8; 16],
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
