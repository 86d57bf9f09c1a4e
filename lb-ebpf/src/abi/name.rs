//! Names of the maps and programs in the objects, as the loader finds them.
//!
//! Maps marked *mapped* are arrays that the daemon maps into its memory: it writes them in bulk, and
//! single words of them whole.

/// One entry: [`ABI_VERSION`](super::ABI_VERSION) of whoever made the pinned maps.
pub const ABI: &str = "ABI";
/// `ifindex % INTERFACE_SLOTS` → [`Interface`](super::Interface).
pub const INTERFACES: &str = "INTERFACES";
/// [`AddressEntry`](super::AddressEntry): VIPs, and the director's own addresses that fullnat uses;
/// [`Segment`](super::Segment)s name indices of `SERVICES`. Mapped.
pub const VIPS: &str = "VIPS";
/// LPM trie of VIPs that are prefixes → [`PrefixEntry`](super::PrefixEntry).
pub const VIP_PREFIXES: &str = "VIP_PREFIXES";
/// [`AddressEntry`](super::AddressEntry): nat real servers; segments name real server ids. Mapped.
pub const NAT_SOURCES: &str = "NAT_SOURCES";
/// [`Segment`](super::Segment)s of all addresses; an address names its own stretches. Mapped.
pub const SEGMENTS: &str = "SEGMENTS";
/// [`Service`](super::Service)s, wherever a segment points. Mapped.
pub const SERVICES: &str = "SERVICES";
/// [`Slot`](super::Slot)s of all rings and turns, 16 an entry; a service names its own stretch.
/// Mapped.
pub const RING_SLOTS: &str = "RING_SLOTS";
/// Real server ids; a service names its own stretch, a [`Slot`](super::Slot) indexes it. Mapped
/// (8 bytes an entry).
pub const MEMBERS: &str = "MEMBERS";
/// Real server id → [`Real`](super::Real). Mapped.
pub const REALS: &str = "REALS";
/// Real server id → [`NatReply`](super::NatReply). Mapped.
pub const NAT_REPLIES: &str = "NAT_REPLIES";
/// [`PoolEntry`](super::PoolEntry)s: addresses and ports of fullnat.
pub const POOL: &str = "POOL";
/// Index of a virtual router → its [`Lease`](super::Lease) and, behind, the [`Router`](super::Router).
/// Mapped.
pub const ROUTERS: &str = "ROUTERS";
/// [`VirtualMac`](super::VirtualMac) → index of a virtual router.
pub const VIRTUAL_MACS: &str = "VIRTUAL_MACS";
/// [`QuicKey`](super::QuicKey) → real server id.
pub const QUIC_SERVERS: &str = "QUIC_SERVERS";
/// Buckets of the flow table: lines of [`Way`](super::Way)s. Mapped.
pub const FLOW_WAYS: &str = "FLOW_WAYS";
/// Entries of the flow table: at bucket × 8 + way, a [`FlowKey`](super::FlowKey) and a
/// [`Flow`](super::Flow). Mapped.
pub const FLOW_ENTRIES: &str = "FLOW_ENTRIES";
/// Real server id → [`Connections`](super::Connections). Mapped.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Service id → whose turn it is (rr, wrr): a word that only grows.
pub const TURNS: &str = "TURNS";
/// [`FlowEvent`](super::FlowEvent) → how often, per CPU.
pub const FLOW_EVENTS: &str = "FLOW_EVENTS";
/// [`Reason`](super::Reason) → packets, per CPU.
pub const VERDICTS: &str = "VERDICTS";
/// Service id → [`Traffic`](super::Traffic), per CPU.
pub const SERVICE_TRAFFIC: &str = "SERVICE_TRAFFIC";
/// Real server id → [`Traffic`](super::Traffic), per CPU.
pub const REAL_TRAFFIC: &str = "REAL_TRAFFIC";
/// Ring buffer of [`Unresolved`](super::Unresolved) from the program to the daemon.
pub const UNRESOLVED: &str = "UNRESOLVED";
/// The programs that the load balancer calls for what is not common, by the numbers of
/// [`crate::steer::Stage`]. One for each load of the object: a program calls those it was made with.
pub const STAGES: &str = "STAGES";

/// The load balancer.
pub const PROGRAM: &str = "viaduct_lb";
/// What it calls, in the order of their numbers: see [`crate::steer::Stage`].
pub const STAGE_PROGRAMS: [&str; 8] = [
    "viaduct_tracked",
    "viaduct_return",
    "viaduct_icmp",
    "viaduct_fragment",
    "viaduct_nat_fragment",
    "viaduct_return_fragment",
    "viaduct_fullnat",
    "viaduct_neighbour",
];

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
