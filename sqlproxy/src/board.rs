//! What the monitors know of the servers, and who the writer is: written by one task, read by every
//! thread before each statement, without a lock.
//!
//! ```text
//!   monitors, elector ──set, set_writer──► Board ──state, writer──► statements
//!                                            └────news────────────► who waits for a writer, who must
//!                                                                   leave a server that died
//! ```
//! The writer's name and the end of its lease are one word, so that nobody reads the one of this term
//! with the other of the last: after the lease there is no writer, whoever forgot to say so.
//!
//! Not here: probes, elections, and what is done with a statement that finds no writer.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::election::Server;

/// What is known of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// It answers.
    pub is_up: bool,
    /// It may answer reads: it is up, replicates, and is not too far behind.
    pub serves_reads: bool,
    /// No new session goes to it: an operator said so, or it is being fenced.
    pub is_drained: bool,
    /// How far it is behind its primary, to the second; `None` if it does not say.
    pub lag: Option<Duration>,
}

/// What all threads of a process know of the servers.
#[derive(Debug)]
pub struct Board {
    origin: Instant,
    /// Milliseconds since `origin` at which the lease ends, then the server's place in the last byte.
    writer: AtomicU64,
    servers: Box<[AtomicU64]>,
    news: watch::Sender<u64>,
}

const UP: u64 = 1;
const READS: u64 = 2;
const DRAINED: u64 = 4;
/// The lag is known; its seconds are above these bits.
const LAG: u64 = 8;
const LAG_SHIFT: u32 = 8;

impl Board {
    /// Nothing is known of so many servers; there is no writer.
    #[must_use]
    pub fn new(servers: usize, origin: Instant) -> Self {
        Self {
            origin,
            writer: AtomicU64::new(0),
            servers: (0..servers).map(|_| AtomicU64::new(0)).collect(),
            news: watch::Sender::new(0),
        }
    }

    /// The server that takes writes now.
    #[must_use]
    pub fn writer(&self, now: Instant) -> Option<Server> {
        let word = self.writer.load(SeqCst);
        let now = u64::try_from((now - self.origin).as_millis()).unwrap_or(u64::MAX);
        let place = u8::try_from(word & 0xff).unwrap_or_default();
        (now < word >> 8).then_some(Server(place))
    }

    /// From now on, until the end of its lease, this server takes writes; or none does.
    pub fn set_writer(&self, writer: Option<(Server, Instant)>) {
        let word = writer.map_or(0, |(Server(place), until)| {
            let until = until.saturating_duration_since(self.origin).as_millis();
            u64::try_from(until).unwrap_or_default() << 8 | u64::from(place)
        });
        let before = self.writer.swap(word, SeqCst);
        let of = |word: u64| (word != 0).then_some(word & 0xff);
        if of(before) != of(word) {
            self.tell();
        }
    }

    /// What is known of a server; nothing of one that does not exist.
    #[must_use]
    pub fn state(&self, server: Server) -> State {
        let word = self
            .servers
            .get(usize::from(server.0))
            .map_or(0, |word| word.load(SeqCst));
        State {
            is_up: word & UP != 0,
            serves_reads: word & READS != 0,
            is_drained: word & DRAINED != 0,
            lag: (word & LAG != 0).then(|| Duration::from_secs(word >> LAG_SHIFT)),
        }
    }

    /// This is known of a server.
    pub fn set(&self, server: Server, state: State) {
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        let lag = state.lag.map_or(0, |lag| {
            lag.as_secs().min(u64::MAX >> LAG_SHIFT) << LAG_SHIFT | LAG
        });
        let word = flag(state.is_up, UP)
            | flag(state.serves_reads, READS)
            | flag(state.is_drained, DRAINED)
            | lag;
        if let Some(place) = self.servers.get(usize::from(server.0))
            && place.swap(word, SeqCst) & (UP | READS | DRAINED) != word & (UP | READS | DRAINED)
        {
            self.tell();
        }
    }

    /// Tells when a server comes or goes, or the writer is another. A lease that runs out is not told.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "all times of a test are counted from it"
    )]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_writer_is_one_only_until_its_lease_ends() {
        let origin = origin();
        let at = |ms| origin + Duration::from_millis(ms);
        let board = Board::new(2, origin);
        assert_eq!(board.writer(at(0)), None);
        board.set_writer(Some((Server(1), at(500))));
        assert_eq!(board.writer(at(499)), Some(Server(1)));
        assert_eq!(board.writer(at(500)), None);
        board.set_writer(Some((Server(0), at(900))));
        assert_eq!(board.writer(at(500)), Some(Server(0)));
        board.set_writer(None);
        assert_eq!(board.writer(at(500)), None);
    }

    #[test]
    fn what_is_known_of_a_server_is_read_back() {
        let board = Board::new(2, origin());
        assert_eq!(board.state(Server(1)), State::default());
        let state = State {
            is_up: true,
            serves_reads: true,
            is_drained: false,
            lag: Some(Duration::from_secs(3)),
        };
        board.set(Server(1), state);
        board.set(Server(7), state);
        assert_eq!(board.state(Server(1)), state);
        assert_eq!(board.state(Server(0)), State::default());
        assert_eq!(board.state(Server(7)), State::default());
    }

    #[test]
    fn news_are_changes_only() {
        let origin = origin();
        let at = |ms| origin + Duration::from_millis(ms);
        let board = Board::new(1, origin);
        let mut news = board.news();
        let mut is_told = || {
            let told = news.has_changed().unwrap();
            news.mark_unchanged();
            told
        };
        board.set_writer(Some((Server(0), at(100))));
        assert!(is_told());
        board.set_writer(Some((Server(0), at(200))));
        assert!(!is_told());
        board.set(
            Server(0),
            State {
                is_up: true,
                ..State::default()
            },
        );
        assert!(is_told());
        let lag = Some(Duration::from_secs(9));
        board.set(
            Server(0),
            State {
                is_up: true,
                lag,
                ..State::default()
            },
        );
        assert!(!is_told());
        board.set_writer(None);
        assert!(is_told());
    }
}
