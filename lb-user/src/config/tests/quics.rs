//! `quic` and `server_id`.

use expect_test::expect;

use super::{bad, good, refused, with};
use crate::config::{Quic, ServerId};

const METHOD: &str = "method = \"nat\"";
const REAL: &str = "port = 5353\n";
const QUIC: &str = "method = \"nat\"\nquic = { config = 0, length = 4 }";

/// The second service, of UDP, with `quic` and a server id.
fn quic(quic: &str, id: &str) -> String {
    with(METHOD, &format!("{METHOD}\n{quic}")).replace(REAL, &format!("{REAL}{id}\n"))
}

#[test]
fn server_ids_are_bytes() {
    let read = |text: &str| {
        let service = good(text).site.services[1].clone();
        (service.quic, service.reals[0].server_id)
    };
    let id = |bytes: &[u8]| ServerId::new(bytes);
    let four = quic(
        "quic = { config = 6, length = 4 }",
        "server_id = \"0a0B0c0d\"",
    );
    let expected = Quic {
        config: 6,
        length: 4,
    };
    assert_eq!(read(&four), (Some(expected), id(&[10, 11, 12, 13])));
    assert_eq!(id(&[10, 11, 12, 13]).unwrap().to_string(), "0a0b0c0d");
    let longest = quic(
        "quic = { config = 0, length = 15 }",
        "server_id = \"000102030405060708090a0b0c0d0e\"",
    );
    let bytes: Vec<u8> = (0..15).collect();
    let (_, read) = read(&longest);
    assert_eq!(read.unwrap().as_bytes(), bytes);
    assert_eq!((id(&[]), id(&[0; 16])), (None, None));
}

