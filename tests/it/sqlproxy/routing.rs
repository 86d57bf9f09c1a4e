//! Which server really answers: each statement carries a number in a comment, and the servers' general logs
//! say who got it; as text and prepared, alone and in transactions.
//!
//! Not here: classes and reasons of many more statements, which the lexer's own table has.

use anyhow::Result;
use mysql_async::{Conn, prelude::Queryable as _};
use tests::{
    lab::mariadb::{MariaDb, SCHEMA},
    require,
};

use super::with_site;

/// The replica can have these.
const READS: &[&str] = &[
    "SELECT v FROM t WHERE id = 1",
    "SELECT COUNT(*) FROM t",
    "(SELECT v FROM t LIMIT 1)",
    "SELECT 1 UNION SELECT 2",
    "WITH c AS (SELECT v FROM t) SELECT * FROM c",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c",
    "VALUES (1, 2)",
    "SELECT 'FOR UPDATE', \"INTO OUTFILE\", `v` FROM t",
    "SELECT REPLACE('a', 'a', 'b'), INSERT('abc', 1, 1, 'x')",
    "SELECT a.v FROM t a JOIN t b USING (id) GROUP BY a.v HAVING COUNT(*) > 0 ORDER BY 1",
    "SELECT v FROM t FORCE INDEX (PRIMARY) WHERE id IN (1, 2)",
    "SELECT ROW_NUMBER() OVER (ORDER BY id) FROM t",
    "SELECT DATE_ADD(NOW(), INTERVAL 1 DAY), IF(1, 2, 3), COALESCE(NULL, 1)",
    "SELECT UUID(), RAND(), DATABASE(), USER()",
    "SELECT EXISTS (SELECT 1 FROM t WHERE v = ANY (SELECT v FROM t))",
    "SELECT CASE WHEN v THEN 1 ELSE 2 END FROM t",
    "SELECT x'41', _utf8mb4'x', 0x41, 1e5, .5",
    "SELECT JSON_EXTRACT('{\"a\": 1}', '$.a')",
    "SELECT SQL_NO_CACHE v FROM t",
    "SELECT DISTINCT v FROM t",
    "SELECT * FROM (SELECT 1 AS a) AS d",
    "SELECT SUBSTRING('abc' FROM 1 FOR 2)",
    "SHOW TABLES",
    "SHOW COLUMNS FROM t",
    "SHOW INDEX FROM t",
    "SHOW CREATE TABLE t",
    "SELECT MAX(v), MIN(v), SUM(v), GROUP_CONCAT(v ORDER BY v SEPARATOR ',') FROM t",
    "SELECT v FROM t WHERE v BETWEEN 1 AND 5 OR v IS NULL ORDER BY v DESC LIMIT 2 OFFSET 1",
    "SELECT CAST(v AS DECIMAL(10,2)), CONVERT(v, CHAR(5)) FROM t",
    "SELECT 5--1, 7 DIV 2, 7 MOD 2, 1 XOR 0, 1 <=> 1",
    "SELECT t.v AS `update`, 1 AS `into` FROM t",
    "SHOW TABLE STATUS LIKE 't'",
    "SHOW FULL COLUMNS FROM t",
    "SELECT VERSION()",
    "/*slave*/ SELECT 3",
    "/*#mycat:db_type=slave*/ SELECT 3",
];

/// The primary has to have these.
const WRITES: &[&str] = &[
    "INSERT INTO t (v) VALUES (1)",
    "INSERT INTO t (v) SELECT 5",
    "UPDATE t SET v = 7 WHERE id = 1",
    "UPDATE t a JOIN t b USING (id) SET a.v = 8 WHERE b.id = 1",
    "DELETE FROM t WHERE id = 999",
    "REPLACE INTO t VALUES (3, 4)",
    "SELECT v FROM t WHERE id = 1 FOR UPDATE",
    "SELECT v FROM t WHERE id = 1 LOCK IN SHARE MODE",
    "SELECT v FROM t WHERE id IN (SELECT id FROM t WHERE id = 1 FOR UPDATE)",
    "SELECT LAST_INSERT_ID()",
    "SELECT CONNECTION_ID()",
    "SELECT @a",
    "SELECT @@version",
    "SELECT GET_LOCK('a', 0)",
    "SELECT RELEASE_LOCK('a')",
    "SELECT twice(2)",
    "DO 1",
    "CALL nothing()",
    "SHOW VARIABLES LIKE 'version'",
    "SHOW STATUS LIKE 'Uptime'",
    "CREATE TEMPORARY TABLE IF NOT EXISTS temporary_one (a INT)",
    "/*master*/ SELECT 3",
    "/*+ viaduct:primary */ SELECT 3",
    "/*#mycat:db_type=master*/ SELECT 3",
    "SELECT 3 /*!50000 FOR UPDATE */",
    "ANALYZE TABLE t",
    "INSERT INTO t (v) VALUES (1) RETURNING id",
    "SET @a = 5",
];

