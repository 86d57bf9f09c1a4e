//! Health of one target, from the results of its probes: what to probe, when, and what the results
//! mean.
//!
//! [`spec`] is what an operator asked for, [`outcome`] the closed list of how a probe can end, and
//! [`monitor`] the state machine between the two: time and results go in, "probe now" and "this
//! target is down" come out. All three are pure: no clock, no socket, no task. [`probe`], behind the
//! feature of that name, has the sockets; it is the only part that needs tokio.
//!
//! Not here: packets and virtual services (what a verdict does to traffic is the caller's), HTTP
//! routes, SQL (a MySQL probe belongs to the daemon that speaks MySQL), and the reading of a site
//! file.
#![forbid(unsafe_code)]

pub mod monitor;
pub mod outcome;
#[cfg(feature = "probe")]
pub mod probe;
pub mod spec;

pub use monitor::{Action, Input, Monitor, Verdict};
pub use outcome::{Failure, Outcome};
pub use spec::{HttpCheck, HttpHost, HttpPath, ProbeKind, Spec, StatusRange, StatusSet};
