//! Mistakes in `[hosts]` and `[director]`.

use expect_test::expect;

use super::{bad, warned};

#[test]
fn names_and_addresses() {
    bad(
        "[hosts.lb1]\n",
        "[hosts.\"lb 1\"]\n[hosts.lb1]\n",
        &expect![[r#"
        site.toml:1:8: error: `lb 1` cannot name a host
          |
        1 | [hosts."lb 1"]
          |        ^^^^^^
          = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
    bad(
        "[\"10.77.0.2\"]",
        "[\"10.77.0.2/24\"]",
        &expect![[r#"
        site.toml:2:14: error: `10.77.0.2/24` is not an IP address
          |
        2 | addresses = ["10.77.0.2/24"]
          |              ^^^^^^^^^^^^^^
          = help: write the address alone: "10.77.0.2"

        site.toml: 1 error"#]],
    );
    bad(
        "[\"10.77.0.2\"]",
        "[\"lb1.example.com\"]",
        &expect![[r#"
        site.toml:2:14: error: `lb1.example.com` is not an IP address
          |
        2 | addresses = ["lb1.example.com"]
          |              ^^^^^^^^^^^^^^^^^
          = help: write an IP address such as "10.77.0.100"; names are not looked up

        site.toml: 1 error"#]],
    );
    bad(
        "[\"10.77.0.2\"]",
        "[\"127.0.0.1\"]",
        &expect![[r#"
        site.toml:2:14: error: `127.0.0.1` does not tell one host from another
          |
        2 | addresses = ["127.0.0.1"]
          |              ^^^^^^^^^^^
          = help: write an address that only this host has

        site.toml: 1 error"#]],
    );
    bad(
        "[\"10.77.0.2\"]\n",
        "[\"10.77.0.2\"]\n[hosts.lb2]\naddresses = [\"10.77.0.3\", \"10.77.0.2\"]\n",
        &expect![[r#"
        site.toml:4:27: error: address `10.77.0.2` is given twice
          |
        4 | addresses = ["10.77.0.3", "10.77.0.2"]
          |                           ^^^^^^^^^^^
          = help: an address belongs to one host
        site.toml:2:14: note: first given here
          |
        2 | addresses = ["10.77.0.2"]
          |              ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn addresses_of_another_type() {
    bad(
        "addresses = [\"10.77.0.2\"]",
        "addresses = \"10.77.0.2\"",
        &expect![[r#"
        site.toml:2:13: error: expected a list, found the text "10.77.0.2"
          |
        2 | addresses = "10.77.0.2"
          |             ^^^^^^^^^^^
          = help: write a list: ["10.77.0.2"]

        site.toml: 1 error"#]],
    );
    bad(
        "addresses",
        "address",
        &expect![[r#"
        site.toml:2:1: error: unknown key `address`
          |
        2 | address = ["10.77.0.2"]
          | ^^^^^^^
          = help: did you mean `addresses`?

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_director_needs_interfaces() {
    bad(
        "interfaces = [\"eth0\"]\n",
        "",
        &expect![[r#"
        site.toml:3:1: error: missing key `interfaces`
          |
        3 | [hosts.lb1.director]
          | ^^^^^^^^^^^^^^^^^^^^
          = help: add `interfaces = ["eth0"]`

        site.toml: 1 error"#]],
    );
    bad(
        "interfaces = [\"eth0\"]\n",
        "interface = \"eth0\"\n",
        &expect![[r#"
        site.toml:4:1: error: unknown key `interface`
          |
        4 | interface = "eth0"
          | ^^^^^^^^^
          = help: did you mean `interfaces`?

        site.toml: 1 error"#]],
    );
    bad(
        "[\"eth0\"]",
        "[]",
        &expect![[r#"
        site.toml:4:14: error: no interface: this director would see no packet
          |
        4 | interfaces = []
          |              ^^
          = help: name the interfaces that clients reach: ["eth0"]

        site.toml: 1 error"#]],
    );
}

#[test]
fn interfaces_have_names_the_kernel_takes() {
    bad(
        "[\"eth0\"]",
        "[\"eth0\", \"eth0\"]",
        &expect![[r#"
        site.toml:4:23: error: interface `eth0` is named twice
          |
        4 | interfaces = ["eth0", "eth0"]
          |                       ^^^^^^
          = help: name it once
        site.toml:4:15: note: first named here
          |
        4 | interfaces = ["eth0", "eth0"]
          |               ^^^^^^

        site.toml: 1 error"#]],
    );
    bad(
        "[\"eth0\"]",
        "[\"a-name-of-sixteen\", \"a/b\", \"\", \"eth 0\", \"eth0:1\"]",
        &expect![[r#"
            site.toml:4:15: error: `a-name-of-sixteen` cannot name an interface
              |
            4 | interfaces = ["a-name-of-sixteen", "a/b", "", "eth 0", "eth0:1"]
              |               ^^^^^^^^^^^^^^^^^^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml:4:36: error: `a/b` cannot name an interface
              |
            4 | interfaces = ["a-name-of-sixteen", "a/b", "", "eth 0", "eth0:1"]
              |                                    ^^^^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml:4:43: error: `` cannot name an interface
              |
            4 | interfaces = ["a-name-of-sixteen", "a/b", "", "eth 0", "eth0:1"]
              |                                           ^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml:4:47: error: `eth 0` cannot name an interface
              |
            4 | interfaces = ["a-name-of-sixteen", "a/b", "", "eth 0", "eth0:1"]
              |                                               ^^^^^^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml:4:56: error: `eth0:1` cannot name an interface
              |
            4 | interfaces = ["a-name-of-sixteen", "a/b", "", "eth 0", "eth0:1"]
              |                                                        ^^^^^^^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml: 5 errors"#]],
    );
}

#[test]
fn a_host_is_one_director_or_none() {
    bad(
        "[hosts.lb1.director]",
        "[[hosts.lb1.director]]",
        &expect![[r#"
            site.toml:3:1: error: expected a table, found a list
              |
            3 | [[hosts.lb1.director]]
              | ^^^^^^^^^^^^^^^^^^^^^^
              = help: there is only one: write `[hosts.lb1.director]`

            site.toml: 1 error"#]],
    );
    warned(
        "[hosts.lb1.director]\ninterfaces = [\"eth0\"]\n",
        "",
        &expect![[r#"
        site.toml:7:1: warning: no host is a director: nothing serves this
          |
        7 | [[service]]
          | ^^^^^^^^^^^
          = help: add `[hosts.NAME.director]` with its `interfaces`

        site.toml: 1 warning"#]],
    );
}

#[test]
fn settings_of_all_directors() {
    bad(
        "127.0.0.1:9144",
        "127.0.0.1",
        &expect![[r#"
        site.toml:7:10: error: not an address with a port
          |
        7 | status = "127.0.0.1"
          |          ^^^^^^^^^^^
          = help: write for example "127.0.0.1:9144"

        site.toml: 1 error"#]],
    );
    bad(
        "127.0.0.1:9144",
        "localhost:9144",
        &expect![[r#"
        site.toml:7:10: error: not an address with a port
          |
        7 | status = "localhost:9144"
          |          ^^^^^^^^^^^^^^^^
          = help: write for example "127.0.0.1:9144"

        site.toml: 1 error"#]],
    );
    bad(
        "127.0.0.1:9144",
        "127.0.0.1:0",
        &expect![[r#"
        site.toml:7:10: error: port 0 cannot be asked
          |
        7 | status = "127.0.0.1:0"
          |          ^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    bad(
        "status = \"127.0.0.1:9144\"",
        "status = 9144",
        &expect![[r#"
        site.toml:7:10: error: expected text in quotes, found the number 9144
          |
        7 | status = 9144
          |          ^^^^
          = help: write it in quotes: "9144"

        site.toml: 1 error"#]],
    );
    bad(
        "status =",
        "stauts =",
        &expect![[r#"
        site.toml:7:1: error: unknown key `stauts`
          |
        7 | stauts = "127.0.0.1:9144"
          | ^^^^^^
          = help: did you mean `status`?

        site.toml: 1 error"#]],
    );
    warned(
        "127.0.0.1:9144",
        "0.0.0.0:9144",
        &expect![[r#"
        site.toml:7:10: warning: status and metrics can be read by anyone who reaches this address
          |
        7 | status = "0.0.0.0:9144"
          |          ^^^^^^^^^^^^^^
          = help: keep it on the loopback interface: "127.0.0.1:9144"

        site.toml: 1 warning"#]],
    );
}

#[test]
fn tables_nobody_knows() {
    bad(
        "[director]",
        "[directors]",
        &expect![[r#"
        site.toml:6:2: error: unknown key `directors`
          |
        6 | [directors]
          |  ^^^^^^^^^
          = help: did you mean `director`?

        site.toml: 1 error"#]],
    );
    bad(
        "[director]",
        "[vrrp]\nx = 1\n[director]",
        &expect![[r#"
        site.toml:6:2: error: unknown key `vrrp`
          |
        6 | [vrrp]
          |  ^^^^
          = help: known here: hosts, director, service, virtual_router, proxy, sqlproxy, election

        site.toml: 1 error"#]],
    );
}
