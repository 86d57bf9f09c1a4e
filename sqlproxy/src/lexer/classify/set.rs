//! `SET`, assignment by assignment: it can change the session, all sessions, user variables, the
//! transaction, a role or a password, several of them at once.
//!
//! Source: MySQL's and MariaDB's "SET Syntax". Not here: what a session makes of the assignments.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "one token is looked for, and all others are alike"
)]

use super::USER_VARIABLES;
use super::reader::Reader;
use crate::lexer::scan::{Dialect, Token};
use crate::lexer::statement::{Class, Reason, SessionChange, Traits, Transaction};
use crate::lexer::words::{self as w, is, key};

/// What an assignment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A session variable by its name.
    Variable(&'a [u8]),
    /// A variable of all sessions.
    Global,
    /// A user variable.
    User,
    /// `NAMES`.
    Names,
    /// `CHARACTER SET`.
    Charset,
}

/// One assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// What is set.
    pub target: Target<'a>,
    /// To what, as it stands in the text.
    pub value: &'a [u8],
    /// The value is the same on any server and at any time: strings, numbers, words.
    pub is_constant: bool,
}

/// The assignments of a `SET`, up to the first thing that is none. Nothing for other statements.
pub fn assignments(text: &[u8], dialect: Dialect) -> impl Iterator<Item = Assignment<'_>> {
    let mut reader = Reader::new(text, dialect);
    let mut next = (reader.word().0 == w::SET).then(|| reader.token());
    std::iter::from_fn(move || {
        let (assignment, following) = reader.assignment(text, next.take()?)?;
        next = following;
        Some(assignment)
    })
}

impl<'a> Reader<'a> {
    /// After `SET`.
    pub(super) fn set(&mut self) -> (Class, Reason) {
        const TRANSACTION: (Class, Reason) =
            (Class::Transaction(Transaction::Next), Reason::Transaction);
        let text = self.scanner.text();
        let first = self.token();
        if let Token::Word(word) = first {
            match key(word) {
                w::PASSWORD => return (Class::Write, Reason::Definition),
                w::ROLE => return self.session(SessionChange::Role, Traits::OPAQUE),
                w::RESOURCE => return self.session(SessionChange::Variables, Traits::OPAQUE),
                w::DEFAULT => return (Class::Write, Reason::Definition),
                w::SESSION | w::LOCAL | w::GLOBAL if self.is_transaction_next() => {
                    return match key(word) {
                        w::GLOBAL => (Class::Write, Reason::Administration),
                        _ => self.session(SessionChange::Isolation, Traits::NONE),
                    };
                }
                _ if is(word, "transaction") => {
                    self.traits.add(Traits::NEXT_TRANSACTION);
                    return TRANSACTION;
                }
                _ if is(word, "statement") => return self.set_statement(),
                _ => {}
            }
        }
        let (mut next, mut charset_alone) = (Some(first), true);
        while let Some(token) = next {
            let Some((assignment, following)) = self.assignment(text, token) else {
                self.traits.add(Traits::SETS_VARIABLE.with(Traits::OPAQUE));
                charset_alone = false;
                break;
            };
            charset_alone &= matches!(assignment.target, Target::Names | Target::Charset);
            self.traits.add(match assignment.target {
                Target::Variable(name) if is(name, "autocommit") => {
                    Traits::SETS_VARIABLE.with(Traits::AUTOCOMMIT)
                }
                Target::Variable(_) | Target::Names | Target::Charset => Traits::SETS_VARIABLE,
                Target::Global => Traits::GLOBAL,
                Target::User => Traits::SETS_USER_VARIABLE,
            });
            next = following;
        }
        let of_the_session = Traits::SETS_VARIABLE.with(Traits::SETS_USER_VARIABLE);
        if !self.traits.any(of_the_session) {
            return (Class::Write, Reason::Administration);
        }
        let change = if charset_alone {
            SessionChange::Charset
        } else {
            SessionChange::Variables
        };
        (Class::Session(change), Reason::Session)
    }

