//! Text into tokens, as the server cuts it: strings, quoted names, comments, variables, words.
//!
//! Source: MySQL's `sql/sql_lex.cc` and MariaDB's. What depends on the session is in [`Dialect`]:
//! `sql_mode`'s ANSI_QUOTES and NO_BACKSLASH_ESCAPES, and character sets whose second bytes may be
//! a backslash or a backquote.
//!
//! Not here: what the tokens mean.

use memchr::{memchr, memchr2};

/// How a session's texts are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Dialect {
    /// ANSI_QUOTES: `"` quotes names.
    pub ansi_quotes: bool,
    /// NO_BACKSLASH_ESCAPES: `\` is a character as any.
    pub no_backslash: bool,
    /// character_set_client.
    pub multibyte: Multibyte,
}

/// Character sets by what their second bytes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Multibyte {
    /// No byte of a longer character is ASCII: utf8, latin1, euckr, ujis and so on.
    #[default]
    Safe,
    /// sjis, cp932.
    Sjis,
    /// gbk, gb18030, gb2312 (of which they are extensions).
    Gbk,
    /// big5.
    Big5,
}

impl Multibyte {
    /// Of a character set by its name.
    #[must_use]
    pub fn of(charset: &[u8]) -> Self {
        let is = |name: &str| charset.eq_ignore_ascii_case(name.as_bytes());
        if is("sjis") || is("cp932") {
            Self::Sjis
        } else if is("gbk") || is("gb18030") {
            Self::Gbk
        } else if is("big5") {
            Self::Big5
        } else {
            Self::Safe
        }
    }

    /// Of a collation by the number that a login has (`information_schema.COLLATIONS`).
    #[must_use]
    pub fn of_collation(id: u16) -> Self {
        match id {
            1 | 84 => Self::Big5,
            13 | 88 | 95 | 96 => Self::Sjis,
            28 | 87 | 248..=250 => Self::Gbk,
            _ => Self::Safe,
        }
    }

