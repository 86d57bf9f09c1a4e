//! Pools that clash with each other, with hosts or with services, and those that fullnat lacks.

use expect_test::{Expect, expect};

use super::{GOOD, bad, good, refused, with};

const INTERFACES: &str = "interfaces = [\"eth0\"]";

fn pool(entries: &str) -> String {
    with(INTERFACES, &format!("{INTERFACES}\npool = {entries}"))
}

fn bad_pool(entries: &str, expected: &Expect) {
    refused(&pool(entries), expected);
}

#[test]
fn ranges_of_one_address_stay_apart() {
    bad_pool(
        "[\"10.77.0.2:20000-29999\", \"10.77.0.2:25000-25999\"]",
        &expect![[r#"
            site.toml:5:34: error: 10.77.0.2:20000-29999 and 10.77.0.2:25000-25999 share ports
              |
            5 | pool = ["10.77.0.2:20000-29999", "10.77.0.2:25000-25999"]
              |                                  ^^^^^^^^^^^^^^^^^^^^^^^
              = help: give each entry ports of its own
            site.toml:5:9: note: the other
              |
            5 | pool = ["10.77.0.2:20000-29999", "10.77.0.2:25000-25999"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    bad_pool(
        "[\"10.77.0.200\", \"10.77.0.200\"]",
        &expect![[r#"
            site.toml:5:24: error: 10.77.0.200:1024-65535 and 10.77.0.200:1024-65535 share ports
              |
            5 | pool = ["10.77.0.200", "10.77.0.200"]
              |                        ^^^^^^^^^^^^^
              = help: give each entry ports of its own
            site.toml:5:9: note: the other
              |
            5 | pool = ["10.77.0.200", "10.77.0.200"]
              |         ^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    // Those of another director too: a reply comes to one of them.
    let text = pool("[\"10.77.0.200:2000-2999\"]");
    let other =
        "[hosts.lb2.director]\ninterfaces = [\"eth0\"]\npool = [\"10.77.0.200:2999-3000\"]\n";
    refused(
        &format!("{other}{text}"),
        &expect![[r#"
            site.toml:8:9: error: 10.77.0.200:2999-3000 and 10.77.0.200:2000-2999 share ports
              |
            8 | pool = ["10.77.0.200:2000-2999"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^
              = help: give each entry ports of its own
            site.toml:3:9: note: the other
              |
            3 | pool = ["10.77.0.200:2999-3000"]
              |         ^^^^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    let apart = other.replace("2999-3000", "3000-3999");
    assert_eq!(good(&format!("{apart}{text}")).site.hosts.len(), 2);
}

#[test]
fn a_hosts_own_address_is_not_taken_whole() {
    bad_pool(
        "[\"10.77.0.2\"]",
        &expect![[r#"
        site.toml:5:9: error: 10.77.0.2 is a host's own address, and would be the pool's alone
          |
        5 | pool = ["10.77.0.2"]
          |         ^^^^^^^^^^^
          = help: take a range of its ports: "10.77.0.2:20000-29999"
        site.toml:2:14: note: the host's
          |
        2 | addresses = ["10.77.0.2"]
          |              ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn ports_of_services_are_not_taken() {
    bad_pool(
        "[\"10.77.0.100:50-100\"]",
        &expect![[r#"
        site.toml:5:9: error: 10.77.0.100:50-100 is served as 10.77.0.100:80
           |
         5 | pool = ["10.77.0.100:50-100"]
           |         ^^^^^^^^^^^^^^^^^^^^
           = help: take another address, or ports without a service
        site.toml:12:7: note: the VIP
           |
        12 | vip = "10.77.0.100"
           |       ^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    let apart = pool("[\"10.77.0.100:20000-29999\"]");
    assert!(good(&apart).warnings.is_empty());
}

#[test]
fn fullnat_needs_a_pool_of_its_family_on_every_director() {
    let head =
        "[hosts.lb2.director]\ninterfaces = [\"eth0\"]\npool = [\"[fd77::3]:20000-29999\"]\n";
    let fullnat = |text: String| format!("{head}{text}").replace("\"nat\"", "\"fullnat\"");
    refused(
        &fullnat(GOOD.to_owned()),
        &expect![[r#"
        site.toml:1:1: error: fullnat needs IPv4 addresses, and director lb2 has no pool of them
           |
         1 | [hosts.lb2.director]
           | ^^^^^^^^^^^^^^^^^^^^
           = help: add for example `pool = ["10.77.0.2:20000-29999"]`
        site.toml:36:10: note: fullnat is used here
           |
        36 | method = "fullnat"
           |          ^^^^^^^^^

        site.toml:6:1: error: fullnat needs IPv4 addresses, and director lb1 has no pool of them
           |
         6 | [hosts.lb1.director]
           | ^^^^^^^^^^^^^^^^^^^^
           = help: add for example `pool = ["10.77.0.2:20000-29999"]`
        site.toml:36:10: note: fullnat is used here
           |
        36 | method = "fullnat"
           |          ^^^^^^^^^

        site.toml: 2 errors"#]],
    );
}

#[test]
fn fullnat_of_another_family_needs_another_pool() {
    let text = pool("[\"10.77.0.200\"]").replace("\"nat\"", "\"fullnat\"");
    assert_eq!(good(&text).site.services[1].method.word(), "fullnat");
    // In the other family it is missing.
    let v6 = text.replace("10.77.0.100\"\nport = 53", "fd77::100\"\nport = 53");
    let v6 = v6.replace("10.77.0.21", "fd77::21");
    refused(
        &v6,
        &expect![[r#"
        site.toml:3:1: error: fullnat needs IPv6 addresses, and director lb1 has no pool of them
           |
         3 | [hosts.lb1.director]
           | ^^^^^^^^^^^^^^^^^^^^
           = help: add for example `pool = ["[fd77::2]:20000-29999"]`
        site.toml:34:10: note: fullnat is used here
           |
        34 | method = "fullnat"
           |          ^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_pool_with_a_mistake_is_not_missing() {
    let wrong = pool("[\"10.77.0\"]").replace("\"nat\"", "\"fullnat\"");
    refused(
        &wrong,
        &expect![[r#"
        site.toml:5:9: error: `10.77.0` is not an address with ports
          |
        5 | pool = ["10.77.0"]
          |         ^^^^^^^^^
          = help: write an address, or one with a range of its ports: "10.77.0.200", "10.77.0.2:20000-29999", "[fd77::2]:20000-29999"

        site.toml: 1 error"#]],
    );
    bad(
        INTERFACES,
        &format!("{INTERFACES}\npools = [\"10.77.0.200\"]"),
        &expect![[r#"
            site.toml:5:1: error: unknown key `pools`
              |
            5 | pools = ["10.77.0.200"]
              | ^^^^^
              = help: did you mean `pool`?

            site.toml: 1 error"#]],
    );
}
