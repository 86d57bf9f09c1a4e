//! Regular expressions of the site file.
//!
//! As nginx and HAProxy have them, a pattern may match anywhere: `^` and `$` say where it begins and ends,
//! `(?i)` that upper and lower case are the same. They take time in proportion to the text whatever they
//! are, and what they are compiled to is bounded. Not here: what they are matched with.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a pattern at most.
pub const LONGEST: usize = 1024;
/// Bytes of what it is compiled to at most.
const COMPILED: usize = 256 << 10;
/// Groups at most: `$1` to `$9`.
pub const GROUPS: usize = 9;

/// A regular expression over bytes.
#[derive(Clone)]
pub struct Pattern(Regex);

/// What a path gave to `$1` to `$9`, from place 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups<'t>(pub [Option<&'t [u8]>; GROUPS + 1]);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is none, or too much; in words.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let built = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(COMPILED)
            .dfa_size_limit(2 * COMPILED)
            .build();
        let pattern = built.map(Self).map_err(|error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                return "is too large when it is compiled".to_owned();
            }
            // The last line says what is wrong; those before draw a caret of their own.
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            let last = last.trim_start_matches("error: ");
            format!("is no regular expression: {last}")
        })?;
        match pattern.groups() > GROUPS {
            true => Err(format!("has more than {GROUPS} groups")),
            false => Ok(pattern),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// How many groups it has.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }

    /// Whether it is found in a text.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// What its groups have of a text that it is found in. Allocates.
    #[must_use]
    pub fn capture<'t>(&self, text: &'t [u8]) -> Groups<'t> {
        let mut groups = Groups::default();
        if let Some(captures) = self.0.captures(text) {
            let found = captures
                .iter()
                .map(|group| group.map(|group| group.as_bytes()));
            for (place, found) in groups.0.iter_mut().zip(found) {
                *place = found;
            }
        }
        groups
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_unless_it_says_where() {
        let pattern = |text| Pattern::new(text).unwrap();
        assert!(pattern("b").matches(b"abc"));
        assert!(!pattern("^b$").matches(b"abc"));
        assert!(pattern("(?i)^/IMG/").matches(b"/img/x"));
        let groups = pattern("^/u/([0-9]+)(/.*)?$").capture(b"/u/42");
        assert_eq!((groups.0[1], groups.0[2]), (Some(&b"42"[..]), None));
    }

    #[test]
    fn what_is_none_or_too_much_is_told_in_a_line() {
        let told = |text: &str| Pattern::new(text).unwrap_err();
        assert_eq!(told("a("), "is no regular expression: unclosed group");
        assert_eq!(
            told("(?:a{1000}){1000}"),
            "is too large when it is compiled"
        );
        assert_eq!(told(&"()".repeat(10)), "has more than 9 groups");
        assert!(told(&"a".repeat(2000)).contains("longer"));
        assert!(
            told(r"(a)\1").contains("backreferences"),
            "{}",
            told(r"(a)\1")
        );
    }
}