    /// Bytes of the character that these begin with.
    fn len(self, bytes: &[u8]) -> usize {
        let &[lead, trail, ..] = bytes else {
            return 1;
        };
        let is_double = match self {
            Self::Safe => false,
            Self::Sjis => {
                matches!(lead, 0x81..=0x9f | 0xe0..=0xfc)
                    && matches!(trail, 0x40..=0x7e | 0x80..=0xfc)
            }
            Self::Gbk => matches!(lead, 0x81..=0xfe) && matches!(trail, 0x40..=0x7e | 0x80..=0xfe),
            Self::Big5 => matches!(lead, 0xa1..=0xf9) && matches!(trail, 0x40..=0x7e | 0xa1..=0xfe),
        };
        if is_double { 2 } else { 1 }
    }
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A word: a keyword, name or function.
    Word(&'a [u8]),
    /// A quoted name.
    Name,
    /// A string.
    String,
    /// A number (its beginning is enough).
    Number,
    /// `@x`.
    UserVariable,
    /// `@@x`: the name, with its `global.` or `session.`; may be empty.
    SystemVariable(&'a [u8]),
    /// `:=`.
    Assign,
    /// Any other character.
    Other(u8),
    /// A comment, with its signs: `/*x*/`, `-- x`, `# x`.
    Comment(&'a [u8]),
    /// The beginning of a comment that is executed, if the server's version is at least this; 0
    /// without one. Its content follows as tokens.
    Versioned(u32),
    /// A quote or comment that does not end.
    Unterminated,
    /// The end.
    End,
}

/// Classes of bytes.
const WORD: u8 = 1;
const SPACE: u8 = 2;
const DIGIT: u8 = 4;
/// Signs that begin nothing, wherever they stand. `.` may begin a number, which is as dull.
const DULL: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..=0xff => WORD,
            b'0'..=b'9' => WORD | DIGIT,
            b' ' | 9..=13 => SPACE,
            b',' | b'=' | b')' | b'.' | b'+' | b'<' | b'>' | b'?' | b'!' | b'%' => DULL,
            _ => 0,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Cuts a text.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    is_versioned: bool,
}

impl<'a> Scanner<'a> {
    /// At the beginning of a text.
    #[must_use]
    pub fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            is_versioned: false,
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where it is, in bytes.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Passes over what means nothing between words: spaces, signs, and numbers that end before a
    /// sign. Whether there was more than spaces.
    #[inline]
    pub fn skip_dull(&mut self) -> bool {
        let mut was_dull = false;
        while let Some(&byte) = self.text.get(self.at) {
            if has(byte, SPACE) {
                self.at += 1;
            } else if has(byte, DULL) {
                was_dull = true;
                self.at += 1;
            } else if has(byte, DIGIT) {
                let rest = &self.text[self.at..];
                let len = rest.iter().position(|&byte| !has(byte, DIGIT));
                let len = len.unwrap_or(rest.len());
                if rest.get(len).is_some_and(|&byte| !has(byte, DULL)) {
                    return was_dull;
                }
                was_dull = true;
                self.at += len;
            } else {
                return was_dull;
            }
        }
        was_dull
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next token.
    #[inline]
    pub fn token(&mut self) -> Token<'a> {
        while self.text.get(self.at).is_some_and(|&byte| has(byte, SPACE)) {
            self.at += 1;
        }
        let Some(&byte) = self.text.get(self.at) else {
            // A comment that is executed ends with the text, if need be: MariaDB minds, MySQL not.
            return if self.is_versioned {
                self.is_versioned = false;
                Token::Unterminated
            } else {
                Token::End
            };
        };
        // The most common first.
        if has(byte, WORD) && !has(byte, DIGIT) {
            return self.word();
        }
        match byte {
            b'\'' => self.quoted(byte, Token::String),
            b'"' if self.dialect.ansi_quotes => self.quoted(byte, Token::Name),
            b'"' => self.quoted(byte, Token::String),
            b'`' => self.quoted(byte, Token::Name),
            b'@' => self.variable(),
            b'#' => self.line(),
            b'-' if self.byte(1) == b'-' && self.is_dashes() => self.line(),
            b'/' if self.byte(1) == b'*' => self.comment(),
            b'*' if self.is_versioned && self.byte(1) == b'/' => {
                self.is_versioned = false;
                self.at += 2;
                self.token()
            }
            b':' if self.byte(1) == b'=' => {
                self.at += 2;
                Token::Assign
            }
            b'.' if has(self.byte(1), DIGIT) => self.number(),
            _ if has(byte, DIGIT) => self.number(),
            other => {
                self.at += 1;
                Token::Other(other)
            }
        }
    }

    /// `--` begins a comment before a space, a control character or the end alone: `5--1` is 6.
    fn is_dashes(&self) -> bool {
        self.byte(2) <= b' ' || self.at + 2 >= self.text.len()
    }

    #[inline]
    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        if self.dialect.multibyte == Multibyte::Safe {
            let rest = &self.text[start..];
            let len = rest.iter().position(|&byte| !has(byte, WORD));
            self.at = start + len.unwrap_or(rest.len());
        } else {
            while self.at < self.text.len() && has(self.text[self.at], WORD) {
                self.at += self.dialect.multibyte.len(&self.text[self.at..]);
            }
        }
        let word = &self.text[start..self.at];
        // `n'x'`, `x'41'`, `b'1'`, `_utf8'x'`: the quote begins a token of its own, a string.
        Token::Word(word)
    }

    /// A number, or a name that begins with digits; `1e5`, `0x41` and `1.5` are all one.
    fn number(&mut self) -> Token<'a> {
        loop {
            let start = self.at;
            let rest = &self.text[start..];
            let end = rest
                .iter()
                .position(|&byte| !has(byte, WORD) && byte != b'.');
            self.at += end.unwrap_or(rest.len());
            // `1e-5`.
            let is_open = matches!(self.text[start..self.at].last(), Some(b'e' | b'E'));
            if !(is_open && matches!(self.byte(0), b'+' | b'-') && has(self.byte(1), DIGIT)) {
                return Token::Number;
            }
            self.at += 1;
        }
    }

