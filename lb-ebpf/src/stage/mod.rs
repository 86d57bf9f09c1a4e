//! What the common path does not decide, one file a stage: flows with entries ([`tracked`],
//! [`fullnat`]), replies of fullnat ([`returning`]), ICMP errors ([`icmp`]), fragments ([`fragment`],
//! [`nat_fragment`], [`return_fragment`]).
//!
//! Each reads the frame from its start: in the kernel it is a program of its own, called with
//! nothing but the frame. Not here: what is common ([`mod@crate::steer`]).

mod fragment;
mod icmp;
mod returning;
mod tracked;

pub use fragment::{fragment, nat_fragment, return_fragment};
pub use icmp::icmp;
pub use returning::returning;
pub use tracked::{Places, fullnat, read, tracked};
