//! Site files good and bad: what is taken, and every mistake with the words and the place it is told
//! in. A bad file is [`GOOD`] with one thing changed, so that only that is told.

use super::*;
use crate::wire::auth::NativeHash;

const GOOD: &str = r#"[hosts.sql1]
addresses = ["10.77.0.21"]
[hosts.sql1.sqlproxy]
listen = ["10.77.0.21:8066", "/run/viaduct/mysql.sock"]

[director]
status = "127.0.0.1:9144"

[sqlproxy]
causal = "global"
readers = "all"
max_lag = "30s"

[[sqlproxy.server]]
name = "db1"
address = "10.77.0.31:3306"
role = "primary"

[[sqlproxy.server]]
name = "db2"
address = "[fd77::32]:3306"
role = "primary"
weight = 50
max_connections = 20
min_connections = 2

[[sqlproxy.user]]
name = "shop"
password_hash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"
server_user = "app"
server_password_file = "/etc/viaduct/app.password"
schema = "orders"
read_only = true
"#;

fn parse(text: &str) -> Result<Option<SqlSite>, String> {
    let source = SourceFile::new("site.toml", text);
    SqlSite::parse(source).map_err(|report| report.to_string())
}

#[test]
fn a_good_file_says_what_it_says_and_the_rest_is_default() {
    let site = parse(GOOD).unwrap().unwrap();
    assert_eq!(site.settings.causal, Causal::Global);
    assert_eq!(site.settings.readers, Readers::All);
    assert_eq!(site.settings.max_lag, Duration::from_secs(30));
    assert_eq!(site.settings.balance, Balance::RoundRobin);
    assert_eq!(site.settings.max_clients, 10_000);
    assert_eq!(site.settings.status.to_string(), "127.0.0.1:9146");
    let listeners = &site.hosts["sql1"];
    assert_eq!(
        listeners[1],
        Listener::Unix("/run/viaduct/mysql.sock".into())
    );
    let db2 = &site.servers[1];
    assert_eq!(
        (db2.weight, db2.max_connections, db2.min_connections),
        (50, 20, 2)
    );
    assert_eq!(site.servers[0].max_connections, 200);
    let user = &site.users[0];
    assert!(user.password == NativeHash::of(b"secret") && user.is_read_only);
    assert_eq!(
        (&*user.server_user, user.schema.as_deref()),
        ("app", Some("orders"))
    );
    assert!(!format!("{user:?}").contains("14E6"), "{user:?}");
}

#[test]
fn a_site_without_sqlproxies_has_none() {
    assert_eq!(parse("[director]\n"), Ok(None));
}

/// What is changed to what, and what is told of it: beginning and remedy.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (
        "causal = \"global\"",
        "causal = \"sesion\"",
        "10:10: error: unknown causal `sesion`",
        "did you mean \"session\"?",
    ),
    (
        "readers = \"all\"",
        "readers = \"everybody at all\"",
        "11:11: error: unknown readers",
        "write \"writer\" or \"others\"",
    ),
    (
        "max_lag = \"30s\"",
        "max_lag = \"1ms\"",
        "12:11: error: max_lag 1ms is out of range",
        "write \"1s\" to \"1day\"",
    ),
    (
        "max_lag",
        "max_lga",
        "12:1: error: unknown key `max_lga`",
        "did you mean `max_lag`?",
    ),
    (
        "\"10.77.0.31:3306\"",
        "\"db1.example.com\"",
        "16:11: error: `db1.example.com` is not an address",
        "\"10.77.0.31:3306\"",
    ),
    (
        "name = \"db2\"",
        "name = \"db1\"",
        "19:1: error: server `db1` is defined twice",
        "a name and an address of its own",
    ),
    (
        "[fd77::32]",
        "10.77.0.31",
        "19:1: error: 10.77.0.31:3306 is two servers",
        "a name and an address of its own",
    ),
    (
        "name = \"db2\"\n",
        "",
        "19:1: error: missing key `name`",
        "add `name = \"db1\"`",
    ),
    (
        "weight = 50",
        "weight = -1",
        "23:10: error: weight -1 is out of range",
        "write 0 to 10000",
    ),
    (
        "min_connections = 2",
        "min_connections = 21",
        "25:19: error: min_connections 21 is more than 20",
        "raise `max_connections`",
    ),
    (
        "*14E65567",
        "14E65567",
        "29:17: error: this is not the hash of a password",
        "`*` and 40 hexadecimal digits",
    ),
    (
        "\"/etc/viaduct",
        "\"viaduct",
        "31:24: error: `viaduct/app.password` is not an absolute path",
        "from the root",
    ),
    (
        "schema = \"orders\"",
        "schema = \"\"",
        "32:10: error: this cannot be a database name",
        "write 1 to 128 characters",
    ),
    (
        "listen = [",
        "listne = [",
        "4:1: error: unknown key `listne`",
        "did you mean `listen`?",
    ),
    (
        "\"10.77.0.21:8066\"",
        "\"10.77.0.21\"",
        "4:11: error: `10.77.0.21` is not an address with a port",
        "write for example",
    ),
    (
        "causal = \"global\"",
        "writer_timeout = \"0s\"",
        "10:18: error: writer_timeout 0s is out of range",
        "write \"1ms\" to \"10m\"",
    ),
    (
        "causal = \"global\"",
        "threads = 0",
        "10:11: error: threads 0 is out of range",
        "write 1 to 256",
    ),
    (
        "causal = \"global\"",
        "certificate = \"/etc/viaduct/sql.pem\"",
        "10:15: error: there is no `key` with it",
        "add `key =",
    ),
    (
        "weight = 50",
        "tls = \"verify-ca\"",
        "23:7: error: there are no authorities to verify by",
        "add `tls_ca =",
    ),
    (
        "weight = 50",
        "tls = \"verify\"",
        "23:7: error: unknown tls",
        "write \"off\"",
    ),
];

