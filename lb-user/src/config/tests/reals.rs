//! Mistakes in `[[service.real]]`.

use expect_test::expect;

use daemon::source::SourceFile;

use super::{bad, good, warned, with};
use crate::config::Site;

#[test]
fn addresses() {
    bad(
        "address = \"10.77.0.11\"\n",
        "",
        &expect![[r#"
        site.toml:21:1: error: missing key `address`
           |
        21 | [[service.real]]
           | ^^^^^^^^^^^^^^^^
           = help: add `address = "10.77.0.11"`

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.11\"",
        "\"2001:db8::11\"",
        &expect![[r#"
        site.toml:22:11: error: an IPv6 real server in an IPv4 service
           |
        22 | address = "2001:db8::11"
           |           ^^^^^^^^^^^^^^
           = help: write its IPv4 address

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.11\"",
        "\"127.0.0.1\"",
        &expect![[r#"
        site.toml:22:11: error: a real server cannot have a loopback address
           |
        22 | address = "127.0.0.1"
           |           ^^^^^^^^^^^
           = help: write its address on the network

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.11\"",
        "\"10.77.0.11:80\"",
        &expect![[r#"
        site.toml:22:11: error: `10.77.0.11:80` is not an IP address
           |
        22 | address = "10.77.0.11:80"
           |           ^^^^^^^^^^^^^^^
           = help: write the address alone: "10.77.0.11"

        site.toml: 1 error"#]],
    );
}

#[test]
fn addresses_that_clash_or_are_misspelt() {
    bad(
        "\"10.77.0.11\"",
        "\"10.77.0.12\"",
        &expect![[r#"
        site.toml:26:11: error: real server 10.77.0.12:80 is named twice
           |
        26 | address = "10.77.0.12"
           |           ^^^^^^^^^^^^
           = help: name it once, with the sum of the weights
        site.toml:22:11: note: first named here
           |
        22 | address = "10.77.0.12"
           |           ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    bad(
        "\"10.77.0.11\"",
        "\"10.77.0.100\"",
        &expect![[r#"
        site.toml:22:11: error: real server 10.77.0.100 has the address of a VIP
           |
        22 | address = "10.77.0.100"
           |           ^^^^^^^^^^^^^
           = help: write the real server's own address
        site.toml:11:7: note: the VIP
           |
        11 | vip = "10.77.0.100"
           |       ^^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    bad(
        "address = \"10.77.0.11\"",
        "adress = \"10.77.0.11\"",
        &expect![[r#"
        site.toml:22:1: error: unknown key `adress`
           |
        22 | adress = "10.77.0.11"
           | ^^^^^^
           = help: did you mean `address`?

        site.toml: 1 error"#]],
    );
}

#[test]
fn ports() {
    bad(
        "address = \"10.77.0.11\"",
        "address = \"10.77.0.11\"\nport = 8080",
        &expect![[r#"
        site.toml:23:8: error: method "dr" cannot change the port
           |
        23 | port = 8080
           |        ^^^^
           = help: write 80, leave it out, or use method "nat"
        site.toml:12:8: note: the service's port
           |
        12 | port = 80
           |        ^^

        site.toml: 1 error"#]],
    );
    bad(
        "address = \"10.77.0.11\"",
        "address = \"10.77.0.11\"\nport = 0",
        &expect![[r#"
        site.toml:23:8: error: port 0 is out of range
           |
        23 | port = 0
           |        ^
           = help: write 1 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "port = 5353",
        "port = 65536",
        &expect![[r#"
        site.toml:37:8: error: port 65536 is out of range
           |
        37 | port = 65536
           |        ^^^^^
           = help: write 1 to 65535

        site.toml: 1 error"#]],
    );
}

#[test]
fn weights() {
    bad(
        "weight = 50",
        "weight = 65536",
        &expect![[r#"
        site.toml:23:10: error: weight 65536 is out of range
           |
        23 | weight = 65536
           |          ^^^^^
           = help: write 0 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "weight = 50",
        "weight = -1",
        &expect![[r#"
        site.toml:23:10: error: weight -1 is out of range
           |
        23 | weight = -1
           |          ^^
           = help: write 0 to 65535

        site.toml: 1 error"#]],
    );
    bad(
        "weight = 50",
        "wieght = 50",
        &expect![[r#"
        site.toml:23:1: error: unknown key `wieght`
           |
        23 | wieght = 50
           | ^^^^^^
           = help: did you mean `weight`?

        site.toml: 1 error"#]],
    );
    bad(
        "weight = 50",
        "weight = 0.5",
        &expect![[r#"
        site.toml:23:10: error: expected a whole number, found the number 0.5
           |
        23 | weight = 0.5
           |          ^^^

        site.toml: 1 error"#]],
    );
    warned(
        "weight = 50\n\n[[service.real]]\naddress = \"10.77.0.12\"\n",
        "weight = 0\n",
        &expect![[r#"
        site.toml:9:1: warning: all real servers have weight 0: no new flow will be served
          |
        9 | [[service]]
          | ^^^^^^^^^^^
          = help: give at least one a weight above 0

        site.toml: 1 warning"#]],
    );
}

#[test]
fn a_nat_real_server_twice_in_a_service_is_told_once() {
    bad(
        "port = 5353\n",
        "port = 5353\n[[service.real]]\naddress = \"10.77.0.21\"\nport = 5353\n",
        &expect![[r#"
            site.toml:39:11: error: real server 10.77.0.21:5353 is named twice
               |
            39 | address = "10.77.0.21"
               |           ^^^^^^^^^^^^
               = help: name it once, with the sum of the weights
            site.toml:36:11: note: first named here
               |
            36 | address = "10.77.0.21"
               |           ^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_port_that_cannot_be_read_is_not_taken_for_the_services() {
    bad(
        "port = 5353\n",
        "prot = 5353\n[[service.real]]\naddress = \"10.77.0.21\"\n",
        &expect![[r#"
            site.toml:37:1: error: unknown key `prot`
               |
            37 | prot = 5353
               | ^^^^
               = help: did you mean `port`?

            site.toml: 1 error"#]],
    );
}

#[test]
fn replies_of_nat_lead_to_one_service() {
    bad(
        "name = \"dns\"",
        "name = \"more\"\nvip = \"10.77.0.101\"\nport = 53\nprotocol = \"udp\"\nmethod = \"nat\"\n\n[[service.real]]\naddress = \"10.77.0.21\"\nport = 5353\n\n[[service]]\nname = \"dns\"",
        &expect![[r#"
        site.toml:47:11: error: real server 10.77.0.21:5353 udp is in two nat services: whose are its replies?
           |
        47 | address = "10.77.0.21"
           |           ^^^^^^^^^^^^
           = help: let it listen at a port of its own for each service, or use method "dr"
        site.toml:36:11: note: first used here
           |
        36 | address = "10.77.0.21"
           |           ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_service_without_real_servers() {
    warned(
        "[[service.real]]\naddress = \"10.77.0.21\"\nport = 5353\n",
        "",
        &expect![[r#"
        site.toml:28:1: warning: no real servers: nothing will answer
           |
        28 | [[service]]
           | ^^^^^^^^^^^
           = help: add `[[service.real]]` with an `address`

        site.toml: 1 warning"#]],
    );
    bad(
        "[[service.real]]\naddress = \"10.77.0.21\"\nport = 5353\n",
        "real = \"10.77.0.21\"\n",
        &expect![[r#"
        site.toml:35:8: error: expected a list, found the text "10.77.0.21"
           |
        35 | real = "10.77.0.21"
           |        ^^^^^^^^^^^^
           = help: write a list: ["10.77.0.21"]

        site.toml: 1 error"#]],
    );
    bad(
        "[[service.real]]\naddress = \"10.77.0.21\"\nport = 5353\n",
        "real = [[\"10.77.0.21\", 5353]]\n",
        &expect![[r#"
            site.toml:35:9: error: expected a table, found a list
               |
            35 | real = [["10.77.0.21", 5353]]
               |         ^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
    );
}

#[test]
fn schedulers_that_compare_connections_have_a_limit() {
    let service = |scheduler: &str, count: u16| {
        let mut text = with(
            "method = \"dr\"",
            &format!("method = \"dr\"\nscheduler = \"{scheduler}\""),
        );
        let reals: String = (3..=count)
            .map(|n| format!("[[service.real]]\naddress = \"10.78.0.{n}\"\n"))
            .collect();
        let second = text.find("[[service]]\nname = \"dns\"").unwrap();
        text.insert_str(second, &reals);
        text
    };
    good(&service("wlc", 128));
    good(&service("wrr", 129));
    for scheduler in ["lc", "wlc"] {
        let text = service(scheduler, 129);
        let report = Site::parse(SourceFile::new("site.toml", &*text)).unwrap_err();
        let message = format!(
            "error: scheduler \"{scheduler}\" compares 128 real servers at most, and there are 129"
        );
        assert!(report.to_string().contains(&message), "{report}");
    }
}
