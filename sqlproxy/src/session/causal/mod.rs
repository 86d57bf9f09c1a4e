//! Read your writes: which server may answer a read, so that a session sees what it wrote and never
//! goes back in time.
//!
//! ```text
//! none      any server
//! session   a server that has this session's writes, and all that it has read
//! global    a server that has everything that was committed when the read came
//! ```
//! A session's *floor* is the position that a server must have reached. It rises by the GTID of each
//! own write (told by session tracking), and by the position of the server that was read from when the
//! next read goes elsewhere: only then is it asked for, so a session that stays pays nothing.
//!
//! Source: MariaDB's MASTER_GTID_WAIT and `last_gtid`, MySQL's WAIT_FOR_EXECUTED_GTID_SET and
//! `session_track_gtids`. Not here: positions themselves ([`gtid`]), the timeout's clock.

use std::time::Duration;

pub mod gtid;

pub use gtid::{Flavor, GtidError, Position};

/// What a site wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Causal {
    /// Nothing: reads may be stale.
    None,
    /// A session sees its own writes, and time goes forward.
    #[default]
    Session,
    /// Everybody sees everything.
    Global,
}

/// A server, by its place in the site file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u16);

/// What has to be done before a server may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    No,
    /// Ask this server for its position, [`Floor::raise`] by it, and decide again. If it does not
    /// answer: the primary reads.
    Ask(ServerId),
    /// Wait on the server for this position, then read; if the time is over, the primary reads.
    Until(Position),
}

/// How old what a session reads may be.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    at: Option<Position>,
    /// The server that was read from last, if it may be ahead of `at`.
    read_on: Option<ServerId>,
}

impl Floor {
    /// A write of this session has this GTID. A malformed one is told: reads go to the primary from
    /// then on, since nobody knows what to wait for.
    ///
    /// # Errors
    /// No GTID of this flavour.
    pub fn wrote(&mut self, flavor: Flavor, gtid: &[u8]) -> Result<(), GtidError> {
        let position = Position::parse(flavor, gtid)?;
        self.raise(&position);
        Ok(())
    }

    /// The session has seen what a server had at this position.
    pub fn raise(&mut self, position: &Position) {
        match &mut self.at {
            Some(at) => at.join(position),
            None => self.at = Some(position.clone()),
        }
    }

    /// The answer to [`Wait::Ask`].
    pub fn asked(&mut self, server: ServerId, position: &Position) {
        self.raise(position);
        self.read_on = self.read_on.filter(|on| *on != server);
    }

    /// A read was answered by this server, be it the primary: what it has may not be elsewhere yet.
    pub fn read(&mut self, server: ServerId) {
        self.read_on = Some(server);
    }

    /// The position to be reached.
    #[must_use]
    pub fn at(&self) -> Option<&Position> {
        self.at.as_ref()
    }

    /// What has to be done before this replica may answer. `known` is what it surely has (its monitor
    /// saw it), `primary` who writes; for [`Causal::Global`] `is_raised` says that the primary was
    /// asked since the read came.
    #[must_use]
    pub fn wait(
        &self,
        causal: Causal,
        replica: ServerId,
        known: Option<&Position>,
        primary: ServerId,
        is_raised: bool,
    ) -> Wait {
        match causal {
            Causal::None => return Wait::No,
            Causal::Global if !is_raised => return Wait::Ask(primary),
            Causal::Session | Causal::Global => {}
        }
        if let Some(other) = self.read_on.filter(|on| *on != replica) {
            return Wait::Ask(other);
        }
        let Some(at) = &self.at else {
            return Wait::No;
        };
        match known {
            Some(known) if known.contains(at) => Wait::No,
            Some(_) | None => Wait::Until(at.clone()),
        }
    }
}

/// What makes a server wait: a statement whose one value is 0 when the position is reached.
#[must_use]
pub fn statement(position: &Position, timeout: Duration) -> String {
    let seconds = timeout.as_secs_f64();
    match position.flavor() {
        Flavor::MariaDb => format!("SELECT MASTER_GTID_WAIT('{position}', {seconds:.3})"),
        Flavor::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{position}', {seconds:.3})"),
    }
}

/// What tells a server's position.
#[must_use]
pub fn question(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::MariaDb => "SELECT @@gtid_current_pos",
        Flavor::MySql => "SELECT @@global.gtid_executed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerId = ServerId(0);
    const B: ServerId = ServerId(1);
    const C: ServerId = ServerId(2);

    fn at(text: &str) -> Position {
        Position::parse(Flavor::MariaDb, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_session_that_wrote_nothing_reads_anywhere() {
        let floor = Floor::default();
        for causal in [Causal::None, Causal::Session] {
            assert_eq!(floor.wait(causal, B, None, A, false), Wait::No);
        }
        assert_eq!(floor.wait(Causal::Global, B, None, A, false), Wait::Ask(A));
        assert_eq!(floor.wait(Causal::Global, B, None, A, true), Wait::No);
    }

    #[test]
    fn a_session_waits_for_its_writes_where_they_may_be_missing() {
        let mut floor = Floor::default();
        floor.wrote(Flavor::MariaDb, b"0-1-5").unwrap();
        let wait = |known: Option<&str>| {
            let known = known.map(at);
            floor.wait(Causal::Session, B, known.as_ref(), A, false)
        };
        assert_eq!(wait(None), Wait::Until(at("0-1-5")));
        assert_eq!(wait(Some("0-1-4")), Wait::Until(at("0-1-5")));
        assert_eq!(wait(Some("0-1-5")), Wait::No);
        assert_eq!(wait(Some("0-2-9")), Wait::No);
        assert_eq!(floor.wait(Causal::None, B, None, A, false), Wait::No);
        assert!(floor.wrote(Flavor::MariaDb, b"nonsense").is_err());
    }

    #[test]
    fn time_does_not_go_back_between_replicas() {
        let mut floor = Floor::default();
        floor.read(B);
        assert_eq!(floor.wait(Causal::Session, B, None, A, false), Wait::No);
        assert_eq!(floor.wait(Causal::Session, C, None, A, false), Wait::Ask(B));
        floor.asked(B, &at("0-1-7"));
        assert_eq!(
            floor.wait(Causal::Session, C, None, A, false),
            Wait::Until(at("0-1-7"))
        );
        assert_eq!(
            floor.wait(Causal::Session, C, Some(&at("0-1-7")), A, false),
            Wait::No
        );
        // Nor from the primary to a replica.
        floor.read(A);
        assert_eq!(
            floor.wait(Causal::Session, C, Some(&at("0-1-7")), A, false),
            Wait::Ask(A)
        );
    }

    #[test]
    fn servers_are_asked_in_their_own_words() {
        assert_eq!(
            statement(&at("0-1-5,1-2-7"), Duration::from_millis(250)),
            "SELECT MASTER_GTID_WAIT('0-1-5,1-2-7', 0.250)"
        );
        assert!(question(Flavor::MySql).contains("gtid_executed"));
    }
}
