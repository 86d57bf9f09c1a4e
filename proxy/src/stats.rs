//! What is counted, by each thread for itself and summed when asked.
//!
//! A counter has one writer, so counting is a load and a store. Not here: names and labels (`metrics`).

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{h1::Refusal, preamble::Wrong};

/// A number that one thread adds to and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the thread that owns it may.
    pub fn add(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    /// Takes from it what was added before.
    pub fn sub(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(number), Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper ends of the latency buckets, in microseconds.
pub const BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How long requests took.
#[derive(Debug, Default)]
pub struct Latency {
    /// Requests in each bucket; the last one has no end.
    pub buckets: [Counter; BUCKETS.len() + 1],
    /// Microseconds in all.
    pub micros: Counter,
}

impl Latency {
    /// Counts a request.
    pub fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|&end| micros <= end);
        self.buckets[bucket.unwrap_or(BUCKETS.len())].add(1);
        self.micros.add(micros);
    }
}

/// What one thread counts of a route. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct RouteStats {
    /// Answers by the first digit of their status, from 1 to 5.
    pub answers: [Counter; 5],
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of answers' bodies.
    pub bytes_out: Counter,
    /// Requests that broke off before their answer was whole.
    pub broken: Counter,
    /// How long they took.
    pub latency: Latency,
}

/// What one thread counts of a server. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerStats {
    /// Requests sent to it.
    pub requests: Counter,
    /// Requests that failed on it, of which some went to another server then.
    pub failures: Counter,
    /// Requests that were sent again to another connection.
    pub retries: Counter,
    /// Requests that were not sent again because too many were.
    pub withheld: Counter,
    /// Connections opened to it.
    pub connects: Counter,
}

/// What one thread counts of itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ThreadStats {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed again.
    pub closed: Counter,
    /// Connections turned away because there were too many.
    pub turned_away: Counter,
    /// Those turned away because their listener had too many.
    pub turned_away_listener: Counter,
    /// Those turned away because their client had too many.
    pub turned_away_client: Counter,
    /// Connections closed because of their PROXY header, by [`Wrong::ALL`].
    pub preambles_refused: [Counter; Wrong::ALL.len()],
    /// Requests refused, by [`Refusal::ALL`].
    pub refused: [Counter; Refusal::ALL.len()],
    /// Lines that the access log had no room for.
    pub log_lost: Counter,
    /// HTTP/2 connections that were ended because they only made work.
    pub floods: Counter,
    /// What became of TLS handshakes with clients.
    pub handshakes: Handshakes,
}

/// What became of TLS handshakes with clients.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// New sessions.
    pub full: Counter,
    /// Sessions that went on.
    pub resumed: Counter,
    /// None, by [`NoHandshake::ALL`].
    pub failed: [Counter; NoHandshake::ALL.len()],
}

/// Why a client and we came to no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// It was too slow.
    Late,
    /// It went away.
    Closed,
    /// It does not speak TLS, or breaks its rules.
    Malformed,
    /// It has no version, cipher or protocol that we have.
    Incompatible,
    /// It has no certificate that is believed.
    Certificate,
    /// It does not believe ours, or says that something else is wrong.
    Refused,
    /// Anything else.
    Other,
}

impl NoHandshake {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Late,
        Self::Closed,
        Self::Malformed,
        Self::Incompatible,
        Self::Certificate,
        Self::Refused,
        Self::Other,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::Incompatible => "incompatible",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }

    /// What an error of TLS comes down to.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors, and they would be others"
    )]
    pub fn of(error: &std::io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref()) else {
            return Self::Closed;
        };
        match error {
            rustls::Error::AlertReceived(_) => Self::Refused,
            rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
                Self::Incompatible
            }
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Self::Certificate
            }
            rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::DecryptError => Self::Malformed,
            _ => Self::Other,
        }
    }
}

/// Something of each thread's own.
#[derive(Debug)]
pub struct PerThread<T>(Box<[T]>);

impl<T: Default> PerThread<T> {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| T::default()).collect())
    }

    /// That of one thread.
    #[must_use]
    pub fn of(&self, thread: usize) -> &T {
        &self.0[thread]
    }

    /// The sum of one counter over all threads.
    pub fn sum(&self, counter: impl Fn(&T) -> &Counter) -> u64 {
        self.0.iter().map(|one| counter(one).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_goes_into_the_bucket_that_ends_behind_it() {
        let latency = Latency::default();
        for micros in [1, 500, 501, 99_000_000] {
            latency.add(Duration::from_micros(micros));
        }
        assert_eq!(latency.buckets[0].get(), 2);
        assert_eq!(latency.buckets[1].get(), 1);
        assert_eq!(latency.buckets[BUCKETS.len()].get(), 1);
        assert_eq!(latency.micros.get(), 99_001_002);
    }

    #[test]
    fn sums_are_over_all_threads() {
        let stats: PerThread<ServerStats> = PerThread::new(3);
        stats.of(0).requests.add(2);
        stats.of(2).requests.add(5);
        assert_eq!(stats.sum(|one| &one.requests), 7);
    }
}
