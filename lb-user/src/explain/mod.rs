//! `viaduct explain`: which real server a flow would go to, and why.
//!
//! The program's own decision, [`lb_ebpf::steer()`], runs on this host over a frame made for the
//! question and a copy of the live maps, so it says what the kernel would do and changes nothing
//! there. In reading order: [`question`] the flow and its frame, [`answer`] what is said of it,
//! [`reasoning`] the decision and what led to it (pure), [`text`] the same for people, [`live`] where
//! maps and names come from. Not here: what real servers and services are for (the status).

pub mod answer;
pub mod live;
pub mod question;
pub mod reasoning;
pub mod text;

#[cfg(test)]
mod tests;

pub use answer::Explanation;
pub use question::Question;
pub use reasoning::{Moment, explain};
