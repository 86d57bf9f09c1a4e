//! What clients see of a proxy that has nothing to do but forward.

use anyhow::Result;
use mysql_async::prelude::Queryable as _;
use tests::{
    lab::{mariadb::PASSWORD, topology::CLIENT},
    require,
};

use super::with_site;

#[test]
fn the_mariadb_client_reads_from_the_replica_and_writes_to_the_primary() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        assert_eq!(site.proxy.query("SELECT id FROM me")?, "2");
        assert_eq!(
            site.proxy
                .query("INSERT INTO t (v) VALUES (9); SELECT LAST_INSERT_ID(), @@server_id")?,
            "4\t1"
        );
        // Read your writes: the replica has it when it answers.
        for number in 0..20 {
            let sql = format!(
                "INSERT INTO t (v) VALUES ({}); SELECT COUNT(*) FROM t WHERE v = {0}",
                100 + number
            );
            assert_eq!(site.proxy.query(&sql)?, "1");
        }
        assert_eq!(
            site.proxy
                .query("BEGIN; SELECT id FROM me; COMMIT; SELECT id FROM me")?,
            "1\n2"
        );
        let version = site.primary.query("SELECT VERSION()")?;
        assert!(site.proxy.query("SELECT VERSION()")?.starts_with(&version));
        let status = site.proxy.status()?;
        assert_eq!(status["writer"], "db1");
        Ok(())
    })
}

#[test]
fn what_is_wrong_is_said_as_a_server_says_it() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        let said = |args: &[&str], sql: &str| -> Result<String> {
            let out = site.proxy.mariadb(args, sql)?;
            assert!(!out.status.success(), "{out:?}");
            Ok(String::from_utf8_lossy(&out.stderr).into_owned())
        };
        let wrong = said(&["--password=wrong"], "SELECT 1")?;
        assert!(
            wrong.contains(
                "ERROR 1045 (28000): Access denied for user 'app'@'10.77.0.1' (using password: YES)"
            ),
            "{wrong}"
        );
        let unknown = said(&["--user=nobody"], "SELECT 1")?;
        assert!(
            unknown.contains("ERROR 1045 (28000): Access denied for user 'nobody'"),
            "{unknown}"
        );
        let table = said(&[], "SELECT * FROM nothing")?;
        assert!(
            table.contains("ERROR 1146 (42S02) at line 1: Table 'shop.nothing' doesn't exist"),
            "{table}"
        );
        let database = said(&[], "USE nodb")?;
        assert!(
            database.contains("ERROR 1044") || database.contains("ERROR 1049"),
            "{database}"
        );
        assert!(!site.proxy.daemon().log()?.contains(PASSWORD));
        Ok(())
    })
}

#[test]
fn long_statements_long_rows_files_and_several_results_go_through() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site("", &[], |site| {
        site.primary
            .query("SET GLOBAL max_allowed_packet = 64 << 20")?;
        site.replica
            .query("SET GLOBAL max_allowed_packet = 64 << 20")?;
        site.client(async |mut conn| {
            // More than one packet of 16 MB, both ways.
            let long = "x".repeat(20 << 20);
            let sql = format!("SELECT '{long}', LENGTH('{long}')");
            let row: Option<(String, usize)> = conn.query_first(sql).await?;
            assert!(row == Some((long.clone(), long.len())));
            let several =
                "SELECT 1; SELECT 2 UNION SELECT 3; INSERT INTO t (v) VALUES (5); SELECT 4";
            let mut results = conn.query_iter(several).await?;
            let mut seen: Vec<Vec<u8>> = Vec::new();
            while !results.is_empty() {
                seen.push(results.collect().await?);
            }
            assert_eq!(seen, [vec![1], vec![2, 3], vec![], vec![4]]);
            drop(results);
            conn.ping().await?;
            Ok(())
        })?;
        let file = site.lab.host_dir(CLIENT)?.join("rows.csv");
        std::fs::write(&file, "1001,7\n1002,8\n")?;
        let load = format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE t FIELDS TERMINATED BY ','; \
             SELECT SUM(v) FROM t WHERE id > 1000",
            file.display()
        );
        let out = site.proxy.mariadb(&["--local-infile=1"], &load)?;
        assert_eq!(String::from_utf8_lossy(&out.stdout), "15\n", "{out:?}");
        Ok(())
    })
}
