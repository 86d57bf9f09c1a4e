//! A session's state as values: learnt from every statement and its answer, and given to the next
//! connection that serves the session.
//!
//! What the text says is believed where it is constant; what session tracking says goes before it. A
//! change of state that the text did not announce (a procedure, a trigger, a function) pins the session.
//!
//! Known limits: a user lock that a procedure takes is told by nobody; `ROW_COUNT()` is asked of the
//! connection that had the last statement, which another session may have taken over.
//!
//! Not here: sending anything; statements' numbers ([`super::prepared`]).

use crate::lexer::{
    Class, Dialect, Multibyte, Parts, SessionChange, Statement, Target, Traits, Transaction,
    assignments,
};
use crate::wire::status::Status;
use crate::wire::track::{Change, Changes};

use super::pin::{Pin, Pins};
use super::variables::{LONGEST, Variables, is_of_the_next_statement, is_unmovable};

/// What came back of a statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// Flags of the last OK or EOF; none came with an error.
    pub status: Option<Status>,
    /// It ended by an error.
    pub is_error: bool,
    /// Warnings of the last result.
    pub warnings: u16,
    /// Of the last OK; also an id that the statement itself gave.
    pub last_insert_id: u64,
    /// What session tracking told.
    pub changes: Changes<'a>,
}

/// What a connection needs to take a session over, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// COM_INIT_DB.
    Schema(Vec<u8>),
    /// COM_QUERY.
    Query(Vec<u8>),
}

/// A session.
#[derive(Clone, Debug)]
pub struct Journal {
    schema: Option<Box<[u8]>>,
    /// What follows `SET`: `NAMES …` or `CHARACTER SET …`.
    charset: Option<Box<[u8]>>,
    /// The statement that was answered has set it.
    has_new_charset: bool,
    variables: Variables,
    /// `SET SESSION TRANSACTION …`.
    isolation: Option<Box<[u8]>>,
    autocommit: bool,
    dialect: Dialect,
    pins: Pins,
    /// An answer had an insert id since the connection was asked for it.
    has_insert_id: bool,
    last_insert_id: Option<u64>,
    /// Its servers tell of changes.
    tracks: bool,
}

impl Journal {
    /// A session as it begins: with the schema and the collation of its login.
    #[must_use]
    pub fn new(schema: Option<&[u8]>, collation: u16) -> Self {
        Self {
            schema: schema.map(Box::from),
            charset: None,
            has_new_charset: false,
            variables: Variables::default(),
            isolation: None,
            autocommit: true,
            dialect: Dialect {
                multibyte: Multibyte::of_collation(collation),
                ..Dialect::default()
            },
            pins: Pins::default(),
            has_insert_id: false,
            last_insert_id: None,
            tracks: true,
        }
    }

    /// Its server cannot tell of changes (MySQL before 5.7, MariaDB before 10.2): what is not known by
    /// its text pins.
    pub fn is_not_tracked(&mut self) {
        self.tracks = false;
    }

    /// How its next text is to be read.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What ties it to its connection.
    #[must_use]
    pub fn pins(&self) -> Pins {
        self.pins
    }

    /// Its default database.
    #[must_use]
    pub fn schema(&self) -> Option<&[u8]> {
        self.schema.as_deref()
    }

    /// Whether autocommit is on.
    #[must_use]
    pub fn autocommit(&self) -> bool {
        self.autocommit
    }

    /// A statement is about to be sent: what could be asked of the one before is over, unless this
    /// asks.
    pub fn asks(&mut self, statement: &Statement) {
        if !statement.traits.any(Traits::PREVIOUS) {
            self.pins.remove(Pin::Previous);
        }
    }

