//! What the monitors have seen of all servers, and what follows from it: what an elector is told, what
//! threads read on the board, what one server alone has.
//!
//! ```text
//!   current   logs, applies, has applied all it received; and it was attached to the writer while that
//!             was last seen: else it lacks what was acknowledged
//!   settled   well for a while after it was gone: what flaps is not elected again and reads nothing
//!   reads     up, settled, replicating, not too far behind, has nothing that the writer has not
//! ```
//! Pure. Not here: probes ([`super::monitor`]); elections.

use std::time::Duration;

use election::{Now, View};

use super::facts::{Facts, Stranded};
use crate::board::State;

/// What a probe has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answers.
    Up(Box<Facts>),
    /// It refuses connections.
    Dead,
    /// The connection was reset.
    Reset,
    /// It does not answer in time.
    Silent,
}

/// How long the writer may answer while a server is not attached, before that one is too old to be taken.
const DETACHED: Duration = Duration::from_secs(1);
/// How long an operator's word holds that a server may be taken though it lacks something.
const FORCED: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default)]
struct Entry {
    seen: Option<Seen>,
    /// Kept while it is gone.
    facts: Facts,
    last_up: Option<Now>,
    /// When it was last seen to receive and apply.
    attached: Option<Now>,
    silent_since: Option<Now>,
    /// It was not attached while the writer answered, and has not got since all that this had.
    lacks: bool,
    /// It was gone; since then it is well.
    well_since: Option<Now>,
    was_gone: bool,
    forced_until: Now,
}

/// All servers, by their place in the site file.
#[derive(Clone, Debug)]
pub struct Book {
    entries: Vec<Entry>,
    patience: Duration,
    settle: Duration,
    max_lag: Duration,
}

impl Book {
    /// Nothing is known of so many servers.
    #[must_use]
    pub fn new(servers: usize, patience: Duration, settle: Duration, max_lag: Duration) -> Self {
        Self {
            entries: vec![Entry::default(); servers],
            patience,
            settle,
            max_lag,
        }
    }

    /// A probe ended, with that server in office.
    pub fn note(&mut self, now: Now, place: usize, office: usize, seen: Seen) {
        let patience = self.patience;
        let was_detached = place != office && self.is_detached(place, office);
        let written = self
            .entries
            .get(office)
            .map(|writer| writer.facts.executed.clone());
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        match &seen {
            Seen::Up(facts) => {
                let silence = entry.silent_since.take();
                entry.was_gone |= silence.is_some_and(|since| now >= since + patience);
                if entry.last_up.is_none() || silence.is_some() || entry.well_since.is_none() {
                    entry.well_since = Some(now);
                }
                entry.lacks |= was_detached;
                if facts.is_attached() {
                    entry.attached = Some(now);
                    let has_all = written.is_some_and(|written| facts.executed.contains(&written));
                    entry.lacks &= !has_all;
                }
                entry.last_up = Some(now);
                entry.facts = (**facts).clone();
            }
            Seen::Dead => {
                entry.was_gone = true;
                entry.well_since = None;
                entry.silent_since = None;
            }
            Seen::Silent => {
                entry.silent_since.get_or_insert(now);
            }
            Seen::Reset => {}
        }
        entry.seen = Some(seen);
    }

