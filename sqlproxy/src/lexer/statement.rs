//! What is said of a statement: its class, why it must go where it goes, and what it has to do with
//! the session.
//!
//! Not here: how it is found out.

use std::ops::Range;

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It reads, and nothing else.
    Read,
    /// It writes, or may.
    Write,
    /// It begins, ends or shapes a transaction.
    Transaction(Transaction),
    /// It changes the session.
    Session(SessionChange),
    /// `KILL`: of an id that is the proxy's.
    Kill,
    /// Nothing is known of it.
    Unknown,
}

/// What a statement does to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION [READ WRITE]`.
    Begin,
    /// `START TRANSACTION READ ONLY`: a replica can have it whole.
    BeginReadOnly,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `SAVEPOINT`, `ROLLBACK TO`, `RELEASE SAVEPOINT`: within one.
    Savepoint,
    /// `SET TRANSACTION`: of the next one, which has to begin on the same connection.
    Next,
    /// `XA`.
    Xa,
}

/// What a statement does to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// `USE`.
    Schema,
    /// `SET NAMES`, `SET CHARACTER SET`.
    Charset,
    /// `SET` of session variables, perhaps among user variables ([`Traits::SETS_USER_VARIABLE`]).
    Variables,
    /// `SET ROLE`.
    Role,
    /// `PREPARE`, `EXECUTE`, `DEALLOCATE` as text.
    Prepared,
    /// `SET SESSION TRANSACTION`: of all that follow.
    Isolation,
    /// `LOCK TABLES` and what else locks for a session.
    Lock,
    /// `UNLOCK TABLES`.
    Unlock,
}

/// Why a statement goes where it goes: one word each for logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A plain read.
    Read,
    /// A hint says so.
    Hint,
    /// `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`.
    LockingRead,
    /// `INTO OUTFILE`, `INTO @variable`.
    Into,
    /// A function that is not built in.
    UnknownFunction,
    /// A function with side effects, or whose result is the session's.
    SessionFunction,
    /// A sequence.
    Sequence,
    /// A user variable.
    UserVariable,
    /// A system variable: servers have their own.
    SystemVariable,
    /// It looks at the statement before it: `SHOW WARNINGS`, `FOUND_ROWS()`.
    Previous,
    /// `SHOW` of what is the server's own.
    ServerState,
    /// `INSERT`, `UPDATE` and their like.
    Write,
    /// `CREATE`, `ALTER`, `GRANT` and their like.
    Definition,
    /// `FLUSH`, `OPTIMIZE` and their like.
    Administration,
    /// `CALL`.
    Call,
    /// Transaction control.
    Transaction,
    /// It changes the session.
    Session,
    /// `HANDLER`.
    Handler,
    /// Several statements at once.
    Several,
    /// A comment that only some versions execute.
    Versioned,
    /// A quote or comment that does not end.
    Malformed,
    /// Too long to be looked at whole.
    TooLong,
    /// It begins with a word that is not known.
    UnknownWord,
    /// Nothing but comments.
    Empty,
}

/// Where a statement may go, were its session free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Any server that is up to date.
    Any,
    /// The primary.
    Primary,
    /// The connection that had the statement before.
    Last,
}

/// What a comment wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The primary.
    Primary,
    /// A replica, for a read.
    Replica,
    /// Where the last statement went (MaxScale).
    Last,
}

/// What a statement has to do with its session: a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Traits(u32);

macro_rules! traits {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        impl Traits {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

traits! {
    /// Reads a user variable.
    USER_VARIABLE = 0,
    /// Sets one.
    SETS_USER_VARIABLE = 1,
    /// Takes a user lock (`GET_LOCK`).
    TAKES_LOCK = 2,
    /// Gives one or all back.
    GIVES_LOCK = 3,
    /// Asks for LAST_INSERT_ID.
    LAST_INSERT_ID = 4,
    /// Asks for something of the statement before: FOUND_ROWS, ROW_COUNT, warnings.
    PREVIOUS = 5,
    /// Something will be asked of it: SQL_CALC_FOUND_ROWS.
    REMEMBERED = 6,
    /// Makes a temporary table.
    TEMPORARY = 7,
    /// Locks tables, or the server, for the session.
    TABLE_LOCK = 8,
    /// Prepares or executes a statement by its name.
    TEXT_PREPARED = 9,
    /// Opens or reads a HANDLER.
    HANDLER = 10,
    /// XA.
    XA = 11,
    /// Sets a variable of all sessions.
    GLOBAL = 12,
    /// Sets a variable of the session.
    SETS_VARIABLE = 13,
    /// Sets autocommit.
    AUTOCOMMIT = 14,
    /// Several statements.
    SEVERAL = 15,
    /// Its effect on the session cannot be known by its text: what is in a procedure, a text built at
    /// run time, a versioned comment, what did not fit.
    OPAQUE = 16,
    /// Uses a sequence's last value.
    SEQUENCE = 17,
    /// Names the connection: CONNECTION_ID().
    CONNECTION = 18,
    /// Changes the default database (also among several).
    SCHEMA = 19,
    /// Holds a transaction's beginning.
    BEGINS = 20,
    /// `FOR UPDATE` and its like.
    LOCKING = 21,
    /// `INTO`.
    INTO = 22,
    /// A function that is not built in.
    UNKNOWN_FUNCTION = 23,
    /// A system variable is read.
    SYSTEM_VARIABLE = 24,
    /// A sub-statement writes.
    WRITES = 25,
    /// A quote or comment does not end.
    MALFORMED = 26,
    /// A versioned comment whose content some servers skip.
    VERSIONED = 27,
    /// `SET TRANSACTION`: for the next one alone.
    NEXT_TRANSACTION = 28,
    /// Gives all user locks back.
    GIVES_ALL_LOCKS = 29,
}

impl Traits {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether any of these is among them.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// With these.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds these.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What is said of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is; of several, that of the first if it is alone, else [`Class::Write`].
    pub class: Class,
    /// Why it goes where it goes.
    pub reason: Reason,
    /// Where that is, hints included.
    pub route: Route,
    /// What it has to do with the session.
    pub traits: Traits,
    /// What a comment wishes, if any does.
    pub hint: Option<Hint>,
    /// A hint that a server would take for SQL (`/*!mycat:…*/`): to be blanked before it is sent.
    pub blank: Option<Range<usize>>,
}
