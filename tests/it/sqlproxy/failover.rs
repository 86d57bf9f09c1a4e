//! Dual primaries and one writer, whatever dies: two sqlproxies, two directors as witnesses, two servers,
//! clients that keep a journal. The rows of docs/sql-failover.md that name a test name these.
//!
//! Each ends by looking that what was acknowledged is on the writer, nothing twice, and that no two servers
//! took statements. How long it took is told, not asserted.
//!
//! Not here: every partition in two, which the package `election` plays in virtual time.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    lab::{
        Lab,
        mariadb::{MariaDb, SCHEMA},
        sqlsite::{
            DIRECTORS, InWitness, Journal, Leader, Writer, check, make_journal, network, servers,
            site_file,
        },
    },
    require,
};

/// A running site.
struct Site<'l> {
    lab: &'l Lab,
    dbs: [MariaDb<'l>; 2],
    proxies: [Leader; 2],
    _witnesses: Vec<InWitness>,
}

impl Site<'_> {
    /// Two clients, one at each proxy.
    fn clients(&self) -> [Writer; 2] {
        [("sql1", 1), ("sql2", 1_000_000)]
            .map(|(proxy, first)| Writer::start(self.lab, proxy, first))
    }

    /// Both proxies write to this server.
    fn writes_to(&self, server: &str) -> Result<()> {
        self.proxies
            .iter()
            .try_for_each(|proxy| proxy.wait_writer(Some(server)))
    }

    /// The first server, which was the writer, is back and read-only. Not asked itself: a fence kills
    /// whoever asks.
    fn is_fenced(&self) -> Result<()> {
        let fenced = |status: &Value| {
            let db1 = &status["election"]["servers"][0];
            db1["seen"] == "up" && db1["is_read_only"] == true && status["writer"] == "db2"
        };
        self.proxies
            .iter()
            .try_for_each(|proxy| proxy.wait("db1 to be fenced", fenced).map(drop))
    }

    /// The first server, which was the writer, reads again and has nothing of its own.
    fn reads_again(&self) -> Result<()> {
        self.proxies[1].wait("db1 as a reader", |status| {
            status["servers"][0]["serves_reads"] == true && status["writer"] == "db2"
        })?;
        assert_eq!(self.dbs[0].query("SELECT @@read_only")?, "1", "fenced");
        Ok(())
    }
}

/// A site on whose first server both proxies write, with an empty journal.
fn with_site(test: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let lab = Lab::build(network())?;
    let dbs = servers(&lab)?;
    make_journal(&dbs[0])?;
    dbs[1].catch_up(&dbs[0])?;
    let file = site_file(&lab, &dbs, true)?;
    let witnesses: Result<Vec<_>> = DIRECTORS
        .map(|host| InWitness::start(&lab, &file, host))
        .into_iter()
        .collect();
    let proxies = [
        Leader::start(&lab, &file, "sql1")?,
        Leader::start(&lab, &file, "sql2")?,
    ];
    let site = Site {
        lab: &lab,
        dbs,
        proxies,
        _witnesses: witnesses?,
    };
    site.writes_to("db1")?;
    test(&site)?;
    drop(site);
    lab.finish()
}

fn finish(clients: [Writer; 2], what: &str) -> Result<[Journal; 2]> {
    let [one, two] = clients;
    let journals = [one.finish()?, two.finish()?];
    for (journal, proxy) in journals.iter().zip(["sql1", "sql2"]) {
        let (rows, failed, gap) = (journal.written.len(), journal.failures.len(), journal.gap());
        eprintln!("{what}: {proxy}: {rows} rows, {failed} failed, longest gap {gap:?}");
        for failure in journal.failures.iter().take(5) {
            eprintln!("    {failure}");
        }
    }
    Ok(journals)
}

#[test]
fn a_killed_writer_is_replaced_and_comes_back_as_a_reader() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        let clients = site.clients();
        clients.iter().try_for_each(|client| client.more(50))?;
        site.dbs[0].kill()?;
        site.writes_to("db2")?;
        clients.iter().try_for_each(|client| client.more(50))?;
        site.dbs[0].start()?;
        site.reads_again()?;
        clients.iter().try_for_each(|client| client.more(20))?;
        let journals = finish(clients, "killed")?;
        check(&site.dbs[1], &[&journals[0], &journals[1]], 1)
    })
}

#[test]
fn a_hung_writer_is_replaced_and_fenced_when_it_wakes() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        let clients = site.clients();
        clients.iter().try_for_each(|client| client.more(50))?;
        site.dbs[0].hang()?;
        site.writes_to("db2")?;
        clients.iter().try_for_each(|client| client.more(50))?;
        site.dbs[0].wake()?;
        site.is_fenced()?;
        clients.iter().try_for_each(|client| client.more(20))?;
        let journals = finish(clients, "hung")?;
        check(&site.dbs[1], &[&journals[0], &journals[1]], 1)
    })
}

#[test]
fn a_writer_that_nobody_reaches_is_replaced_and_fenced_on_first_contact() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        let clients = site.clients();
        clients.iter().try_for_each(|client| client.more(50))?;
        site.lab.cut("db1")?;
        site.writes_to("db2")?;
        clients.iter().try_for_each(|client| client.more(50))?;
        site.lab.rejoin("db1")?;
        site.is_fenced()?;
        clients.iter().try_for_each(|client| client.more(20))?;
        let journals = finish(clients, "cut off")?;
        check(&site.dbs[1], &[&journals[0], &journals[1]], 1)
    })
}

