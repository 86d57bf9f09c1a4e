//! Bytes in; what a server gets, or what the client is answered. Each case is also cut at every byte.

use proptest::prelude::*;

use super::{Refusal, Version};
use crate::{
    forward::Delivery,
    replay::{KEEPS, Replayed, requests, response},
};

/// What became of a stream, in a line: for each message its first line, how it is framed, and its
/// body; then why there is no more.
fn told(replayed: &Replayed) -> String {
    let mut told = Vec::new();
    for message in &replayed.messages {
        let head = String::from_utf8_lossy(&message.head).into_owned();
        let first = head.lines().next().unwrap_or_default();
        let framing: Vec<&str> = head
            .lines()
            .filter(|line| {
                let lower = line.to_ascii_lowercase();
                lower.starts_with("content-length:") || lower.starts_with("transfer-encoding:")
            })
            .collect();
        let body = String::from_utf8_lossy(&message.body);
        told.push(format!("{first} [{}] {body}", framing.join(", ")));
    }
    match (&replayed.refusal, replayed.is_whole) {
        (Some(refusal), _) => told.push(format!("{} {}", refusal.status(), refusal.label())),
        (None, false) => told.push("more to come".to_owned()),
        (None, true) => {}
    }
    told.join(" | ")
}

/// The same however it is cut: whole, byte by byte, and in two at every place.
fn sent(stream: &str) -> String {
    let stream = stream.as_bytes();
    let whole = requests(stream, &[]);
    assert_eq!(
        requests(stream, &vec![1; stream.len()]),
        whole,
        "byte by byte"
    );
    for cut in 0..stream.len() {
        assert_eq!(requests(stream, &[cut]), whole, "cut at {cut}");
    }
    told(&whole)
}

/// With a Host, and the end of the head behind it.
fn with(lines: &str, body: &str) -> String {
    sent(&format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}"))
}

#[test]
fn what_is_plain_is_sent_on() {
    for (stream, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 [] "),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1 [] "),
        (
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 [] ",
        ),
        (
            "GET http://a/b HTTP/1.1\r\nHost: A\r\n\r\n",
            "GET /b HTTP/1.1 [] ",
        ),
        (
            "GET /%61 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a HTTP/1.1 [] ",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1 [] ",
        ),
    ] {
        assert_eq!(sent(stream), expected, "{stream:?}");
    }
}

