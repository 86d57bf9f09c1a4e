//! The lab's MariaDB: what the tests of the SQL proxy build on.
//!
//! Not here: the proxy.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        mariadb::{APP, PASSWORD, SCHEMA, Setup},
        netns,
        topology::{CLIENT, Method, no_director, web, web_address},
    },
    require,
};

#[test]
fn a_pair_replicates_both_ways_and_survives_kill_9_with_what_was_committed() -> Result<()> {
    require!(root, tools, mariadb);
    let lab = Lab::build(no_director(2))?;
    let address = |number| web_address(Method::Fullnat, number);
    let (host1, host2) = (web(1), web(2));
    let setup = |number| Setup::new(number, address(number));
    let [one, two] = lab.mariadb_pair([(&host1, setup(1)), (&host2, setup(2))])?;
    assert_eq!(one.query("SELECT @@read_only")?, "1");
    one.query("SET GLOBAL read_only = 0")?;
    let create = format!("CREATE TABLE {SCHEMA}.t (id INT PRIMARY KEY AUTO_INCREMENT)");
    one.query(&create)?;

    // As an application does: over TCP, from another host.
    let mut client = netns::command(&lab.netns(CLIENT), "mariadb");
    let insert = format!("INSERT INTO {SCHEMA}.t VALUES (), ()");
    let to = format!("--host={}", one.address().ip());
    let (user, password) = (format!("--user={APP}"), format!("--password={PASSWORD}"));
    let out = client
        .args(["--no-defaults", &to, &user, &password, "-e", &insert])
        .output()?;
    assert!(out.status.success(), "{out:?}");

    one.kill()?;
    let rows = format!("SELECT GROUP_CONCAT(id) FROM {SCHEMA}.t");
    two.wait_for(&rows, "the rows", |ids| ids == "1,3")?;
    two.query("SET GLOBAL rpl_semi_sync_master_enabled = 0, read_only = 0")?;
    two.query(&format!("INSERT INTO {SCHEMA}.t VALUES ()"))?;
    one.start()?;
    one.catch_up(&two)?;
    assert_eq!(one.query(&rows)?, "1,3,4");
    one.hang()?;
    one.wake()?;
    one.stop()?;
    lab.finish()
}
