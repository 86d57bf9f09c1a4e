//! Virtual routers: who answers for VIPs that two directors share, and until when.
//!
//! An entry of `ROUTERS` has two halves with an owner each. The *lease* is two words that the protocol
//! thread writes with each advert; all else is the engine's. Ticks are whole (64 bits): a lease that is
//! over stays over, however long nobody writes it. Not here: who is Active, which is decided far from
//! here (lb-user's `vrrp`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Mac;
use crate::atomic::AtomicU64;

/// Virtual routers of a director at most.
pub const ROUTERS_MAX: u32 = 1024;

/// How long a router's VIPs are served: [`ANSWERS_UNTIL`] and [`FORWARDS_UNTIL`], kernel ticks
/// (`jiffies64`) that lie behind the last one of each; 0: not at all.
pub type Lease = [AtomicU64; 2];
/// Word of a [`Lease`]: before this tick, ARP requests, neighbour solicitations and pings are answered, and
/// frames to the router's own Ethernet address taken.
pub const ANSWERS_UNTIL: usize = 0;
/// Word of a [`Lease`]: before this tick, packets to the VIPs are forwarded.
pub const FORWARDS_UNTIL: usize = 1;

/// A virtual router, as far as it does not change from advert to advert. Its first word is written
/// whole.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, align(8))]
pub struct Router {
    /// The Ethernet address that its VIPs are at: its virtual one, or the interface's.
    pub mac: Mac,
    /// Zero.
    pub _pad: u16,
    /// The interface that it is on: of a VLAN, the one that frames come in by. 0: none, it answers
    /// nobody.
    pub ifindex: u32,
    /// The VLAN that it is on; 0: none.
    pub vlan: u16,
    /// Zero.
    pub _pad2: u16,
}

impl Router {
    /// Words of an entry of `ROUTERS` before this: its [`Lease`].
    pub const AT: usize = 2;
}

const _: () = assert!(size_of::<Lease>() == 8 * Router::AT);

/// What frames to a virtual router's own Ethernet address are known by.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VirtualMac {
    /// The interface that they come in by.
    pub ifindex: u32,
    /// The VLAN that their tag names; 0: none.
    pub vlan: u16,
    /// The address.
    pub mac: Mac,
}