    /// From a quote to its end. Doubled quotes stand for one; backslashes escape in strings alone.
    fn quoted(&mut self, quote: u8, token: Token<'a>) -> Token<'a> {
        let escapes = token == Token::String && !self.dialect.no_backslash;
        self.at += 1;
        if self.skip_quoted(quote, escapes) {
            token
        } else {
            Token::Unterminated
        }
    }

    fn skip_quoted(&mut self, quote: u8, escapes: bool) -> bool {
        loop {
            let rest = &self.text[self.at..];
            let found = if self.dialect.multibyte != Multibyte::Safe {
                self.find_multibyte(quote, escapes)
            } else if escapes {
                memchr2(quote, b'\\', rest)
            } else {
                memchr(quote, rest)
            };
            let Some(found) = found else {
                self.at = self.text.len();
                return false;
            };
            self.at += found;
            if self.byte(0) == quote && self.byte(1) != quote {
                self.at += 1;
                return true;
            }
            if self.byte(0) == quote {
                self.at += 2;
                continue;
            }
            // One byte is escaped, even of a character of two: so do both servers.
            self.at += 2;
            if self.at >= self.text.len() {
                self.at = self.text.len();
                return false;
            }
        }
    }

    fn find_multibyte(&self, quote: u8, escapes: bool) -> Option<usize> {
        let rest = &self.text[self.at..];
        let mut at = 0;
        while at < rest.len() {
            let byte = rest[at];
            if byte == quote || (escapes && byte == b'\\') {
                return Some(at);
            }
            at += self.dialect.multibyte.len(&rest[at..]);
        }
        None
    }

    fn variable(&mut self) -> Token<'a> {
        self.at += 1;
        if self.byte(0) == b'@' {
            self.at += 1;
            return Token::SystemVariable(self.system_variable());
        }
        match self.byte(0) {
            quote @ (b'\'' | b'"' | b'`') => {
                let escapes = quote != b'`' && !self.dialect.no_backslash;
                self.at += 1;
                if !self.skip_quoted(quote, escapes) {
                    return Token::Unterminated;
                }
            }
            _ => self.skip_name(),
        }
        Token::UserVariable
    }

    fn skip_name(&mut self) {
        let rest = &self.text[self.at..];
        let end = rest
            .iter()
            .position(|&byte| !has(byte, WORD) && byte != b'.');
        self.at += end.unwrap_or(rest.len());
    }

    /// `@@name`, `@@session.name`, also with quotes around it or spaces after the point.
    fn system_variable(&mut self) -> &'a [u8] {
        if self.byte(0) == b'`' {
            let start = self.at + 1;
            self.at = start;
            self.skip_quoted(b'`', false);
            return self
                .text
                .get(start..self.at.saturating_sub(1))
                .unwrap_or_default();
        }
        let start = self.at;
        self.skip_name();
        &self.text[start..self.at]
    }

    fn line(&mut self) -> Token<'a> {
        let start = self.at;
        let rest = &self.text[start..];
        self.at += memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        Token::Comment(&self.text[start..self.at])
    }

    fn comment(&mut self) -> Token<'a> {
        let start = self.at;
        let rest = &self.text[start..];
        let versioned = match rest {
            [b'/', b'*', b'!', ..] => Some(3),
            [b'/', b'*', b'M', b'!', ..] => Some(4),
            _ => None,
        };
        // Mycat's hint has the form of one; no server is to execute it.
        let signs = versioned.filter(|&signs| !super::hint::is_mycat(&rest[signs..]));
        if let Some(signs) = signs {
            let digits = &rest[signs..];
            let len = digits
                .iter()
                .take(6)
                .take_while(|byte| has(**byte, DIGIT))
                .count();
            // Five digits or six; fewer are part of the text.
            let (len, version) = match len {
                5 | 6 => (len, decimal(&digits[..len])),
                _ => (0, 0),
            };
            self.at += signs + len;
            self.is_versioned = true;
            return Token::Versioned(version);
        }
        let mut at = start + 2;
        while let Some(star) = self.text.get(at..).and_then(|rest| memchr(b'*', rest)) {
            at += star + 1;
            if self.text.get(at) == Some(&b'/') {
                self.at = at + 1;
                return Token::Comment(&self.text[start..self.at]);
            }
        }
        self.at = self.text.len();
        Token::Unterminated
    }
}

fn decimal(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests;