#[test]
fn config_and_length_have_limits() {
    for (table, expected) in [
        (
            "{ config = 7, length = 4 }",
            expect![[r#"
            site.toml:34:19: error: config 7 is out of range
               |
            34 | quic = { config = 7, length = 4 }
               |                   ^
               = help: write 0 to 6

            site.toml: 1 error"#]],
        ),
        (
            "{ config = 0, length = 0 }",
            expect![[r#"
            site.toml:34:31: error: length 0 is out of range
               |
            34 | quic = { config = 0, length = 0 }
               |                               ^
               = help: write 1 to 15

            site.toml: 1 error"#]],
        ),
        (
            "{ config = 0, length = 16 }",
            expect![[r#"
            site.toml:34:31: error: length 16 is out of range
               |
            34 | quic = { config = 0, length = 16 }
               |                               ^^
               = help: write 1 to 15

            site.toml: 1 error"#]],
        ),
    ] {
        refused(
            &quic(&format!("quic = {table}"), "server_id = \"0a0b0c0d\""),
            &expected,
        );
    }
}

#[test]
fn config_and_length_are_both_there() {
    for (table, expected) in [
        (
            "{}",
            expect![[r#"
            site.toml:34:8: error: missing key `config`
               |
            34 | quic = {}
               |        ^^
               = help: add `config = 0`

            site.toml:34:8: error: missing key `length`
               |
            34 | quic = {}
               |        ^^
               = help: add `length = 4`

            site.toml: 2 errors"#]],
        ),
        (
            "{ confg = 0, length = 4 }",
            expect![[r#"
            site.toml:34:10: error: unknown key `confg`
               |
            34 | quic = { confg = 0, length = 4 }
               |          ^^^^^
               = help: did you mean `config`?

            site.toml: 1 error"#]],
        ),
        (
            "true",
            expect![[r#"
            site.toml:34:8: error: expected a table, found `true`
               |
            34 | quic = true
               |        ^^^^

            site.toml: 1 error"#]],
        ),
    ] {
        refused(
            &quic(&format!("quic = {table}"), "server_id = \"0a0b0c0d\""),
            &expected,
        );
    }
}

#[test]
fn quic_is_of_udp() {
    bad(
        "method = \"dr\"",
        "method = \"dr\"\nquic = { config = 0, length = 4 }",
        &expect![[r#"
            site.toml:15:8: error: `quic` has no meaning with protocol "tcp"
               |
            15 | quic = { config = 0, length = 4 }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: leave it out, or use protocol "udp"

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_real_server_of_quic_has_a_server_id() {
    bad(
        METHOD,
        QUIC,
        &expect![[r#"
        site.toml:36:1: error: missing key `server_id`
           |
        36 | [[service.real]]
           | ^^^^^^^^^^^^^^^^
           = help: add `server_id = "0a0b0c0d"`

        site.toml: 1 error"#]],
    );
}

#[test]
fn a_server_id_is_of_the_length() {
    for (id, expected) in [
        (
            "0a0b0c",
            expect![[r#"
            site.toml:39:13: error: a server id of length 3, and here they have 4
               |
            39 | server_id = "0a0b0c"
               |             ^^^^^^^^
               = help: write 8 hexadecimal digits: "0a0b0c0d"
            site.toml:34:8: note: the length
               |
            34 | quic = { config = 0, length = 4 }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
        ),
        (
            "0a0b0c0d0e",
            expect![[r#"
            site.toml:39:13: error: a server id of length 5, and here they have 4
               |
            39 | server_id = "0a0b0c0d0e"
               |             ^^^^^^^^^^^^
               = help: write 8 hexadecimal digits: "0a0b0c0d"
            site.toml:34:8: note: the length
               |
            34 | quic = { config = 0, length = 4 }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^

            site.toml: 1 error"#]],
        ),
        (
            "0a0b0c0",
            expect![[r#"
            site.toml:39:13: error: `0a0b0c0` is not a server id
               |
            39 | server_id = "0a0b0c0"
               |             ^^^^^^^^^
               = help: write 8 hexadecimal digits: "0a0b0c0d"

            site.toml: 1 error"#]],
        ),
        (
            "0x0a0b0c",
            expect![[r#"
            site.toml:39:13: error: `0x0a0b0c` is not a server id
               |
            39 | server_id = "0x0a0b0c"
               |             ^^^^^^^^^^
               = help: write 8 hexadecimal digits: "0a0b0c0d"

            site.toml: 1 error"#]],
        ),
        (
            "",
            expect![[r#"
            site.toml:39:13: error: `` is not a server id
               |
            39 | server_id = ""
               |             ^^
               = help: write 8 hexadecimal digits: "0a0b0c0d"

            site.toml: 1 error"#]],
        ),
    ] {
        let table = "quic = { config = 0, length = 4 }";
        refused(&quic(table, &format!("server_id = \"{id}\"")), &expected);
    }
}

#[test]
fn a_server_id_is_text() {
    refused(
        &quic("quic = { config = 0, length = 4 }", "server_id = 10"),
        &expect![[r#"
            site.toml:39:13: error: expected text in quotes, found the number 10
               |
            39 | server_id = 10
               |             ^^
               = help: write it in quotes: "10"

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_server_id_needs_quic() {
    bad(
        REAL,
        &format!("{REAL}server_id = \"0a\"\n"),
        &expect![[r#"
        site.toml:38:13: error: `server_id` has no meaning without `quic`
           |
        38 | server_id = "0a"
           |             ^^^^
           = help: leave it out, or add `quic = { config = 0, length = 4 }` to the service

        site.toml: 1 error"#]],
    );
    // One that is misspelt is told once.
    refused(
        &quic("quick = { config = 0, length = 1 }", "server_id = \"0a\""),
        &expect![[r#"
            site.toml:34:1: error: unknown key `quick`
               |
            34 | quick = { config = 0, length = 1 }
               | ^^^^^
               = help: did you mean `quic`?

            site.toml: 1 error"#]],
    );
}

#[test]
fn a_server_id_is_one_real_servers() {
    let id = "server_id = \"0a\"\n[[service.real]]\naddress = \"10.77.0.22\"\nserver_id = \"0A\"";
    refused(
        &quic("quic = { config = 0, length = 1 }", id),
        &expect![[r#"
            site.toml:42:13: error: server id `0a` is given twice
               |
            42 | server_id = "0A"
               |             ^^^^
               = help: give each real server one of its own
            site.toml:39:13: note: first given here
               |
            39 | server_id = "0a"
               |             ^^^^

            site.toml: 1 error"#]],
    );
}