    /// A statement was answered.
    pub fn answered(&mut self, text: &[u8], statement: &Statement, answer: &Answer<'_>) {
        let is_several = statement.traits.any(Traits::SEVERAL);
        self.has_new_charset = false;
        // Of several, those before an error were done.
        if !answer.is_error || is_several {
            for (part, told) in Parts::of(text, self.dialect) {
                self.done(part, &told, answer.changes);
            }
        }
        // What may have been done in spite of an error.
        self.tie(statement.traits);
        let announced = self.tracked(answer.changes, statement);
        self.status(answer, statement);
        if !announced {
            self.pins.add(Pin::Opaque);
        }
        let is_asked_about = answer.is_error
            || answer.warnings > 0
            || statement.traits.any(Traits::REMEMBERED)
            || (statement.traits.any(Traits::PREVIOUS) && self.pins.has(Pin::Previous));
        self.pins.set(Pin::Previous, is_asked_about);
        self.has_insert_id |= answer.last_insert_id != 0;
    }

    /// Its connection was lost: a transaction that it had is rolled back, and nothing can be asked of the
    /// last answer.
    pub fn rolled_back(&mut self) {
        for pin in [
            Pin::Transaction,
            Pin::NoAutocommit,
            Pin::NextTransaction,
            Pin::Previous,
        ] {
            self.pins.remove(pin);
        }
    }

    /// COM_INIT_DB succeeded.
    pub fn uses(&mut self, schema: &[u8]) {
        self.schema = Some(schema.into());
    }

    /// COM_RESET_CONNECTION succeeded: MySQL keeps the database, and so does MariaDB.
    pub fn reset(&mut self, collation: u16) {
        let (schema, tracks) = (self.schema.take(), self.tracks);
        *self = Self::new(schema.as_deref(), collation);
        self.tracks = tracks;
    }

    /// A cursor, a parameter in pieces: told by [`super::prepared`].
    pub fn set(&mut self, pin: Pin, is_there: bool) {
        self.pins.set(pin, is_there);
    }