    /// An operator takes a server though it lacks something.
    pub fn force(&mut self, now: Now, place: usize) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.forced_until = now + FORCED;
        }
    }

    /// Whether each server was seen once, in whatever way.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.iter().all(|entry| entry.seen.is_some())
    }

    /// What a server that answers now said last.
    #[must_use]
    pub fn facts(&self, place: usize) -> Option<&Facts> {
        let entry = self.entries.get(place)?;
        matches!(entry.seen, Some(Seen::Up(_))).then_some(&entry.facts)
    }

    fn is_settled(&self, now: Now, entry: &Entry) -> bool {
        let is_well = |since: Now| now >= since + self.settle;
        !entry.was_gone || entry.well_since.is_some_and(is_well)
    }

    /// Whether it may lack what the writer has acknowledged: it is not taken by itself then.
    #[must_use]
    pub fn lacks(&self, place: usize, office: usize) -> bool {
        let lacks = self.entries.get(place).is_some_and(|entry| entry.lacks);
        lacks || self.is_detached(place, office)
    }

    /// Whether it has not been attached while the writer went on.
    fn is_detached(&self, place: usize, writer: usize) -> bool {
        let last = self.entries.get(writer).and_then(|writer| writer.last_up);
        let attached = self.entries.get(place).and_then(|entry| entry.attached);
        match (last, attached) {
            (Some(last), Some(attached)) => last > attached + DETACHED,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }

    /// What an elector is told, with this server in office.
    #[must_use]
    pub fn view(&self, now: Now, place: usize, office: usize) -> View {
        let Some(entry) = self.entries.get(place) else {
            return View::Silent;
        };
        match &entry.seen {
            None | Some(Seen::Silent) => View::Silent,
            Some(Seen::Dead) => View::Dead,
            Some(Seen::Reset) => View::Reset,
            Some(Seen::Up(facts)) => View::Up {
                has_lock: facts.lock.is_some(),
                is_read_only: facts.is_read_only,
                is_current: now < entry.forced_until
                    || (facts.is_current()
                        && self.is_settled(now, entry)
                        && !self.lacks(place, office)),
            },
        }
    }

    /// What this server alone has, with that one in office; none while either is not known.
    #[must_use]
    pub fn stranded(&self, place: usize, office: usize) -> Vec<Stranded> {
        let Some(writer) = self.entries.get(office).filter(|_| place != office) else {
            return Vec::new();
        };
        match self.facts(place) {
            Some(facts) if writer.last_up.is_some() => {
                let writer = &writer.facts;
                facts.executed.beyond(&writer.executed, writer.server_id)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Whether a server that was gone is one of the site again: well for a while, with nothing of its own.
    #[must_use]
    pub fn is_back(&self, now: Now, place: usize, office: usize) -> bool {
        let is_settled = |entry| self.is_settled(now, entry);
        self.facts(place).is_some()
            && self.entries.get(place).is_some_and(is_settled)
            && self.stranded(place, office).is_empty()
    }

    /// What the board says of a server.
    #[must_use]
    pub fn state(&self, now: Now, place: usize, office: usize) -> State {
        let Some(facts) = self.facts(place) else {
            return State::default();
        };
        let lag = facts.lag();
        let applies = |facts: &Facts| facts.channels.iter().all(|channel| channel.is_applying);
        // While there is no writer to receive from, what was received is what there is.
        let is_fed = facts.is_attached()
            || (self.facts(office).is_none() && !facts.channels.is_empty() && applies(facts));
        let is_near = lag.is_none_or(|lag| lag <= self.max_lag);
        State {
            is_up: true,
            serves_reads: place == office
                || (is_fed && is_near && self.is_back(now, place, office)),
            is_drained: facts.is_held,
            lag: if place == office { None } else { lag },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Channel, Executed};
    use super::*;

    fn s(seconds: u64) -> Now {
        Duration::from_secs(seconds)
    }

    fn book() -> Book {
        Book::new(2, s(1), s(10), s(5))
    }

    fn up(id: u32, executed: &str, is_receiving: bool, behind: u64) -> Seen {
        let channel = Channel {
            name: String::new(),
            is_receiving,
            is_applying: true,
            is_stopped: false,
            has_applied: true,
            behind: Some(s(behind)),
            error: String::new(),
        };
        Seen::Up(Box::new(Facts {
            executed: Executed::parse(executed),
            server_id: id,
            is_logged: true,
            channels: vec![channel],
            ..Facts::default()
        }))
    }

    fn is_current(book: &Book, now: Now, place: usize, office: usize) -> bool {
        let view = book.view(now, place, office);
        matches!(
            view,
            View::Up {
                is_current: true,
                ..
            }
        )
    }

    #[test]
    fn the_other_is_current_when_the_writer_dies_beside_it() {
        let mut book = book();
        book.note(s(1), 0, 0, up(1, "1-1-5", true, 0));
        book.note(s(1), 1, 0, up(2, "1-1-5", true, 0));
        book.note(s(2), 0, 0, Seen::Dead);
        book.note(s(60), 1, 0, up(2, "1-1-5", false, 0));
        assert!(is_current(&book, s(60), 1, 0));
        assert!(book.state(s(60), 1, 0).serves_reads, "it goes on reading");
    }

    #[test]
    fn who_was_away_while_the_writer_wrote_is_not_taken_but_by_an_operators_word() {
        let mut book = book();
        book.note(s(1), 0, 0, up(1, "1-1-5", true, 0));
        book.note(s(1), 1, 0, up(2, "1-1-5", true, 0));
        book.note(s(2), 1, 0, Seen::Dead);
        assert!(book.lacks(1, 0) || book.facts(1).is_none());
        book.note(s(9), 0, 0, up(1, "1-1-9", true, 0));
        book.note(s(10), 0, 0, Seen::Dead);
        book.note(s(11), 1, 0, up(2, "1-1-5", false, 0));
        book.note(s(99), 1, 0, up(2, "1-1-5", false, 0));
        assert!(!is_current(&book, s(99), 1, 0));
        book.force(s(99), 1);
        assert!(is_current(&book, s(99), 1, 0));
        assert!(!is_current(&book, s(200), 1, 0));
    }

    #[test]
    fn who_was_away_may_be_taken_once_it_has_all_that_was_written_meanwhile() {
        let mut book = book();
        book.note(s(1), 0, 0, up(1, "1-1-5", true, 0));
        book.note(s(1), 1, 0, up(2, "1-1-5", true, 0));
        book.note(s(2), 1, 0, up(2, "1-1-5", false, 0));
        book.note(s(9), 0, 0, up(1, "1-1-9", true, 0));
        book.note(s(10), 1, 0, up(2, "1-1-6", true, 0));
        assert!(!is_current(&book, s(10), 1, 0), "it is catching up");
        book.note(s(11), 1, 0, up(2, "1-1-9", true, 0));
        assert!(is_current(&book, s(11), 1, 0));
    }

    #[test]
    fn who_comes_back_reads_when_it_is_settled_and_has_nothing_of_its_own() {
        let mut book = book();
        book.note(s(1), 0, 1, up(1, "1-1-7", true, 0));
        book.note(s(2), 0, 1, Seen::Dead);
        book.note(s(3), 1, 1, up(2, "1-1-6,2-2-9", false, 0));
        book.note(s(4), 0, 1, up(1, "1-1-7,2-2-9", true, 0));
        let stranded = book.stranded(0, 1);
        assert_eq!(stranded[0].to_string(), "1-1-7");
        book.note(s(20), 0, 1, up(1, "1-1-7,2-2-9", true, 0));
        assert!(!book.state(s(20), 0, 1).serves_reads);
        book.note(s(21), 1, 1, up(2, "1-1-7,2-2-9", true, 0));
        assert!(book.state(s(21), 0, 1).serves_reads);
        book.note(s(22), 0, 1, Seen::Dead);
        book.note(s(23), 0, 1, up(1, "1-1-7,2-2-9", true, 0));
        assert!(!book.state(s(24), 0, 1).serves_reads, "it flaps");
        assert!(!is_current(&book, s(24), 0, 1));
        assert!(is_current(&book, s(33), 0, 1));
    }

    #[test]
    fn a_lag_over_the_limit_is_told_and_reads_nothing() {
        let mut book = book();
        book.note(s(1), 0, 0, up(1, "1-1-7", true, 0));
        book.note(s(1), 1, 0, up(2, "1-1-6", true, 6));
        let state = book.state(s(1), 1, 0);
        assert_eq!((state.serves_reads, state.lag), (false, Some(s(6))));
        assert!(book.state(s(1), 0, 0).serves_reads);
    }
}
