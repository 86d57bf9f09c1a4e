//! The layout of the maps that the program and the daemon share: an API, versioned as one.
//!
//! Every type is `#[repr(C)]` and derives `IntoBytes`, which the compiler refuses for a type with
//! padding; sizes are asserted. Network-order integers are types of their own ([`Be16`], [`Be32`]),
//! aligned, since the verifier wants aligned keys on the stack. No `bool`, `Option` or enum is ever
//! in a map value: a program of another version may have written it.
//!
//! Not here: what the values mean to a packet ([`mod@crate::steer`]), and how they come to be (lb-user).

mod address;
pub mod bench;
mod endpoint;
mod event;
mod flow;
pub mod name;
mod reason;
mod router;
mod service;

pub use address::{
    ADDRESS_SLOTS, AddressEntry, PROBES_MAX, Ports, PrefixEntry, Segment, address_slot,
};
pub use endpoint::{Addr, Be16, Be32, Endpoint, Mac};
pub use event::FlowEvent;
pub use flow::{Flow, FlowKey, Unresolved, Way, kind, state};
pub use reason::Reason;
pub use router::{ANSWERS_UNTIL, FORWARDS_UNTIL, Lease, ROUTERS_MAX, Router, VirtualMac};
pub use service::{
    Connections, FRAGMENTS, HASH_CLIENT, Interface, NAT_REPLIES, NatReply, PoolEntry, QuicKey,
    REAL_DRAINED, REAL_DRAINING, REAL_LOCAL, REAL_UP, ROUTERS, Real, SERVED, Service, Slot,
    TRACKED, Traffic, VIP_PREFIXES, VIRTUAL_MACS, encapsulation, method, scheduler,
};

/// Version of everything in this module. A daemon takes over pinned maps of its own version only.
pub const ABI_VERSION: u32 = 3;

/// Slots of [`name::INTERFACES`], a direct-mapped table; a power of two.
pub const INTERFACE_SLOTS: u32 = 4096;
/// Virtual services at most: ids.
pub const SERVICES_MAX: u32 = 4096;
/// Entries of [`name::SERVICES`]: twice as many, since one that changes is written to another place.
pub const SERVICE_SLOTS: u32 = 2 * SERVICES_MAX;
/// VIPs that are prefixes at most.
pub const PREFIXES_MAX: u32 = 1024;
/// Entries of [`name::SEGMENTS`]: a service needs two, seldom three, a nat real server three, and a
/// change twice that.
pub const SEGMENTS_MAX: u32 = 262_144;
/// Real servers at most, over all services (one address in two services counts twice): 20 for each
/// of 2,048 services.
pub const REALS_MAX: u32 = 40_960;
/// Entries of [`name::MEMBERS`]: more than twice what the real servers need, since a change writes
/// a new stretch before the old one is let go.
pub const MEMBERS_MAX: u32 = 131_072;
/// Slots of all rings and turns, 4 bytes each (32 MiB): 2,048 of the smallest rings that nobody
/// shares. A change is written beside what is in force; where there is no room for all of it, it is
/// made in parts.
pub const RING_SLOTS_MAX: u32 = 8 << 20;
/// Slots in an entry of [`name::RING_SLOTS`]; an array's entries are multiples of 8 bytes, so a slot
/// alone would waste as much. Rings and turns begin with an entry.
pub const SLOTS_PER_LINE: u32 = 16;
/// Ways of a bucket of the flow table: one cache line.
pub const WAYS: u32 = 8;
/// Buckets of the flow table, a power of two (8 MiB).
pub const BUCKETS: u32 = 1 << 17;
/// Entries of the flow table (64 MiB).
pub const FLOWS_MAX: u32 = BUCKETS * WAYS;
/// Entries of [`name::POOL`].
pub const POOL_MAX: u32 = 256;
/// Entries of [`name::DECAP_VIPS`].
pub const DECAP_VIPS_MAX: u32 = 4096;
/// Bytes of [`name::UNRESOLVED`].
pub const UNRESOLVED_BYTES: u32 = 4096;

/// A cache line of words that are read and written one at a time: a bucket of the flow table (of
/// [`Way`]s), or an entry of it: a [`FlowKey`] in [`KEY_WORDS`] words, then a [`Flow`].
pub type Line = [crate::atomic::AtomicU64; 8];
/// Words of a [`FlowKey`] at the start of an entry.
pub const KEY_WORDS: usize = size_of::<FlowKey>() / 8;

/// Asserts sizes, so that a change of layout is a decision, and makes the types aya's `Pod`.
macro_rules! map_types {
    ($($ty:ty: $size:literal),* $(,)?) => {$(
        const _: () = assert!(size_of::<$ty>() == $size);
        #[cfg(feature = "user")]
        #[expect(unsafe_code, reason = "aya's marker for plain values")]
        // SAFETY: `is_plain` proves by `IntoBytes + FromBytes` that the type has no padding and
        // that every bit pattern is a value.
        unsafe impl aya::Pod for $ty {}
        const _: () = is_plain::<$ty>();
    )*};
}

const fn is_plain<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static>() {}

map_types! {
    Addr: 16,
    AddressEntry: 32,
    Connections: 8,
    Endpoint: 20,
    Flow: 24,
    FlowKey: 40,
    Interface: 20,
    NatReply: 24,
    PoolEntry: 20,
    PrefixEntry: 16,
    QuicKey: 20,
    Real: 64,
    Router: 16,
    Segment: 8,
    Service: 64,
    Slot: 4,
    Traffic: 48,
    Unresolved: 20,
    VirtualMac: 12,
    bench::Plan: 96,
}
