//! Prepares a host to be a real server of method `dr` or `tunnel`, looks whether it is, and takes it
//! back: the VIP on `lo`, silence about it in ARP, and the far end of the tunnel.
//!
//! In reading order: [`wanted`] what is asked for; [`facts`] what the host is; [`plan`](mod@plan) the
//! steps from the one to the other, [`check`](mod@check) the judgement, [`memory`] what was changed
//! and the way back (all four pure); `host` carries steps out; [`verbs`] drives it for the command
//! line. Not here: the far end itself ([`crate::datapath::decap`]), and anything that stays after a
//! reboot: all of this goes with it, the memory too.

pub mod check;
pub mod facts;
mod host;
pub mod memory;
pub mod plan;
pub mod verbs;
pub mod wanted;

#[cfg(test)]
mod tests;

pub use check::{Item, Verdict, check};
pub use facts::Facts;
pub use host::Error;
pub use memory::Memory;
pub use plan::{Refusal, Step, plan};
pub(crate) use plan::{is_discreet, is_silent};
pub use wanted::{Method, Wanted};
