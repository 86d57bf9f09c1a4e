//! Servers that die: what goes on, and what clients are told.

use anyhow::Result;
use mysql_async::{Error, prelude::Queryable as _};
use tests::require;

use super::{reads_from, with_site};

fn code(result: Result<(), Error>) -> u16 {
    match result {
        Err(Error::Server(error)) => error.code,
        Ok(()) => 0,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn reads_go_on_when_the_replica_dies_even_those_in_flight() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.client(async |mut conn| {
            assert_eq!(reads_from(&mut conn).await?, 2);
            let read = "SELECT id FROM me WHERE SLEEP(2) = 0";
            let sent = conn.query_first::<u8, _>(read);
            let killed = async {
                site.replica
                    .wait_for("SHOW PROCESSLIST", "the statement", |rows| {
                        rows.contains("SLEEP(2)")
                    })?;
                site.replica.kill()
            };
            let (answer, killed) = tokio::join!(sent, killed);
            killed?;
            assert_eq!(answer?, Some(1), "the primary answers it");
            assert_eq!(reads_from(&mut conn).await?, 1);
            site.replica.start()?;
            site.proxy.wait_status("the replica", |status| {
                status["servers"][1]["is_up"] == true
            })?;
            let mut other = 0;
            for _ in 0..50 {
                other = reads_from(&mut conn).await?;
            }
            assert!(other == 1 || other == 2);
            Ok(())
        })
    })
}

#[test]
fn a_writes_outcome_is_not_guessed_and_a_lost_transaction_can_be_begun_again() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("writer_timeout = \"500ms\"", &[], |site| {
        site.client(async |mut conn| {
            // A transaction that waits for its next statement.
            conn.query_drop("BEGIN").await?;
            conn.query_drop("INSERT INTO t (v) VALUES (50)").await?;
            site.primary.kill()?;
            assert_eq!(
                code(conn.query_drop("INSERT INTO t (v) VALUES (51)").await),
                1213
            );
            // Nobody writes, others read.
            assert_eq!(
                code(conn.query_drop("INSERT INTO t (v) VALUES (52)").await),
                1290
            );
            assert_eq!(reads_from(&mut conn).await?, 2);
            site.primary.start()?;
            site.proxy
                .wait_status("the writer", |status| status["writer"] == "db1")?;
            conn.query_drop("INSERT INTO t (v) VALUES (53)").await?;
            // A statement in flight.
            let sent = conn.query_drop("INSERT INTO t (v) SELECT 54 + SLEEP(2)");
            let killed = async {
                site.primary
                    .wait_for("SHOW PROCESSLIST", "the statement", |rows| {
                        rows.contains("54 + SLEEP")
                    })?;
                site.primary.kill()
            };
            let (answer, killed) = tokio::join!(sent, killed);
            killed?;
            assert_eq!(code(answer), 2013);
            Ok(())
        })?;
        site.primary.start()?;
        let rows = site
            .primary
            .query("SELECT GROUP_CONCAT(v) FROM shop.t WHERE v >= 50")?;
        assert_eq!(rows, "53", "nothing was sent twice");
        let metrics = site.proxy.told("/metrics")?;
        assert!(
            metrics.contains("viaduct_sqlproxy_unknown_outcomes_total 1"),
            "{metrics}"
        );
        assert!(
            metrics.contains("viaduct_sqlproxy_lost_transactions_total 1"),
            "{metrics}"
        );
        Ok(())
    })
}

#[test]
fn a_session_does_not_read_what_is_older_than_its_writes() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("causal_timeout = \"200ms\"", &[], |site| {
        site.replica.query("STOP SLAVE SQL_THREAD")?;
        site.client(async |mut conn| {
            assert_eq!(reads_from(&mut conn).await?, 2);
            conn.query_drop("INSERT INTO t (v) VALUES (77)").await?;
            // The replica does not get there: the primary reads.
            let seen: Option<u64> = conn
                .query_first("SELECT COUNT(*) FROM t WHERE v = 77")
                .await?;
            assert_eq!((seen, reads_from(&mut conn).await?), (Some(1), 1));
            site.replica.query("START SLAVE SQL_THREAD")?;
            site.replica.catch_up(&site.primary)?;
            let seen: Option<u64> = conn
                .query_first("SELECT COUNT(*) FROM t WHERE v = 77")
                .await?;
            assert_eq!((seen, reads_from(&mut conn).await?), (Some(1), 2));
            Ok(())
        })
    })
}
