//! The package from outside, as its driver sees it: the RFC's clauses as a table, the codec against
//! known and random bytes, and networks of routers in simulated time.
//!
//! Not here: real sockets and real peers.

mod codec;
mod desk;
mod rfc;
mod sim;
mod takeover;
