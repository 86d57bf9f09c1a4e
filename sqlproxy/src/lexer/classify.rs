//! From tokens to what is said of a statement.
//!
//! The first word says what a statement is; everything after it is looked over once for what makes a
//! read more than a read, and for what the session must remember. Not here: the words' lists.

use super::scan::Dialect;
use super::statement::{Class, Hint, Reason, Route, Statement, Traits, Transaction};

mod first;
mod reader;
pub(crate) mod set;

use reader::Reader;

/// What a text is. `is_whole` is false where it is longer than what there is of it.
#[must_use]
pub fn classify(text: &[u8], dialect: Dialect, is_whole: bool) -> Statement {
    let mut reader = Reader::new(text, dialect);
    let (first, reason) = reader.statement();
    let mut class = first;
    let mut why = reason;
    // A `;` at the end is nothing; anything behind it is another statement.
    while reader.ended_by_semicolon {
        let (next, reason) = reader.statement();
        if reason == Reason::Empty {
            continue;
        }
        if why == Reason::Empty {
            (class, why) = (next, reason);
            continue;
        }
        reader.traits.add(Traits::SEVERAL);
        class = Class::Write;
    }
    if !is_whole {
        reader.traits.add(Traits::OPAQUE);
        if matches!(class, Class::Read) {
            class = Class::Unknown;
        }
        why = Reason::TooLong;
    }
    finish(class, why, &reader)
}

/// Puts what was seen together.
fn finish(class: Class, first: Reason, reader: &Reader<'_>) -> Statement {
    let traits = reader.traits;
    let reason = if first == Reason::TooLong {
        first
    } else {
        reason(first, class, traits)
    };
    let mut class = class;
    // What some servers skip, or cut otherwise, is nothing to be sure of.
    if class == Class::Read && traits.any(Traits::MALFORMED.with(Traits::VERSIONED)) {
        class = Class::Unknown;
    }
    if class == Class::Read && traits.any(Traits::WRITES) {
        class = Class::Write;
    }
    let route = route(class, reason);
    let (route, reason) = granted(route, reason, class, reader.hint);
    Statement {
        class,
        reason,
        route,
        traits,
        hint: reader.hint,
        blank: reader.blank.clone(),
    }
}

/// The weightiest reason: what cannot be known, then what ties to the session, then what is the
/// primary's.
fn reason(first: Reason, class: Class, traits: Traits) -> Reason {
    if traits == Traits::NONE {
        return first;
    }
    let weighty = [
        (Traits::MALFORMED, Reason::Malformed),
        (Traits::SEVERAL, Reason::Several),
        (Traits::VERSIONED, Reason::Versioned),
    ];
    let of_a_read = [
        (Traits::LOCKING, Reason::LockingRead),
        (Traits::WRITES, Reason::Write),
        (Traits::INTO, Reason::Into),
        (Traits::PREVIOUS, Reason::Previous),
        (SESSION_FUNCTIONS, Reason::SessionFunction),
        (Traits::SEQUENCE, Reason::Sequence),
        (USER_VARIABLES, Reason::UserVariable),
        (Traits::UNKNOWN_FUNCTION, Reason::UnknownFunction),
        (Traits::SYSTEM_VARIABLE, Reason::SystemVariable),
    ];
    let is_read = class == Class::Read && matches!(first, Reason::Read);
    let of_a_read = of_a_read.iter().filter(|_| is_read);
    weighty
        .iter()
        .chain(of_a_read)
        .find(|(found, _)| traits.any(*found))
        .map_or(first, |(_, reason)| *reason)
}

const SESSION_FUNCTIONS: Traits = Traits::TAKES_LOCK
    .with(Traits::GIVES_LOCK)
    .with(Traits::LAST_INSERT_ID)
    .with(Traits::CONNECTION);
const USER_VARIABLES: Traits = Traits::USER_VARIABLE.with(Traits::SETS_USER_VARIABLE);

fn route(class: Class, reason: Reason) -> Route {
    match (class, reason) {
        (_, Reason::Previous) => Route::Last,
        (Class::Read, Reason::Read) => Route::Any,
        (Class::Transaction(Transaction::BeginReadOnly), Reason::Transaction) => Route::Any,
        _ => Route::Primary,
    }
}

/// A wish for the primary is always granted; one for a replica where only caution speaks against it.
fn granted(route: Route, reason: Reason, class: Class, hint: Option<Hint>) -> (Route, Reason) {
    let is_cautious = matches!(
        reason,
        Reason::Read | Reason::UnknownFunction | Reason::SystemVariable | Reason::ServerState
    );
    match hint {
        Some(Hint::Primary) => (Route::Primary, Reason::Hint),
        Some(Hint::Replica) if class == Class::Read && is_cautious => (Route::Any, Reason::Hint),
        Some(Hint::Last) if class == Class::Read && is_cautious => (Route::Last, Reason::Hint),
        Some(Hint::Replica | Hint::Last) | None => (route, reason),
    }
}

/// A statement of several, as it stands in the text, and what it is.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    text: &'a [u8],
    reader: Reader<'a>,
    is_over: bool,
}

impl<'a> Parts<'a> {
    /// Of a text, each without its `;`.
    #[must_use]
    pub fn of(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            reader: Reader::new(text, dialect),
            is_over: false,
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a [u8], Statement);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            let start = self.reader.scanner.at();
            self.reader.traits = Traits::NONE;
            let (class, reason) = self.reader.statement();
            self.is_over = !self.reader.ended_by_semicolon;
            let end = self.reader.scanner.at() - usize::from(!self.is_over);
            if reason != Reason::Empty {
                let statement = finish(class, reason, &self.reader);
                return Some((&self.text[start..end], statement));
            }
        }
        None
    }
}
