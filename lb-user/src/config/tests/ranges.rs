//! Ports that are ranges: what is taken, and every mistake in them.

use expect_test::expect;

use super::{bad, good, refused, with};
use crate::config::{Method, Ports};

/// The first service's ports as they are written, and the port of its real servers.
fn web(port: &str) -> (Ports, Option<u16>) {
    let text = with("port = 80", &format!("port = {port}"));
    let text = match port.parse::<u16>() {
        Ok(_) => text,
        Err(_) => text.replace("interval = \"2s\"", "port = 80"),
    };
    let checked = good(&text);
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let web = &checked.site.services[0];
    (web.ports, web.reals[0].port)
}

#[test]
fn ports_are_one_or_a_range_or_all() {
    let ports = |first, last| Ports { first, last };
    assert_eq!(web("443"), (ports(443, 443), Some(443)));
    assert_eq!(web("\"8000-8099\""), (ports(8000, 8099), None));
    assert_eq!(web("\"8000-8000\""), (ports(8000, 8000), Some(8000)));
    assert_eq!(web("\"1-65535\""), (ports(1, 65535), None));
    assert_eq!(web("\"all\""), (Ports::ALL, None));
    let texts = [80, 8000, 1, 0].map(|first| {
        let last = if first < 80 { 65535 } else { first + 9 };
        ports(first, last).to_string()
    });
    assert_eq!(texts, ["80-89", "8000-8009", "1-65535", "all"]);
    assert_eq!(ports(80, 80).to_string(), "80");
}

#[test]
fn nat_and_fullnat_keep_the_port_where_the_service_has_several() {
    let text = with("port = 80", "port = \"8000-8099\"")
        .replace("\"dr\"", "\"nat\"")
        .replace("interval = \"2s\"", "port = 8000");
    let web = &good(&text).site.services[0];
    assert_eq!((web.method, web.reals[0].port), (Method::Nat, None));
    assert_eq!(web.reals[0].endpoint().to_string(), "10.77.0.11:0");
}

