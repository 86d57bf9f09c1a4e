//! What runs on the lab's hosts: a web server and the clients that ask it. Each is a subcommand
//! of `viaduct-demo`, so that nothing else need be installed.
//!
//! Not here: starting them on a host (`lab::web`, `lab::load`).

pub mod blob;
pub mod fetch;
pub mod load;
pub mod request;
pub mod udp;
pub mod web;
