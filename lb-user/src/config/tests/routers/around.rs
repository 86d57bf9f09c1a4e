//! Virtual routers and the rest of the file.

use expect_test::expect;

use super::{PAIR, pair, warned};
use crate::config::tests::{good, refused};

#[test]
fn a_vip_that_nobody_moves_is_warned_of() {
    // Once, however many services are at it.
    let more = |vip: &str, port| {
        format!(
            "[[service]]\nname = \"s{port}\"\nvip = \"{vip}\"\nport = {port}\nprotocol = \"tcp\"\nmethod = \"dr\"\n[[service.real]]\naddress = \"192.0.2.11\"\n"
        )
    };
    warned(
        &format!(
            "{PAIR}{}{}",
            more("192.0.2.101", 81),
            more("192.0.2.101", 82)
        ),
        &expect![[r#"
            site.toml:37:7: warning: VIP 192.0.2.101 is in no virtual router: it stays with whoever has it on an interface
               |
            37 | vip = "192.0.2.101"
               |       ^^^^^^^^^^^^^
               = help: add it to the `vips` of a `[[virtual_router]]`

            site.toml: 1 warning"#]],
    );
    // A network is routed here, and a host's own address is answered for by the host.
    for vip in ["198.51.100.0/24", "192.0.2.3"] {
        let checked = good(&format!("{PAIR}{}", more(vip, 81)));
        assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    }
}

#[test]
fn a_pool_does_not_move() {
    let pool = "interfaces = [\"eth0\", \"eth1\"]\npool = [\"192.0.2.100:20000-29999\"]";
    refused(
        &pair("interfaces = [\"eth0\", \"eth1\"]", pool),
        &expect![[r#"
            site.toml:5:9: error: 192.0.2.100 moves with virtual router `site`: the pool of one director cannot have it
               |
             5 | pool = ["192.0.2.100:20000-29999"]
               |         ^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: take an address that stays with this director
            site.toml:20:9: note: the VIP
               |
            20 | vips = ["192.0.2.100", "2001:db8::100"]
               |         ^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_real_server_does_not_move() {
    refused(
        &pair("address = \"192.0.2.11\"", "address = \"192.0.2.100\""),
        &expect![[r#"
            site.toml:33:11: error: real server 192.0.2.100 has the address of a VIP
               |
            33 | address = "192.0.2.100"
               |           ^^^^^^^^^^^^^
               = help: write the real server's own address
            site.toml:28:7: note: the VIP
               |
            28 | vip = "192.0.2.100"
               |       ^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
    let gateway = pair("\"2001:db8::100\"]", "\"2001:db8::100\", \"192.0.2.11\"]");
    refused(
        &gateway,
        &expect![[r#"
        site.toml:33:11: error: real server 192.0.2.11 has the address of a VIP
           |
        33 | address = "192.0.2.11"
           |           ^^^^^^^^^^^^
           = help: write the real server's own address
        site.toml:19:41: note: the VIP
           |
        19 | vips = ["192.0.2.100", "2001:db8::100", "192.0.2.11"]
           |                                         ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn there_is_a_bound_of_routers() {
    let routers = |count: u16, vips: &str| -> String {
        let text: String = (0..count).map(|nth| {
            let (vrid, vips) = (1 + nth % 255, vips.replace("NTH", &format!("{:x}", nth + 1)));
            let vips = vips.replace("HIGH", &(nth / 256).to_string()).replace("LOW", &(nth % 256).to_string());
            let link = nth / 255;
            format!("[[virtual_router]]\nname = \"r{nth}\"\nvrid = {vrid}\nvips = [{vips}]\n\
                     [hosts.a.director.virtual_router.r{nth}]\ninterface = \"eth{link}\"\npriority = 2\n\
                     [hosts.b.director.virtual_router.r{nth}]\ninterface = \"eth{link}\"\n")
        }).collect();
        let links = "interfaces = [\"eth0\", \"eth1\", \"eth2\", \"eth3\", \"eth4\"]\n";
        format!("[hosts.a.director]\n{links}[hosts.b.director]\n{links}{text}")
    };
    let v4 = "\"10.0.HIGH.LOW\"";
    let both = "\"10.0.HIGH.LOW\", \"fe80::NTH\", \"fd00::NTH\"";
    assert_eq!(good(&routers(1024, v4)).site.virtual_routers.len(), 1024);
    refused(
        &routers(1025, v4),
        &expect![[r#"
        site.toml:9221:1: error: more than the 1024 virtual routers of this version
             |
        9221 | [[virtual_router]]
             | ^^^^^^^^^^^^^^^^^^
             = help: one with VIPs of both families counts twice

        site.toml: 1 error"#]],
    );
    assert_eq!(good(&routers(512, both)).site.virtual_routers.len(), 512);
    refused(
        &routers(513, both),
        &expect![[r#"
        site.toml:4613:1: error: more than the 1024 virtual routers of this version
             |
        4613 | [[virtual_router]]
             | ^^^^^^^^^^^^^^^^^^
             = help: one with VIPs of both families counts twice

        site.toml: 1 error"#]],
    );
}
