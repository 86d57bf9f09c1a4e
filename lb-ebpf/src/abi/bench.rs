//! What `viaduct-bench` and the programs in front of the one under test tell each other.
//!
//! Not part of the versioned layout: both are built together, and neither ships.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words that the headers of a frame are in: two of Ethernet, three or five of IP, three of TCP or
/// UDP. Each is written where it stands by itself, as far as its header goes: a program that reads
/// headers so finds each word in one piece, as it would in a frame from a wire.
pub const HEAD: usize = 10;

/// The frames to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Plan {
    /// Frames made so far; each is another flow, in an order far from sequential.
    pub turn: u32,
    /// Number of flows, a power of two, less one.
    pub flows_mask: u32,
    /// Bytes of a frame.
    pub len: u64,
    /// The headers of flow 0. Others differ in source address and port; checksums stay, as nobody
    /// on the way checks them.
    pub head: [u64; HEAD],
}

/// The map of one [`Plan`].
pub const PLAN: &str = "PLAN";
/// The map of the one program under test.
pub const TARGET: &str = "TARGET";
/// Makes IPv4 frames and runs the target.
pub const FRONT_V4: &str = "bench_front_v4";
/// The same with IPv6 frames.
pub const FRONT_V6: &str = "bench_front_v6";
/// Swaps the Ethernet addresses and sends back: the floor.
pub const SWAP: &str = "bench_swap";
/// Makes IPv4 frames and sends them out: the source of live frames.
pub const SOURCE: &str = "bench_source";
/// Counts frames in [`COUNT`] and drops them: where live frames end.
pub const SINK: &str = "bench_sink";
/// Frames that reached the sink; one entry.
pub const COUNT: &str = "COUNT";

/// Finds or records the flow in the flow table, and sends the frame back.
pub const OURS: &str = "bench_flow_table";
/// The same with the kernel's `LRU_HASH` in its place.
pub const LRU: &str = "bench_lru_hash";
/// The kernel's table of flows.
pub const LRU_FLOWS: &str = "LRU_FLOWS";
