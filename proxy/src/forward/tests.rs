//! Whose a request is, and what a server is told of it.

use std::mem::MaybeUninit;

use super::*;
use crate::config::settings::HEADERS_MAX;

const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 9);

fn trusted() -> Vec<Network> {
    vec![Network {
        first: [10, 0, 0, 0].into(),
        last: [10, 0, 0, 255].into(),
    }]
}

/// What a server gets of a request with these lines that a peer sent, but for its first two lines.
fn sent(peer: SocketAddr, lines: &str) -> (IpAddr, String) {
    let head = format!("GET / HTTP/1.1\r\nHost: a:81\r\n{lines}\r\n");
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = Request::parse(head.as_bytes(), &mut slots, 100).unwrap();
    let peer = Peer::new(peer, &trusted());
    let outgoing = Outgoing {
        request: &request,
        target: b"/",
        peer: &peer,
        id: RequestId([b'7'; 32]),
        own_cookie: None,
        tells_te: false,
    };
    let additions = Additions {
        forwarded: true,
        via: None,
        trusted: trusted(),
    };
    let mut out = Vec::new();
    outgoing.write(&additions, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text: Vec<&str> = text
        .lines()
        .skip(2)
        .filter(|line| !line.is_empty())
        .collect();
    (peer.client(&request, &trusted()), text.join("\n"))
}

#[test]
fn a_client_is_the_last_one_that_no_trusted_proxy_is() {
    let client = |lines: &str| sent(PROXY, lines).0.to_string();
    assert_eq!(client(""), "10.0.0.1");
    assert_eq!(
        client("X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.7\r\n"),
        "2.2.2.2"
    );
    assert_eq!(
        client("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n"),
        "2.2.2.2"
    );
    assert_eq!(
        client("X-Forwarded-For: 1.1.1.1, nonsense, 10.0.0.7\r\n"),
        "10.0.0.7"
    );
    assert_eq!(client("X-Forwarded-For: 2.2.2.2:5678\r\n"), "2.2.2.2");
    assert_eq!(
        client("X-Forwarded-For: [2001:db8::1]:5\r\n"),
        "2001:db8::1"
    );
    assert_eq!(client("X-Forwarded-For: 10.0.0.9\r\n"), "10.0.0.9");
    let stranger = ([9, 9, 9, 9], 9).into();
    assert_eq!(
        sent(stranger, "X-Forwarded-For: 1.1.1.1\r\n").0.to_string(),
        "9.9.9.9"
    );
}

#[test]
fn a_trusted_proxys_word_stays_and_what_it_did_not_say_is_added() {
    let (_, told) = sent(
        PROXY,
        "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\
         X-Request-Id: mine\r\nForwarded: for=1.1.1.1\r\n",
    );
    assert_eq!(
        told,
        "X-Forwarded-Proto: https\nX-Forwarded-Port: 443\nX-Request-Id: mine\n\
         Forwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1, 10.0.0.1\n\
         X-Forwarded-Host: a:81\nForwarded: for=10.0.0.1;host=\"a:81\";proto=http"
    );
    let (_, told) = sent(PROXY, "X-Forwarded-Host: www\r\n");
    assert!(
        told.contains("X-Forwarded-Host: www\n") && !told.contains("a:81\nX-R"),
        "{told}"
    );
}

#[test]
fn a_strangers_claims_go_nowhere_however_they_are_spelt() {
    let stranger = ([9, 9, 9, 9], 9).into();
    let (_, told) = sent(
        stranger,
        "X-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nx-real_ip: 1.1.1.1\r\n\
         X_REQUEST_ID: x\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Proto: https\r\n",
    );
    assert_eq!(
        told,
        format!(
            "X-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: http\nX-Forwarded-Host: a:81\n\
             X-Request-Id: {}\nForwarded: for=9.9.9.9;host=\"a:81\";proto=http",
            "7".repeat(32)
        )
    );
}
