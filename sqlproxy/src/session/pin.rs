//! What ties a session to one connection, and when it is free again.
//!
//! Each pin says by which event it goes; some go with the statement that ends them, some only when
//! the connection is reset. `viaduct status` shows them by their words.
//!
//! Not here: noticing them ([`super::journal`]).

use std::fmt;

/// Why a session cannot move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Pin {
    /// A transaction is open, told by the status of every answer. Goes with its end.
    Transaction,
    /// autocommit is off and the server has been told to do something: it may hold a snapshot or locks
    /// that no flag tells of. Goes with COMMIT or ROLLBACK, or when autocommit is on.
    NoAutocommit,
    /// `SET TRANSACTION` for the next one. Goes with that.
    NextTransaction,
    /// An XA transaction. Goes with a reset.
    Xa,
    /// A user lock. Goes with RELEASE_ALL_LOCKS: whether a RELEASE_LOCK gave the last one back, no
    /// text tells.
    UserLock,
    /// `LOCK TABLES` and the like. Goes with UNLOCK TABLES.
    TableLock,
    /// Temporary tables. Goes with a reset alone: what was dropped cannot be counted by text.
    TemporaryTable,
    /// User variables are set. Goes with a reset.
    UserVariable,
    /// Statements prepared as text. Goes with a reset.
    TextPrepared,
    /// A HANDLER is open. Goes with a reset.
    Handler,
    /// A cursor is open. Goes with its last row, or its statement.
    Cursor,
    /// A parameter was sent in pieces. Goes when its statement is executed or reset.
    LongData,
    /// A variable's value cannot be known, so not be set elsewhere. Goes with a reset.
    Variable,
    /// A sequence's last value was asked for or set. Goes with a reset.
    Sequence,
    /// A role was set. Goes with a reset.
    Role,
    /// Something unknown was done. Goes with a reset.
    Opaque,
    /// The last answer can be asked about: warnings, FOUND_ROWS. Goes with the next statement.
    Previous,
}

impl Pin {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::Transaction,
        Self::NoAutocommit,
        Self::NextTransaction,
        Self::Xa,
        Self::UserLock,
        Self::TableLock,
        Self::TemporaryTable,
        Self::UserVariable,
        Self::TextPrepared,
        Self::Handler,
        Self::Cursor,
        Self::LongData,
        Self::Variable,
        Self::Sequence,
        Self::Role,
        Self::Opaque,
        Self::Previous,
    ];

    /// Its word in status, logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::NoAutocommit => "autocommit-off",
            Self::NextTransaction => "next-transaction",
            Self::Xa => "xa",
            Self::UserLock => "user-lock",
            Self::TableLock => "table-lock",
            Self::TemporaryTable => "temporary-table",
            Self::UserVariable => "user-variable",
            Self::TextPrepared => "text-prepared",
            Self::Handler => "handler",
            Self::Cursor => "cursor",
            Self::LongData => "long-data",
            Self::Variable => "variable",
            Self::Sequence => "sequence",
            Self::Role => "role",
            Self::Opaque => "unknown-statement",
            Self::Previous => "last-answer",
        }
    }

    /// Whether a connection that is lost with it takes with it what cannot be had again: the client
    /// has to be told by an error. A lost answer's warnings are only gone.
    #[must_use]
    pub fn is_lost_with_the_connection(self) -> bool {
        self != Self::Previous
    }
}

/// A set of pins.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Pins(u32);

impl Pins {
    fn bit(pin: Pin) -> u32 {
        1 << pin as u8
    }

    /// Adds one.
    pub fn add(&mut self, pin: Pin) {
        self.0 |= Self::bit(pin);
    }

    /// Takes one away.
    pub fn remove(&mut self, pin: Pin) {
        self.0 &= !Self::bit(pin);
    }

    /// Adds one or takes it away.
    pub fn set(&mut self, pin: Pin, is_there: bool) {
        if is_there {
            self.add(pin);
        } else {
            self.remove(pin);
        }
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(self, pin: Pin) -> bool {
        self.0 & Self::bit(pin) != 0
    }

    /// Whether the session is free.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first, by the order of [`Pin`]: the reason to tell.
    #[must_use]
    pub fn first(self) -> Option<Pin> {
        self.iter().next()
    }

    /// As a word, for others to read.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From such a word; bits that mean nothing are left out.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << Pin::ALL.len()) - 1))
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Pin> {
        Pin::ALL.into_iter().filter(move |pin| self.has(*pin))
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Pin::word)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_come_and_go_each_for_itself() {
        let mut pins = Pins::default();
        for pin in Pin::ALL {
            pins.add(pin);
            assert!(pins.has(pin));
        }
        assert_eq!(pins.iter().count(), Pin::ALL.len());
        assert_eq!(pins.first(), Some(Pin::Transaction));
        pins.remove(Pin::Transaction);
        assert_eq!(pins.first(), Some(Pin::NoAutocommit));
        let mut words: Vec<_> = Pin::ALL.map(Pin::word).into();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Pin::ALL.len());
    }
}