#[test]
fn bodies_are_sent_on_whole_and_what_follows_is_the_next_request() {
    let length = "POST /x HTTP/1.1 [Content-Length: 3] abc";
    assert_eq!(with("Content-Length: 3\r\n", "abc"), length);
    let two = with(
        "Content-Length: 3\r\n",
        "abcGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(two, format!("{length} | GET /y HTTP/1.1 [] "));
    let chunked = "POST /x HTTP/1.1 [Transfer-Encoding: chunked] abcde";
    let body = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    assert_eq!(with("transfer-encoding: Chunked\r\n", body), chunked);
    let two = with(
        "Transfer-Encoding: chunked\r\n",
        &format!("{body}GET /y HTTP/1.1\r\nHost: a\r\n\r\n"),
    );
    assert_eq!(two, format!("{chunked} | GET /y HTTP/1.1 [] "));
    let none = "POST /x HTTP/1.1 [Content-Length: 0] ";
    assert_eq!(with("Content-Length: 0\r\n", ""), none);
    assert_eq!(with("Content-Length: 3\r\n", "ab"), "more to come");
    assert_eq!(
        with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
        "more to come"
    );
}

#[test]
fn what_could_smuggle_a_request_is_refused() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (lines, expected) in [
        // Both framings, in either order.
        (&*format!("Content-Length: 3\r\n{chunked}"), "400 framing"),
        (&*format!("{chunked}Content-Length: 3\r\n"), "400 framing"),
        (&*format!("{chunked}Content-Length: 0\r\n"), "400 framing"),
        // Several lengths, also where they agree.
        ("Content-Length: 3\r\nContent-Length: 4\r\n", "400 length"),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", "400 length"),
        ("Content-Length: 3, 3\r\n", "400 length"),
        // Lengths that are none.
        ("Content-Length: +3\r\n", "400 length"),
        ("Content-Length: -3\r\n", "400 length"),
        ("Content-Length: 0x3\r\n", "400 length"),
        ("Content-Length: 3 3\r\n", "400 length"),
        ("Content-Length: 3a\r\n", "400 length"),
        ("Content-Length:\r\n", "400 length"),
        ("Content-Length: 99999999999999999999\r\n", "400 length"),
        // Codings that are not chunked, or not last, or hidden.
        ("Transfer-Encoding: gzip\r\n", "400 framing"),
        ("Transfer-Encoding: gzip, chunked\r\n", "501 coding"),
        ("Transfer-Encoding: chunked, gzip\r\n", "400 framing"),
        ("Transfer-Encoding: chunked, chunked\r\n", "400 framing"),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "400 framing",
        ),
        ("Transfer-Encoding: xchunked\r\n", "400 framing"),
        ("Transfer-Encoding: \"chunked\"\r\n", "400 framing"),
        ("Transfer-Encoding: chunked;q=1\r\n", "400 framing"),
        ("Transfer-Encoding: identity\r\n", "400 framing"),
        ("Transfer-Encoding:\r\n", "400 framing"),
        ("Transfer-Encoding: \x0bchunked\r\n", "400 syntax"),
        // Names and lines that are none.
        ("Transfer-Encoding : chunked\r\n", "400 syntax"),
        ("Content-Length : 3\r\n", "400 syntax"),
        (" Content-Length: 3\r\n", "400 syntax"),
        ("X: a\r\n Content-Length: 3\r\n", "400 syntax"),
        ("X: a\r\n\tfolded\r\n", "400 syntax"),
        ("X: a\nContent-Length: 3\r\n", "400 line_end"),
        ("X: a\rContent-Length: 3\r\n", "400 syntax"),
        ("X: a\0b\r\n", "400 syntax"),
        (": a\r\n", "400 syntax"),
        ("no colon\r\n", "400 syntax"),
        // Whom it is for.
        ("Host: b\r\n", "400 host"),
        ("Host: a\r\n", "400 host"),
        // What nobody waits for.
        ("Expect: 200-ok\r\n", "417 expectation"),
    ] {
        assert_eq!(with(lines, "abc"), expected, "{lines:?}");
    }
}

#[test]
fn first_lines_and_hosts_that_are_none_are_refused() {
    for (stream, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", "400 host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 host"),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "400 host"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "400 host"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 target"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 target"),
        ("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", "400 target"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400 target"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 syntax"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "505 version"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 syntax"),
        ("GET /\r\n\r\n", "400 syntax"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 version"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505 version"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "505 version"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 syntax"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400 line_end"),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 line_end"),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "501 connect",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 framing",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version"),
        ("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", "400 syntax"),
    ] {
        assert_eq!(sent(stream), expected, "{stream:?}");
    }
}

#[test]
fn too_much_is_refused() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    assert_eq!(told(&requests(long.as_bytes(), &[])), "414 target_too_long");
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(told(&requests(large.as_bytes(), &[])), "431 head_too_large");
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "x: y\r\n".repeat(101)
    );
    assert_eq!(
        told(&requests(many.as_bytes(), &[])),
        "431 too_many_headers"
    );
}

