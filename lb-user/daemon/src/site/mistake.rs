//! The parser's and serde's errors in words for an operator.
//!
//! serde gives its errors as text only. The few forms it has ("unknown field `x`, expected one of
//! ...", "invalid type: ..., expected ...") are taken apart here; one that is not recognised is
//! passed on as it is. An error made by one of our own types may carry its help after a line
//! `help: `.

use std::ops::Range;

use toml::de::{DeValue, Error};

use super::decode::Taken;
use crate::diagnostic::{Diagnostic, nearest};

/// What kind of value stands somewhere in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    List,
    Table,
}

impl Kind {
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(_) => Self::Text,
            DeValue::Integer(_) | DeValue::Float(_) => Self::Number,
            DeValue::Boolean(_) => Self::Boolean,
            DeValue::Datetime(_) => Self::Date,
            DeValue::Array(_) => Self::List,
            DeValue::Table(_) => Self::Table,
        }
    }
}

const DUPLICATE_KEY: &str = "duplicate key";

pub(super) fn is_duplicate_key(error: &Error) -> bool {
    error.message() == DUPLICATE_KEY
}

/// An error of TOML's syntax.
pub(super) fn syntax(text: &str, error: &Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let found = text.get(span.clone()).unwrap_or_default();
    let message = error.message();
    if is_duplicate_key(error) {
        return Diagnostic::error(span, format!("duplicate key `{found}`"))
            .help("a key or `[table]` stands once; a list of tables is written `[[table]]`");
    }
    if message.starts_with("string values must be quoted") {
        let help = format!("write \"{found}\"");
        return Diagnostic::error(span, "text without quotes").help(help);
    }
    if message.starts_with("invalid float") || message.starts_with("invalid integer") {
        return Diagnostic::error(span, message)
            .help("text such as an address or a duration is written in quotes");
    }
    Diagnostic::error(span, message)
}

/// An error of serde, at `span`; `taken` is what stood there.
pub(super) fn decoding(
    text: &str,
    error: &Error,
    span: &Range<usize>,
    taken: Option<&Taken>,
) -> Diagnostic {
    let (message, help) = match error.message().split_once("\nhelp: ") {
        Some((message, help)) => (message, Some(help.to_owned())),
        None => (error.message(), None),
    };
    if let Some(unknown) = taken.and_then(|taken| unknown_key(message, taken)) {
        return unknown.diagnostic(span.clone());
    }
    // toml hands a date over as a table with one strange key.
    let expected = if message.contains("$__toml_private") {
        Some("a map")
    } else {
        None
    };
    let diagnostic = match (expected.or_else(|| wrong_type(message)), taken) {
        (Some(expected), Some(taken)) => mismatch(text, span, expected, taken),
        (Some(_) | None, _) => Diagnostic::error(span.clone(), message),
    };
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// A key that no field has.
pub(super) struct UnknownKey<'a> {
    name: &'a str,
    known: Vec<&'a str>,
}

/// serde: "unknown field `x`, expected one of `a`, `b`", or "expected `a` or `b`", "expected `a`",
/// "there are no fields". `taken` is that key: the message alone cannot be cut safely, for a key may
/// have any characters.
pub(super) fn unknown_key<'a>(message: &'a str, taken: &'a Taken) -> Option<UnknownKey<'a>> {
    let name = taken.key.as_str();
    let rest = message
        .strip_prefix("unknown field `")?
        .strip_prefix(name)?
        .strip_prefix('`')?;
    // Every second piece between backticks is one of our own names.
    Some(UnknownKey {
        name,
        known: rest.split('`').skip(1).step_by(2).collect(),
    })
}

impl UnknownKey<'_> {
    pub(super) fn suggestion(&self) -> Option<&str> {
        nearest(self.name, self.known.iter().copied())
    }

    fn diagnostic(&self, span: Range<usize>) -> Diagnostic {
        let diagnostic = Diagnostic::error(span, format!("unknown key `{}`", self.name));
        match self.suggestion() {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None if self.known.is_empty() => diagnostic,
            None => diagnostic.help(format!("known here: {}", self.known.join(", "))),
        }
    }
}

/// serde: "invalid type: integer `5`, expected a string": what was expected.
fn wrong_type(message: &str) -> Option<&str> {
    let is_one = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    expected.filter(|_| is_one)
}

/// Of an error that says "this should be a table" (or a list): no table (or list) can be meant.
pub(super) fn innocent(message: &str) -> Option<Kind> {
    wanted(wrong_type(message)?)
        .1
        .filter(|kind| matches!(kind, Kind::Table | Kind::List))
}

/// What an operator calls the thing that serde expected.
fn wanted(expected: &str) -> (&str, Option<Kind>) {
    match expected {
        "a string" | "a borrowed string" => ("text in quotes", Some(Kind::Text)),
        "i64" | "u64" | "i32" | "u32" | "u16" | "u8" => ("a whole number", Some(Kind::Number)),
        "a boolean" => ("`true` or `false`", Some(Kind::Boolean)),
        "a sequence" => ("a list", Some(Kind::List)),
        "a map" => ("a table", Some(Kind::Table)),
        other if other.starts_with("struct ") => ("a table", Some(Kind::Table)),
        other => (other, None),
    }
}

fn mismatch(text: &str, span: &Range<usize>, expected: &str, taken: &Taken) -> Diagnostic {
    let (wanted, kind) = wanted(expected);
    // A table's span is its header; a value's is the value, which may be long.
    let source = text.get(span.clone()).unwrap_or_default();
    let short = source.len() <= 40 && !source.contains('\n');
    let found = match taken.kind {
        Kind::Table => "a table".to_owned(),
        Kind::List => "a list".to_owned(),
        Kind::Text if short => format!("the text {source}"),
        Kind::Text => "text".to_owned(),
        Kind::Number if short => format!("the number {source}"),
        Kind::Number => "a number".to_owned(),
        Kind::Boolean => format!("`{source}`"),
        Kind::Date => "a date or time".to_owned(),
    };
    let is_whole = source
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-_".contains(&byte));
    let message = match (kind, taken.kind) {
        (Some(Kind::Number), Kind::Number) if is_whole => "a number beyond all limits".to_owned(),
        _ => format!("expected {wanted}, found {found}"),
    };
    let diagnostic = Diagnostic::error(span.clone(), message);
    match remedy(kind, taken.kind, source, short) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn remedy(wanted: Option<Kind>, found: Kind, source: &str, short: bool) -> Option<String> {
    let bare = source.trim_matches(['"', '\'']);
    match (wanted?, found) {
        (Kind::Text, Kind::Number | Kind::Boolean | Kind::Date) if short => {
            Some(format!("write it in quotes: \"{source}\""))
        }
        (Kind::Number, Kind::Text) if bare.parse::<i64>().is_ok() => {
            Some(format!("write it without quotes: {bare}"))
        }
        (Kind::Boolean, Kind::Text) if bare == "true" || bare == "false" => {
            Some(format!("write it without quotes: {bare}"))
        }
        (Kind::List, Kind::Table) if source.starts_with('[') => {
            Some(format!("a list of tables is written `[{source}]`"))
        }
        (Kind::Table, Kind::List) if source.starts_with("[[") => {
            let single = source.strip_prefix('[')?.strip_suffix(']')?;
            Some(format!("there is only one: write `{single}`"))
        }
        (Kind::List, Kind::Text) if short => Some(format!("write a list: [{source}]")),
        _ => None,
    }
}
