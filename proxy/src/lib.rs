//! The HTTP reverse proxy `viaduct-proxy`.
//!
//! In reading order: [`config`] is the site file's table `[proxy]`; [`h1`] is HTTP/1.1 as bytes;
//! [`route`], [`balance`] and [`policy`] decide about requests, [`limit`] about their rates and numbers;
//! [`forward`] writes the heads that are sent on; [`door`] counts connections; [`secrets`] is what TLS
//! needs; [`server`] what is known of a server, [`plan`] all of that made ready to serve. [`core`] is
//! a thread that serves, [`control`] the daemon around such threads with [`handover`], [`prober`], [`status`],
//! [`metrics`] and [`access_log`]. [`replay`] plays messages through without sockets, for tests.
//!
//! `h1`, `route`, `balance`, `policy` and `forward` are pure: no socket, no clock. Not here: packets, the
//! life of a process (daemon), the schedule of probes (health).
#![forbid(unsafe_code)]

pub mod access_log;
pub mod balance;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod date;
pub mod door;
pub mod explain;
pub mod forward;
pub mod h1;
pub mod handover;
pub mod limit;
pub mod metrics;
pub mod pattern;
pub mod persistence;
pub mod pick;
pub mod plan;
pub mod policy;
pub mod preamble;
pub mod prober;
pub mod queue;
pub mod replay;
pub mod route;
pub mod secrets;
pub mod server;
pub mod stats;
pub mod status;
pub mod template;
