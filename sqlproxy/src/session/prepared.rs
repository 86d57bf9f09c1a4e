//! Statements prepared in the binary protocol: a number that the client knows, and one for each
//! connection that the statement was prepared on.
//!
//! A statement is prepared again, lazily, where it is executed: so prepared statements are split as
//! texts are, and survive their server. The client's numbers are never reused within a session.
//!
//! Not here: the packets; what to do when a server prepares the same text with other columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::lexer::Statement;
use crate::wire::command::StatementId;

/// Statements of a session at most: MySQL's default for a whole server (error 1461).
pub const MOST: usize = 16_382;

/// A connection to a server, by a number that is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One statement.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its text.
    pub text: Arc<[u8]>,
    /// What the lexer said of it.
    pub told: Statement,
    /// Its parameters, as its first server counted them.
    pub parameters: u16,
    /// Types of its parameters, as the last execution that named them did: another server has to be
    /// told again (COM_STMT_EXECUTE may leave them out from the second time on).
    pub types: Option<Box<[u8]>>,
    /// Pieces of a parameter were sent to this connection.
    pub pieces: Option<ConnectionId>,
    /// A cursor is open on this connection.
    pub cursor: Option<ConnectionId>,
    on: Vec<(ConnectionId, StatementId)>,
    /// Connections that were told the types of its parameters.
    typed: Vec<ConnectionId>,
}

impl Prepared {
    /// Whether a connection was told the types of its parameters.
    #[must_use]
    pub fn is_typed(&self, connection: ConnectionId) -> bool {
        self.parameters == 0 || self.typed.contains(&connection)
    }

    /// A connection was told the types of its parameters; the others know older ones.
    pub fn typed(&mut self, connection: ConnectionId, types: &[u8]) {
        if self.types.as_deref() != Some(types) {
            self.types = Some(types.into());
            self.typed.clear();
        }
        if !self.typed.contains(&connection) {
            self.typed.push(connection);
        }
    }

    /// Its number on a connection, if it was prepared there.
    #[must_use]
    pub fn on(&self, connection: ConnectionId) -> Option<StatementId> {
        let known = self.on.iter().find(|(on, _)| *on == connection);
        known.map(|(_, id)| *id)
    }

    /// It was prepared on a connection.
    pub fn prepared(&mut self, connection: ConnectionId, id: StatementId) {
        self.on.retain(|(on, _)| *on != connection);
        self.typed.retain(|on| *on != connection);
        self.on.push((connection, id));
    }

    /// The connections that know it, with its number there: to be closed.
    #[must_use]
    pub fn everywhere(&self) -> &[(ConnectionId, StatementId)] {
        &self.on
    }
}

/// Statements of one session.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    all: BTreeMap<StatementId, Prepared>,
    last: u32,
}

/// There are [`MOST`] already: the client gets error 1461.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Statements {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number that the next statement will have.
    ///
    /// # Errors
    /// Too many.
    pub fn next(&self) -> Result<StatementId, TooMany> {
        // The last number there is means something else to MariaDB's clients.
        if self.all.len() >= MOST || self.last + 1 == StatementId::LAST.0 {
            return Err(TooMany);
        }
        Ok(StatementId(self.last + 1))
    }

    /// A statement was prepared on its first connection; the number that the client gets.
    ///
    /// # Errors
    /// Too many.
    pub fn add(
        &mut self,
        text: Arc<[u8]>,
        told: Statement,
        parameters: u16,
        first: (ConnectionId, StatementId),
    ) -> Result<StatementId, TooMany> {
        let id = self.next()?;
        self.last = id.0;
        let prepared = Prepared {
            text,
            told,
            parameters,
            types: None,
            pieces: None,
            cursor: None,
            on: vec![first],
            typed: Vec::new(),
        };
        self.all.insert(id, prepared);
        Ok(id)
    }

    /// The statement that a client means; none: error 1243.
    pub fn get(&mut self, id: StatementId) -> Option<&mut Prepared> {
        let id = match id {
            StatementId::LAST => StatementId(self.last),
            id => id,
        };
        self.all.get_mut(&id)
    }

    /// The client closes one.
    pub fn remove(&mut self, id: StatementId) -> Option<Prepared> {
        let id = match id {
            StatementId::LAST => StatementId(self.last),
            id => id,
        };
        self.all.remove(&id)
    }

    /// A connection was reset, given away or lost: nothing is prepared there any more. Gives the
    /// statements whose cursor or pieces are lost with it.
    pub fn lost(&mut self, connection: ConnectionId) -> Vec<StatementId> {
        let mut harmed = Vec::new();
        for (id, prepared) in &mut self.all {
            prepared.on.retain(|(on, _)| *on != connection);
            prepared.typed.retain(|on| *on != connection);
            let here = Some(connection);
            if prepared.cursor == here || prepared.pieces == here {
                harmed.push(*id);
            }
            prepared.cursor = prepared.cursor.filter(|on| *on != connection);
            prepared.pieces = prepared.pieces.filter(|on| *on != connection);
        }
        harmed
    }

    /// Whether any has a cursor, and whether any has pieces: both pin.
    #[must_use]
    pub fn ties(&self) -> (bool, bool) {
        let any = |has: fn(&Prepared) -> bool| self.all.values().any(has);
        (any(|p| p.cursor.is_some()), any(|p| p.pieces.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::{Dialect, classify};

    fn add(statements: &mut Statements, connection: u64) -> Result<StatementId, TooMany> {
        let told = classify(b"SELECT ?", Dialect::default(), true);
        let first = (ConnectionId(connection), StatementId(7));
        statements.add(b"SELECT ?"[..].into(), told, 1, first)
    }

    #[test]
    fn a_statement_has_a_number_of_its_own_on_each_connection() {
        let mut statements = Statements::new();
        let id = add(&mut statements, 1).unwrap();
        assert_eq!(id, StatementId(1));
        let prepared = statements.get(id).unwrap();
        assert_eq!(prepared.on(ConnectionId(1)), Some(StatementId(7)));
        assert_eq!(prepared.on(ConnectionId(2)), None);
        prepared.prepared(ConnectionId(2), StatementId(9));
        assert_eq!(prepared.everywhere().len(), 2);
        assert_eq!(statements.lost(ConnectionId(1)), []);
        let prepared = statements.get(StatementId::LAST).unwrap();
        assert_eq!(prepared.on(ConnectionId(1)), None);
        assert_eq!(prepared.on(ConnectionId(2)), Some(StatementId(9)));
        assert!(statements.remove(id).is_some() && statements.get(id).is_none());
        assert_eq!(
            add(&mut statements, 1),
            Ok(StatementId(2)),
            "numbers are not reused"
        );
    }

    #[test]
    fn a_cursor_is_lost_with_its_connection() {
        let mut statements = Statements::new();
        let id = add(&mut statements, 1).unwrap();
        statements.get(id).unwrap().cursor = Some(ConnectionId(1));
        assert_eq!(statements.ties(), (true, false));
        assert_eq!(statements.lost(ConnectionId(2)), []);
        assert_eq!(statements.lost(ConnectionId(1)), [id]);
        assert_eq!(statements.ties(), (false, false));
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut statements = Statements::new();
        for _ in 0..MOST {
            add(&mut statements, 1).unwrap();
        }
        assert_eq!(add(&mut statements, 1), Err(TooMany));
        assert!(statements.remove(StatementId(5)).is_some());
        assert!(add(&mut statements, 1).is_ok());
    }
}
