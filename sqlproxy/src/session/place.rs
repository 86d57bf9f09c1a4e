//! A statement's class and its session together: where the statement goes.
//!
//! Not here: which replica of several, and whether it is up to date ([`super::causal`]).

use crate::lexer::{Reason, Route, Statement, Traits};

use super::journal::Journal;
use super::pin::Pin;

/// Where a statement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The primary, for this reason.
    Primary(Reason),
    /// A replica, or the primary.
    Replica,
    /// The connection that the session is tied to.
    Here(Pin),
    /// The connection that had the last statement, if it is still the session's; else the primary.
    Last(Reason),
}

/// Where a statement of this session goes.
#[must_use]
pub fn place(journal: &Journal, statement: &Statement) -> Place {
    let asks = statement.traits.any(Traits::PREVIOUS);
    let pin = journal
        .pins()
        .iter()
        .find(|pin| *pin != Pin::Previous || asks);
    if let Some(pin) = pin {
        return Place::Here(pin);
    }
    match statement.route {
        Route::Last => Place::Last(statement.reason),
        Route::Primary => Place::Primary(statement.reason),
        // The first read without autocommit begins a transaction, and nobody knows yet of what.
        Route::Any if !journal.autocommit() && !begins_read_only(statement) => {
            Place::Primary(Reason::Transaction)
        }
        Route::Any => Place::Replica,
    }
}

fn begins_read_only(statement: &Statement) -> bool {
    use crate::lexer::{Class, Transaction};
    statement.class == Class::Transaction(Transaction::BeginReadOnly)
}
