//! Words compared without case, as one number where they are short.
//!
//! Not here: what they mean.

/// A word of up to eight bytes as a number, without case; longer ones are 0. `_` keeps apart from all
/// letters and digits.
#[must_use]
pub const fn key(word: &[u8]) -> u64 {
    let len = word.len();
    if len > 8 {
        return 0;
    }
    let mut key = 0_u64;
    let mut at = 0;
    while at < len {
        key = key << 8 | (word[at] | 0x20) as u64;
        at += 1;
    }
    key
}

/// Whether a word is this one, which is in lower case.
#[must_use]
pub fn is(word: &[u8], lower: &str) -> bool {
    word.eq_ignore_ascii_case(lower.as_bytes())
}

/// Names for the keys that are matched on.
macro_rules! keys {
    ($($name:ident = $word:literal,)*) => {
        $(#[doc = concat!("`", $word, "`.")] pub const $name: u64 = key($word.as_bytes());)*
    };
}

keys! {
    ALTER = "alter",
    ANALYZE = "analyze",
    AND = "and",
    AS = "as",
    ATOMIC = "atomic",
    BACKUP = "backup",
    BEGIN = "begin",
    BINLOG = "binlog",
    CACHE = "cache",
    CALL = "call",
    CHANGE = "change",
    CHARSET = "charset",
    CHECK = "check",
    CHECKSUM = "checksum",
    CLONE = "clone",
    COLUMNS = "columns",
    COMMIT = "commit",
    COUNT = "count",
    CREATE = "create",
    DEFAULT = "default",
    DELETE = "delete",
    DESC = "desc",
    DESCRIBE = "describe",
    DO = "do",
    DROP = "drop",
    ERRORS = "errors",
    EXECUTE = "execute",
    EXPLAIN = "explain",
    FIELDS = "fields",
    FLUSH = "flush",
    FOR = "for",
    FULL = "full",
    FUNCTION = "function",
    GET = "get",
    GLOBAL = "global",
    GRANT = "grant",
    HANDLER = "handler",
    HELP = "help",
    IMPORT = "import",
    IN = "in",
    INDEX = "index",
    INDEXES = "indexes",
    INSERT = "insert",
    INSTALL = "install",
    INTO = "into",
    KEYS = "keys",
    KILL = "kill",
    LOAD = "load",
    LOCAL = "local",
    LOCK = "lock",
    MODE = "mode",
    NAMES = "names",
    NEXT = "next",
    NOT = "not",
    ONLY = "only",
    OPEN = "open",
    OPTIMIZE = "optimize",
    PARSE = "parse",
    PASSWORD = "password",
    PERSIST = "persist",
    PREPARE = "prepare",
    PREVIOUS = "previous",
    PURGE = "purge",
    READ = "read",
    RELEASE = "release",
    RENAME = "rename",
    REPAIR = "repair",
    REPLACE = "replace",
    RESET = "reset",
    RESIGNAL = "resignal",
    RESOURCE = "resource",
    RESTART = "restart",
    REVOKE = "revoke",
    ROLE = "role",
    ROLLBACK = "rollback",
    SCHEMAS = "schemas",
    SELECT = "select",
    SESSION = "session",
    SET = "set",
    SHARE = "share",
    SHOW = "show",
    SHUTDOWN = "shutdown",
    SIGNAL = "signal",
    START = "start",
    STOP = "stop",
    TABLE = "table",
    TABLES = "tables",
    TEMP = "temp",
    TO = "to",
    TRIGGERS = "triggers",
    TRUNCATE = "truncate",
    UNLOCK = "unlock",
    UPDATE = "update",
    USE = "use",
    VALUE = "value",
    VALUES = "values",
    WARNINGS = "warnings",
    WITH = "with",
    WORK = "work",
    WRITE = "write",
    XA = "xa",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_length_does() {
        assert_eq!(key(b"SeLeCt"), SELECT);
        assert_ne!(key(b"selec"), SELECT);
        assert_ne!(key(b"selectx"), SELECT);
        assert_eq!(key(b"savepoint"), 0);
        assert_ne!(key(b"a_b"), key(b"a?b"));
        assert!(is(b"SavePoint", "savepoint"));
    }
}
