//! Hosts whose own addresses are VIPs.

use expect_test::expect;

use super::{PAIR, bad, pair};
use crate::config::tests::{good, refused};

const VIPS: &str = "vips = [\"192.0.2.100\", \"2001:db8::100\"]";

#[test]
fn a_hosts_own_address_makes_it_the_owner() {
    bad(
        VIPS,
        "vips = [\"192.0.2.100\", \"192.0.2.2\"]",
        &expect![[r#"
            site.toml:19:24: error: VIP 192.0.2.2 is lb1's own address
               |
            19 | vips = ["192.0.2.100", "192.0.2.2"]
               |                        ^^^^^^^^^^^
               = help: write one that is no host's, or make lb1 its owner: `priority = 255` in `[hosts.lb1.director.virtual_router.site]`
            site.toml:2:14: note: the host's
               |
             2 | addresses = ["192.0.2.2"]
               |              ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    bad(
        VIPS,
        "vips = [\"192.0.2.100\", \"192.0.2.3\"]",
        &expect![[r#"
            site.toml:19:24: error: VIP 192.0.2.3 is lb2's own address
               |
            19 | vips = ["192.0.2.100", "192.0.2.3"]
               |                        ^^^^^^^^^^^
               = help: write one that is no host's, or make lb2 its owner: `priority = 255` in `[hosts.lb2.director.virtual_router.site]`
            site.toml:10:14: note: the host's
               |
            10 | addresses = ["192.0.2.3"]
               |              ^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    let own = pair(VIPS, "vips = [\"192.0.2.100\", \"192.0.2.2\"]")
        .replace("priority = 150", "priority = 255");
    let checked = good(&own);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    // Where adverts come from is its own address too.
    bad(
        "priority = 150",
        "priority = 150\naddress = \"192.0.2.100\"",
        &expect![[r#"
            site.toml:20:9: error: VIP 192.0.2.100 is lb1's own address
               |
            20 | vips = ["192.0.2.100", "2001:db8::100"]
               |         ^^^^^^^^^^^^^
               = help: write one that is no host's, or make lb1 its owner: `priority = 255` in `[hosts.lb1.director.virtual_router.site]`
            site.toml:8:11: note: the host's
               |
             8 | address = "192.0.2.100"
               |           ^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_host_that_takes_no_part_keeps_its_address() {
    let third = format!("{PAIR}[hosts.lb3]\naddresses = [\"2001:db8::100\"]\n");
    refused(
        &third,
        &expect![[r#"
            site.toml:19:24: error: VIP 2001:db8::100 is lb3's own address
               |
            19 | vips = ["192.0.2.100", "2001:db8::100"]
               |                        ^^^^^^^^^^^^^^^
               = help: write one that is no host's
            site.toml:36:14: note: the host's
               |
            36 | addresses = ["2001:db8::100"]
               |              ^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn nobody_else_has_the_owners_priority() {
    bad(
        "priority = 150",
        "priority = 255",
        &expect![[r#"
            site.toml:7:12: error: priority 255 is the owner's, and no VIP of `site` is an address of lb1
              |
            7 | priority = 255
              |            ^^^
              = help: write 1 to 254, or name the VIP in `hosts.lb1.addresses` if it is its own

            site.toml: 1 error"#]],
    );
    // The owner of one family is not that of the other.
    let half = pair(
        VIPS,
        "vips = [\"192.0.2.100\", \"192.0.2.2\", \"2001:db8::100\"]",
    );
    refused(
        &half.replace("priority = 150", "priority = 255"),
        &expect![[r#"
            site.toml:7:12: error: priority 255 is the owner's, and no IPv6 VIP of `site` is an address of lb1
              |
            7 | priority = 255
              |            ^^^
              = help: write 1 to 254, or name the VIP in `hosts.lb1.addresses` if it is its own

            site.toml: 1 error"#]],
    );
}

#[test]
fn there_is_one_owner() {
    let both = pair(VIPS, "vips = [\"192.0.2.2\", \"192.0.2.3\"]")
        .replace("priority = 150", "priority = 255");
    let own = "[hosts.lb2.director.virtual_router.site]\n";
    let both = both
        .replace(own, &format!("{own}priority = 255\n"))
        .replace("vip = \"192.0.2.100\"", "vip = \"192.0.2.2\"");
    refused(
        &both,
        &expect![[r#"
        site.toml:14:12: error: lb1 and lb2 would both be the owner
           |
        14 | priority = 255
           |            ^^^
           = help: write 1 to 254 for one of them
        site.toml:7:12: note: the other
           |
         7 | priority = 255
           |            ^^^

        site.toml: 1 error"#]],
    );
}
