//! What the common path does not decide, one file a stage: flows with entries ([`tracked`],
//! [`fullnat`]), replies of fullnat ([`returning`]), ICMP errors and pings ([`icmp`]), fragments
//! ([`fragment`], [`nat_fragment`], [`return_fragment`]), and who has a VIP ([`neighbour`]).
//!
//! Each reads the frame from its start: in the kernel it is a program of its own, called with
//! nothing but the frame. Not here: what is common ([`mod@crate::steer`]).

mod fragment;
mod icmp;
mod neighbour;
mod returning;
mod tracked;

pub use fragment::{fragment, nat_fragment, return_fragment};
pub use icmp::icmp;
pub(crate) use neighbour::asks;
pub use neighbour::neighbour;
pub use returning::returning;
pub use tracked::{Places, fullnat, read, tracked};
