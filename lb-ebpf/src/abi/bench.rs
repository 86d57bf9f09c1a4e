//! What `viaduct-bench` and the program in front of the one under test tell each other.
//!
//! Not part of the versioned layout: both are built together, and neither ships.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words of two bytes that are written anew for each frame: Ethernet, IPv4 and TCP headers.
pub const HEAD: usize = 27;

/// The frames to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Plan {
    /// Frames made so far; each is another flow, in an order far from sequential.
    pub turn: u32,
    /// Number of flows, a power of two, less one.
    pub flows_mask: u32,
    /// The headers of flow 0. Others differ in source address and port; checksums stay, as nobody
    /// on the way checks them.
    pub head: [u16; HEAD],
    /// Zero.
    pub _pad: u16,
}

/// The map of one [`Plan`].
pub const PLAN: &str = "PLAN";
/// The map of the one program under test.
pub const TARGET: &str = "TARGET";
/// Makes frames and runs the target.
pub const FRONT: &str = "bench_front";
/// Swaps the Ethernet addresses and sends back: the floor.
pub const SWAP: &str = "bench_swap";