#[test]
fn ranges_start_before_they_end() {
    for (port, expected) in [
        (
            "\"8099-8000\"",
            expect![[r#"
            site.toml:12:8: error: port range 8099-8000 ends before it starts
               |
            12 | port = "8099-8000"
               |        ^^^^^^^^^^^
               = help: write "8000-8099"

            site.toml: 1 error"#]],
        ),
        (
            "\"8000-\"",
            expect![[r#"
            site.toml:12:8: error: `8000-` is not a port
               |
            12 | port = "8000-"
               |        ^^^^^^^
               = help: write a port such as 80, a range such as "8000-8099", or "all"

            site.toml: 1 error"#]],
        ),
    ] {
        bad("port = 80", &format!("port = {port}"), &expected);
    }
}

#[test]
fn ranges_of_other_programs_are_understood() {
    for (port, expected) in [
        (
            "\"8000:8099\"",
            expect![[r#"
            site.toml:12:8: error: `8000:8099` is not a port
               |
            12 | port = "8000:8099"
               |        ^^^^^^^^^^^
               = help: did you mean "8000-8099"?

            site.toml: 1 error"#]],
        ),
        (
            "\"8000 - 8099\"",
            expect![[r#"
            site.toml:12:8: error: `8000 - 8099` is not a port
               |
            12 | port = "8000 - 8099"
               |        ^^^^^^^^^^^^^
               = help: did you mean "8000-8099"?

            site.toml: 1 error"#]],
        ),
        (
            "\"0-65535\"",
            expect![[r#"
            site.toml:12:8: error: port range 0-65535 is out of range
               |
            12 | port = "0-65535"
               |        ^^^^^^^^^
               = help: write "all"

            site.toml: 1 error"#]],
        ),
        (
            "\"al\"",
            expect![[r#"
            site.toml:12:8: error: `al` is not a port
               |
            12 | port = "al"
               |        ^^^^
               = help: did you mean "all"?

            site.toml: 1 error"#]],
        ),
    ] {
        bad("port = 80", &format!("port = {port}"), &expected);
    }
}

#[test]
fn ranges_are_of_ports_that_exist() {
    for (port, expected) in [
        (
            "\"0-100\"",
            expect![[r#"
            site.toml:12:8: error: port range 0-100 is out of range
               |
            12 | port = "0-100"
               |        ^^^^^^^
               = help: write ports from 1 to 65535

            site.toml: 1 error"#]],
        ),
        (
            "\"8000-70000\"",
            expect![[r#"
            site.toml:12:8: error: port range 8000-70000 is out of range
               |
            12 | port = "8000-70000"
               |        ^^^^^^^^^^^^
               = help: write ports from 1 to 65535

            site.toml: 1 error"#]],
        ),
    ] {
        bad("port = 80", &format!("port = {port}"), &expected);
    }
}

#[test]
fn ports_have_no_names_and_lists() {
    for (port, expected) in [
        (
            "\"http\"",
            expect![[r#"
            site.toml:12:8: error: `http` is not a port
               |
            12 | port = "http"
               |        ^^^^^^
               = help: write a port such as 80, a range such as "8000-8099", or "all"

            site.toml: 1 error"#]],
        ),
        (
            "\"80,443\"",
            expect![[r#"
            site.toml:12:8: error: `80,443` is not a port
               |
            12 | port = "80,443"
               |        ^^^^^^^^
               = help: write a port such as 80, a range such as "8000-8099", or "all"

            site.toml: 1 error"#]],
        ),
        (
            "\"\"",
            expect![[r#"
            site.toml:12:8: error: `` is not a port
               |
            12 | port = ""
               |        ^^
               = help: write a port such as 80, a range such as "8000-8099", or "all"

            site.toml: 1 error"#]],
        ),
    ] {
        bad("port = 80", &format!("port = {port}"), &expected);
    }
}

#[test]
fn ports_are_numbers_or_text() {
    for (port, expected) in [
        (
            "true",
            expect![[r#"
            site.toml:12:8: error: expected a port such as 80, a range such as "8000-8099", or "all", found `true`
               |
            12 | port = true
               |        ^^^^

            site.toml: 1 error"#]],
        ),
        (
            "[80, 443]",
            expect![[r#"
            site.toml:12:8: error: expected a port such as 80, a range such as "8000-8099", or "all", found a list
               |
            12 | port = [80, 443]
               |        ^^^^^^^^^

            site.toml: 1 error"#]],
        ),
        (
            "80.5",
            expect![[r#"
            site.toml:12:8: error: expected a port such as 80, a range such as "8000-8099", or "all", found the number 80.5
               |
            12 | port = 80.5
               |        ^^^^

            site.toml: 1 error"#]],
        ),
    ] {
        bad("port = 80", &format!("port = {port}"), &expected);
    }
}

#[test]
fn a_port_of_its_own_is_for_services_of_one_port() {
    let text = with("port = 80", "port = \"8000-8099\"")
        .replace("interval = \"2s\"", "port = 80")
        .replace("weight = 50", "port = 8000");
    refused(
        &text,
        &expect![[r#"
        site.toml:23:8: error: a port of its own, where the service has several: the client's is kept
           |
        23 | port = 8000
           |        ^^^^
           = help: leave it out, or write a service for each port
        site.toml:12:8: note: the service's ports
           |
        12 | port = "8000-8099"
           |        ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    refused(
        &text.replace("\"dr\"", "\"nat\""),
        &expect![[r#"
        site.toml:23:8: error: a port of its own, where the service has several: the client's is kept
           |
        23 | port = 8000
           |        ^^^^
           = help: leave it out, or write a service for each port
        site.toml:12:8: note: the service's ports
           |
        12 | port = "8000-8099"
           |        ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_check_needs_a_port_where_the_service_has_several() {
    bad(
        "port = 80",
        "port = \"8000-8099\"",
        &expect![[r#"
        site.toml:16:1: error: missing key `port`: the service has several
           |
        16 | [service.health]
           | ^^^^^^^^^^^^^^^^
           = help: add the `port` to probe
        site.toml:12:8: note: the service's ports
           |
        12 | port = "8000-8099"
           |        ^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
    let misspelt = with("port = 80", "port = \"all\"").replace("interval = \"2s\"", "prot = 80");
    refused(
        &misspelt,
        &expect![[r#"
        site.toml:19:1: error: unknown key `prot`
           |
        19 | prot = 80
           | ^^^^
           = help: did you mean `port`?

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_real_server_without_a_port_is_named_once() {
    let text = with("port = 80", "port = \"all\"")
        .replace("interval = \"2s\"", "port = 80")
        .replace("10.77.0.12", "10.77.0.11");
    refused(
        &text,
        &expect![[r#"
        site.toml:26:11: error: real server 10.77.0.11 is named twice
           |
        26 | address = "10.77.0.11"
           |           ^^^^^^^^^^^^
           = help: name it once, with the sum of the weights
        site.toml:22:11: note: first named here
           |
        22 | address = "10.77.0.11"
           |           ^^^^^^^^^^^^

        site.toml: 1 error"#]],
    );
}
