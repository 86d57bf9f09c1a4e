//! What the protocol thread lets others see: words that it stores and never waits for.
//!
//! Not here: how they are told ([`crate::status`]).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use vrrp::{Notice, Notices, Priority, Refusal, State};

/// Where one instance stands, and what it has done.
#[derive(Debug, Default)]
pub struct Board {
    state: AtomicU8,
    /// Milliseconds since the epoch.
    since: AtomicU64,
    priority: AtomicU8,
    /// Who was heard last: an IPv6 address, or an IPv4-mapped one.
    peer: [AtomicU64; 2],
    peer_priority: AtomicU8,
    /// How often it has become active.
    pub takeovers: AtomicU64,
    /// How often it woke after the end of its lease.
    pub woken_late: AtomicU64,
    /// Adverts sent.
    pub sent: AtomicU64,
    /// Adverts, or announcements, that the kernel did not take.
    pub send_errors: AtomicU64,
    /// Adverts heard.
    pub heard: AtomicU64,
    /// VIPs announced.
    pub announced: AtomicU64,
    noticed: [AtomicU64; Notice::ALL.len()],
}

impl Board {
    pub(super) fn set_state(&self, state: State, at: SystemTime) {
        let at = at.duration_since(SystemTime::UNIX_EPOCH);
        let at = at.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        self.since.store(at, Relaxed);
        self.state.store(state as u8, Relaxed);
    }

    pub(super) fn set_priority(&self, priority: Priority) {
        self.priority.store(priority.get(), Relaxed);
    }

    pub(super) fn hear(&self, heard: &vrrp::Heard, notices: Notices) {
        let address = match heard.from {
            IpAddr::V4(from) => from.to_ipv6_mapped(),
            IpAddr::V6(from) => from,
        };
        let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
        self.peer[0].store(u64::from_be_bytes([a, b, c, d, e, f, g, h]), Relaxed);
        self.peer[1].store(u64::from_be_bytes(rest), Relaxed);
        let priority = heard.priority.map_or(0, Priority::get);
        self.peer_priority.store(priority, Relaxed);
        self.heard.fetch_add(1, Relaxed);
        for notice in notices.iter() {
            self.noticed[notice as usize].fetch_add(1, Relaxed);
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        let state = self.state.load(Relaxed);
        let all = [
            State::Initialize,
            State::Backup,
            State::Active,
            State::Resigning,
        ];
        let found = all.into_iter().find(|known| *known as u8 == state);
        found.unwrap_or(State::Initialize)
    }

    /// Since when.
    pub fn since(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.since.load(Relaxed))
    }

    /// Its priority, tracking included; 0 before it has one.
    pub fn priority(&self) -> u8 {
        self.priority.load(Relaxed)
    }

    /// Who was heard last, and of what priority; 0: it resigned.
    pub fn peer(&self) -> Option<(IpAddr, u8)> {
        let [high, low] = [&self.peer[0], &self.peer[1]].map(|word| u128::from(word.load(Relaxed)));
        let address = Ipv6Addr::from(high << 64 | low);
        let priority = self.peer_priority.load(Relaxed);
        (!address.is_unspecified()).then(|| (IpAddr::V6(address).to_canonical(), priority))
    }

    /// Of how many adverts each is to be said.
    pub fn noticed(&self) -> impl Iterator<Item = (Notice, u64)> {
        let counts = self.noticed.iter().map(|count| count.load(Relaxed));
        Notice::ALL.into_iter().zip(counts)
    }
}

/// What came in by an interface and was not taken.
#[derive(Debug, Default)]
pub struct RefusedBoard {
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl RefusedBoard {
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Relaxed);
    }

    /// How many, by the cause.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;
    use vrrp::{Heard, Interval};

    #[test]
    fn what_is_stored_is_read() {
        let board = Board::default();
        assert_eq!((board.state(), board.peer()), (State::Initialize, None));
        let at = time::wall();
        for state in [State::Resigning, State::Active, State::Backup] {
            board.set_state(state, at);
            assert_eq!(board.state(), state);
        }
        assert!(at.duration_since(board.since()).unwrap() < Duration::from_millis(1));
        for from in ["10.77.0.2", "fe80::2"] {
            let heard = Heard {
                from: from.parse().unwrap(),
                priority: None,
                interval: Interval::DEFAULT,
            };
            let mut notices = Notices::default();
            notices.add(Notice::SamePriority);
            board.hear(&heard, notices);
            assert_eq!(board.peer(), Some((from.parse().unwrap(), 0)));
        }
        let noticed: Vec<_> = board.noticed().filter(|(_, count)| *count > 0).collect();
        assert_eq!(noticed, [(Notice::SamePriority, 2)]);
    }
}
