//! The SQL proxy: MySQL's wire, read/write splitting and pooling, with one writer whatever dies.
//!
//! In reading order: [`wire`] is the protocol as bytes, [`lexer`] says of each statement where it may
//! go and what it does to its session, [`session`] is what must follow a client from server to
//! server, [`election`] decides which of two primaries is the writer, and [`config`] is what a site
//! file says of it all. All of them are pure: values go in and come out; there is no socket, clock or
//! task.
//!
//! [`board`] is where the monitors write and every thread reads who the writer is.
//!
//! Not here yet: what drives them (listeners, pools, monitors).
#![forbid(unsafe_code)]

pub mod board;
pub mod config;
pub mod election;
pub mod lexer;
pub mod session;
pub mod wire;
