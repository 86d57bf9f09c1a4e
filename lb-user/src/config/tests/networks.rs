//! VIPs that are networks: what is taken, and every mistake in them.

use expect_test::expect;

use super::{bad, good, with};
use crate::config::{Ports, Vip};

const DR: &str = "vip = \"10.77.0.100\"\nport = 80\nprotocol = \"tcp\"\nmethod = \"dr\"";

/// The first service's VIP, given another one and method `tunnel`, which is of either family.
fn vip(text: &str) -> Vip {
    let tunnel = DR.replace("dr", "tunnel").replace("10.77.0.100", text);
    let checked = good(&with(DR, &tunnel));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    checked.site.services[0].vip
}

#[test]
fn vips_are_addresses_or_networks() {
    for (text, address, prefix) in [
        ("10.77.0.100", "10.77.0.100", 32),
        ("10.77.0.100/32", "10.77.0.100", 32),
        ("10.80.0.0/24", "10.80.0.0", 24),
        ("10.80.0.2/31", "10.80.0.2", 31),
        ("11.0.0.0/8", "11.0.0.0", 8),
    ] {
        let vip = vip(text);
        assert_eq!(
            (vip.address.to_string(), vip.prefix),
            (address.to_owned(), prefix)
        );
        assert_eq!(vip.is_single(), prefix == 32);
    }
    assert_eq!(vip("10.77.0.100/32").to_string(), "10.77.0.100");
    assert_eq!(vip("10.80.0.0/24").to_string(), "10.80.0.0/24");
    let network = vip("10.80.0.0/24");
    for (address, is_in) in [
        ("10.80.0.0", true),
        ("10.80.0.255", true),
        ("10.80.1.0", false),
        ("::ffff:10.80.0.1", false),
    ] {
        assert_eq!(
            network.contains(address.parse().unwrap()),
            is_in,
            "{address}"
        );
    }
}

#[test]
fn vips_of_ipv6_are_networks_too() {
    assert!(vip("2001:db8:1::1/128").is_single());
    let network = vip("2001:db8:1::/64");
    assert_eq!((network.prefix, network.is_ipv6()), (64, true));
    assert_eq!(network.at(Ports::ALL), "[2001:db8:1::/64]:all");
    assert_eq!(
        (vip("2001::/16").prefix, vip("2001:db8::2/127").prefix),
        (16, 127)
    );
}

