//! The tokens of a text, statement by statement: what is not SQL is dealt with here, and what may
//! stand anywhere in a statement is looked for.
//!
//! Not here: what first words mean ([`super::first`]).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "one token is looked for, and all others are alike"
)]

use std::ops::Range;

use super::USER_VARIABLES;
use crate::lexer::functions;
use crate::lexer::hint;
use crate::lexer::scan::{Dialect, Scanner, Token};
use crate::lexer::statement::{Class, Hint, Reason, Traits};
use crate::lexer::words::{self as w, is, key};

/// Reads statements one after the other.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    pub(super) scanner: Scanner<'a>,
    pub(super) traits: Traits,
    pub(super) hint: Option<Hint>,
    pub(super) blank: Option<Range<usize>>,
    pub(super) ended_by_semicolon: bool,
    pub(super) is_at_end: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            scanner: Scanner::new(text, dialect),
            traits: Traits::NONE,
            hint: None,
            blank: None,
            ended_by_semicolon: false,
            is_at_end: false,
        }
    }

    /// The next token that is SQL; comments are looked at for hints. [`Token::End`] also at a `;`.
    pub(super) fn token(&mut self) -> Token<'a> {
        if self.is_at_end || self.ended_by_semicolon {
            return Token::End;
        }
        loop {
            match self.scanner.token() {
                Token::Comment(comment) => self.comment(comment),
                // Every server that is spoken to is MySQL 5.7 or MariaDB 10 at least. MariaDB skips
                // 50700 to 99999.
                Token::Versioned(..=50_699) => {}
                Token::Versioned(_) => self.traits.add(Traits::VERSIONED.with(Traits::OPAQUE)),
                Token::Unterminated => {
                    self.traits.add(Traits::MALFORMED.with(Traits::OPAQUE));
                    self.is_at_end = true;
                    return Token::End;
                }
                Token::End => {
                    self.is_at_end = true;
                    return Token::End;
                }
                Token::Other(b';') => {
                    self.ended_by_semicolon = true;
                    return Token::End;
                }
                token => return token,
            }
        }
    }

    fn comment(&mut self, comment: &[u8]) {
        self.hint = self.hint.or_else(|| hint::read(comment));
        if hint::is_to_blank(comment) {
            let end = self.scanner.at();
            self.blank = Some(end - comment.len()..end);
        }
    }

    /// The next token as a word's key; 0 for what is none.
    pub(super) fn word(&mut self) -> (u64, &'a [u8]) {
        match self.token() {
            Token::Word(word) => (key(word), word),
            _ => (0, b""),
        }
    }

    /// Reads a statement to its end.
    pub(super) fn statement(&mut self) -> (Class, Reason) {
        self.ended_by_semicolon = false;
        let mut token = self.token();
        while token == Token::Other(b'(') {
            token = self.token();
        }
        let told = match token {
            Token::End if self.traits.any(Traits::MALFORMED) => (Class::Unknown, Reason::Malformed),
            Token::End => (Class::Read, Reason::Empty),
            Token::Word(word) => self.first(word),
            _ => self.unknown(),
        };
        if told.1 != Reason::Empty {
            self.body(token.key());
        }
        told
    }

    pub(super) fn unknown(&mut self) -> (Class, Reason) {
        self.traits.add(Traits::OPAQUE);
        (Class::Unknown, Reason::UnknownWord)
    }

    /// Looks over the rest of a statement. A word is judged when it is known what follows it: before
    /// a parenthesis, comments between or not, it is a call.
    fn body(&mut self, first: u64) {
        let mut last = Last {
            key: first,
            ..Last::NONE
        };
        loop {
            let is_over = self.is_at_end || self.ended_by_semicolon;
            if !is_over && self.scanner.skip_dull() {
                if let Some(word) = last.word {
                    self.keyword(word, &last);
                }
                last = Last::NONE;
            }
            let token = self.token();
            if let Some(word) = last.word {
                if token == Token::Other(b'(') {
                    self.call(word, last.before);
                } else {
                    self.keyword(word, &last);
                }
            }
            match token {
                Token::End => return,
                Token::UserVariable if last.key == w::INTO => self.traits.add(USER_VARIABLES),
                Token::UserVariable => self.traits.add(Traits::USER_VARIABLE),
                Token::Assign => self.traits.add(Traits::SETS_USER_VARIABLE),
                Token::SystemVariable(name) => self.system_variable(name),
                // A name in quotes, or of digits, before a parenthesis: a function of the user's, or
                // a list of columns.
                Token::Other(b'(') if last.key == NAMED && last.before != w::AS => {
                    self.traits.add(Traits::UNKNOWN_FUNCTION);
                }
                Token::Word(_) | Token::Name | Token::String | Token::Number => {}
                Token::Other(_) | Token::Comment(_) => {}
                Token::Versioned(_) | Token::Unterminated => {}
            }
            last = last.then(token);
        }
    }

    pub(super) fn system_variable(&mut self, name: &[u8]) {
        let name = name.rsplit(|&byte| byte == b'.').next().unwrap_or(name);
        self.traits
            .add(if is(name, "last_insert_id") || is(name, "identity") {
                Traits::LAST_INSERT_ID
            } else if is(name, "warning_count") || is(name, "error_count") {
                Traits::PREVIOUS
            } else if is(name, "pseudo_thread_id") {
                Traits::CONNECTION
            } else {
                Traits::SYSTEM_VARIABLE
            });
    }

    pub(super) fn call(&mut self, word: &[u8], previous: u64) {
        if let Some(traits) = functions::traits(word) {
            self.traits.add(traits);
        } else if !matches!(previous, w::AS | w::WITH | RECURSIVE) && !functions::is_harmless(word)
        {
            self.traits.add(Traits::UNKNOWN_FUNCTION);
        }
    }

    /// `last` is the word itself; what stands before it is in `before` and `earlier`.
    fn keyword(&mut self, word: &[u8], last: &Last<'_>) {
        let (previous, before) = (last.before, last.earlier);
        match last.key {
            w::INTO => self.traits.add(Traits::INTO),
            w::UPDATE | w::SHARE if previous == w::FOR => self.traits.add(Traits::LOCKING),
            w::SHARE if (before, previous) == (w::LOCK, w::IN) => self.traits.add(Traits::LOCKING),
            w::UPDATE | w::DELETE | w::INSERT | w::REPLACE => self.traits.add(Traits::WRITES),
            w::VALUE if matches!(previous, w::NEXT | w::PREVIOUS) => {
                self.traits.add(Traits::SEQUENCE);
            }
            0 if is(word, "sql_calc_found_rows") => self.traits.add(Traits::REMEMBERED),
            _ => {}
        }
    }
}

/// `recursive`, too long for a key of its own.
const RECURSIVE: u64 = u64::MAX;
/// A quoted name or a number, as a key.
const NAMED: u64 = u64::MAX - 1;

/// The token before, and the keys of the two before that.
#[derive(Clone, Copy, Debug)]
struct Last<'a> {
    word: Option<&'a [u8]>,
    key: u64,
    before: u64,
    earlier: u64,
}

impl<'a> Last<'a> {
    /// A sign that means nothing.
    const NONE: Self = Self {
        word: None,
        key: 0,
        before: 0,
        earlier: 0,
    };

    fn then(self, token: Token<'a>) -> Self {
        let (word, key) = match token {
            Token::Word(word) => match key(word) {
                0 if is(word, "recursive") => (Some(word), RECURSIVE),
                key => (Some(word), key),
            },
            Token::Name | Token::Number => (None, NAMED),
            _ => (None, 0),
        };
        Self {
            word,
            key,
            before: self.key,
            earlier: self.before,
        }
    }
}

impl Token<'_> {
    /// Of a word its key, else 0.
    pub(super) fn key(self) -> u64 {
        match self {
            Token::Word(word) => key(word),
            _ => 0,
        }
    }
}
