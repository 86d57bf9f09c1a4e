//! Mistakes in `[[service]]`.

use daemon::source::SourceFile;
use expect_test::expect;

use super::{GOOD, Site, bad, good};

#[test]
fn keys_that_are_missing_are_told_at_the_header() {
    bad(
        "name = \"web\"\n",
        "",
        &expect![[r#"
        site.toml:9:1: error: missing key `name`
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: add `name = "web"`

        site.toml: 1 error"#]],
    );
    bad(
        "vip = \"10.77.0.100\"\nport = 80\nprotocol = \"tcp\"\nmethod = \"dr\"\n",
        "",
        &expect![[r#"
        site.toml:9:1: error: missing key `vip`
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: add `vip = "10.77.0.100"`

        site.toml:9:1: error: missing key `port`
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: add `port = 80`

        site.toml:9:1: error: missing key `protocol`
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: add `protocol = "tcp"`

        site.toml:9:1: error: missing key `method`
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: add `method = "dr"`

        site.toml: 4 errors"#]],
    );
}

#[test]
fn keys_that_are_misspelt_or_wrong_are_told_once() {
    bad(
        "vip = ",
        "vpi = ",
        &expect![[r#"
        site.toml:11:1: error: unknown key `vpi`
           |
        11 | vpi = "10.77.0.100"
           | ^^^
           = help: did you mean `vip`?

        site.toml: 1 error"#]],
    );
    bad(
        "port = 80",
        "port = \"80\"",
        &expect![[r#"
        site.toml:12:8: error: expected a whole number, found the text "80"
           |
        12 | port = "80"
           |        ^^^^
           = help: write it without quotes: 80

        site.toml: 1 error"#]],
    );
    bad(
        "method = \"dr\"",
        "method = true",
        &expect![[r#"
        site.toml:14:10: error: expected text in quotes, found `true`
           |
        14 | method = true
           |          ^^^^
           = help: write it in quotes: "true"

        site.toml: 1 error"#]],
    );
    bad(
        "port = 80",
        "port = 80\nport = 81",
        &expect![[r#"
        site.toml:13:1: error: duplicate key `port`
           |
        13 | port = 81
           | ^^^^
           = help: a key or `[table]` stands once; a list of tables is written `[[table]]`

        site.toml: 1 error"#]],
    );
}

#[test]
fn names() {
    bad(
        "name = \"web\"\n",
        "name = \"\"\n",
        &expect![[r#"
        site.toml:10:8: error: `` cannot name a service
           |
        10 | name = ""
           |        ^^
           = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
    bad(
        "name = \"web\"\n",
        "name = \"my web\"\n",
        &expect![[r#"
        site.toml:10:8: error: `my web` cannot name a service
           |
        10 | name = "my web"
           |        ^^^^^^^^
           = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
    bad(
        "name = \"web\"\n",
        "name = \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n",
        &expect![[r#"
        site.toml:10:8: error: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` cannot name a service
           |
        10 | name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: write 1 to 63 letters, digits, `.`, `_` or `-`

        site.toml: 1 error"#]],
    );
    bad(
        "name = \"web\"\n",
        "name = \"dns\"\n",
        &expect![[r#"
        site.toml:29:8: error: service `dns` is defined twice
           |
        29 | name = "dns"
           |        ^^^^^
           = help: give each service a name of its own
        site.toml:10:8: note: first defined here
           |
        10 | name = "dns"
           |        ^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_vip_is_an_address_of_either_family() {
    let text = GOOD.replace("10.77.0.", "2001:db8::");
    let services = good(&text).site.services;
    assert!(services.iter().all(|service| service.vip.is_ipv6()));
    for (vip, kind) in [
        ("::ffff:10.77.0.100", "an IPv4-mapped"),
        ("fe80::1", "a link-local"),
        ("ff02::1", "a multicast"),
        ("::1", "a loopback"),
    ] {
        let text = text.replace("2001:db8::100", vip);
        let report = Site::parse(SourceFile::new("site.toml", text))
            .unwrap_err()
            .to_string();
        assert!(
            report.contains(&format!("a VIP cannot be {kind} address")),
            "{report}"
        );
    }
    bad(
        "\"10.77.0.100\"",
        "\"10.77.0.100:80\"",
        &expect![[r#"
        site.toml:11:7: error: `10.77.0.100:80` is not an IP address
           |
        11 | vip = "10.77.0.100:80"
           |       ^^^^^^^^^^^^^^^^
           = help: write the address alone: "10.77.0.100"

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.100\"",
        "\"www\"",
        &expect![[r#"
        site.toml:11:7: error: `www` is not an IP address
           |
        11 | vip = "www"
           |       ^^^^^
           = help: write an IP address such as "10.77.0.100"; names are not looked up

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_vip_is_one_hosts() {
    bad(
        "\"10.77.0.100\"",
        "\"224.0.0.18\"",
        &expect![[r#"
        site.toml:11:7: error: a VIP cannot be a multicast address
           |
        11 | vip = "224.0.0.18"
           |       ^^^^^^^^^^^^
           = help: write the address that clients connect to

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.100\"",
        "\"255.255.255.255\"",
        &expect![[r#"
        site.toml:11:7: error: a VIP cannot be the broadcast address
           |
        11 | vip = "255.255.255.255"
           |       ^^^^^^^^^^^^^^^^^
           = help: write the address that clients connect to

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.100\"",
        "\"0.0.0.0\"",
        &expect![[r#"
        site.toml:11:7: error: a VIP cannot be the unspecified address
           |
        11 | vip = "0.0.0.0"
           |       ^^^^^^^^^
           = help: write the address that clients connect to

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.100\"",
        "\"127.0.0.1\"",
        &expect![[r#"
        site.toml:11:7: error: a VIP cannot be a loopback address
           |
        11 | vip = "127.0.0.1"
           |       ^^^^^^^^^^^
           = help: write the address that clients connect to

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_vip_is_in_quotes() {
    bad(
        "vip = \"10.77.0.100\"",
        "vip = 10.77.0.100",
        &expect![[r#"
        site.toml:11:12: error: invalid float, expected nothing
           |
        11 | vip = 10.77.0.100
           |            ^^^^^^
           = help: text such as an address or a duration is written in quotes

        site.toml: 1 error"#]],
    );
}

#[test]
fn ports() {
    bad(
        "port = 80",
        "port = 0",
        &expect![[r#"
        site.toml:12:8: error: port 0 is out of range
           |
        12 | port = 0
           |        ^
           = help: write 1 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "port = 80",
        "port = 65536",
        &expect![[r#"
        site.toml:12:8: error: port 65536 is out of range
           |
        12 | port = 65536
           |        ^^^^^
           = help: write 1 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "port = 80",
        "port = -1",
        &expect![[r#"
        site.toml:12:8: error: port -1 is out of range
           |
        12 | port = -1
           |        ^^
           = help: write 1 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "port = 80",
        "port = 99999999999999999999",
        &expect![[r#"
            site.toml:12:8: error: a number beyond all limits
               |
            12 | port = 99999999999999999999
               |        ^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn services_that_overlap() {
    bad(
        "port = 53\nprotocol = \"udp\"",
        "port = 80\nprotocol = \"tcp\"",
        &expect![[r#"
        site.toml:30:7: error: overlapping services: 10.77.0.100:80 tcp is served already
           |
        30 | vip = "10.77.0.100"
           |       ^^^^^^^^^^^^^
           = help: another VIP, port or protocol, or one service with all real servers
        site.toml:11:7: note: served here
           |
        11 | vip = "10.77.0.100"
           |       ^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn tables_that_are_not_lists() {
    bad(
        "[[service]]\nname = \"dns\"",
        "[service]\nname = \"dns\"",
        &expect![[r#"
        site.toml:28:1: error: expected a list, found a table
           |
        28 | [service]
           | ^^^^^^^^^
           = help: a list of tables is written `[[service]]`

        site.toml:28:2: error: duplicate key `service`
           |
        28 | [service]
           |  ^^^^^^^
           = help: a key or `[table]` stands once; a list of tables is written `[[table]]`

        site.toml: 2 errors"#]],
    );
}
