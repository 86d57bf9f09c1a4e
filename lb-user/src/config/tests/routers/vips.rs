//! VIPs of virtual routers.

use std::net::Ipv6Addr;

use expect_test::expect;

use super::{PAIR, bad, pair};
use crate::config::tests::{good, refused};

const VIPS: &str = "vips = [\"192.0.2.100\", \"2001:db8::100\"]";

fn vips(list: &str) -> String {
    pair(VIPS, &format!("vips = {list}"))
}

#[test]
fn a_vip_is_an_address_that_a_host_can_have() {
    bad(
        VIPS,
        "vips = [\"192.0.2.256\"]",
        &expect![[r#"
            site.toml:19:9: error: `192.0.2.256` is not an IP address
               |
            19 | vips = ["192.0.2.256"]
               |         ^^^^^^^^^^^^^
               = help: write an IP address such as "10.77.0.100"; names are not looked up

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"224.0.0.18\"]",
        &expect![[r#"
            site.toml:19:9: error: a VIP cannot be a multicast address
               |
            19 | vips = ["224.0.0.18"]
               |         ^^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"127.0.0.1\"]",
        &expect![[r#"
            site.toml:19:9: error: a VIP cannot be a loopback address
               |
            19 | vips = ["127.0.0.1"]
               |         ^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"0.0.0.0\"]",
        &expect![[r#"
            site.toml:19:9: error: a VIP cannot be the unspecified address
               |
            19 | vips = ["0.0.0.0"]
               |         ^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"::ffff:192.0.2.100\"]",
        &expect![[r#"
            site.toml:19:9: error: a VIP cannot be an IPv4-mapped address
               |
            19 | vips = ["::ffff:192.0.2.100"]
               |         ^^^^^^^^^^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [192]",
        &expect![[r#"
            site.toml:19:9: error: expected text in quotes, found the number 192
               |
            19 | vips = [192]
               |         ^^^
               = help: write it in quotes: "192"

            site.toml: 1 error"#]],
    );
}

#[test]
fn networks_and_what_keepalived_writes_are_understood() {
    bad(
        VIPS,
        "vips = [\"192.0.2.0/24\"]",
        &expect![[r#"
            site.toml:19:9: error: `192.0.2.0/24` is a network, and a virtual router moves addresses
               |
            19 | vips = ["192.0.2.0/24"]
               |         ^^^^^^^^^^^^^^
               = help: write each address; a network needs none: it is routed to one of the VIPs

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"192.0.2.100/24\"]",
        &expect![[r#"
            site.toml:19:9: error: `192.0.2.100/24` is more than an address
               |
            19 | vips = ["192.0.2.100/24"]
               |         ^^^^^^^^^^^^^^^^
               = help: write the address alone: "192.0.2.100"

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"192.0.2.100/32\"]",
        &expect![[r#"
            site.toml:19:9: error: `192.0.2.100/32` is more than an address
               |
            19 | vips = ["192.0.2.100/32"]
               |         ^^^^^^^^^^^^^^^^
               = help: write the address alone: "192.0.2.100"

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"192.0.2.100/24 dev eth0\"]",
        &expect![[r#"
            site.toml:19:9: error: `192.0.2.100/24 dev eth0` is more than an address
               |
            19 | vips = ["192.0.2.100/24 dev eth0"]
               |         ^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write the address alone: "192.0.2.100"

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"2001:db8::/64\"]",
        &expect![[r#"
            site.toml:19:9: error: `2001:db8::/64` is a network, and a virtual router moves addresses
               |
            19 | vips = ["2001:db8::/64"]
               |         ^^^^^^^^^^^^^^^
               = help: write each address; a network needs none: it is routed to one of the VIPs

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_router_has_a_vip() {
    bad(
        VIPS,
        "vips = []",
        &expect![[r#"
            site.toml:19:8: error: a virtual router without a VIP
               |
            19 | vips = []
               |        ^^
               = help: write the addresses that it moves: ["192.0.2.100"]

            site.toml: 1 error"#]],
    );
    bad(
        "vips = [\"192.0.2.100\", \"2001:db8::100\"]\n",
        "",
        &expect![[r#"
            site.toml:16:1: error: missing key `vips`
               |
            16 | [[virtual_router]]
               | ^^^^^^^^^^^^^^^^^^
               = help: add `vips = ["192.0.2.100"]`

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = \"192.0.2.100\"",
        &expect![[r#"
            site.toml:19:8: error: expected a list, found the text "192.0.2.100"
               |
            19 | vips = "192.0.2.100"
               |        ^^^^^^^^^^^^^
               = help: write a list: ["192.0.2.100"]

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_vip_is_in_one_router_once() {
    bad(
        VIPS,
        "vips = [\"192.0.2.100\", \"2001:db8::100\", \"2001:DB8::100\"]",
        &expect![[r#"
            site.toml:19:41: error: VIP 2001:db8::100 is given twice
               |
            19 | vips = ["192.0.2.100", "2001:db8::100", "2001:DB8::100"]
               |                                         ^^^^^^^^^^^^^^^
               = help: name it once
            site.toml:19:24: note: first named here
               |
            19 | vips = ["192.0.2.100", "2001:db8::100", "2001:DB8::100"]
               |                        ^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    let more = "[[virtual_router]]\nname = \"more\"\nvrid = 52\nvips = [\"2001:db8::100\"]\n";
    let part = "[hosts.lb1.director.virtual_router.more]\ninterface = \"eth1\"\n\
                [hosts.lb2.director.virtual_router.more]\ninterface = \"eth1\"\npriority = 50\n";
    refused(
        &format!("{PAIR}{more}{part}"),
        &expect![[r#"
        site.toml:38:9: error: VIP 2001:db8::100 is in two virtual routers
           |
        38 | vips = ["2001:db8::100"]
           |         ^^^^^^^^^^^^^^^
           = help: leave it to one of them
        site.toml:19:24: note: first named here
           |
        19 | vips = ["192.0.2.100", "2001:db8::100"]
           |                        ^^^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_host_has_a_link_local_vip_once_though_its_links_differ() {
    let more = "[[virtual_router]]\nname = \"more\"\nvrid = 52\nvips = [\"fe80::100\"]\n";
    let part = |host: &str, more: &str| {
        format!("[hosts.{host}.director.virtual_router.more]\ninterface = \"eth1\"\n{more}")
    };
    let first = pair("2001:db8::100\"]", "fe80::100\"]");
    let at_lb1 = format!("{first}{more}{}", part("lb1", ""));
    refused(
        &format!("{at_lb1}{}", part("lb2", "priority = 50\n")),
        &expect![[r#"
            site.toml:38:9: error: lb1 would have the link-local VIP fe80::100 twice: in `site` and `more`
               |
            38 | vips = ["fe80::100"]
               |         ^^^^^^^^^^^
               = help: write different link-local VIPs: a director finds VIPs by their addresses alone
            site.toml:19:24: note: first had here
               |
            19 | vips = ["192.0.2.100", "fe80::100"]
               |                        ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    refused(
        &at_lb1.replace("eth1\"\n", "eth0\"\n"),
        &expect![[r#"
        site.toml:38:9: error: lb1 would have the link-local VIP fe80::100 twice: in `site` and `more`
           |
        38 | vips = ["fe80::100"]
           |         ^^^^^^^^^^^
           = help: write different link-local VIPs: a director finds VIPs by their addresses alone
        site.toml:19:24: note: first had here
           |
        19 | vips = ["192.0.2.100", "fe80::100"]
           |                        ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    // One that is written, and one that is made from the VRID.
    let derived = pair("vrid = 51", "vrid = 52");
    let derived = format!("{derived}{more}{}", part("lb1", ""));
    refused(
        &derived.replace("fe80::100", "fe80::200:5eff:fe00:234"),
        &expect![[r#"
            site.toml:38:9: error: lb1 would have the link-local VIP fe80::200:5eff:fe00:234 twice: in `site` and `more`
               |
            38 | vips = ["fe80::200:5eff:fe00:234"]
               |         ^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write another link-local VIP first in the `vips` of one of them, or give it another `vrid`: that is what one is made from where none is written
            site.toml:18:8: note: first had here
               |
            18 | vrid = 52
               |        ^^

            site.toml: 1 error"#]],
    );
    // Hosts that have nothing in common may.
    let lb3 = "[hosts.lb3.director]\ninterfaces = [\"eth1\"]\n";
    let apart = format!("{first}{more}{lb3}{}", part("lb3", ""));
    assert_eq!(good(&apart).site.virtual_routers.len(), 2);
}

#[test]
fn the_first_of_ipv6_is_link_local() {
    let listed = |list: &str| good(&vips(list)).site.virtual_routers[0].vips_v6.clone();
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let v4 = "\"192.0.2.100\"";
    assert_eq!(listed(&format!("[{v4}]")), [] as [Ipv6Addr; 0]);
    assert_eq!(
        listed(&format!("[{v4}, \"2001:db8::2\", \"2001:db8::1\"]")),
        [
            ip("fe80::200:5eff:fe00:233"),
            ip("2001:db8::2"),
            ip("2001:db8::1")
        ]
    );
    assert_eq!(
        listed(&format!(
            "[{v4}, \"2001:db8::2\", \"fe80::9\", \"fe80::1\"]"
        )),
        [ip("fe80::9"), ip("fe80::1"), ip("2001:db8::2")]
    );
}

#[test]
fn an_advert_has_room_for_so_many() {
    let list = |family: &str, count: u16| -> String {
        let vips = (0..count).map(|nth| match family {
            "v4" => format!("\"10.9.{}.{}\"", nth / 256, nth % 256),
            _ => format!("\"2001:db8::{:x}\"", 0x100 + nth),
        });
        vips.collect::<Vec<_>>().join(", ")
    };
    let most = vips(&format!("[{}, {}]", list("v4", 255), list("v6", 89)));
    let said = good(&most).site.virtual_routers[0].clone();
    assert_eq!((said.vips_v4.len(), said.vips_v6.len()), (255, 90));
    let told = |list: &str| {
        let source = daemon::source::SourceFile::new("site.toml", vips(list));
        let report = crate::config::Site::parse(source).unwrap_err();
        let own = report
            .diagnostics()
            .iter()
            .filter(|d| d.message.starts_with("more"));
        own.map(|d| format!("{}: {}", d.message, d.help.clone().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    expect!["more than the 255 IPv4 VIPs that an advert has room for: split it into two virtual routers of one `group`"].assert_eq(&told(&format!("[{}]", list("v4", 256))));
    expect!["more than the 89 IPv6 VIPs that an advert has room for beside the link-local one: split it into two virtual routers of one `group`"].assert_eq(&told(&format!("[{}]", list("v6", 90))));
    expect!["more than the 90 IPv6 VIPs that an advert has room for: split it into two virtual routers of one `group`"].assert_eq(&told(&format!("[\"fe80::1\", {}]", list("v6", 90))));
    expect!["more than the 345 VIPs of a virtual router: split it into two virtual routers of one `group`"].assert_eq(&told(&format!("[{}]", list("v4", 346))));
}