#[test]
fn a_proxy_that_alone_has_lost_the_writer_refuses_writes_and_elects_nobody() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        site.lab.part("sql1", "db1")?;
        site.proxies[0].wait_writer(None)?;
        let client = Writer::start(site.lab, "sql2", 1);
        client.more(300)?;
        let status = site.proxies[1].status()?;
        assert_eq!(
            (&status["writer"], &status["election"]["epoch"]),
            (&"db1".into(), &0.into())
        );
        assert_eq!(site.proxies[0].status()?["writer"], Value::Null);
        site.lab.unite("sql1", "db1")?;
        site.writes_to("db1")?;
        let journal = client.finish()?;
        assert!(journal.failures.is_empty(), "{:?}", journal.failures);
        check(&site.dbs[0], &[&journal], 0)
    })
}

#[test]
fn a_writer_and_the_proxy_beside_it_may_die_together() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        let clients = site.clients();
        clients.iter().try_for_each(|client| client.more(50))?;
        site.proxies[0].daemon.kill()?;
        site.dbs[0].kill()?;
        site.proxies[1].wait_writer(Some("db2"))?;
        clients[1].more(50)?;
        let journals = finish(clients, "writer and proxy killed")?;
        check(&site.dbs[1], &[&journals[0], &journals[1]], 1)
    })
}

#[test]
fn what_a_writer_alone_has_is_listed_and_the_other_is_taken_by_an_operators_word_only() -> Result<()>
{
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        site.lab.part("db1", "db2")?;
        // Commits wait no more once the other is known to receive nothing.
        site.proxies[0].wait("db2 behind", |status| {
            status["election"]["servers"][1]["is_current"] == false
        })?;
        let client = Writer::start(site.lab, "sql1", 1);
        client.more(20)?;
        site.dbs[0].kill()?;
        site.proxies
            .iter()
            .try_for_each(|proxy| proxy.wait_writer(None))?;
        let journal = client.finish()?;
        let refused = site.proxies[0].switchover(&["db2"])?;
        assert!(
            refused.is_err_and(|why| why.contains("there is no writer")),
            "it is not taken"
        );
        for proxy in &site.proxies {
            proxy
                .switchover(&["--force", "db2"])?
                .map_err(anyhow::Error::msg)?;
        }
        site.writes_to("db2")?;
        site.lab.unite("db1", "db2")?;
        site.dbs[0].start()?;
        let status = site.proxies[1].wait("stranded transactions", |status| {
            status["election"]["servers"][0]["stranded"][0].is_string()
        })?;
        let stranded = &status["election"]["servers"][0]["stranded"];
        assert!(
            stranded[0]
                .as_str()
                .is_some_and(|gtid| gtid.starts_with("1-1-")),
            "{stranded}"
        );
        assert_eq!(status["servers"][0]["serves_reads"], false);
        assert!(journal.written.len() >= 20);
        Ok(())
    })
}

#[test]
fn a_planned_move_fails_no_statement() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    with_site(|site| {
        let clients = site.clients();
        clients.iter().try_for_each(|client| client.more(50))?;
        site.proxies[0]
            .switchover(&["db2"])?
            .map_err(anyhow::Error::msg)?;
        site.writes_to("db2")?;
        clients.iter().try_for_each(|client| client.more(50))?;
        site.proxies[1].wait("db1 ready", |status| {
            let db1 = &status["election"]["servers"][0];
            db1["is_current"] == true && status["election"]["leases"][0].as_u64() >= Some(3)
        })?;
        site.proxies[1]
            .switchover(&["db1"])?
            .map_err(anyhow::Error::msg)?;
        site.writes_to("db1")?;
        clients.iter().try_for_each(|client| client.more(50))?;
        let journals = finish(clients, "moved twice")?;
        for journal in &journals {
            assert!(journal.failures.is_empty(), "{:?}", journal.failures);
        }
        check(&site.dbs[0], &[&journals[0], &journals[1]], 2)
    })
}

#[test]
fn a_sqlproxy_without_peers_leads_too() -> Result<()> {
    require!(root, tools, mariadb, sqlproxy);
    let lab = Lab::build(network())?;
    let dbs = servers(&lab)?;
    make_journal(&dbs[0])?;
    dbs[1].catch_up(&dbs[0])?;
    let file = site_file(&lab, &dbs, false)?;
    let proxy = Leader::start(&lab, &file, "sql1")?;
    proxy.wait_writer(Some("db1"))?;
    let client = Writer::start(&lab, "sql1", 1);
    client.more(50)?;
    dbs[0].kill()?;
    proxy.wait_writer(Some("db2"))?;
    client.more(50)?;
    // Who the writer is outlives the proxy.
    proxy.daemon.kill()?;
    dbs[0].start()?;
    let proxy = Leader::start(&lab, &file, "sql1")?;
    proxy.wait_writer(Some("db2"))?;
    client.more(50)?;
    let journal = client.finish()?;
    check(&dbs[1], &[&journal], 1)?;
    let rows = dbs[1].query(&format!("SELECT COUNT(*) FROM {SCHEMA}.journal"))?;
    let rows: usize = rows.parse().context("a count")?;
    assert!(rows >= journal.written.len());
    lab.finish()
}