#[test]
fn networks_have_no_bits_beyond_their_prefix() {
    for (vip, expected) in [
        (
            "10.80.0.1/24",
            expect![[r#"
            site.toml:11:7: error: `10.80.0.1/24` has bits set beyond its prefix
               |
            11 | vip = "10.80.0.1/24"
               |       ^^^^^^^^^^^^^^
               = help: write "10.80.0.0/24"

            site.toml: 1 error"#]],
        ),
        (
            "2001:db8::1/64",
            expect![[r#"
            site.toml:11:7: error: `2001:db8::1/64` has bits set beyond its prefix
               |
            11 | vip = "2001:db8::1/64"
               |       ^^^^^^^^^^^^^^^^
               = help: write "2001:db8::/64"

            site.toml: 1 error"#]],
        ),
    ] {
        bad("\"10.77.0.100\"", &format!("\"{vip}\""), &expected);
    }
}

#[test]
fn networks_have_limits() {
    for (vip, expected) in [
        (
            "10.80.0.0/7",
            expect![[r#"
            site.toml:11:7: error: prefix length 7 is out of range
               |
            11 | vip = "10.80.0.0/7"
               |       ^^^^^^^^^^^^^
               = help: write /8 to /32

            site.toml: 1 error"#]],
        ),
        (
            "2000::/3",
            expect![[r#"
            site.toml:11:7: error: prefix length 3 is out of range
               |
            11 | vip = "2000::/3"
               |       ^^^^^^^^^^
               = help: write /16 to /128

            site.toml: 1 error"#]],
        ),
        (
            "10.80.0.0/33",
            expect![[r#"
            site.toml:11:7: error: `10.80.0.0/33` is not an address and the length of its prefix
               |
            11 | vip = "10.80.0.0/33"
               |       ^^^^^^^^^^^^^^
               = help: write for example "10.80.0.0/24"

            site.toml: 1 error"#]],
        ),
    ] {
        bad("\"10.77.0.100\"", &format!("\"{vip}\""), &expected);
    }
}

#[test]
fn networks_are_addresses_and_lengths() {
    for (vip, expected) in [
        (
            "10.80.0.0/255.255.255.0",
            expect![[r#"
            site.toml:11:7: error: `10.80.0.0/255.255.255.0` is not an address and the length of its prefix
               |
            11 | vip = "10.80.0.0/255.255.255.0"
               |       ^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write for example "10.80.0.0/24"

            site.toml: 1 error"#]],
        ),
        (
            "10.80.0/24",
            expect![[r#"
            site.toml:11:7: error: `10.80.0/24` is not an address and the length of its prefix
               |
            11 | vip = "10.80.0/24"
               |       ^^^^^^^^^^^^
               = help: write for example "10.80.0.0/24"

            site.toml: 1 error"#]],
        ),
        (
            "10.80.0.0/+24",
            expect![[r#"
            site.toml:11:7: error: `10.80.0.0/+24` is not an address and the length of its prefix
               |
            11 | vip = "10.80.0.0/+24"
               |       ^^^^^^^^^^^^^^^
               = help: write for example "10.80.0.0/24"

            site.toml: 1 error"#]],
        ),
    ] {
        bad("\"10.77.0.100\"", &format!("\"{vip}\""), &expected);
    }
}

#[test]
fn networks_are_of_addresses_that_hosts_have() {
    for (vip, expected) in [
        (
            "224.0.0.0/8",
            expect![[r#"
            site.toml:11:7: error: a VIP cannot be a multicast address, and one of these is
               |
            11 | vip = "224.0.0.0/8"
               |       ^^^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
        ),
        (
            "127.0.0.0/8",
            expect![[r#"
            site.toml:11:7: error: a VIP cannot be a loopback address, and one of these is
               |
            11 | vip = "127.0.0.0/8"
               |       ^^^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
        ),
        (
            "255.255.255.0/24",
            expect![[r#"
            site.toml:11:7: error: a VIP cannot be the broadcast address, and one of these is
               |
            11 | vip = "255.255.255.0/24"
               |       ^^^^^^^^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
        ),
        (
            "fe80::/64",
            expect![[r#"
            site.toml:11:7: error: a VIP cannot be a link-local address, and one of these is
               |
            11 | vip = "fe80::/64"
               |       ^^^^^^^^^^^
               = help: write the address that clients connect to

            site.toml: 1 error"#]],
        ),
    ] {
        bad("\"10.77.0.100\"", &format!("\"{vip}\""), &expected);
    }
}

#[test]
fn nat_answers_for_one_vip() {
    bad(
        DR,
        &DR.replace("10.77.0.100", "10.80.0.0/24")
            .replace("dr", "nat"),
        &expect![[r#"
            site.toml:11:7: error: method "nat" with many VIPs: a reply could not tell which it is from
               |
            11 | vip = "10.80.0.0/24"
               |       ^^^^^^^^^^^^^^
               = help: use method "fullnat", or write a service for each VIP
            site.toml:14:10: note: the method
               |
            14 | method = "nat"
               |          ^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_real_server_is_in_no_vips_network() {
    bad(
        "\"10.77.0.100\"",
        "\"10.77.0.0/26\"",
        &expect![[r#"
        site.toml:22:11: error: real server 10.77.0.11 has the address of a VIP
           |
        22 | address = "10.77.0.11"
           |           ^^^^^^^^^^^^
           = help: write the real server's own address
        site.toml:11:7: note: the VIP
           |
        11 | vip = "10.77.0.0/26"
           |       ^^^^^^^^^^^^^^

        site.toml:26:11: error: real server 10.77.0.12 has the address of a VIP
           |
        26 | address = "10.77.0.12"
           |           ^^^^^^^^^^^^
           = help: write the real server's own address
        site.toml:11:7: note: the VIP
           |
        11 | vip = "10.77.0.0/26"
           |       ^^^^^^^^^^^^^^

        site.toml:36:11: error: real server 10.77.0.21 has the address of a VIP
           |
        36 | address = "10.77.0.21"
           |           ^^^^^^^^^^^^
           = help: write the real server's own address
        site.toml:11:7: note: the VIP
           |
        11 | vip = "10.77.0.0/26"
           |       ^^^^^^^^^^^^^^

        site.toml: 3 errors"#]],
    );
}
