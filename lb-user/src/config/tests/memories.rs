//! What is remembered and how long: timeouts, persistence, `track`.

use std::time::Duration;

use expect_test::expect;

use super::{bad, good, refused, with};
use crate::config::{Persistence, Timeouts};

const METHOD: &str = "method = \"dr\"";

/// The good file with keys added to the first service.
fn plus(keys: &str) -> String {
    with(METHOD, &format!("{METHOD}\n{keys}"))
}

/// The same, refused.
fn bad_keys(keys: &str, expected: &expect_test::Expect) {
    bad(METHOD, &format!("{METHOD}\n{keys}"), expected);
}

#[test]
fn each_state_has_its_timeout() {
    let text = plus("timeout = \"1h\"\nsyn_timeout = \"5s\"\nfin_timeout = \"7days\"");
    let expected = Timeouts {
        established: Duration::from_secs(3600),
        syn: Duration::from_secs(5),
        fin: Duration::from_secs(7 * 24 * 3600),
    };
    assert_eq!(good(&text).site.services[0].timeouts, expected);
}

#[test]
fn timeouts_of_states_have_limits_and_are_for_tcp() {
    bad_keys(
        "syn_timeout = \"999ms\"",
        &expect![[r#"
        site.toml:15:15: error: syn_timeout 999ms is out of range
           |
        15 | syn_timeout = "999ms"
           |               ^^^^^^^
           = help: write "1s" to "7days"

        site.toml: 1 error"#]],
    );
    bad_keys(
        "fin_timeout = \"8days\"",
        &expect![[r#"
        site.toml:15:15: error: fin_timeout 8days is out of range
           |
        15 | fin_timeout = "8days"
           |               ^^^^^^^
           = help: write "1s" to "7days"

        site.toml: 1 error"#]],
    );
    bad_keys(
        "fin_timeout = 60",
        &expect![[r#"
        site.toml:15:15: error: a duration without a unit
           |
        15 | fin_timeout = 60
           |               ^^
           = help: write a unit: "60s"

        site.toml: 1 error"#]],
    );
    bad(
        "method = \"nat\"",
        "method = \"nat\"\nsyn_timeout = \"10s\"\nfin_timeout = \"10s\"",
        &expect![[r#"
            site.toml:34:15: error: `syn_timeout` has no meaning with protocol "udp"
               |
            34 | syn_timeout = "10s"
               |               ^^^^^
               = help: leave it out: `timeout` is for all of a flow

            site.toml:35:15: error: `fin_timeout` has no meaning with protocol "udp"
               |
            35 | fin_timeout = "10s"
               |               ^^^^^
               = help: leave it out: `timeout` is for all of a flow

            site.toml: 2 errors"#]],
    );
}

#[test]
fn persistence_is_of_clients_or_networks_of_them() {
    let read = |text: &str| good(text).site.services[0].persistence;
    let expected = |prefix| {
        let timeout = Duration::from_secs(1800);
        Some(Persistence { timeout, prefix })
    };
    assert_eq!(read(&plus("")), None);
    assert_eq!(read(&plus("persistence = \"30m\"")), expected(32));
    let network = plus("persistence = \"30m\"\npersistence_prefix = 24");
    assert_eq!(read(&network), expected(24));
    let ipv6 = |text: &str| text.replace("10.77.0.", "2001:db8::");
    assert_eq!(read(&ipv6(&plus("persistence = \"30m\""))), expected(128));
    let network = plus("persistence = \"30m\"\npersistence_prefix = 56");
    assert_eq!(read(&ipv6(&network)), expected(56));
}

#[test]
fn persistence_has_limits() {
    bad_keys(
        "persistence = \"0s\"",
        &expect![[r#"
        site.toml:15:15: error: persistence 0s is out of range
           |
        15 | persistence = "0s"
           |               ^^^^
           = help: write "1s" to "7days"

        site.toml: 1 error"#]],
    );
    bad_keys(
        "persistence = \"8days\"",
        &expect![[r#"
        site.toml:15:15: error: persistence 8days is out of range
           |
        15 | persistence = "8days"
           |               ^^^^^^^
           = help: write "1s" to "7days"

        site.toml: 1 error"#]],
    );
    bad_keys(
        "persistence = true",
        &expect![[r#"
        site.toml:15:15: error: expected a duration such as "5s", found `true`
           |
        15 | persistence = true
           |               ^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_persistence_prefix_has_limits() {
    bad_keys(
        "persistence = \"30m\"\npersistence_prefix = 7",
        &expect![[r#"
            site.toml:16:22: error: persistence_prefix 7 is out of range
               |
            16 | persistence_prefix = 7
               |                      ^
               = help: write 8 to 32

            site.toml: 1 error"#]],
    );
    bad_keys(
        "persistence = \"30m\"\npersistence_prefix = 33",
        &expect![[r#"
            site.toml:16:22: error: persistence_prefix 33 is out of range
               |
            16 | persistence_prefix = 33
               |                      ^^
               = help: write 8 to 32

            site.toml: 1 error"#]],
    );
    let ipv6 = plus("persistence = \"30m\"\npersistence_prefix = 129");
    refused(
        &ipv6.replace("10.77.0.", "2001:db8::"),
        &expect![[r#"
        site.toml:16:22: error: persistence_prefix 129 is out of range
           |
        16 | persistence_prefix = 129
           |                      ^^^
           = help: write 16 to 128

        site.toml: 1 error"#]],
    );
    let ipv6 = plus("persistence = \"30m\"\npersistence_prefix = 8");
    refused(
        &ipv6.replace("10.77.0.", "2001:db8::"),
        &expect![[r#"
        site.toml:16:22: error: persistence_prefix 8 is out of range
           |
        16 | persistence_prefix = 8
           |                      ^
           = help: write 16 to 128

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_persistence_prefix_needs_persistence() {
    bad_keys(
        "persistence_prefix = 24",
        &expect![[r#"
        site.toml:15:22: error: `persistence_prefix` has no meaning without `persistence`
           |
        15 | persistence_prefix = 24
           |                      ^^
           = help: add `persistence = "30m"`, or leave it out

        site.toml: 1 error"#]],
    );
    // One that is misspelt is told once.
    bad_keys(
        "persistance = \"30m\"\npersistence_prefix = 24",
        &expect![[r#"
            site.toml:15:1: error: unknown key `persistance`
               |
            15 | persistance = "30m"
               | ^^^^^^^^^^^
               = help: did you mean `persistence`?

            site.toml: 1 error"#]],
    );
}

#[test]
fn tracking_is_on_or_off() {
    let read = |keys| good(&plus(keys)).site.services[0].track;
    assert_eq!(
        [read(""), read("track = false"), read("track = true")],
        [false, false, true]
    );
    bad_keys(
        "track = \"true\"",
        &expect![[r#"
        site.toml:15:9: error: expected `true` or `false`, found the text "true"
           |
        15 | track = "true"
           |         ^^^^^^
           = help: write it without quotes: true

        site.toml: 1 error"#]],
    );
    bad_keys(
        "track = 1",
        &expect![[r#"
        site.toml:15:9: error: expected `true` or `false`, found the number 1
           |
        15 | track = 1
           |         ^

        site.toml: 1 error"#]],
    );
}
