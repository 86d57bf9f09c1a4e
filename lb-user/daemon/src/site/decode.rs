//! TOML into a daemon's file types, with every mistake found and not only the first.
//!
//! serde stops at its first error. So: note it, take the offending entry out of the parsed table,
//! and decode again, until it decodes. That needs two things of the file types: `deny_unknown_fields`
//! and no `flatten` or `untagged` (both lose the place of an error), and every field optional, so
//! that an entry which was taken out is missing rather than one more error. A key that is missing
//! is for the daemon to report; [`Excused`] tells it which are missing only because a mistake was
//! already reported there.
//!
//! Not here: how an error is worded (`mistake`), and what values mean.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue, Deserializer},
};

use super::mistake::{self, Kind};
use crate::diagnostic::Diagnostic;

/// How many mistakes are told at once. After that many nobody reads on, and each costs a decoding of
/// the whole file.
pub const MAX_MISTAKES: usize = 50;

/// What came of decoding.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The file, without the entries that were wrong. `None` where the syntax is too broken, or there
    /// are too many mistakes, for the rest to mean anything.
    pub value: Option<T>,
    /// The mistakes. Any of them is an error.
    pub diagnostics: Vec<Diagnostic>,
    /// Keys that are missing from `value` because of them.
    pub excused: Excused,
}

/// Keys that are missing, and lists that lack an element, because what stood there was wrong or
/// misspelt: told already.
#[derive(Clone, Debug, Default)]
pub struct Excused(Vec<(Range<usize>, String)>);

impl Excused {
    /// Whether the table at `table` (the span of its [`super::Table`]) lacks `key` for such a reason.
    #[must_use]
    pub fn covers(&self, table: &Range<usize>, key: &str) -> bool {
        self.0
            .iter()
            .any(|(span, excused)| span == table && excused == key)
    }
}

impl<T> Decoded<T> {
    /// The parser may stumble over the same thing twice.
    fn tell(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}

/// Decodes a site file's text.
#[must_use]
pub fn decode<T: DeserializeOwned>(text: &str) -> Decoded<T> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let mut result = Decoded {
        value: None,
        diagnostics: Vec::new(),
        excused: Excused::default(),
    };
    for error in errors.iter().take(MAX_MISTAKES) {
        result.tell(mistake::syntax(text, error));
    }
    // Of a key that stands twice one is kept and the rest of the file means what it says; after any
    // other error of syntax the parser only guesses.
    if errors.iter().all(mistake::is_duplicate_key) {
        result.value = decode_table(text, &mut root, &mut result);
    }
    result
}

fn decode_table<T: DeserializeOwned>(
    text: &str,
    root: &mut Spanned<DeTable<'_>>,
    result: &mut Decoded<T>,
) -> Option<T> {
    loop {
        let error = match T::deserialize(Deserializer::from(root.clone())) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let span = error.span()?;
        let blame = Blame {
            span: span.clone(),
            innocent: mistake::innocent(error.message()),
        };
        let taken = remove_from_table(root.get_mut(), &(0..0), &blame);
        let diagnostic = mistake::decoding(text, &error, &span, taken.as_ref());
        result.tell(diagnostic);
        let taken = taken?;
        if result.diagnostics.len() >= MAX_MISTAKES {
            return None;
        }
        let excused = match mistake::unknown_key(error.message(), &taken) {
            Some(unknown) => unknown.suggestion().map(str::to_owned),
            None => Some(taken.key),
        };
        result
            .excused
            .0
            .extend(excused.map(|key| (taken.table, key)));
    }
}

/// An entry taken out of the parsed file.
pub(super) struct Taken {
    /// The table it was in.
    pub(super) table: Range<usize>,
    /// Its key there; for an element of a list, the list's.
    pub(super) key: String,
    /// What kind of value it was.
    pub(super) kind: Kind,
}

/// Which entry an error speaks of.
struct Blame {
    span: Range<usize>,
    /// What the entry is not: `[[x]]` and its first element have the same span, and one that should
    /// have been a table is not the table.
    innocent: Option<Kind>,
}

impl Blame {
    fn hits(&self, value: &Spanned<DeValue<'_>>) -> bool {
        value.span() == self.span && Some(Kind::of(value.get_ref())) != self.innocent
    }
}

/// Takes out the innermost entry whose key or value is to blame.
fn remove_from_table(
    table: &mut DeTable<'_>,
    table_span: &Range<usize>,
    blame: &Blame,
) -> Option<Taken> {
    let mut place = Place {
        table: table_span,
        key: "",
    };
    for (key, value) in table.iter_mut() {
        place.key = key.get_ref();
        let taken = remove_within(value, place, blame);
        if taken.is_some() {
            return taken;
        }
    }
    let is_it = |(key, value): &(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        blame.hits(value) || key.span() == blame.span
    };
    let key = table
        .iter()
        .find(is_it)
        .map(|(key, _)| key.get_ref().clone())?;
    let value = table.remove(key.as_ref())?;
    let kind = Kind::of(value.get_ref());
    Some(Taken {
        table: table_span.clone(),
        key: key.into_owned(),
        kind,
    })
}

/// Where a value stands: the nearest table around it, and the key there.
#[derive(Clone, Copy)]
struct Place<'a> {
    table: &'a Range<usize>,
    key: &'a str,
}

fn remove_within(
    value: &mut Spanned<DeValue<'_>>,
    place: Place<'_>,
    blame: &Blame,
) -> Option<Taken> {
    let own_span = value.span();
    match value.get_mut() {
        DeValue::Table(table) => remove_from_table(table, &own_span, blame),
        DeValue::Array(array) => remove_from_array(array, place, blame),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

fn remove_from_array(array: &mut DeArray<'_>, place: Place<'_>, blame: &Blame) -> Option<Taken> {
    for element in array.iter_mut() {
        let taken = remove_within(element, place, blame);
        if taken.is_some() {
            return taken;
        }
    }
    let nth = array.iter().position(|element| blame.hits(element))?;
    let kind = Kind::of(array[nth].get_ref());
    let mut rest = DeArray::new();
    for (at, element) in std::mem::replace(array, DeArray::new())
        .into_iter()
        .enumerate()
    {
        if at != nth {
            rest.push(element);
        }
    }
    *array = rest;
    Some(Taken {
        table: place.table.clone(),
        key: place.key.to_owned(),
        kind,
    })
}

#[cfg(test)]
mod tests;
