//! The layout of the maps that the program and the daemon share: an API, versioned as one.
//!
//! Every type is `#[repr(C)]` and derives `IntoBytes`, which the compiler refuses for a type with
//! padding; sizes are asserted. Network-order integers are types of their own ([`Be16`], [`Be32`]),
//! aligned, since the verifier wants aligned keys on the stack. No `bool`, `Option` or enum is ever
//! in a map value: a program of another version may have written it.
//!
//! Not here: what the values mean to a packet ([`mod@crate::steer`]), and how they come to be (lb-user).

pub mod bench;
mod endpoint;
mod flow;
mod reason;
mod service;

pub use endpoint::{Addr, Be16, Be32, Endpoint, Mac};
pub use flow::{Flow, FlowKey, Unresolved};
pub use reason::Reason;
pub use service::{
    Interface, NAT_REPLIES, NatReply, REAL_DRAINING, REAL_LOCAL, REAL_UP, Real, Service, Slot,
    Traffic, encapsulation, method,
};

/// Version of everything in this module. A daemon takes over pinned maps of its own version only.
pub const ABI_VERSION: u32 = 1;

/// Names of the maps and programs in the object, as the loader finds them.
pub mod name {
    /// One entry: [`ABI_VERSION`](super::ABI_VERSION) of whoever made the pinned maps.
    pub const ABI: &str = "ABI";
    /// `ifindex % INTERFACE_SLOTS` → [`Interface`](super::Interface).
    pub const INTERFACES: &str = "INTERFACES";
    /// [`Endpoint`](super::Endpoint) of the virtual service → [`Service`](super::Service).
    pub const SERVICES: &str = "SERVICES";
    /// [`Slot`](super::Slot)s of all rings; a service names its own stretch.
    pub const RING_SLOTS: &str = "RING_SLOTS";
    /// Real server ids; a service names its own stretch, a [`Slot`](super::Slot) indexes it.
    pub const MEMBERS: &str = "MEMBERS";
    /// Real server id → [`Real`](super::Real).
    pub const REALS: &str = "REALS";
    /// [`Endpoint`](super::Endpoint) of a nat real server → [`NatReply`](super::NatReply).
    pub const NAT_REPLIES: &str = "NAT_REPLIES";
    /// [`FlowKey`](super::FlowKey) → [`Flow`](super::Flow): flows that the ring alone would misplace.
    pub const FLOWS: &str = "FLOWS";
    /// [`Reason`](super::Reason) → packets, per CPU.
    pub const VERDICTS: &str = "VERDICTS";
    /// Service id → [`Traffic`](super::Traffic), per CPU.
    pub const SERVICE_TRAFFIC: &str = "SERVICE_TRAFFIC";
    /// Real server id → [`Traffic`](super::Traffic), per CPU.
    pub const REAL_TRAFFIC: &str = "REAL_TRAFFIC";
    /// Ring buffer of [`Unresolved`](super::Unresolved) from the program to the daemon.
    pub const UNRESOLVED: &str = "UNRESOLVED";

    /// The load balancer.
    pub const PROGRAM: &str = "viaduct_lb";
    /// Addresses that packets in tunnels are taken out for: [`Addr`](super::Addr) → anything.
    pub const DECAP_VIPS: &str = "DECAP_VIPS";
    /// Packets taken out of tunnels, per CPU; one entry.
    pub const DECAPPED: &str = "DECAPPED";

    /// The far end of a tunnel, for real servers.
    pub const PROGRAM_DECAP: &str = "viaduct_decap";
    /// Passes everything: for the peer of a veth that transmits (see the operator's guide).
    pub const PROGRAM_PASS: &str = "viaduct_pass";
    /// Writes `jiffies64` and `ktime` into its packet: how the daemon learns the kernel's tick.
    pub const PROGRAM_CLOCK: &str = "viaduct_clock";
}

/// Slots of [`name::INTERFACES`], a direct-mapped table; a power of two.
pub const INTERFACE_SLOTS: u32 = 4096;
/// Virtual services at most.
pub const SERVICES_MAX: u32 = 4096;
/// Real servers at most, over all services (one address in two services counts twice).
pub const REALS_MAX: u32 = 16_384;
/// Entries of [`name::MEMBERS`]: twice what the real servers need, since a change writes a new
/// stretch before the old one is let go.
pub const MEMBERS_MAX: u32 = 65_536;
/// Entries of [`name::RING_SLOTS`], 4 bytes each (32 MiB): 2,048 of the smallest rings. A change is
/// written beside what is in force; where there is no room for all of it, it is made in parts.
pub const RING_SLOTS_MAX: u32 = 8 << 20;
/// Entries of [`name::FLOWS`]. When full, the kernel's LRU forgets the flow unseen for longest.
pub const FLOWS_MAX: u32 = 262_144;
/// Entries of [`name::DECAP_VIPS`].
pub const DECAP_VIPS_MAX: u32 = 4096;
/// Bytes of [`name::UNRESOLVED`].
pub const UNRESOLVED_BYTES: u32 = 4096;

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
    Endpoint: 20,
    Flow: 8,
    FlowKey: 24,
    Interface: 16,
    NatReply: 28,
    Real: 64,
    Service: 24,
    Slot: 4,
    Traffic: 40,
    Unresolved: 20,
    bench::Plan: 64,
}
