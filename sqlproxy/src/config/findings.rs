//! The mistakes found so far, and the few readings of a value that every table needs.
//!
//! A reader notes what is wrong and answers `None`; its caller goes on to find more. Not here: rules
//! of a single table. (The directors' tables have one of their own: neither depends on the other.)

use std::{fmt::Display, ops::Range, time::Duration};

use daemon::{
    diagnostic::{Diagnostic, Severity, nearest},
    duration::HumanDuration,
    site::Excused,
};
use toml::Spanned;

/// How many are told; of a file with more, nobody reads the rest.
const MAX_FINDINGS: usize = 200;
/// The names that metrics and logs can carry without quoting.
const NAME_MAX: usize = 63;

pub(super) struct Findings {
    diagnostics: Vec<Diagnostic>,
    excused: Excused,
}

impl Findings {
    pub(super) fn new(diagnostics: Vec<Diagnostic>, excused: Excused) -> Self {
        Self {
            diagnostics,
            excused,
        }
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_FINDINGS {
            self.diagnostics.push(diagnostic);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        let mut all = self.diagnostics.iter();
        all.any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// The value of a key that has to be there.
    pub(super) fn required<T>(
        &mut self,
        value: Option<T>,
        table: &Range<usize>,
        key: &str,
        example: &str,
    ) -> Option<T> {
        if value.is_none() && !self.excused.covers(table, key) {
            let message = format!("missing key `{key}`");
            let help = format!("add `{key} = {example}`");
            self.push(Diagnostic::error(table.clone(), message).help(help));
        }
        value
    }

    /// Notes what is wrong with a value, and answers that there is none.
    pub(super) fn refuse<T>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.push(Diagnostic::error(span, message).help(help));
        None
    }

    /// A whole number within a range; without one, the default.
    pub(super) fn number<T>(
        &mut self,
        value: Option<&Spanned<i64>>,
        what: &str,
        (least, most): (T, T),
        default: T,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(value) = value else {
            return Some(default);
        };
        match T::try_from(*value.get_ref()) {
            Ok(number) if number >= least && number <= most => Some(number),
            Ok(_) | Err(_) => {
                let message = format!("{what} {} is out of range", value.get_ref());
                self.refuse(value.span(), message, format!("write {least} to {most}"))
            }
        }
    }

    /// A duration within a range; without one, the default.
    pub(super) fn duration(
        &mut self,
        value: Option<&Spanned<HumanDuration>>,
        what: &str,
        (least, most): (Duration, Duration),
        default: Duration,
    ) -> Option<Duration> {
        let Some(value) = value else {
            return Some(default);
        };
        let duration = value.get_ref().0;
        if duration >= least && duration <= most {
            return Some(duration);
        }
        let message = format!("{what} {} is out of range", value.get_ref());
        let help = format!(
            "write \"{}\" to \"{}\"",
            HumanDuration(least),
            HumanDuration(most)
        );
        self.refuse(value.span(), message, help)
    }

    /// A name that can be a label.
    pub(super) fn name(&mut self, value: &Spanned<String>, what: &str) -> Option<String> {
        let name = value.get_ref();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            let help = format!("write 1 to {NAME_MAX} letters, digits, `.`, `_` or `-`");
            return self.refuse(value.span(), format!("`{name}` cannot name a {what}"), help);
        }
        Some(name.clone())
    }

    /// One of the words of a closed list; without one, the default.
    pub(super) fn word<T: Copy>(
        &mut self,
        value: Option<&Spanned<String>>,
        what: &str,
        known: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        let Some(value) = value else {
            return Some(default);
        };
        let word = value.get_ref().as_str();
        if let Some((_, meaning)) = known.iter().find(|(known, _)| *known == word) {
            return Some(*meaning);
        }
        let words = known.iter().map(|(known, _)| *known);
        let help = match nearest(word, words.clone()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => {
                let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
                format!("write {}", words.join(" or "))
            }
        };
        self.refuse(value.span(), format!("unknown {what} `{word}`"), help)
    }
}
