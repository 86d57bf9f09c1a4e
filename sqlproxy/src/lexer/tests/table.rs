//! Statements, where they go, and why: one line each. What is of the session is told behind it.

use super::writes::OTHERS;
use crate::lexer::{Class, Dialect, Reason, Route, Traits, Transaction as T, classify};

pub(super) type Row = (&'static str, Class, Reason);

fn check(rows: &[Row], route: impl Fn(Class, Reason) -> Route) -> usize {
    let mut wrong = Vec::new();
    for &(text, class, reason) in rows {
        let told = classify(text.as_bytes(), Dialect::default(), true);
        let due = (class, reason, route(class, reason));
        if (told.class, told.reason, told.route) != due {
            let came = (told.class, told.reason, told.route);
            wrong.push(format!("{text}\n    due  {due:?}\n    came {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    rows.len()
}

const R: Class = Class::Read;
const U: Class = Class::Unknown;

/// Replicas can have these.
const READS: &[&str] = &[
    "SELECT 1",
    "select * from t where id = 5;",
    "SELECT c FROM sbtest1 WHERE id=5000",
    "  \t\r\n SELECT 1",
    "(SELECT 1)",
    "((SELECT 1) UNION (SELECT 2)) ORDER BY 1",
    "SELECT 1 UNION ALL SELECT 2",
    "SELECT * FROM a JOIN b USING (id) WHERE a.x IN (1, 2) GROUP BY a.y HAVING COUNT(*) > 1",
    "SELECT DISTINCT (a), MAX(b), GROUP_CONCAT(c ORDER BY d SEPARATOR ',') FROM t",
    "SELECT CAST(a AS DECIMAL(10,2)), CONVERT(b, CHAR(5)), CONVERT(c USING utf8mb4) FROM t",
    "SELECT DATE_ADD(NOW(), INTERVAL 1 DAY), IF(a, b, c), COALESCE(a, b), INTERVAL(1, 2, 3)",
    "SELECT 'for update', \"into outfile\", `get_lock` FROM `into`",
    "SELECT 1 /* FOR UPDATE */",
    "SELECT 1 -- FOR UPDATE\n",
    "SELECT 1 # INTO OUTFILE 'x'",
    "SELECT a AS `update` FROM t",
    "SELECT 'it''s' FROM t",
    "SELECT 'it\\'s; DROP TABLE t' FROM t",
    "SELECT REPLACE(a, 'x', 'y'), INSERT(a, 1, 2, 'z') FROM t",
    "SELECT 5--1, 7 DIV 2, 7 MOD 2, a XOR b, a <=> b FROM t",
    "SELECT SUBSTRING(a FROM 1 FOR 2) FROM t",
    "SELECT * FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 00:00:00'",
    "SELECT * FROM t FORCE INDEX (i) USE INDEX FOR JOIN (j) WHERE MATCH (a) AGAINST ('x')",
    "SELECT * FROM t PARTITION (p0, p1) LIMIT 5 OFFSET 10",
    "SELECT SUM(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
    "SELECT ROW_NUMBER() OVER w FROM t WINDOW w AS (PARTITION BY a)",
    "SELECT * FROM (SELECT 1 AS a) AS d (b)",
    "SELECT JSON_EXTRACT(a, '$.b'), a->'$.c', a->>'$.d' FROM t",
    "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$', b VARCHAR(10) PATH '$')) AS j",
    "SELECT SQL_NO_CACHE HIGH_PRIORITY a FROM t",
    "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
    "SELECT UUID(), RAND(), SLEEP(1), VERSION(), DATABASE(), USER(), CURRENT_USER()",
    "SELECT EXISTS (SELECT 1 FROM t WHERE a = ANY (SELECT b FROM u))",
    "SELECT CASE WHEN (a) THEN (b) ELSE (c) END FROM t",
    "SELECT x'41', b'01', N'x', _utf8mb4'x' COLLATE utf8mb4_bin, 0x41, 1e5, .5, 1.5e-3",
    "SELECT ? FROM t WHERE a = ? AND b LIKE ?",
    "SELECT :a FROM t",
    "WITH c AS (SELECT 1) SELECT * FROM c",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c",
    "WITH c (n) AS (SELECT 1) SELECT * FROM c",
    "TABLE t ORDER BY a LIMIT 5",
    "VALUES ROW(1, 2), ROW(3, 4)",
    "VALUES (1, 2)",
    "SHOW TABLES",
    "SHOW FULL TABLES FROM db LIKE 'x%'",
    "SHOW COLUMNS FROM t",
    "SHOW FULL COLUMNS FROM t",
    "SHOW FIELDS FROM t",
    "SHOW INDEX FROM t",
    "SHOW KEYS FROM t",
    "SHOW CREATE TABLE t",
    "SHOW CREATE VIEW v",
    "SHOW TABLE STATUS LIKE 't'",
    "SHOW DATABASES",
    "SHOW SCHEMAS",
    "SHOW TRIGGERS",
    "SHOW PROCEDURE STATUS",
    "SHOW FUNCTION STATUS",
    "SHOW COLLATION",
    "SHOW CHARACTER SET",
    "SHOW CHARSET",
    "DESCRIBE t",
    "DESC t a",
    "EXPLAIN t",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN FORMAT=JSON SELECT * FROM t",
    "EXPLAIN EXTENDED SELECT 1",
    "EXPLAIN ANALYZE SELECT * FROM t",
    "ANALYZE SELECT * FROM t",
    "ANALYZE FORMAT=JSON SELECT * FROM t",
    "HELP 'select'",
    "SET STATEMENT max_statement_time=1 FOR SELECT * FROM t",
    "/*!40101 SELECT */ 1",
    "SELECT /*! STRAIGHT_JOIN */ a FROM t",
    "SELECT /*+ MAX_EXECUTION_TIME(1000) */ a FROM t",
    "SELECT 1;;",
    "; SELECT 1",
];

/// Reads that are the primary's.
const PRIMARY_READS: &[(&str, Reason)] = &[
    ("SELECT * FROM t FOR UPDATE", Reason::LockingRead),
    (
        "SELECT * FROM t WHERE a='x' for\n update nowait",
        Reason::LockingRead,
    ),
    (
        "SELECT * FROM t FOR/**/UPDATE SKIP LOCKED",
        Reason::LockingRead,
    ),
    ("SELECT * FROM t FOR SHARE OF t", Reason::LockingRead),
    ("SELECT * FROM t LOCK IN SHARE MODE", Reason::LockingRead),
    ("(SELECT * FROM t FOR UPDATE)", Reason::LockingRead),
    (
        "SELECT * FROM (SELECT * FROM t FOR UPDATE) d",
        Reason::LockingRead,
    ),
    (
        "WITH c AS (SELECT 1) SELECT * FROM c, t FOR UPDATE",
        Reason::LockingRead,
    ),
    ("TABLE t FOR UPDATE", Reason::LockingRead),
    (
        "SELECT * FROM t FOR /*!40101 UPDATE */",
        Reason::LockingRead,
    ),
    ("SELECT * INTO OUTFILE '/tmp/x' FROM t", Reason::Into),
    ("SELECT a FROM t INTO DUMPFILE '/tmp/x'", Reason::Into),
    ("SELECT a INTO @x FROM t", Reason::Into),
    ("SELECT GET_LOCK('x', 10)", Reason::SessionFunction),
    ("SELECT get_lock ('x', 10)", Reason::SessionFunction),
    ("SELECT GET_LOCK/**/(1, 10)", Reason::SessionFunction),
    ("SELECT `my_function` /* x */ (1)", Reason::UnknownFunction),
    ("SELECT 2x(1)", Reason::UnknownFunction),
    ("SELECT RELEASE_LOCK('x')", Reason::SessionFunction),
    ("SELECT RELEASE_ALL_LOCKS()", Reason::SessionFunction),
    ("SELECT LAST_INSERT_ID()", Reason::SessionFunction),
    (
        "SELECT * FROM t WHERE id = LAST_INSERT_ID()",
        Reason::SessionFunction,
    ),
    ("SELECT @@last_insert_id", Reason::SessionFunction),
    ("SELECT @@identity", Reason::SessionFunction),
    ("SELECT CONNECTION_ID()", Reason::SessionFunction),
    ("SELECT @@pseudo_thread_id", Reason::SessionFunction),
    ("SELECT NEXTVAL(s)", Reason::Sequence),
    ("SELECT NEXT VALUE FOR s", Reason::Sequence),
    ("SELECT PREVIOUS VALUE FOR s", Reason::Sequence),
    ("SELECT LASTVAL(s)", Reason::Sequence),
    ("SELECT SETVAL(s, 5)", Reason::Sequence),
    ("SELECT @a", Reason::UserVariable),
    ("SELECT @a := 5", Reason::UserVariable),
    ("SELECT @a:=@a+1 FROM t", Reason::UserVariable),
    ("SELECT * FROM t WHERE a = @`b c`", Reason::UserVariable),
    ("SELECT @@server_id", Reason::SystemVariable),
    (
        "SELECT @@session.sql_mode, @@version",
        Reason::SystemVariable,
    ),
    ("SELECT IS_FREE_LOCK('x')", Reason::SystemVariable),
    (
        "SELECT MASTER_GTID_WAIT('0-1-5', 1)",
        Reason::SystemVariable,
    ),
    ("SELECT LOAD_FILE('/etc/motd')", Reason::SystemVariable),
    ("SELECT my_function(1)", Reason::UnknownFunction),
    ("SELECT db.my_function(1)", Reason::UnknownFunction),
    ("SELECT `my_function`(1)", Reason::UnknownFunction),
    ("SELECT value(1), path(2)", Reason::UnknownFunction),
    ("SELECT wsrep_last_written_gtid()", Reason::UnknownFunction),
    ("SHOW VARIABLES", Reason::ServerState),
    ("SHOW GLOBAL STATUS", Reason::ServerState),
    ("SHOW SESSION VARIABLES LIKE 'x'", Reason::ServerState),
    ("SHOW PROCESSLIST", Reason::ServerState),
    ("SHOW FULL PROCESSLIST", Reason::ServerState),
    ("SHOW MASTER STATUS", Reason::ServerState),
    ("SHOW BINARY LOG STATUS", Reason::ServerState),
    ("SHOW SLAVE STATUS", Reason::ServerState),
    ("SHOW REPLICA STATUS", Reason::ServerState),
    ("SHOW GRANTS", Reason::ServerState),
    ("SHOW ENGINE INNODB STATUS", Reason::ServerState),
    ("SHOW BINLOG EVENTS", Reason::ServerState),
    ("SHOW OPEN TABLES", Reason::ServerState),
    ("EXPLAIN FOR CONNECTION 5", Reason::ServerState),
];

/// Reads of what the statement before left.
const LAST: &[&str] = &[
    "SELECT FOUND_ROWS()",
    "SELECT ROW_COUNT()",
    "SELECT @@warning_count",
    "SELECT @@session.error_count",
    "SHOW WARNINGS",
    "SHOW ERRORS LIMIT 5",
    "SHOW COUNT(*) WARNINGS",
    "GET DIAGNOSTICS @a = NUMBER",
];

/// What a hint makes of a statement.
const HINTED: &[(&str, Route)] = &[
    ("/*master*/ SELECT 1", Route::Primary),
    ("SELECT /*+ viaduct:primary */ 1", Route::Primary),
    ("SELECT 1 -- maxscale route to master", Route::Primary),
    ("/*#mycat:db_type=master*/ SELECT 1", Route::Primary),
    ("/*!mycat:db_type=master*/ SELECT 1", Route::Primary),
    ("/*slave*/ SELECT 1", Route::Any),
    ("/*slave*/ SELECT my_function(1)", Route::Any),
    ("/*slave*/ SHOW STATUS", Route::Any),
    ("/*!mycat:db_type=slave*/ SELECT @@server_id", Route::Any),
    (
        "SELECT my_function(1) -- maxscale route to last",
        Route::Last,
    ),
    ("/*slave*/ SELECT 1 FOR UPDATE", Route::Primary),
    ("/*slave*/ INSERT INTO t VALUES (1)", Route::Primary),
    ("/*slave*/ SELECT @a", Route::Primary),
    ("/*slave*/ SELECT GET_LOCK('a', 1)", Route::Primary),
    ("/*slave*/ SELECT 1; DROP TABLE t", Route::Primary),
    ("'/*slave*/' SELECT 1", Route::Primary),
    ("SELECT '/*master*/'", Route::Any),
];

#[test]
fn every_statement_of_the_table_goes_where_it_is_due() {
    let reads: Vec<Row> = READS.iter().map(|&text| (text, R, Reason::Read)).collect();
    let primary: Vec<Row> = PRIMARY_READS
        .iter()
        .map(|&(text, reason)| (text, R, reason))
        .collect();
    let last: Vec<Row> = LAST
        .iter()
        .map(|&text| (text, R, Reason::Previous))
        .collect();
    let mut count = check(&reads, |_, _| Route::Any);
    count += check(&primary, |_, _| Route::Primary);
    count += check(&last, |_, _| Route::Last);
    count += check(OTHERS, |_, _| Route::Primary);
    let read_only = "START TRANSACTION READ ONLY";
    let row = (
        read_only,
        Class::Transaction(T::BeginReadOnly),
        Reason::Transaction,
    );
    count += check(&[row], |_, _| Route::Any);
    assert!(count > 250, "{count}");
}

#[test]
fn hints_are_granted_where_that_is_safe() {
    for &(text, route) in HINTED {
        let told = classify(text.as_bytes(), Dialect::default(), true);
        assert_eq!(told.route, route, "{text}: {told:?}");
    }
    let mycat = classify(
        b"/*!mycat:db_type=master*/ SELECT 1",
        Dialect::default(),
        true,
    );
    assert_eq!(mycat.blank, Some(0..25));
    let plain = classify(
        b"/*#mycat:db_type=master*/ SELECT 1",
        Dialect::default(),
        true,
    );
    assert_eq!(plain.blank, None);
}

#[test]
fn what_is_of_the_session_is_told() {
    for (text, traits) in [
        ("SELECT @a := 1", Traits::SETS_USER_VARIABLE),
        ("SELECT a INTO @a FROM t", Traits::SETS_USER_VARIABLE),
        ("UPDATE t SET a = @b", Traits::USER_VARIABLE),
        (
            "INSERT INTO t VALUES (LAST_INSERT_ID())",
            Traits::LAST_INSERT_ID,
        ),
        ("DO GET_LOCK('x', 1)", Traits::TAKES_LOCK),
        ("DO RELEASE_LOCK('x')", Traits::GIVES_LOCK),
        ("UPDATE t SET a = GET_LOCK('x', 1)", Traits::TAKES_LOCK),
        ("CREATE TEMPORARY TABLE t (a INT)", Traits::TEMPORARY),
        (
            "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
            Traits::TEMPORARY,
        ),
        (
            "/*!40101 CREATE TEMPORARY */ TABLE t (a INT)",
            Traits::TEMPORARY,
        ),
        ("LOCK TABLES t WRITE", Traits::TABLE_LOCK),
        ("FLUSH TABLES t WITH READ LOCK", Traits::TABLE_LOCK),
        ("FLUSH TABLES t FOR EXPORT", Traits::TABLE_LOCK),
        ("PREPARE s FROM @a", Traits::TEXT_PREPARED),
        ("HANDLER t OPEN", Traits::HANDLER),
        ("XA START 'x'", Traits::XA),
        ("SET GLOBAL a = 1", Traits::GLOBAL),
        ("SET a = 1, autocommit = 0", Traits::AUTOCOMMIT),
        ("SET NAMES utf8", Traits::SETS_VARIABLE),
        ("SELECT SQL_CALC_FOUND_ROWS a FROM t", Traits::REMEMBERED),
        ("SELECT SQL_CALC_FOUND_ROWS (a) FROM t", Traits::REMEMBERED),
        (
            "SELECT 1; CREATE TEMPORARY TABLE t (a INT)",
            Traits::TEMPORARY,
        ),
        ("SELECT 1; SET @a = 1", Traits::SETS_USER_VARIABLE),
        ("SELECT 1; USE x", Traits::SCHEMA),
        ("CALL p()", Traits::OPAQUE),
        ("EXECUTE s", Traits::OPAQUE),
        ("FROBNICATE", Traits::OPAQUE),
        ("BEGIN", Traits::BEGINS),
        ("SET TRANSACTION READ ONLY", Traits::NEXT_TRANSACTION),
    ] {
        let told = classify(text.as_bytes(), Dialect::default(), true);
        assert!(told.traits.any(traits), "{text}: {told:?}");
    }
    let plain = classify(b"SELECT c FROM t WHERE id = 5", Dialect::default(), true);
    assert_eq!(plain.traits, Traits::NONE);
}

#[test]
fn a_text_that_is_not_whole_is_the_primarys() {
    let told = classify(b"SELECT 1, ", Dialect::default(), false);
    assert_eq!(
        (told.class, told.reason, told.route),
        (U, Reason::TooLong, Route::Primary)
    );
    assert!(told.traits.any(Traits::OPAQUE));
}
