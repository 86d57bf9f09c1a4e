//! The addresses of fullnat: `pool` of a director.

use expect_test::{Expect, expect};

use super::{GOOD, good, refused, with};
use crate::config::Ports;

const INTERFACES: &str = "interfaces = [\"eth0\"]";

fn pool(entries: &str) -> String {
    with(INTERFACES, &format!("{INTERFACES}\npool = {entries}"))
}

fn bad_pool(entries: &str, expected: &Expect) {
    refused(&pool(entries), expected);
}

#[test]
fn entries_are_addresses_with_and_without_ports() {
    let text = pool(
        "[\"10.77.0.2:20000-29999\", \"10.77.0.200\", \"[fd77::2]:20000-29999\", \"fd77::200\", \
         \"10.77.0.2:443\"]",
    );
    let site = good(&text).site;
    let pool = &site.hosts["lb1"].director.as_ref().unwrap().pool;
    let texts: Vec<String> = pool.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "10.77.0.2:20000-29999",
            "10.77.0.200:1024-65535",
            "[fd77::2]:20000-29999",
            "[fd77::200]:1024-65535",
            "10.77.0.2:443",
        ]
    );
    let whole = Ports {
        first: 1024,
        last: 65535,
    };
    assert_eq!(pool[1].ports, whole);
    assert!(
        good(GOOD).site.hosts["lb1"]
            .director
            .as_ref()
            .unwrap()
            .pool
            .is_empty()
    );
}

#[test]
fn entries_start_with_an_address() {
    for (entry, expected) in [
        (
            "10.77.0.0/24",
            expect![[r#"
            site.toml:5:9: error: `10.77.0.0/24` is not an address with ports
              |
            5 | pool = ["10.77.0.0/24"]
              |         ^^^^^^^^^^^^^^
              = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "lb1:20000-29999",
            expect![[r#"
            site.toml:5:9: error: `lb1:20000-29999` is not an address with ports
              |
            5 | pool = ["lb1:20000-29999"]
              |         ^^^^^^^^^^^^^^^^^
              = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "[fd77::2",
            expect![[r#"
            site.toml:5:9: error: `[fd77::2` is not an address with ports
              |
            5 | pool = ["[fd77::2"]
              |         ^^^^^^^^^^
              = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
    ] {
        bad_pool(&format!("[\"{entry}\"]"), &expected);
    }
}

#[test]
fn entries_end_with_ports() {
    for (entry, expected) in [
        (
            "10.77.0.2:",
            expect![[r#"
            site.toml:5:9: error: `10.77.0.2:` is not an address with ports
              |
            5 | pool = ["10.77.0.2:"]
              |         ^^^^^^^^^^^^
              = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "10.77.0.2:all",
            expect![[r#"
            site.toml:5:9: error: `10.77.0.2:all` is not an address with ports
              |
            5 | pool = ["10.77.0.2:all"]
              |         ^^^^^^^^^^^^^^^
              = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "10.77.0.2:0-29999",
            expect![[r#"
            site.toml:5:9: error: the ports of 10.77.0.2:0-29999 are out of range
              |
            5 | pool = ["10.77.0.2:0-29999"]
              |         ^^^^^^^^^^^^^^^^^^^
              = help: write ports from 1 to 65535

            site.toml: 1 error"#]],
        ),
    ] {
        bad_pool(&format!("[\"{entry}\"]"), &expected);
    }
}

#[test]
fn entries_that_are_nearly_right() {
    for (entry, expected) in [
        (
            "10.77.0.2:29999-20000",
            expect![[r#"
            site.toml:5:9: error: the ports of 10.77.0.2:29999-20000 end before they start
              |
            5 | pool = ["10.77.0.2:29999-20000"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^
              = help: write "10.77.0.2:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "[fd77::2]:29999-20000",
            expect![[r#"
            site.toml:5:9: error: the ports of [fd77::2]:29999-20000 end before they start
              |
            5 | pool = ["[fd77::2]:29999-20000"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^
              = help: write "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
        (
            "fd77::2:20000-29999",
            expect![[r#"
            site.toml:5:9: error: `fd77::2:20000-29999` is not an address with ports
              |
            5 | pool = ["fd77::2:20000-29999"]
              |         ^^^^^^^^^^^^^^^^^^^^^
              = help: write "[fd77::2]:20000-29999"

            site.toml: 1 error"#]],
        ),
    ] {
        bad_pool(&format!("[\"{entry}\"]"), &expected);
    }
}

#[test]
fn entries_are_of_addresses_that_hosts_have() {
    for (entry, expected) in [
        (
            "127.0.0.1:20000-29999",
            expect![[r#"
            site.toml:5:9: error: a pool cannot have a loopback address
              |
            5 | pool = ["127.0.0.1:20000-29999"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^
              = help: write an address that real servers can answer to

            site.toml: 1 error"#]],
        ),
        (
            "fe80::1",
            expect![[r#"
            site.toml:5:9: error: a pool cannot have a link-local address
              |
            5 | pool = ["fe80::1"]
              |         ^^^^^^^^^
              = help: write an address that real servers can answer to

            site.toml: 1 error"#]],
        ),
    ] {
        bad_pool(&format!("[\"{entry}\"]"), &expected);
    }
}

#[test]
fn a_pool_is_a_list_of_1_to_64() {
    bad_pool(
        "[]",
        &expect![[r#"
        site.toml:5:8: error: a pool without an address
          |
        5 | pool = []
          |        ^^
          = help: leave it out, or write for example ["10.77.0.2:20000-29999"]

        site.toml: 1 error"#]],
    );
    bad_pool(
        "\"10.77.0.200\"",
        &expect![[r#"
        site.toml:5:8: error: expected a list, found the text "10.77.0.200"
          |
        5 | pool = "10.77.0.200"
          |        ^^^^^^^^^^^^^
          = help: write a list: ["10.77.0.200"]

        site.toml: 1 error"#]],
    );
    bad_pool(
        "[20000]",
        &expect![[r#"
            site.toml:5:9: error: expected text in quotes, found the number 20000
              |
            5 | pool = [20000]
              |         ^^^^^
              = help: write it in quotes: "20000"

            site.toml: 1 error"#]],
    );
    let many: Vec<String> = (0..65).map(|nth| format!("\"10.78.0.{nth}\"")).collect();
    assert_eq!(
        good(&pool(&format!("[{}]", many[..64].join(", "))))
            .site
            .hosts
            .len(),
        1
    );
    bad_pool(
        &format!("[\n{}]", many.join(",\n")),
        &expect![[r#"
        site.toml:70:1: error: more than the 64 entries of a pool
           |
        70 | "10.78.0.64"]
           | ^^^^^^^^^^^^
           = help: write longer ranges

        site.toml: 1 error"#]],
    );
}
