//! The daemon: reload, drain, limits, what it tells of itself.

use anyhow::{Context as _, Result};
use mysql_async::prelude::Queryable as _;
use nix::sys::signal::Signal;
use tests::{lab::sqlproxy::site as site_file, require};

use super::{reads_from, with_site};

#[test]
fn a_reload_keeps_sessions_and_a_bad_file_changes_nothing() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.client(async |mut conn| {
            conn.query_drop("BEGIN").await?;
            conn.query_drop("INSERT INTO t (v) VALUES (60)").await?;
            let servers = [&site.primary, &site.replica];
            let bad = site_file(site.lab, &servers, "readers = \"some\"")?;
            let refused = site.proxy.reload(&bad)?;
            let said = refused.expect_err("a bad file");
            assert!(said.contains("readers"), "{said}");
            let text = site_file(site.lab, &servers, "readers = \"writer\"")?;
            assert_eq!(site.proxy.reload(&text)?, Ok(2));
            conn.query_drop("COMMIT").await?;
            assert_eq!(reads_from(&mut conn).await?, 1, "by the new file");
            Ok(())
        })
    })
}

#[test]
fn a_stop_waits_for_transactions_and_ends_what_is_idle() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.client(async |mut conn| {
            conn.query_drop("BEGIN").await?;
            conn.query_drop("INSERT INTO t (v) VALUES (61)").await?;
            site.proxy.daemon().signal(Signal::SIGTERM)?;
            site.proxy
                .daemon()
                .wait_for_log("the listeners' end", |line| {
                    line.contains("listeners are closed")
                })?;
            assert_eq!(site.proxy.told("/health")?, "draining\n");
            conn.query_drop("COMMIT").await?;
            let _gone = conn.query_drop("SELECT 1").await;
            Ok(())
        })?;
        let ended = site.proxy.daemon().wait_exit()?;
        assert!(ended.success(), "{ended}");
        let rows = site
            .primary
            .query("SELECT COUNT(*) FROM shop.t WHERE v = 61")?;
        assert_eq!(rows, "1");
        Ok(())
    })
}

#[test]
fn more_sessions_than_connections_share_them_and_what_is_too_much_is_refused() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    let more = "queue_timeout = \"300ms\"\nmax_clients = 12";
    with_site(more, &[], |site| {
        let text = site_file(site.lab, &[&site.primary, &site.replica], more)?;
        let text = text.replace(
            "role = \"primary\"",
            "role = \"primary\"\nmax_connections = 2\nmin_connections = 0",
        );
        assert_eq!(site.proxy.reload(&text)?, Ok(2));
        site.client(async |first| {
            let mut all = vec![first];
            for _ in 0..7 {
                let to = all[0].opts().clone();
                all.push(mysql_async::Conn::new(to).await?);
            }
            for (number, conn) in all.iter_mut().enumerate() {
                conn.query_drop(format!(
                    "SET sql_mode = 'ANSI', SESSION wait_timeout = {}",
                    100 + number
                ))
                .await?;
            }
            // Two connections serve all of them, and each sees what it set.
            for (number, conn) in all.iter_mut().enumerate() {
                conn.query_drop("INSERT INTO t (v) VALUES (70)")
                    .await
                    .with_context(|| format!("session {number}"))?;
                let told = conn.query_first("SELECT @@wait_timeout").await;
                let told: Option<usize> = told.with_context(|| format!("session {number}"))?;
                assert_eq!(told, Some(100 + number));
            }
            all[0].query_drop("BEGIN").await?;
            all[0].query_drop("SELECT v FROM t FOR UPDATE").await?;
            all[1].query_drop("BEGIN").await?;
            all[1].query_drop("SELECT 1").await?;
            let refused = all[2].query_drop("INSERT INTO t (v) VALUES (71)").await;
            assert!(refused.is_err_and(|error| error.to_string().contains("max_connections")));
            all[1].query_drop("COMMIT").await?;
            all[0].query_drop("COMMIT").await?;
            all[2].query_drop("INSERT INTO t (v) VALUES (72)").await?;
            let to = all[0].opts().clone();
            let mut last = Vec::new();
            for _ in 0..5 {
                last.push(mysql_async::Conn::new(to.clone()).await);
            }
            let said = last.pop().map(|one| one.map(drop));
            assert!(said.is_some_and(|one| {
                one.is_err_and(|error| error.to_string().contains("Too many connections"))
            }));
            Ok(())
        })?;
        // Those that gave way to others are closed without a wait.
        let count = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'";
        let few = "two connections, and who looks after the server";
        site.primary.wait_for(count, few, |count| {
            matches!(count.trim(), "0" | "1" | "2" | "3")
        })?;
        Ok(())
    })
}
