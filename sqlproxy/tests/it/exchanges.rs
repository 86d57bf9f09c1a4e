//! What is asked in a recorded session, in order, and what has to come of it.
//!
//! Not here: the bytes that came (`tests/golden`).

use sqlproxy::wire::Capabilities;
use sqlproxy::wire::auth::Plugin;

/// One command and its answer.
pub(crate) struct Exchange {
    /// What it shows; the name in the recording.
    pub(crate) name: &'static str,
    /// The command's payload.
    pub(crate) payload: Vec<u8>,
    /// What a client uploads, where the server wants a file.
    pub(crate) file: &'static [u8],
    /// Results, rows and error that the answer has.
    pub(crate) expect: (u32, u64, Option<u16>),
}

/// Two sessions: a modern client's and an old one's.
pub(crate) fn sessions() -> [(&'static str, Capabilities); 2] {
    let both = Capabilities::MYSQL
        | Capabilities::REQUIRED
        | Capabilities::LONG_FLAG
        | Capabilities::TRANSACTIONS
        | Capabilities::PLUGIN_AUTH
        | Capabilities::LOCAL_FILES
        | Capabilities::MULTI_STATEMENTS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS;
    let modern = Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK;
    [("modern", both | modern), ("old", both)]
}

/// The user's password.
pub(crate) const PASSWORD: &[u8] = b"secret";

fn exchange(
    name: &'static str,
    payload: impl Into<Vec<u8>>,
    expect: (u32, u64, Option<u16>),
) -> Exchange {
    Exchange {
        name,
        payload: payload.into(),
        file: b"",
        expect,
    }
}

fn query(name: &'static str, text: &str, expect: (u32, u64, Option<u16>)) -> Exchange {
    exchange(name, [b"\x03", text.as_bytes()].concat(), expect)
}

fn prepare(name: &'static str, text: &str, expect: (u32, u64, Option<u16>)) -> Exchange {
    exchange(name, [b"\x16", text.as_bytes()].concat(), expect)
}

/// On the statement prepared last, as MariaDB's clients name it.
fn statement(
    name: &'static str,
    code: u8,
    rest: &[u8],
    expect: (u32, u64, Option<u16>),
) -> Exchange {
    exchange(name, [&[code], &[0xff; 4][..], rest].concat(), expect)
}

const OK: (u32, u64, Option<u16>) = (1, 0, None);
const NOTHING: (u32, u64, Option<u16>) = (0, 0, None);
/// One parameter that is the integer 1.
const ONE: &[u8] = b"\0\x01\x08\0\x01\0\0\0\0\0\0\0";

/// All of a session. `nonce` is the greeting's.
pub(crate) fn all(nonce: &[u8]) -> Vec<Exchange> {
    let mut all = setup();
    all.extend(text());
    all.extend(state());
    all.extend(prepared());
    all.extend(others(nonce));
    all
}

fn setup() -> Vec<Exchange> {
    vec![
        query(
            "set",
            "SET NAMES utf8mb4, session_track_schema=1, session_track_state_change=1, \
            session_track_transaction_info='CHARACTERISTICS', \
            session_track_system_variables='autocommit,last_gtid,character_set_client,sql_mode'",
            OK,
        ),
        exchange("init db", &b"\x02viaduct_record"[..], OK),
        query(
            "create",
            "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(400), \
            b BLOB) ENGINE=InnoDB",
            OK,
        ),
        query(
            "procedure",
            "CREATE OR REPLACE PROCEDURE p() BEGIN SELECT id FROM t; SELECT 2; END",
            OK,
        ),
        query(
            "insert",
            "INSERT INTO t (a, b) VALUES ('one', NULL), ('', 'x'), (REPEAT('é', 130), '')",
            OK,
        ),
    ]
}

fn text() -> Vec<Exchange> {
    vec![
        query("rows", "SELECT * FROM t ORDER BY id", (1, 3, None)),
        query("no rows", "SELECT * FROM t WHERE 0", (1, 0, None)),
        query("null first", "SELECT NULL, b FROM t", (1, 3, None)),
        query("a long row", "SELECT REPEAT('x', 300), ''", (1, 1, None)),
        query("an error", "SELECT * FROM nowhere", (0, 0, Some(1146))),
        query(
            "an error among rows",
            "SELECT (SELECT a FROM t y WHERE y.id <= t.id) FROM t ORDER BY id",
            (0, 1, Some(1242)),
        ),
        query(
            "several",
            "SELECT 1; UPDATE t SET a='z' WHERE id=1; SELECT 2, 3",
            (3, 2, None),
        ),
        query(
            "several until an error",
            "SELECT 1; SELECT * FROM nowhere; SELECT 2",
            (1, 1, Some(1146)),
        ),
        query("a call", "CALL p()", (3, 4, None)),
        query("set autocommit", "SET autocommit=0", OK),
        query("a write in it", "UPDATE t SET a='y' WHERE id=1", OK),
        query("commit", "COMMIT", OK),
        query("autocommit again", "SET autocommit=1", OK),
        query("read only", "START TRANSACTION READ ONLY", OK),
        query("rollback", "ROLLBACK", OK),
        query("use", "USE information_schema", OK),
        query("use again", "USE viaduct_record", OK),
        Exchange {
            file: b"100\tfrom a file\tx\n",
            ..query("a file", "LOAD DATA LOCAL INFILE 'f.tsv' INTO TABLE t", OK)
        },
        Exchange {
            file: b"",
            ..query(
                "an empty file",
                "LOAD DATA LOCAL INFILE 'f.tsv' INTO TABLE t",
                OK,
            )
        },
        query(
            "explain",
            "EXPLAIN SELECT * FROM t WHERE id=1",
            (1, 1, None),
        ),
    ]
}

/// Changes of state that no answer but session tracking tells of.
fn state() -> Vec<Exchange> {
    vec![
        query("a user variable", "SET @a = 5", OK),
        query(
            "a user variable in a select",
            "SELECT @b := 5",
            (1, 1, None),
        ),
        query("a user variable by into", "SELECT 5 INTO @c", OK),
        query(
            "a temporary table",
            "CREATE TEMPORARY TABLE tmp (a INT)",
            OK,
        ),
        query("a text prepared", "PREPARE s FROM 'SELECT 1'", OK),
        query("a lock", "SELECT GET_LOCK('x', 1)", (1, 1, None)),
        query(
            "a procedure that sets",
            "CREATE OR REPLACE PROCEDURE q() SET @d = 5",
            OK,
        ),
        query("a call that sets", "CALL q()", OK),
        query("a plain insert", "INSERT INTO t (a) VALUES ('five')", OK),
        query("a plain select", "SELECT 1", (1, 1, None)),
        query(
            "a session's isolation",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            OK,
        ),
        query(
            "the next isolation",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            OK,
        ),
        query("an untracked variable", "SET sort_buffer_size = 65536", OK),
        query("cleared", "DELETE FROM t WHERE a = 'five'", OK),
    ]
}

fn prepared() -> Vec<Exchange> {
    vec![
        prepare(
            "prepare",
            "SELECT id, a FROM t WHERE id >= ? ORDER BY id",
            NOTHING,
        ),
        statement(
            "execute",
            0x17,
            &[&b"\0\x01\0\0\0"[..], ONE].concat(),
            (1, 4, None),
        ),
        statement(
            "execute with a cursor",
            0x17,
            &[&b"\x01\x01\0\0\0"[..], ONE].concat(),
            OK,
        ),
        statement("fetch", 0x1c, b"\x02\0\0\0", (1, 2, None)),
        statement("fetch the rest", 0x1c, b"\x09\0\0\0", (1, 2, None)),
        statement("reset it", 0x1a, b"", OK),
        statement("close it", 0x19, b"", NOTHING),
        prepare("prepare an insert", "INSERT INTO t (a) VALUES (?)", NOTHING),
        statement("long data", 0x18, b"\0\0pieces", NOTHING),
        statement("execute the insert", 0x17, b"\0\x01\0\0\0\0\x01\xfc\0", OK),
        prepare("prepare without anything", "DO 1", NOTHING),
        statement("execute that", 0x17, b"\0\x01\0\0\0", OK),
        prepare("prepare without parameters", "SELECT 1, 2", NOTHING),
        prepare("prepare what is wrong", "SELEC 1", (0, 0, Some(1064))),
        prepare("prepare a call", "CALL p()", NOTHING),
        statement("execute the call", 0x17, b"\0\x01\0\0\0", (3, 6, None)),
        exchange(
            "execute what is not there",
            &b"\x17\x99\x99\0\0\0\x01\0\0\0"[..],
            (0, 0, Some(1243)),
        ),
    ]
}

fn others(nonce: &[u8]) -> Vec<Exchange> {
    let proof = Plugin::Native.proof(PASSWORD, nonce);
    let change = [
        &b"\x11viaduct\0\x14"[..],
        &proof,
        b"viaduct_record\0\x2d\0mysql_native_password\0",
    ];
    vec![
        exchange("field list", &b"\x04t\0"[..], OK),
        exchange(
            "field list of nothing",
            &b"\x04nowhere\0"[..],
            (0, 0, Some(1146)),
        ),
        exchange("statistics", &b"\x09"[..], NOTHING),
        exchange("ping", &b"\x0e"[..], OK),
        exchange("set option", &b"\x1b\0\0"[..], OK),
        exchange("process info", &b"\x0a"[..], (1, 1, None)),
        exchange(
            "kill nobody",
            &b"\x0c\xff\xff\xff\x7f"[..],
            (0, 0, Some(1094)),
        ),
        exchange("what there is not", &b"\x63"[..], (0, 0, Some(1047))),
        exchange("reset", &b"\x1f"[..], OK),
        exchange("change user", change.concat(), OK),
        exchange("still there", &b"\x0e"[..], OK),
    ]
}
