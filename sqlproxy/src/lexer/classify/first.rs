//! What a statement is by its first words.
//!
//! Not here: `SET` ([`super::set`]), and what stands behind them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "one token is looked for, and all others are alike"
)]

use super::USER_VARIABLES;
use super::reader::Reader;
use crate::lexer::scan::Token;
use crate::lexer::statement::{Class, Reason, SessionChange, Traits, Transaction};
use crate::lexer::words::{self as w, is, key};

impl Reader<'_> {
    /// What a statement with this first word is.
    pub(super) fn first(&mut self, word: &[u8]) -> (Class, Reason) {
        const READ: (Class, Reason) = (Class::Read, Reason::Read);
        const WRITE: (Class, Reason) = (Class::Write, Reason::Write);
        const DEFINITION: (Class, Reason) = (Class::Write, Reason::Definition);
        const ADMINISTRATION: (Class, Reason) = (Class::Write, Reason::Administration);
        match key(word) {
            w::SELECT | w::WITH | w::VALUES | w::TABLE => READ,
            w::INSERT | w::REPLACE | w::UPDATE | w::DELETE | w::LOAD | w::IMPORT => WRITE,
            w::SET => self.set(),
            w::SHOW => self.show(),
            w::EXPLAIN | w::DESC | w::DESCRIBE => self.explain(),
            w::ANALYZE => self.analyze(),
            w::HELP => READ,
            w::DO => (Class::Write, Reason::SessionFunction),
            w::CALL => {
                self.traits.add(Traits::OPAQUE);
                (Class::Write, Reason::Call)
            }
            w::CREATE => self.create(),
            w::ALTER | w::DROP | w::TRUNCATE | w::RENAME | w::GRANT | w::REVOKE => DEFINITION,
            w::INSTALL => DEFINITION,
            w::FLUSH => self.flush(),
            w::OPTIMIZE | w::REPAIR | w::CHECK | w::CHECKSUM | w::CACHE => ADMINISTRATION,
            w::RESET | w::PURGE | w::CHANGE | w::STOP | w::BINLOG | w::CLONE => ADMINISTRATION,
            w::SHUTDOWN | w::RESTART => ADMINISTRATION,
            w::BEGIN => self.begin(),
            w::START => self.start(),
            w::COMMIT => (Class::Transaction(Transaction::Commit), Reason::Transaction),
            w::ROLLBACK => self.rollback(),
            w::RELEASE => (
                Class::Transaction(Transaction::Savepoint),
                Reason::Transaction,
            ),
            w::XA => {
                self.traits.add(Traits::XA);
                (Class::Transaction(Transaction::Xa), Reason::Transaction)
            }
            w::USE => self.session(SessionChange::Schema, Traits::SCHEMA),
            w::PREPARE | w::EXECUTE => self.prepared(),
            w::LOCK => self.lock(),
            // Nothing of it is undone by UNLOCK TABLES.
            w::BACKUP => self.session(SessionChange::Lock, Traits::TABLE_LOCK.with(Traits::OPAQUE)),
            w::UNLOCK => self.session(SessionChange::Unlock, Traits::NONE),
            w::HANDLER => {
                self.traits.add(Traits::HANDLER);
                (Class::Write, Reason::Handler)
            }
            w::KILL => (Class::Kill, Reason::Administration),
            w::SIGNAL | w::RESIGNAL => WRITE,
            w::GET => {
                // GET DIAGNOSTICS @a = …
                self.traits.add(Traits::PREVIOUS.with(USER_VARIABLES));
                (Class::Read, Reason::Previous)
            }
            _ if is(word, "savepoint") => (
                Class::Transaction(Transaction::Savepoint),
                Reason::Transaction,
            ),
            _ if is(word, "uninstall") => DEFINITION,
            _ if is(word, "deallocate") => self.prepared(),
            _ => self.unknown(),
        }
    }

    pub(super) fn session(&mut self, change: SessionChange, traits: Traits) -> (Class, Reason) {
        self.traits.add(traits);
        (Class::Session(change), Reason::Session)
    }

    fn prepared(&mut self) -> (Class, Reason) {
        self.session(
            SessionChange::Prepared,
            Traits::TEXT_PREPARED.with(Traits::OPAQUE),
        )
    }

    fn lock(&mut self) -> (Class, Reason) {
        let traits = match self.word().0 {
            w::TABLES | w::TABLE => Traits::TABLE_LOCK,
            // LOCK INSTANCE FOR BACKUP.
            _ => Traits::TABLE_LOCK.with(Traits::OPAQUE),
        };
        self.session(SessionChange::Lock, traits)
    }

    fn begin(&mut self) -> (Class, Reason) {
        // `BEGIN NOT ATOMIC … END` is a block of statements (MariaDB).
        match self.word().0 {
            w::NOT => self.unknown(),
            _ => {
                self.traits.add(Traits::BEGINS);
                (Class::Transaction(Transaction::Begin), Reason::Transaction)
            }
        }
    }

    fn start(&mut self) -> (Class, Reason) {
        if !is(self.word().1, "transaction") {
            // START REPLICA, START SLAVE, START GROUP_REPLICATION.
            return (Class::Write, Reason::Administration);
        }
        self.traits.add(Traits::BEGINS);
        let (mut previous, mut kind) = (0, Transaction::Begin);
        loop {
            match self.token() {
                Token::End => break,
                Token::Word(word) => {
                    if (previous, key(word)) == (w::READ, w::ONLY) {
                        kind = Transaction::BeginReadOnly;
                    }
                    previous = key(word);
                }
                _ => previous = 0,
            }
        }
        (Class::Transaction(kind), Reason::Transaction)
    }

    fn rollback(&mut self) -> (Class, Reason) {
        let mut token = self.token();
        if token.key() == w::WORK {
            token = self.token();
        }
        let kind = match token.key() {
            w::TO => Transaction::Savepoint,
            _ => Transaction::Rollback,
        };
        (Class::Transaction(kind), Reason::Transaction)
    }

    fn create(&mut self) -> (Class, Reason) {
        // CREATE [OR REPLACE] TEMPORARY.
        for _ in 0..3 {
            let (key, word) = self.word();
            if is(word, "temporary") {
                self.traits.add(Traits::TEMPORARY);
                break;
            }
            // Bodies of routines may have anything in them, `;` too.
            if matches!(key, w::FUNCTION) || is(word, "procedure") {
                break;
            }
        }
        (Class::Write, Reason::Definition)
    }

    fn flush(&mut self) -> (Class, Reason) {
        // FLUSH TABLES … WITH READ LOCK, FOR EXPORT: held by the session.
        let mut previous = 0;
        loop {
            match self.token() {
                Token::End => break,
                token => {
                    let is_lock = (previous, token.key()) == (w::READ, w::LOCK);
                    if is_lock || previous == w::FOR {
                        self.traits.add(Traits::TABLE_LOCK);
                    }
                    previous = token.key();
                }
            }
        }
        (Class::Write, Reason::Administration)
    }

    fn show(&mut self) -> (Class, Reason) {
        const READ: (Class, Reason) = (Class::Read, Reason::Read);
        const STATE: (Class, Reason) = (Class::Read, Reason::ServerState);
        loop {
            let (key, word) = self.word();
            return match key {
                w::FULL | w::CREATE => {
                    if key == w::CREATE {
                        return READ;
                    }
                    continue;
                }
                w::TABLES | w::COLUMNS | w::FIELDS | w::INDEX | w::INDEXES | w::KEYS => READ,
                w::SCHEMAS | w::TRIGGERS | w::CHARSET => READ,
                w::TABLE | w::FUNCTION => READ,
                w::WARNINGS | w::ERRORS | w::COUNT => {
                    self.traits.add(Traits::PREVIOUS);
                    (Class::Read, Reason::Previous)
                }
                _ if is(word, "extended") => continue,
                _ if is(word, "databases") || is(word, "collation") => READ,
                _ if is(word, "character") || is(word, "procedure") || is(word, "events") => READ,
                _ => STATE,
            };
        }
    }

    /// `EXPLAIN SELECT` goes where its SELECT goes; `EXPLAIN UPDATE`, and of a connection, to the
    /// primary.
    fn explain(&mut self) -> (Class, Reason) {
        let before = self.scanner;
        let (mut first, _) = self.word();
        if first == w::ANALYZE {
            first = self.word().0;
        }
        if first == w::FOR {
            return (Class::Read, Reason::ServerState);
        }
        self.scanner = before;
        self.ended_by_semicolon = false;
        self.is_at_end = false;
        (Class::Read, Reason::Read)
    }

    fn analyze(&mut self) -> (Class, Reason) {
        let before = self.scanner;
        let (key, word) = self.word();
        if matches!(key, w::TABLE | w::TABLES | w::LOCAL) || is(word, "no_write_to_binlog") {
            return (Class::Write, Reason::Administration);
        }
        // MariaDB's ANALYZE executes what it explains.
        self.scanner = before;
        self.ended_by_semicolon = false;
        self.is_at_end = false;
        (Class::Read, Reason::Read)
    }
}
