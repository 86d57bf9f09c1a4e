//! The mistakes found so far, and the few readings of a value that every table needs.
//!
//! A reader notes what is wrong and answers `None`; its caller goes on to find more. Not here: rules
//! of a single table.

use std::{fmt::Display, net::IpAddr, ops::Range, time::Duration};

use super::Excused;
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::duration::HumanDuration;
use toml::Spanned;

/// How many are told; of a file with more, nobody reads the rest.
const MAX_FINDINGS: usize = 200;

/// The names that metrics, logs and commands can carry without quoting.
pub const NAME_MAX: usize = 63;

/// What was found wrong with a file so far.
#[derive(Debug)]
pub struct Findings {
    diagnostics: Vec<Diagnostic>,
    excused: Excused,
    untold: usize,
}

impl Findings {
    /// Begins with what decoding found.
    #[must_use]
    pub fn new(diagnostics: Vec<Diagnostic>, excused: Excused) -> Self {
        Self {
            diagnostics,
            excused,
            untold: 0,
        }
    }

    /// Notes a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_FINDINGS {
            self.diagnostics.push(diagnostic);
        } else {
            self.untold += 1;
        }
    }

    /// Whether the file is refused already: what else looks odd may only follow from that.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All that was noted; says so where there was more than can be told.
    #[must_use]
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if let Some(last) = self.diagnostics.last().filter(|_| self.untold > 0) {
            let message = format!("{} more mistakes are not shown", self.untold);
            self.diagnostics
                .push(Diagnostic::error(last.span.clone(), message));
        }
        self.diagnostics
    }

    /// Whether `key` is missing in `table` only because of a mistake that was told already.
    #[must_use]
    pub fn is_excused(&self, table: &Range<usize>, key: &str) -> bool {
        self.excused.covers(table, key)
    }

    /// The value of a key that has to be there.
    pub fn required<T>(
        &mut self,
        value: Option<T>,
        table: &Range<usize>,
        key: &str,
        example: &str,
    ) -> Option<T> {
        if value.is_none() && !self.is_excused(table, key) {
            self.push(
                Diagnostic::error(table.clone(), format!("missing key `{key}`"))
                    .help(format!("add `{key} = {example}`")),
            );
        }
        value
    }

    /// Notes what is wrong with a value, and answers that there is none.
    pub fn refuse<T>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.push(Diagnostic::error(span, message).help(help));
        None
    }

    /// A whole number within a range, by what it is called.
    pub fn number<T>(
        &mut self,
        value: &Spanned<i64>,
        what: &str,
        range: (T, T),
    ) -> Option<Spanned<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let (least, most) = range;
        match T::try_from(*value.get_ref()) {
            Ok(number) if number >= least && number <= most => {
                Some(Spanned::new(value.span(), number))
            }
            Ok(_) | Err(_) => {
                let message = format!("{what} {} is out of range", value.get_ref());
                self.refuse(value.span(), message, format!("write {least} to {most}"))
            }
        }
    }

    /// A span of time within a range, by what it is called.
    pub fn time(
        &mut self,
        value: &Spanned<HumanDuration>,
        what: &str,
        (least, most): (Duration, Duration),
    ) -> Option<Duration> {
        let time = value.get_ref().0;
        if time >= least && time <= most {
            return Some(time);
        }
        let (least, most) = (HumanDuration(least), HumanDuration(most));
        let message = format!("{what} {} is out of range", value.get_ref());
        let help = format!("write \"{least}\" to \"{most}\"");
        self.refuse(value.span(), message, help)
    }

    /// A TCP or UDP port.
    pub fn port(&mut self, value: &Spanned<i64>) -> Option<Spanned<u16>> {
        self.number(value, "port", (1, u16::MAX))
    }

    /// An address of either family.
    pub fn address(&mut self, value: &Spanned<String>) -> Option<Spanned<IpAddr>> {
        let text = value.get_ref();
        if let Ok(address) = text.parse() {
            return Some(Spanned::new(value.span(), address));
        }
        let help = match text.rsplit_once(['/', ':']) {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                format!("write the address alone: \"{address}\"")
            }
            Some(_) | None => {
                "write an IP address such as \"10.77.0.100\"; names are not looked up".to_owned()
            }
        };
        self.refuse(value.span(), format!("`{text}` is not an IP address"), help)
    }

    /// A name that can be a label.
    pub fn name(&mut self, value: &Spanned<String>, what: &str) -> Option<String> {
        let name = value.get_ref();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            let help = format!("write 1 to {NAME_MAX} letters, digits, `.`, `_` or `-`");
            return self.refuse(value.span(), format!("`{name}` cannot name a {what}"), help);
        }
        Some(name.clone())
    }

    /// One of the words of a closed list; `later` are words that a coming version will know.
    pub fn word<T: Copy>(
        &mut self,
        value: &Spanned<String>,
        what: &str,
        known: &[(&str, T)],
        later: &[&str],
    ) -> Option<Spanned<T>> {
        let word = value.get_ref().as_str();
        if let Some((_, meaning)) = known.iter().find(|(known, _)| *known == word) {
            return Some(Spanned::new(value.span(), *meaning));
        }
        let words: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
        let choice = format!("write {}", quoted(&words));
        if later.contains(&word) {
            let message = format!("{what} `{word}` is not in this version");
            return self.refuse(value.span(), message, choice);
        }
        let help = match nearest(word, words.iter().chain(later).copied()) {
            Some(meant) if words.contains(&meant) => format!("did you mean \"{meant}\"?"),
            Some(_) | None => choice,
        };
        self.refuse(value.span(), format!("unknown {what} `{word}`"), help)
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(" or ")
}
