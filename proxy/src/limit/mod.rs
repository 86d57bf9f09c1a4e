//! Rate limiting and limits on concurrent requests, to the letter of nginx's limit_req and
//! limit_conn.
//!
//! [`rate`] and [`key`] are what an operator asks for: how often, and who counts as one client.
//! [`zone`] holds what is remembered of each client, in memory taken at the start; [`req`] and
//! [`conn`] decide. [`answer`] is what a refused client is told. Time is an input: milliseconds of
//! a monotonic clock, from the caller.
//!
//! All cores share a zone behind one lock, held for the few tens of nanoseconds of a decision.
//! There is one lock and not one a shard because nginx forgets the oldest client of the *whole*
//! zone, and a client that is forgotten starts afresh: with shards, verdicts would differ.
//!
//! Not here: the reading of the site file, waiting (the driver delays a request), the parts of a
//! request (the caller is a [`Subject`]), logs and metrics.

pub mod answer;
pub mod conn;
pub mod key;
pub mod rate;
pub mod req;
pub mod zone;

mod table;

#[cfg(test)]
mod tests;

pub use answer::{Quota, Refusal, Status, Word};
pub use conn::{ConnGuard, ConnLimit, ConnLimits, ConnRefused, ConnZone, Place, Places, Why};
pub use key::{ClientKey, Key, Part, Subject};
pub use rate::{Burst, Delay, Rate};
pub use req::{Decision, Limit, Limits, Outcome};
pub use zone::{Size, Zone, ZoneStats};

/// A moment of a monotonic clock, in milliseconds. nginx compares nothing finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);