    /// What to ask of a connection before another session gets it, so that nothing is lost.
    #[must_use]
    pub fn question(&self) -> Option<&'static str> {
        self.has_insert_id.then_some("SELECT LAST_INSERT_ID()")
    }

    /// Its answer.
    pub fn insert_id(&mut self, id: u64) {
        self.has_insert_id = false;
        self.last_insert_id = Some(id);
    }

    /// What makes a fresh connection this session. Only for one without pins.
    #[must_use]
    pub fn replay(&self) -> Vec<Replay> {
        let mut replay = Vec::new();
        let mut sets: Vec<Vec<u8>> = Vec::new();
        sets.extend(self.charset.as_deref().map(Vec::from));
        for (name, value) in self.variables.iter() {
            sets.push([name, b"=", value].concat());
        }
        if !self.autocommit {
            sets.push(b"autocommit=0".to_vec());
        }
        if let Some(id) = self.last_insert_id {
            sets.push(format!("last_insert_id={id}").into_bytes());
        }
        if !sets.is_empty() {
            replay.push(Replay::Query([b"SET ", &*sets.join(&b", "[..])].concat()));
        }
        replay.extend(
            self.isolation
                .as_deref()
                .map(|text| Replay::Query(text.to_vec())),
        );
        // Last: names of databases are in the session's character set.
        replay.extend(
            self.schema
                .as_deref()
                .map(|name| Replay::Schema(name.to_vec())),
        );
        replay
    }

    /// A statement, alone or of several, was done.
    fn done(&mut self, text: &[u8], statement: &Statement, changes: Changes<'_>) {
        match statement.class {
            Class::Session(SessionChange::Variables | SessionChange::Charset) => {
                self.assigned(text, changes);
            }
            Class::Session(SessionChange::Schema) => {
                if let Some(name) = schema_of(text) {
                    self.schema = Some(name.into());
                }
            }
            Class::Session(SessionChange::Isolation) => {
                let text = text.trim_ascii();
                if text.len() <= LONGEST {
                    self.isolation = Some(text.into());
                } else {
                    self.pins.add(Pin::Variable);
                }
            }
            Class::Session(SessionChange::Role) => self.pins.add(Pin::Role),
            Class::Session(SessionChange::Unlock) => self.pins.remove(Pin::TableLock),
            Class::Session(SessionChange::Lock | SessionChange::Prepared) => {}
            Class::Transaction(Transaction::Commit | Transaction::Rollback) => {
                self.pins.remove(Pin::NoAutocommit);
                self.pins.remove(Pin::NextTransaction);
            }
            Class::Read | Class::Write | Class::Unknown => {
                self.pins.remove(Pin::NextTransaction);
                self.pins.set(Pin::NoAutocommit, !self.autocommit);
            }
            Class::Transaction(_) | Class::Kill => {}
        }
        if statement.traits.any(Traits::GIVES_ALL_LOCKS) {
            self.pins.remove(Pin::UserLock);
        }
    }

    fn tie(&mut self, traits: Traits) {
        for (found, pin) in [
            (Traits::TAKES_LOCK, Pin::UserLock),
            (Traits::TABLE_LOCK, Pin::TableLock),
            (Traits::TEMPORARY, Pin::TemporaryTable),
            (Traits::SETS_USER_VARIABLE, Pin::UserVariable),
            (Traits::TEXT_PREPARED, Pin::TextPrepared),
            (Traits::HANDLER, Pin::Handler),
            (Traits::XA, Pin::Xa),
            (Traits::SEQUENCE, Pin::Sequence),
            (Traits::NEXT_TRANSACTION, Pin::NextTransaction),
        ] {
            if traits.any(found) {
                self.pins.add(pin);
            }
        }
        // Locks that UNLOCK TABLES does not give back; what nobody would tell of.
        let is_hidden = traits.any(Traits::TABLE_LOCK) || !self.tracks;
        if traits.any(Traits::OPAQUE) && is_hidden {
            self.pins.add(Pin::Opaque);
        }
    }

    fn assigned(&mut self, text: &[u8], changes: Changes<'_>) {
        for assignment in assignments(text, self.dialect) {
            let value = assignment.value;
            match assignment.target {
                // What the server tells of a value goes before the text, and will be told.
                Target::Variable(name) if is_told(name, changes) => {}
                Target::Variable(name) => self.assign(name, value, assignment.is_constant),
                Target::Names => self.charset(b"NAMES ", value, assignment.is_constant),
                Target::Charset => self.charset(b"CHARACTER SET ", value, assignment.is_constant),
                Target::Global | Target::User => {}
            }
        }
    }

    fn assign(&mut self, name: &[u8], value: &[u8], is_constant: bool) {
        if name.eq_ignore_ascii_case(b"autocommit") {
            // The status tells.
            return;
        }
        let is_tied = is_unmovable(name) || is_of_the_next_statement(name) || !is_constant;
        if is_tied || self.variables.set(name, value).is_err() {
            self.pins.add(Pin::Variable);
        } else {
            self.reads_as(name, value);
        }
    }

    fn charset(&mut self, what: &[u8], value: &[u8], is_constant: bool) {
        if !is_constant || value.len() > LONGEST {
            self.pins.add(Pin::Variable);
            return;
        }
        self.charset = Some([what, value].concat().into());
        self.has_new_charset = true;
        CHARSETS.iter().for_each(|name| self.variables.forget(name));
        let is_quote = |byte: &u8| matches!(byte, b'\'' | b'"' | b'`');
        let words = value.split(|byte| byte.is_ascii_whitespace() || is_quote(byte));
        let name = words.filter(|word| !word.is_empty()).take(1);
        for name in name {
            self.dialect.multibyte = Multibyte::of(name);
        }
    }

    /// Variables that say how texts are read.
    fn reads_as(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"sql_mode") {
            let modes = value.to_ascii_uppercase();
            let has = |mode: &[u8]| modes.windows(mode.len()).any(|window| window == mode);
            // ANSI itself and ANSI_QUOTES; of MariaDB also the modes of other systems.
            let of_others: [&[u8]; 6] = [
                b"ANSI",
                b"ORACLE",
                b"MSSQL",
                b"DB2",
                b"MAXDB",
                b"POSTGRESQL",
            ];
            self.dialect.ansi_quotes = of_others.into_iter().any(has);
            self.dialect.no_backslash = has(b"NO_BACKSLASH_ESCAPES");
        } else if name.eq_ignore_ascii_case(b"character_set_client") {
            let bare = value.trim_ascii();
            let bare = bare.strip_prefix(b"'").unwrap_or(bare);
            self.dialect.multibyte = Multibyte::of(bare.strip_suffix(b"'").unwrap_or(bare));
        }
    }

    /// Whether the changes are those that the text announced.
    fn tracked(&mut self, changes: Changes<'_>, statement: &Statement) -> bool {
        let announces = Traits::SETS_VARIABLE
            .with(Traits::SETS_USER_VARIABLE)
            .with(Traits::TEMPORARY)
            .with(Traits::TEXT_PREPARED)
            .with(Traits::SCHEMA)
            .with(Traits::NEXT_TRANSACTION);
        let is_session = matches!(statement.class, Class::Session(_));
        let is_announced = is_session || statement.traits.any(announces);
        let mut has_state = false;
        for change in changes.iter() {
            match change {
                Ok(Change::Variable { name, value }) => self.tracked_variable(name, value),
                Ok(Change::Schema(name)) => self.schema = (!name.is_empty()).then(|| name.into()),
                Ok(Change::State(is_changed)) => has_state |= is_changed,
                Ok(Change::Gtids(_) | Change::Characteristics(_)) => {}
                Ok(Change::Transaction(_) | Change::Other(..)) => {}
                // What cannot be read may have been anything.
                Err(_) => return false,
            }
        }
        !has_state || is_announced
    }

    fn tracked_variable(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // autocommit is told by the status, too; last_gtid is no state of the session. Character sets
        // and collations are told where SET NAMES changed them, and are set by it again.
        if is(b"last_gtid") || is(b"autocommit") {
            return;
        }
        if self.has_new_charset && CHARSETS.iter().any(|known| is(known)) {
            self.reads_as(name, value);
            return;
        }
        // Told as an empty text.
        let is_null = is(b"character_set_results") && value.is_empty();
        if is_null && self.variables.set(name, b"NULL").is_ok() {
            return;
        }
        if is_unmovable(name) || self.variables.tracked(name, value).is_err() {
            self.pins.add(Pin::Variable);
        } else {
            self.reads_as(name, value);
        }
    }

    fn status(&mut self, answer: &Answer<'_>, statement: &Statement) {
        let Some(status) = answer.status else {
            return;
        };
        self.autocommit = status.has(Status::AUTOCOMMIT);
        self.dialect.no_backslash = status.has(Status::NO_BACKSLASH);
        // MariaDB alone has the other one: its absence says nothing.
        self.dialect.ansi_quotes |= status.has(Status::ANSI_QUOTES);
        self.pins
            .set(Pin::Transaction, status.has(Status::IN_TRANSACTION));
        if self.autocommit {
            self.pins.remove(Pin::NoAutocommit);
        }
        if status.has(Status::IN_TRANSACTION) && !statement.traits.any(Traits::NEXT_TRANSACTION) {
            self.pins.remove(Pin::NextTransaction);
        }
    }
}

/// What SET NAMES sets.
const CHARSETS: [&[u8]; 4] = [
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"collation_connection",
];

fn is_told(name: &[u8], changes: Changes<'_>) -> bool {
    let is_it = |change| match change {
        Ok(Change::Variable { name: told, .. }) => name.eq_ignore_ascii_case(told),
        _ => false,
    };
    changes.iter().any(is_it)
}

/// The name in `USE name`, without its quotes.
fn schema_of(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    if let Some(quoted) = text.strip_suffix(b"`") {
        let start = quoted.iter().position(|&byte| byte == b'`')? + 1;
        let doubled = &quoted[start..];
        let mut name = Vec::with_capacity(doubled.len());
        let mut bytes = doubled.iter().peekable();
        while let Some(&byte) = bytes.next() {
            if byte == b'`' {
                bytes.next_if_eq(&&b'`');
            }
            name.push(byte);
        }
        return Some(name);
    }
    let last = text.rsplit(|byte| byte.is_ascii_whitespace()).next()?;
    (!last.is_empty()).then(|| last.to_vec())
}

#[cfg(test)]
mod tests;
