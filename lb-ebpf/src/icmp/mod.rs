//! ICMP: the answer to a packet that can't go on ([`too_big`]), and errors of others about flows of
//! ours ([`error`]).
//!
//! Not here: who is told ([`crate::stage`]).

pub mod error;
mod too_big;

pub use too_big::too_big;
