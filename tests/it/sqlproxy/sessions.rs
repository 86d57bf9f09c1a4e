//! Sessions: what they set follows them, what cannot follow ties them, and clients cannot tell that there is
//! a proxy.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mysql_async::prelude::Queryable as _;
use serde_json::Value;
use tests::{
    lab::{
        mariadb::{APP, PASSWORD, SCHEMA},
        netns,
        proxy::PROXY_ADDRESS,
        sqlproxy::PORT,
        topology::CLIENT,
    },
    require,
};

use super::{Site, reads_from, with_site};

/// Nothing takes so long.
const HANGS: Duration = Duration::from_secs(30);

/// Random sessions, direct and through the proxy, by PyMySQL: texts, results, errors, warnings and flags must
/// be the same.
fn differential(site: &Site<'_>, seed: u32) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/it/sqlproxy/differential.py");
    let mut python = netns::command(&site.lab.netns(CLIENT), "/usr/bin/python3");
    let (direct, replica) = (site.primary.address(), site.replica.address());
    let out = python
        .args([script, APP, PASSWORD, SCHEMA])
        .args([direct.ip().to_string(), direct.port().to_string()])
        .args([PROXY_ADDRESS.to_string(), PORT.to_string()])
        .args([replica.ip().to_string(), replica.port().to_string()])
        .args([seed.to_string(), "12".to_owned()])
        .output()
        .context("is python3-pymysql installed?")?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let why = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.success(),
        "{said}{why}{}",
        site.proxy.daemon().story()
    );
    assert!(
        said.contains("12 sessions, 480 statements, all the same"),
        "{said}"
    );
    Ok(())
}

#[test]
fn pymysql_cannot_tell_the_proxy_from_the_server() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy, pymysql);
    with_site("", &[], |site| differential(site, 1))
}

#[test]
fn nor_where_its_session_moves_before_every_statement() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy, pymysql);
    with_site("", &["--always-move"], |site| differential(site, 2))
}

#[test]
fn what_ties_a_session_is_told_and_goes() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        let pinned = || -> Result<Value> { Ok(site.proxy.status()?["pinned"].clone()) };
        site.client(async |mut conn| {
            assert_eq!(reads_from(&mut conn).await?, 2);
            for (tie, why, free) in [
                ("BEGIN", "transaction", "COMMIT"),
                ("LOCK TABLES t READ, me READ", "table-lock", "UNLOCK TABLES"),
                (
                    "SELECT GET_LOCK('a', 0)",
                    "user-lock",
                    "SELECT RELEASE_ALL_LOCKS()",
                ),
            ] {
                conn.query_drop(tie).await?;
                assert_eq!(reads_from(&mut conn).await?, 1, "{tie}");
                let told = pinned()?;
                assert_eq!(told[0]["why"][0], why, "{told}");
                assert_eq!(told[0]["server"], "db1");
                conn.query_drop(free).await?;
                assert_eq!(reads_from(&mut conn).await?, 2, "{free}");
                assert_eq!(pinned()?, Value::Array(Vec::new()));
            }
            for tie in [
                "SET @a = 5",
                "CREATE TEMPORARY TABLE temporary_one (a INT)",
                "PREPARE p FROM 'SELECT 1'",
                "HANDLER t OPEN",
            ] {
                conn.query_drop(tie).await?;
                assert_eq!(reads_from(&mut conn).await?, 1, "{tie}");
                conn.reset().await?;
                assert_eq!(reads_from(&mut conn).await?, 2, "{tie}");
            }
            Ok(())
        })
    })
}

#[test]
fn prepared_statements_are_split_and_follow_their_session() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &["--always-move"], |site| {
        site.client(async |mut conn| {
            let read = conn.prep("SELECT id + ? FROM me").await?;
            let write = conn.prep("INSERT INTO t (v) VALUES (?)").await?;
            for number in 0_u64..5 {
                let id: Option<u64> = conn.exec_first(&read, (number,)).await?;
                assert_eq!(id, Some(2 + number));
                conn.exec_drop(&write, (1000 + number,)).await?;
                conn.query_drop("BEGIN").await?;
                let id: Option<u64> = conn.exec_first(&read, (number,)).await?;
                assert_eq!(id, Some(1 + number));
                conn.query_drop("COMMIT").await?;
            }
            let wrote: Option<u64> = conn
                .query_first("SELECT COUNT(*) FROM t WHERE v >= 1000")
                .await?;
            assert_eq!(wrote, Some(5));
            conn.close(read).await?;
            Ok(())
        })?;
        let left = site
            .replica
            .query("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")?;
        assert!(!left.is_empty());
        Ok(())
    })
}

#[test]
fn a_long_parameter_goes_in_pieces() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &["--always-move"], |site| {
        for server in [&site.primary, &site.replica] {
            server.query("SET GLOBAL max_allowed_packet = 64 << 20")?;
        }
        site.client(async |mut conn| {
            let long = "y".repeat(20 << 20);
            let length = conn.prep("SELECT LENGTH(?)").await?;
            let told: Option<usize> = conn.exec_first(&length, (long.as_str(),)).await?;
            assert_eq!(told, Some(long.len()));
            Ok(())
        })
    })
}

/// What is left of a message that its server took no more of is no command: here it would be the front of one
/// that never ends, and nobody would be answered.
#[test]
fn what_a_server_takes_no_more_of_ends_with_its_message() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.client(async |mut conn| {
            let to = conn.opts().clone();
            let long = "y".repeat(20 << 20);
            let length = conn.prep("SELECT LENGTH(?)").await?;
            let told = conn.exec_first::<u64, _, _>(&length, (long,));
            let told = tokio::time::timeout(HANGS, told).await;
            let told = told.context("no answer")?;
            assert!(told.is_err(), "more than max_allowed_packet: {told:?}");
            let mut other = mysql_async::Conn::new(to).await?;
            assert_eq!(other.query_first("SELECT 7").await?, Some(7));
            Ok(())
        })
    })
}

#[test]
fn a_session_can_be_killed_by_its_own_number() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.client(async |mut conn| {
            let number = conn.id();
            let kill = format!("KILL QUERY {number}");
            let sleep = conn.query_first::<u8, _>("SELECT SLEEP(30) FROM t WHERE id = 1");
            let killed = async {
                // Once a server has it.
                site.replica
                    .wait_for("SHOW PROCESSLIST", "the statement", |rows| {
                        rows.contains("SLEEP(30)")
                    })?;
                site.proxy.query(&kill)
            };
            let (slept, killed) = tokio::join!(sleep, killed);
            killed?;
            assert!(!matches!(slept, Ok(Some(0))), "{slept:?}");
            assert_eq!(reads_from(&mut conn).await?, 2, "the session goes on");
            let refused = site.proxy.mariadb(&[], "KILL 4000000000")?;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(said.contains("ERROR 1094"), "{said}");
            site.proxy.query(&format!("KILL {number}"))?;
            let gone = conn.query_drop("SELECT SLEEP(30)").await;
            assert!(gone.is_err(), "the session has ended");
            Ok(())
        })
    })
}