/// In which surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Nothing,
    Transaction,
    ReadOnly,
}

struct Case {
    mark: String,
    is_replica: bool,
    what: String,
}

#[test]
fn every_statement_is_answered_by_the_server_that_may() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        let make = format!(
            "CREATE PROCEDURE {SCHEMA}.nothing() SELECT 1; \
             CREATE FUNCTION {SCHEMA}.twice(a INT) RETURNS INT DETERMINISTIC RETURN 2 * a"
        );
        site.primary.query(&make)?;
        site.replica.catch_up(&site.primary)?;
        for server in [&site.primary, &site.replica] {
            server.query("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1")?;
        }
        let mut cases = Vec::new();
        site.client(async |mut conn| {
            for prepared in [false, true] {
                for within in [Within::Nothing, Within::Transaction, Within::ReadOnly] {
                    for (sql, reads) in each() {
                        run(&mut conn, sql, reads, prepared, within, &mut cases).await?;
                    }
                }
            }
            Ok(())
        })?;
        assert!(cases.len() >= 300, "{} cases", cases.len());
        let (primary, replica) = (marks(&site.primary)?, marks(&site.replica)?);
        let wrong: Vec<_> = cases
            .iter()
            .filter(|case| {
                let seen = (primary.contains(&case.mark), replica.contains(&case.mark));
                seen != (!case.is_replica, case.is_replica)
            })
            .map(|case| format!("{} (replica: {})", case.what, case.is_replica))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {}:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
        Ok(())
    })
}

fn each() -> impl Iterator<Item = (&'static str, bool)> {
    let reads = READS.iter().map(|sql| (*sql, true));
    reads.chain(WRITES.iter().map(|sql| (*sql, false)))
}

async fn run(
    conn: &mut Conn,
    sql: &str,
    reads: bool,
    prepared: bool,
    within: Within,
    cases: &mut Vec<Case>,
) -> Result<()> {
    let is_write = [
        "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "CALL", "ANALYZE",
    ]
    .iter()
    .any(|word| sql.starts_with(word));
    // A server refuses these in a READ ONLY transaction.
    if within == Within::ReadOnly && (is_write || !reads) {
        return Ok(());
    }
    // The client takes `:primary` for a parameter's name.
    if prepared && sql.contains("viaduct:") {
        return Ok(());
    }
    // What the one before left is gone.
    conn.reset().await?;
    match within {
        Within::Nothing => {}
        Within::Transaction => conn.query_drop("BEGIN").await?,
        Within::ReadOnly => conn.query_drop("START TRANSACTION READ ONLY").await?,
    }
    let mark = format!("case{:04}.", cases.len());
    let text = format!("{sql} /* {mark} */");
    let done = match prepared {
        true => match conn.prep(&text).await {
            Ok(statement) => {
                let done = conn.exec_drop(&statement, ()).await;
                conn.close(statement).await?;
                done
            }
            // Not everything can be prepared.
            Err(mysql_async::Error::Server(error)) if error.code == 1295 => return Ok(()),
            Err(error) => Err(error),
        },
        false => conn.query_drop(&text).await,
    };
    let what = format!("{sql} (prepared: {prepared}, {within:?})");
    done.map_err(|error| anyhow::anyhow!("{what}: {error}"))?;
    if within != Within::Nothing {
        conn.query_drop("ROLLBACK").await?;
    }
    let is_replica = match within {
        Within::Nothing => reads && !is_hinted_to_primary(sql),
        Within::Transaction => false,
        Within::ReadOnly => true,
    };
    cases.push(Case {
        mark,
        is_replica,
        what,
    });
    Ok(())
}

fn is_hinted_to_primary(sql: &str) -> bool {
    sql.contains("master") || sql.contains("viaduct:primary")
}

/// All that a server was told since the log began.
fn marks(server: &MariaDb<'_>) -> Result<String> {
    server.query(
        "SELECT REPLACE(argument, '\n', ' ') FROM mysql.general_log \
         WHERE argument LIKE '%case%' AND command_type IN ('Query', 'Execute') \
         AND user_host LIKE '%[app] @%'",
    )
}