    fn is_transaction_next(&self) -> bool {
        let mut ahead = self.clone();
        is(ahead.word().1, "transaction")
    }

    /// MariaDB's `SET STATEMENT a = 1, b = 2 FOR statement`: the statement is what counts.
    fn set_statement(&mut self) -> (Class, Reason) {
        loop {
            match self.token() {
                Token::End => return self.unknown(),
                Token::Word(word) if key(word) == w::FOR => break,
                _ => {}
            }
        }
        match self.token() {
            // None within another: the server refuses it.
            Token::Word(word) if key(word) != w::SET => self.first(word),
            _ => self.unknown(),
        }
    }

    /// An assignment that begins with this token, and the token after its comma, if there is one.
    fn assignment(
        &mut self,
        text: &'a [u8],
        first: Token<'a>,
    ) -> Option<(Assignment<'a>, Option<Token<'a>>)> {
        let target = self.target(first)?;
        if !matches!(target, Target::Names | Target::Charset) {
            match self.token() {
                Token::Assign | Token::Other(b'=') => {}
                _ => return None,
            }
        }
        let start = self.scanner.at();
        let (mut end, mut depth, mut is_constant) = (start, 0_u32, true);
        let mut word = None;
        let next = loop {
            end = end.max(self.scanner.at());
            let token = self.token();
            match token {
                Token::End => break None,
                Token::Other(b',') if depth == 0 => break Some(self.token()),
                Token::Other(b'(') => {
                    depth += 1;
                    if let Some(word) = word {
                        self.call(word, 0);
                    }
                }
                Token::Other(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            is_constant &= self.value(token);
            word = match token {
                Token::Word(word) => Some(word),
                _ => None,
            };
        };
        let value = text.get(start..end).unwrap_or_default().trim_ascii();
        let assignment = Assignment {
            target,
            value,
            is_constant,
        };
        Some((assignment, next))
    }

    /// Looks at a token of a value; whether it is constant.
    fn value(&mut self, token: Token<'a>) -> bool {
        match token {
            Token::UserVariable => {
                self.traits.add(Traits::USER_VARIABLE);
                false
            }
            Token::SystemVariable(name) => {
                self.system_variable(name);
                false
            }
            Token::Assign => {
                self.traits.add(USER_VARIABLES);
                false
            }
            Token::Word(_) | Token::String | Token::Number => true,
            Token::Other(b'+' | b'-') => true,
            _ => false,
        }
    }

    fn target(&mut self, first: Token<'a>) -> Option<Target<'a>> {
        match first {
            Token::UserVariable => Some(Target::User),
            Token::SystemVariable(name) => system(name),
            Token::Word(word) => match key(word) {
                w::NAMES => Some(Target::Names),
                w::CHARSET => Some(Target::Charset),
                w::GLOBAL | w::PERSIST => {
                    self.token();
                    Some(Target::Global)
                }
                w::SESSION | w::LOCAL => match self.token() {
                    Token::Word(name) if is(name, "transaction") => None,
                    Token::Word(name) => Some(Target::Variable(name)),
                    _ => None,
                },
                _ if is(word, "persist_only") => {
                    self.token();
                    Some(Target::Global)
                }
                _ if is(word, "character") => {
                    self.token();
                    Some(Target::Charset)
                }
                _ => Some(Target::Variable(word)),
            },
            _ => None,
        }
    }
}

/// `@@x`, `@@session.x`, `@@global.x`.
fn system(name: &[u8]) -> Option<Target<'_>> {
    let point = name.iter().position(|&byte| byte == b'.');
    let Some(point) = point else {
        return (!name.is_empty()).then_some(Target::Variable(name));
    };
    let (scope, name) = (&name[..point], &name[point + 1..]);
    match key(scope) {
        w::SESSION | w::LOCAL => Some(Target::Variable(name)),
        w::GLOBAL | w::PERSIST => Some(Target::Global),
        _ if is(scope, "persist_only") => Some(Target::Global),
        _ => None,
    }
}
