//! The SQL proxy: MySQL's wire, read/write splitting and pooling, with one writer whatever dies.
//!
//! In reading order: [`wire`] is the protocol as bytes, [`lexer`] says of each statement where it may
//! go and what it does to its session, [`session`] is what must follow a client from server to
//! server, [`election`] (a package of its own) decides which of two primaries is the writer, and [`config`] is what a site
//! file says of it all. All of them are pure: values go in and come out; there is no socket, clock or
//! task.
//!
//! [`board`] is where the monitors write and every thread reads who the writer is; [`steady`] fills it at a
//! site whose primary is always the same.
//!
//! Above them drive and touch: [`control`] is the daemon, [`core`] a thread that serves, [`plan`] what a
//! site file becomes in a running process, [`faces`] sessions as others see them; [`refusal`] is what clients
//! are told by the proxy itself, [`trust`] whom TLS trusts, [`status`], [`metrics`] and [`stats`] what operators are.
//!
//! [`lead`] watches and leads the servers of a site with an election.
//!
//! Not here: the rules of the election (the package `election`), packets, HTTP.
#![forbid(unsafe_code)]

pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod faces;
pub mod greet;
pub mod lead;
pub mod lexer;
pub mod metrics;
pub mod plan;
pub mod refusal;
pub mod session;
pub mod stats;
pub mod status;
pub mod steady;
pub mod trust;
pub mod wire;

pub use election;
