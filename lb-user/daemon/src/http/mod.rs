//! A small read-only HTTP/1.1 service for status and metrics, and the client that asks it.
//!
//! [`server`] answers `GET` over a unix socket ([`socket`]) or TCP; [`client`] asks over the unix
//! socket. Everything is bounded: connections, the size of a request and the time it may take. Not
//! here: the paths and what they answer, which are each daemon's; changing anything (there is no
//! `POST`); TLS; the HTTP of the proxy, which is another trade.

pub mod client;
pub mod server;
pub mod socket;

pub use client::get;
pub use server::{Listener, Response, serve};
pub use socket::UnixSocket;

#[cfg(test)]
mod tests;
