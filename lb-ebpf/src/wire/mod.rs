//! Headers as they stand on the wire: one file a protocol, fields and constants, no behaviour.
//!
//! Every type is unaligned, so it can be read at any offset. Not here: what is legal
//! ([`crate::parse`]).

pub mod arp;
pub mod eth;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod tcp;
pub mod udp;
