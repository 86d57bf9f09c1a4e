//! What is known of a server now, by its probes and by the requests it got. Shared by all threads; it
//! outlives a reload.
//!
//! Not here: probing (`prober`) and choosing (`balance`).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use health::Verdict;

use crate::stats::{PerThread, ServerStats};

/// A server is kept away from requests no longer than this.
const EJECT_MAX: Duration = Duration::from_secs(60);

/// A server and what is known of it.
#[derive(Debug)]
pub struct ServerLife {
    /// Where it listens.
    pub address: SocketAddr,
    /// What each thread counts of it.
    pub stats: PerThread<ServerStats>,
    verdict: AtomicU8,
    active: AtomicU32,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Until when it gets no requests, in milliseconds of the daemon's life.
    ejected_until: AtomicU64,
}

impl ServerLife {
    /// A server that nothing is known of.
    #[must_use]
    pub fn new(address: SocketAddr, threads: usize) -> Self {
        Self {
            address,
            stats: PerThread::new(threads),
            verdict: AtomicU8::new(0),
            active: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    /// What its probes say; without probes it stays `Checking`.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.verdict.load(Relaxed) {
            1 => Verdict::Up,
            2 => Verdict::Down,
            _ => Verdict::Checking,
        }
    }

    /// Its probes have said something new.
    pub fn set_verdict(&self, verdict: Verdict) {
        let number = match verdict {
            Verdict::Checking => 0,
            Verdict::Up => 1,
            Verdict::Down => 2,
        };
        self.verdict.store(number, Relaxed);
    }

    /// Requests under way to it.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// A request is sent to it.
    pub fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// A request to it has ended.
    pub fn end(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Whether it gets no requests for what they showed.
    #[must_use]
    pub fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Relaxed) > now
    }

    /// A request has shown that it works.
    pub fn succeeded(&self, now: u64) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.ejections.load(Relaxed) != 0 && !self.is_ejected(now) {
            self.ejections.store(0, Relaxed);
        }
    }

    /// A request has failed on it. After `limit` in a row (0: never) it gets none for `time`, twice as
    /// long with each ejection in a row. Says whether that is so now.
    pub fn failed(&self, now: u64, limit: u32, time: Duration) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if limit == 0 || failures < limit || self.is_ejected(now) {
            return false;
        }
        let times = self.ejections.fetch_add(1, Relaxed).min(16);
        let time = time.saturating_mul(1 << times).min(EJECT_MAX);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until
            .store(now.saturating_add(millis), Relaxed);
        self.failures.store(0, Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn server() -> ServerLife {
        ServerLife::new(([127, 0, 0, 1], 80).into(), 1)
    }

    #[test]
    fn failures_in_a_row_eject_a_server_for_longer_each_time() {
        let server = server();
        assert!(!server.failed(0, 2, SECOND));
        server.succeeded(0);
        assert!(!server.failed(0, 2, SECOND));
        assert!(server.failed(0, 2, SECOND));
        assert!(server.is_ejected(999) && !server.is_ejected(1000));
        assert!(!server.failed(1000, 2, SECOND));
        assert!(server.failed(1000, 2, SECOND));
        assert!(server.is_ejected(2999) && !server.is_ejected(3000));
        server.succeeded(3000);
        assert!(!server.failed(3000, 2, SECOND));
        assert!(server.failed(3000, 2, SECOND));
        assert!(
            !server.is_ejected(4000),
            "a success makes it a second again"
        );
    }

    #[test]
    fn without_a_limit_nothing_ejects() {
        let server = server();
        assert!((0..100).all(|_| !server.failed(0, 0, SECOND)));
    }
}
