//! Hosts' parts in virtual routers.

use std::net::IpAddr;

use expect_test::expect;
use vrrp::Family;

use super::{PAIR, bad, pair, warned};
use crate::config::tests::{good, refused};

const PART: &str = "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"";

fn unicast() -> String {
    let text = pair("interval = \"1s\"", "transport = \"unicast\"");
    let text = text.replace(
        "priority = 150",
        "priority = 150\naddress = \"192.0.2.2\"\naddress6 = \"fe80::2\"",
    );
    let own = "[hosts.lb2.director.virtual_router.site]\n";
    text.replace(
        own,
        &format!("{own}address = \"192.0.2.3\"\naddress6 = \"fe80::3\"\n"),
    )
}

#[test]
fn the_router_is_one_of_the_file() {
    bad(
        "lb2.director.virtual_router.site]",
        "lb2.director.virtual_router.siet]",
        &expect![[r#"
            site.toml:13:36: error: unknown virtual router `siet`
               |
            13 | [hosts.lb2.director.virtual_router.siet]
               |                                    ^^^^
               = help: did you mean `site`?

            site.toml: 1 error"#]],
    );
    bad(
        "lb2.director.virtual_router.site]",
        "lb2.director.virtual_router.inner]",
        &expect![[r#"
            site.toml:13:36: error: unknown virtual router `inner`
               |
            13 | [hosts.lb2.director.virtual_router.inner]
               |                                    ^^^^^
               = help: add a `[[virtual_router]]` with `name = "inner"`

            site.toml: 1 error"#]],
    );
}

#[test]
fn the_interface_is_one_of_the_directors() {
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth9\"",
        &expect![[r#"
            site.toml:14:13: error: eth9 is not an interface of director lb2
               |
            14 | interface = "eth9"
               |             ^^^^^^
               = help: did you mean "eth0"? `interfaces` has: eth0, eth1

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"br-lan\"",
        &expect![[r#"
            site.toml:14:13: error: br-lan is not an interface of director lb2
               |
            14 | interface = "br-lan"
               |             ^^^^^^^^
               = help: write one of its `interfaces` (eth0, eth1), or add it there

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\npriority = 100",
        &expect![[r#"
            site.toml:13:1: error: missing key `interface`
               |
            13 | [hosts.lb2.director.virtual_router.site]
               | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: add `interface = "eth0"`

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = 0",
        &expect![[r#"
            site.toml:14:13: error: expected text in quotes, found the number 0
               |
            14 | interface = 0
               |             ^
               = help: write it in quotes: "0"

            site.toml: 1 error"#]],
    );
    // With a mistake there, it is not told here too.
    bad(
        "[\"eth0\", \"eth1\"]",
        "[\"eth/0\"]",
        &expect![[r#"
            site.toml:4:15: error: `eth/0` cannot name an interface
              |
            4 | interfaces = ["eth/0"]
              |               ^^^^^^^
              = help: 1 to 15 characters, without `/`, `:` and spaces; see `ip link`

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_part_that_cannot_be_read_is_not_missing() {
    bad(
        PART,
        "virtual_router = \"site\"",
        &expect![[r#"
        site.toml:13:18: error: expected a table, found the text "site"
           |
        13 | virtual_router = "site"
           |                  ^^^^^^

        site.toml: 1 error"#]],
    );
    bad(
        "interfaces = [",
        "interfaces = [0, ",
        &expect![[r#"
        site.toml:4:15: error: expected text in quotes, found the number 0
          |
        4 | interfaces = [0, "eth0", "eth1"]
          |               ^
          = help: write it in quotes: "0"

        site.toml: 1 error"#]],
    );
}

#[test]
fn priorities_have_bounds() {
    bad(
        "priority = 150",
        "priority = 0",
        &expect![[r#"
        site.toml:7:12: error: priority 0 is out of range
          |
        7 | priority = 0
          |            ^
          = help: write 1 to 255

        site.toml: 1 error"#]],
    );
    bad(
        "priority = 150",
        "priority = 256",
        &expect![[r#"
        site.toml:7:12: error: priority 256 is out of range
          |
        7 | priority = 256
          |            ^^^
          = help: write 1 to 255

        site.toml: 1 error"#]],
    );
    bad(
        "priority = 150",
        "priority = \"high\"",
        &expect![[r#"
            site.toml:7:12: error: expected a whole number, found the text "high"
              |
            7 | priority = "high"
              |            ^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn equal_priorities_are_warned_of() {
    warned(
        &pair("priority = 150", "priority = 100"),
        &expect![[r#"
        site.toml:13:1: warning: lb1 and lb2 have the same priority: the one with the greater address wins
           |
        13 | [hosts.lb2.director.virtual_router.site]
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: give the one that should be active a higher priority
        site.toml:7:12: note: the other
           |
         7 | priority = 100
           |            ^^^

        site.toml: 1 warning"#]],
    );
    // The default, twice.
    warned(
        &pair("priority = 150\n", ""),
        &expect![[r#"
        site.toml:12:1: warning: lb1 and lb2 have the same priority: the one with the greater address wins
           |
        12 | [hosts.lb2.director.virtual_router.site]
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: give the one that should be active a higher priority
        site.toml:5:1: note: the other
           |
         5 | [hosts.lb1.director.virtual_router.site]
           | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

        site.toml: 1 warning"#]],
    );
}

#[test]
fn one_host_alone_is_warned_of_and_none_refused() {
    let part = "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\n";
    let lone = pair(part, "");
    warned(
        &lone,
        &expect![[r#"
            site.toml:14:1: warning: only lb1 takes part in virtual router `site`: nobody takes over from it
               |
            14 | [[virtual_router]]
               | ^^^^^^^^^^^^^^^^^^
               = help: add `[hosts.NAME.director.virtual_router.site]` with its `interface` for a second one

            site.toml: 1 warning"#]],
    );
    let nobody = lone.replace(
        "[hosts.lb1.director.virtual_router.site]\ninterface = \"eth0\"\npriority = 150\n",
        "",
    );
    refused(
        &nobody,
        &expect![[r#"
            site.toml:11:1: error: no host takes part in virtual router `site`
               |
            11 | [[virtual_router]]
               | ^^^^^^^^^^^^^^^^^^
               = help: add `[hosts.NAME.director.virtual_router.site]` with its `interface`, for each director

            site.toml: 1 error"#]],
    );
}

#[test]
fn addresses_are_of_their_family() {
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\naddress = \"fe80::3\"",
        &expect![[r#"
            site.toml:15:11: error: fe80::3 is not where adverts over IPv4 can come from
               |
            15 | address = "fe80::3"
               |           ^^^^^^^^^
               = help: write an IPv4 address; that for IPv6 is `address6`

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\naddress = \"127.0.0.1\"",
        &expect![[r#"
            site.toml:15:11: error: adverts cannot come from a loopback address
               |
            15 | address = "127.0.0.1"
               |           ^^^^^^^^^^^
               = help: write an address of this host's interface

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\naddress6 = \"2001:db8::3\"",
        &expect![[r#"
            site.toml:15:12: error: 2001:db8::3 is not link-local, and adverts over IPv6 have to be
               |
            15 | address6 = "2001:db8::3"
               |            ^^^^^^^^^^^^^
               = help: write the interface's address in fe80::/10; see `ip -6 address`

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\naddress6 = \"192.0.2.3\"",
        &expect![[r#"
            site.toml:15:12: error: 192.0.2.3 is not link-local, and adverts over IPv6 have to be
               |
            15 | address6 = "192.0.2.3"
               |            ^^^^^^^^^^^
               = help: write the interface's address in fe80::/10; see `ip -6 address`

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\naddress6 = \"fe80::3%eth0\"",
        &expect![[r#"
            site.toml:15:12: error: `fe80::3%eth0` names an interface too
               |
            15 | address6 = "fe80::3%eth0"
               |            ^^^^^^^^^^^^^^
               = help: write the address alone: "fe80::3"

            site.toml: 1 error"#]],
    );
    bad(
        PART,
        "[hosts.lb2.director.virtual_router.site]\ninterface = \"eth0\"\nadress = \"192.0.2.3\"",
        &expect![[r#"
            site.toml:15:1: error: unknown key `adress`
               |
            15 | adress = "192.0.2.3"
               | ^^^^^^
               = help: did you mean `address`?

            site.toml: 1 error"#]],
    );
}

#[test]
fn unicast_needs_the_addresses_of_all() {
    let site = good(&unicast()).site;
    let peers = |host, family| site.peers(&site.virtual_routers[0], host, family);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(peers("lb1", Family::V4), [ip("192.0.2.3")]);
    assert_eq!(peers("lb1", Family::V6), [ip("fe80::3")]);
    assert_eq!(peers("lb2", Family::V6), [ip("fe80::2")]);
    // Everyone is heard where adverts are multicast.
    let multicast = good(&unicast().replace("unicast", "multicast")).site;
    assert_eq!(
        multicast.peers(&multicast.virtual_routers[0], "lb1", Family::V4),
        [] as [IpAddr; 0]
    );
    refused(
        &unicast().replace("address = \"192.0.2.2\"\n", ""),
        &expect![[r#"
            site.toml:5:1: error: the others of `site` need lb1's IPv4 address for their unicast adverts
              |
            5 | [hosts.lb1.director.virtual_router.site]
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = help: add `address = "192.0.2.2"`, or use transport "multicast"

            site.toml: 1 error"#]],
    );
    refused(
        &unicast().replace("address6 = \"fe80::3\"\n", ""),
        &expect![[r#"
            site.toml:15:1: error: the others of `site` need lb2's IPv6 address for their unicast adverts
               |
            15 | [hosts.lb2.director.virtual_router.site]
               | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: add `address6 = "fe80::…"`, or use transport "multicast"

            site.toml: 1 error"#]],
    );
    // One that is wrong is not missing too.
    refused(
        &unicast().replace("fe80::3", "fe80:3"),
        &expect![[r#"
        site.toml:17:12: error: `fe80:3` is not an IP address
           |
        17 | address6 = "fe80:3"
           |            ^^^^^^^^
           = help: write an IP address such as "10.77.0.100"; names are not looked up

        site.toml: 1 error"#]],
    );
}

#[test]
fn two_hosts_have_two_addresses() {
    refused(
        &unicast().replace("fe80::3", "fe80::2"),
        &expect![[r#"
            site.toml:17:12: error: adverts of `site` come from fe80::2 already, from lb1
               |
            17 | address6 = "fe80::2"
               |            ^^^^^^^^^
               = help: write each host's own address
            site.toml:9:12: note: first given here
               |
             9 | address6 = "fe80::2"
               |            ^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_vrid_is_one_routers_on_an_interface() {
    let more = "[[virtual_router]]\nname = \"more\"\nvrid = 51\nvips = [\"2001:db8::200\"]\n\
                [hosts.lb1.director.virtual_router.more]\ninterface = \"eth0\"\n\
                [hosts.lb2.director.virtual_router.more]\ninterface = \"eth0\"\npriority = 50\n";
    let text = format!("{PAIR}{more}");
    refused(
        &text,
        &expect![[r#"
            site.toml:37:8: error: VRID 51 is used twice on eth0 of lb1: by `site` and `more`
               |
            37 | vrid = 51
               |        ^^
               = help: give each virtual router on an interface a `vrid` of its own
            site.toml:18:8: note: first used here
               |
            18 | vrid = 51
               |        ^^

            site.toml: 1 error"#]],
    );
    let elsewhere = text.replace("more]\ninterface = \"eth0\"", "more]\ninterface = \"eth1\"");
    // The link-local VIP that is made from it is not this link's alone.
    refused(
        &elsewhere,
        &expect![[r#"
        site.toml:37:8: error: lb1 would have the link-local VIP fe80::200:5eff:fe00:233 twice: in `site` and `more`
           |
        37 | vrid = 51
           |        ^^
           = help: write another link-local VIP first in the `vips` of one of them, or give it another `vrid`: that is what one is made from where none is written
        site.toml:18:8: note: first had here
           |
        18 | vrid = 51
           |        ^^

        site.toml: 1 error"#]],
    );
    let elsewhere = elsewhere.replace("[\"2001:db8::200", "[\"fe80::200\", \"2001:db8::200");
    assert_eq!(good(&elsewhere).site.virtual_routers.len(), 2);
    // The same in the other family is another router.
    let families = text.replace(
        "vips = [\"192.0.2.100\", \"2001:db8::100\"]",
        "vips = [\"192.0.2.100\"]",
    );
    assert_eq!(good(&families).site.virtual_routers.len(), 2);
}
