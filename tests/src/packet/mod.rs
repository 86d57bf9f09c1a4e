//! Frames for tests, byte by byte: said as a sentence, built from scratch, with any part of them
//! made to lie.
//!
//! ```text
//!   eth(client, director).ipv4(a, b).ttl(64).tcp(40_000, 80).flags(Tcp::SYN).build()
//!   [`eth`] Ethernet, tags ─► [`frame`] with [`ipv4`] or [`ipv6`], their lies ─► [`segment`] TCP, UDP, others
//!                                                                              ├► [`outer`] other packets, ICMP errors
//!                                                                              └► [`piece`] fragments
//! ```
//!
//! [`anatomy`] reads frames back, [`sound`] says what holds of all of them.
//!
//! A builder is a value: what a frame should become is the same sentence with a word changed, and
//! every checksum in it is computed whole, so a mistake in mending one shows. Not here: what
//! becomes of a frame (`it`'s `datapath`), and sending it.

pub mod anatomy;
pub mod eth;
pub mod frame;
pub mod ipv4;
pub mod ipv6;
pub mod outer;
pub mod piece;
pub mod segment;
pub mod sound;

pub use eth::{Eth, eth};
pub use frame::{Header, Packet};
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use outer::Error;
pub use segment::{Other, Ported, Segment, Tcp, Udp};
