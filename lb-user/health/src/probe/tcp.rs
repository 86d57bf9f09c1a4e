//! The TCP probe: connect, then close.
//!
//! It closes in the normal way (FIN), as keepalived's `TCP_CHECK` does, not with a reset as
//! HAProxy's: a reset saves the director a TIME_WAIT socket, but shows as "connection reset by peer"
//! in the logs of servers that had already accepted. A TIME_WAIT socket lasts a minute and its port
//! is taken only towards that one target, so one probe a second holds sixty of some 28,000.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::failure;
use crate::outcome::Failure;

/// Connects and closes.
pub(super) async fn probe(target: SocketAddr) -> Result<(), Failure> {
    connect(target).await.map(drop)
}

/// A connection to the target, for the probes that go on from there.
pub(super) async fn connect(target: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(target)
        .await
        .map_err(|error| failure(&error))
}