#[test]
fn every_mistake_is_told_where_it_is_with_its_remedy() {
    for &(good, bad, told, help) in MISTAKES {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD, "{good}");
        let report = parse(&text).unwrap_err();
        assert!(
            report.contains(told) && report.contains(help),
            "due: {told} … {help}\n{report}"
        );
        assert!(report.ends_with("1 error"), "{report}");
    }
}

#[test]
fn a_site_needs_a_primary_and_its_proxies_a_table() {
    let replicas = GOOD.replace("\"primary\"", "\"replica\"");
    let report = parse(&replicas).unwrap_err();
    assert!(
        report.contains("9:1: error: no server is a primary"),
        "{report}"
    );
    let without = &GOOD[..GOOD.find("[sqlproxy]").unwrap()];
    let report = parse(without).unwrap_err();
    assert!(
        report.contains("3:1: error: host sql1 is a sqlproxy"),
        "{report}"
    );
}

const LED: &str = r#"
[sqlproxy.monitor]
user = "viaduct"
password_file = "/etc/viaduct/monitor.password"

[election]
secret_file = "/etc/viaduct/election.secret"
servers = ["10.77.0.31:3306", "[fd77::32]:3306"]
user = "witness"
password_file = "/etc/viaduct/witness.password"
lease = "2s"

[[election.voter]]
host = "sql1"
role = "sqlproxy"
address = "10.77.0.21:7447"

[[election.voter]]
host = "lb1"
role = "director"
address = "10.77.0.2:7447"
"#;

#[test]
fn monitors_and_voters_are_read() {
    use election::{VoterId, channel::Role};
    let site = parse(&format!("{GOOD}{LED}")).unwrap().unwrap();
    let monitor = site.monitor.unwrap();
    assert_eq!(monitor.user, "viaduct");
    assert_eq!(monitor.timeout, Duration::from_millis(400));
    assert!(monitor.semi_sync);
    let election = site.election.unwrap();
    assert_eq!(election.rules.tick, Duration::from_millis(400));
    assert_eq!(election.voter("lb1", Role::Director), Some(VoterId(1)));
    assert_eq!(election.voter("lb1", Role::SqlProxy), None);
    let alone = parse(GOOD).unwrap().unwrap();
    assert!(alone.monitor.is_none() && alone.election.is_none());
}

#[test]
fn mistakes_of_monitors_and_voters_are_told_where_they_are() {
    let bad = |from: &str, to: &str| {
        let text = format!("{GOOD}{LED}");
        assert!(text.contains(from), "{from}");
        parse(&text.replacen(from, to, 1)).unwrap_err()
    };
    let cases = [
        ("user = \"viaduct\"\n", "", "missing key `user`"),
        (
            "\"/etc/viaduct/monitor.password\"",
            "\"x\"",
            "is not an absolute path",
        ),
        (
            "\"[fd77::32]:3306\"]",
            "]",
            "are not the primaries of `[sqlproxy]`",
        ),
        ("user = \"witness\"\n", "", "missing key `user`"),
        (
            "lease = \"2s\"",
            "lease = \"1ms\"",
            "lease 1ms is out of range",
        ),
        (
            "role = \"director\"",
            "role = \"directr\"",
            "did you mean \"director\"?",
        ),
        (
            "address = \"10.77.0.2:7447\"",
            "address = \"10.77.0.21:7447\"",
            "is listed twice",
        ),
        (
            "role = \"sqlproxy\"",
            "role = \"director\"",
            "no voter is a sqlproxy",
        ),
        (
            "address = \"10.77.0.2:7447\"",
            "address = \"lb1\"",
            "is not an address with a port",
        ),
    ];
    for (from, to, due) in cases {
        let told = bad(from, to);
        assert!(
            told.contains(due) && told.contains("site.toml:"),
            "{due}: {told}"
        );
    }
}
