//! A small HTTP/1.1 service for status, metrics and orders, and the client that asks it.
//!
//! [`server`] answers `GET` over a unix socket ([`socket`]) or TCP, and `POST` over the unix socket
//! alone, where it is known which user asks; [`client`] asks over the unix socket. Everything is
//! bounded: connections, the size of a request and the time it may take. Not here: the paths and what
//! they answer, and who may order what, which are each daemon's; TLS; the HTTP of the proxy, which is
//! another trade.

pub mod client;
pub mod server;
pub mod socket;

pub use client::{get, post};
pub use server::{Listener, Order, Request, Response, serve};
pub use socket::UnixSocket;

#[cfg(test)]
mod tests;