/// The lines of the head that a server gets, but for those that are the same for all.
fn head(lines: &str) -> Vec<String> {
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let replayed = requests(stream.as_bytes(), &[]);
    assert_eq!(replayed.refusal, None);
    let head = String::from_utf8(replayed.messages[0].head.clone()).unwrap();
    let common = [
        "GET ",
        "Host:",
        "X-Forwarded-For:",
        "X-Forwarded-Proto:",
        "X-Forwarded-Host:",
    ];
    head.lines()
        .filter(|line| !line.is_empty() && !common.iter().any(|one| line.starts_with(one)))
        .filter(|line| !line.starts_with("X-Request-Id: 0000"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_is_for_one_connection_goes_no_further() {
    assert!(
        head("Connection: close, X-Foo\r\nX-Foo: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n")
            .is_empty()
    );
    assert!(head("Proxy-Connection: keep-alive\r\nUpgrade: x\r\n").is_empty());
    // What would change whom it is for, or whose it is, cannot be named away.
    assert_eq!(
        head("Connection: Host, X-Forwarded-For\r\nX-A: b\r\n"),
        ["X-A: b"]
    );
    let upgrade = head("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(upgrade, ["Upgrade: websocket", "Connection: upgrade"]);
    assert!(
        head("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n")
            .is_empty()
    );
}

#[test]
fn a_strangers_word_for_where_it_came_from_is_not_passed_on() {
    let claims = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n\
                  X-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n";
    assert!(head(claims).is_empty());
    let stream = format!("GET / HTTP/1.1\r\nHost: a:81\r\n{claims}\r\n");
    let replayed = requests(stream.as_bytes(), &[]);
    let head = String::from_utf8(replayed.messages[0].head.clone()).unwrap();
    for line in [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a:81",
        "X-Request-Id: 00000000000000000000000000000000",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
}

fn answered(stream: &str, delivery: Delivery, to_head: bool) -> String {
    let stream = stream.as_bytes();
    let whole = response(stream, &[], delivery, to_head);
    let bytes = vec![1; stream.len()];
    assert_eq!(
        response(stream, &bytes, delivery, to_head),
        whole,
        "byte by byte"
    );
    told(&whole)
}

#[test]
fn answers_are_framed_as_their_client_needs_it() {
    let old = Delivery {
        version: Version::Http10,
        keep_alive: false,
    };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    let close = "HTTP/1.0 200 OK\r\n\r\nabc";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let in_chunks = "HTTP/1.1 200 OK [Transfer-Encoding: chunked] abc";
    assert_eq!(
        answered(length, KEEPS, false),
        "HTTP/1.1 200 OK [Content-Length: 3] abc"
    );
    assert_eq!(answered(close, KEEPS, false), in_chunks);
    assert_eq!(answered(chunked, KEEPS, false), in_chunks);
    assert_eq!(answered(close, old, false), "HTTP/1.1 200 OK [] abc");
    assert_eq!(answered(chunked, old, false), "HTTP/1.1 200 OK [] abc");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(
        answered(head, KEEPS, true),
        "HTTP/1.1 200 OK [Content-Length: 3] "
    );
    let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(answered(empty, KEEPS, false), "HTTP/1.1 204 No Content [] ");
    let same = "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(
        answered(same, KEEPS, false),
        "HTTP/1.1 304 Not Modified [Content-Length: 3] "
    );
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(
        answered(early, KEEPS, false),
        "HTTP/1.1 103 Early Hints []  | HTTP/1.1 200 OK [Content-Length: 1] a"
    );
}

#[test]
fn answers_that_could_be_cut_in_two_ways_are_refused() {
    for (lines, expected) in [
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            Refusal::Framing,
        ),
        (
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            Refusal::Length,
        ),
        ("Content-Length: x\r\n", Refusal::Length),
        ("Transfer-Encoding: gzip\r\n", Refusal::Framing),
        ("X: a\r\n b\r\n", Refusal::Syntax),
        ("X : a\r\n", Refusal::Syntax),
        ("X: a\n", Refusal::LineEnd),
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\n{lines}\r\nabc");
        let replayed = response(stream.as_bytes(), &[], KEEPS, false);
        assert_eq!(replayed.refusal, Some(expected), "{lines:?}");
    }
    let short = response(
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        &[],
        KEEPS,
        false,
    );
    assert!(!short.is_whole && short.messages.is_empty());
}

#[test]
fn trailers_go_on_but_for_those_that_change_what_was_before() {
    let stream = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
        X-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nX-Forwarded-For: c\r\n\r\n";
    let replayed = requests(stream, &[]);
    assert_eq!(replayed.messages[0].trailers, b"X-Sum: 1\r\n\r\n");
    let bad = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : 1\r\n\r\n";
    assert_eq!(requests(bad, &[]).refusal, Some(Refusal::Syntax));
}

/// Pieces of which requests, and things that are nearly requests, are made.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: [&str; 15] = [
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "X: y\r\n",
        "\n",
        "\r",
        " ",
        "Connection: close\r\n",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(&KNOWN[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_stream_is_read_the_same_however_it_is_cut(
        stream in pieces(), cuts in proptest::collection::vec(0_usize..30, 0..12),
    ) {
        prop_assert_eq!(requests(&stream, &cuts), requests(&stream, &[]));
        let answer = [b"HTTP/1.1 200 OK\r\n", &stream[..]].concat();
        let whole = response(&answer, &[], KEEPS, false);
        prop_assert_eq!(response(&answer, &cuts, KEEPS, false), whole);
    }
}
