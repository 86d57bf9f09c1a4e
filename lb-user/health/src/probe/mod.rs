//! The sockets: performs one probe of one target and says how it ended.
//!
//! A probe is one future: dropping it drops its socket, and nothing is spawned. Not here: when to
//! probe and what the result means, which is [`crate::monitor`]'s.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use crate::{outcome::Failure, spec::ProbeKind};

mod http;
mod tcp;

/// Probes `target` once and says whether it answered as it should.
///
/// Takes `timeout` at most, counted from here to the last byte needed. Needs a tokio runtime with
/// I/O and time.
///
/// # Errors
/// How it failed; [`Failure::Timeout`] if nothing was decided in time.
pub async fn run(target: SocketAddr, kind: &ProbeKind, timeout: Duration) -> Result<(), Failure> {
    match kind {
        ProbeKind::Tcp => within(timeout, tcp::probe(target)).await,
        ProbeKind::Http(check) => within(timeout, http::probe(target, check)).await,
    }
}

async fn within(
    timeout: Duration,
    probe: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    tokio::time::timeout(timeout, probe)
        .await
        .unwrap_or(Err(Failure::Timeout))
}

/// What a socket's error says about the target.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library's list is open"
)]
fn failure(error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Failure::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Failure::Reset,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            Failure::Unreachable
        }
        Kind::TimedOut => Failure::Timeout,
        Kind::UnexpectedEof => Failure::Closed,
        // No descriptor, port, memory or permission left: nothing was learned about the target.
        _ => Failure::Local,
    }
}

#[cfg(test)]
mod tests;
