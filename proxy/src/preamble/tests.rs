//! Headers good and bad, as HAProxy's `proxy-protocol.txt` has them; each is also read in the pieces that
//! reading itself asks for, and cut at every byte.

use proptest::prelude::*;

use super::*;

/// Reads as a connection is read: no more than is asked for. Gives how much was taken, too.
fn fed(stream: &[u8]) -> Result<(Read, usize), Wrong> {
    let mut have = 0;
    loop {
        match read(&stream[..have])? {
            Read::Needs(0) => panic!("needs nothing and is not whole"),
            Read::Needs(more) if have + more <= stream.len() => have += more,
            whole @ (Read::Needs(_) | Read::Whole(_)) => return Ok((whole, have)),
        }
    }
}

fn ends(source: &str, destination: &str) -> Option<Ends> {
    Some(Ends {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    })
}

/// The whole header and not a byte more, whatever follows; and no verdict before its end.
fn taken(header: &[u8], expected: Option<Ends>) {
    let text = String::from_utf8_lossy(header).into_owned();
    for behind in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01",
    ] {
        let stream = [header, behind].concat();
        assert_eq!(
            fed(&stream),
            Ok((Read::Whole(expected), header.len())),
            "{text:?}"
        );
    }
    for cut in 0..header.len() {
        match read(&header[..cut]) {
            Ok(Read::Needs(more)) => assert!(more <= header.len() - cut, "{text:?} at {cut}"),
            other => panic!("{text:?} cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn lines_of_version_1_are_read() {
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    for (line, expected) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443",
            ends("192.168.0.1:56324", "192.168.0.11:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
            ends("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP4 1.1.1.1 1.1.1.1 0 1",
            ends("1.1.1.1:0", "1.1.1.1:1"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 2",
            ends("[2001:db8::1]:1", "[::1]:2"),
        ),
        ("PROXY TCP6 :: :: 1 2", ends("[::]:1", "[::]:2")),
        (
            &*format!("PROXY TCP6 {long} {long} 65535 65535"),
            ends(&format!("[{long}]:65535"), &format!("[{long}]:65535")),
        ),
        ("PROXY UNKNOWN", None),
        ("PROXY UNKNOWN ", None),
        (&*format!("PROXY UNKNOWN {long} {long} 65535 65535"), None),
    ] {
        taken(format!("{line}\r\n").as_bytes(), expected);
    }
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

#[test]
fn headers_of_version_2_are_read() {
    let four = [10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80];
    let of_four = ends("10.0.0.1:12345", "10.0.0.2:80");
    taken(&v2(0x21, 0x11, &four), of_four);
    taken(&v2(0x21, 0x12, &four), of_four);
    // Extensions behind the addresses.
    taken(
        &v2(0x21, 0x11, &[&four[..], &[4, 0, 3, 1, 2, 3]].concat()),
        of_four,
    );
    taken(&v2(0x21, 0x11, &[&four[..], &[0; 4000]].concat()), of_four);
    let mut six = [0; 36];
    (six[15], six[31], six[33], six[35]) = (1, 2, 5, 6);
    taken(&v2(0x21, 0x21, &six), ends("[::1]:5", "[::2]:6"));
    // Itself, whatever stands behind; unknown; a Unix socket.
    taken(&v2(0x20, 0, &[]), None);
    taken(&v2(0x20, 0x11, &four[..3]), None);
    taken(&v2(0x21, 0, &[1, 2, 3]), None);
    taken(&v2(0x21, 0x31, &[0; 216]), None);
}

#[test]
fn what_is_no_header_is_refused() {
    for (bytes, expected) in [
        ("GET / HTTP/1.1\r\n", Wrong::Missing),
        ("\x16\x03\x01", Wrong::Missing),
        ("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Missing),
        ("PROXY\tTCP4 1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Missing),
        ("\r\n\r\nGET / HTTP/1.1\r\n", Wrong::Missing),
        ("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 ::1 ::1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n\r\n", Wrong::Malformed),
        ("PROXY TCP4 a\r\nGET / HTTP/1.1\r\n", Wrong::Malformed),
        ("PROXY SCTP 1.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
        ("PROXY TCP4 \u{e9}.1.1.1 1.1.1.1 1 1\r\n", Wrong::Malformed),
    ] {
        assert_eq!(read(bytes.as_bytes()), Err(expected), "{bytes:?}");
    }
    let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    assert_eq!(fed(endless.as_bytes()), Err(Wrong::TooLong));
    let four = [0; 12];
    for (bytes, expected) in [
        (v2(0x11, 0x11, &four), Wrong::Malformed),
        (v2(0x22, 0x11, &four), Wrong::Malformed),
        (v2(0x21, 0x41, &four), Wrong::Malformed),
        (v2(0x21, 0x13, &four), Wrong::Malformed),
        (v2(0x21, 0x11, &four[..11]), Wrong::Malformed),
        (v2(0x21, 0x21, &four), Wrong::Malformed),
        (v2(0x21, 0x11, &[0; 5000]), Wrong::TooLong),
    ] {
        assert_eq!(read(&bytes), Err(expected), "{bytes:?}");
    }
}

fn end() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

const BEGINNINGS: [&[u8]; 4] = [b"PROXY TCP4 ", b"PROXY UNKNOWN", &SIGNATURE, b""];

proptest! {
    #[test]
    fn what_is_written_is_read(source in end(), destination in end(), knows: bool, is_v1: bool) {
        let version = if is_v1 { Version::V1 } else { Version::V2 };
        let ends = knows.then_some(Ends { source, destination });
        let mut bytes = Vec::new();
        write(version, ends, &mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(b"\r\n\r\n");
        let (found, taken) = fed(&bytes).unwrap();
        prop_assert_eq!(taken, length);
        let same = |ends: Ends| (canonical(ends.source), canonical(ends.destination));
        let Read::Whole(found) = found else { panic!("not whole") };
        prop_assert_eq!(found.map(same), ends.map(same));
    }

    #[test]
    fn any_bytes_are_read_within_the_bound(
        begin in proptest::sample::select(&BEGINNINGS[..]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let stream = [begin, &rest[..]].concat();
        if let Ok((Read::Whole(_), taken)) = fed(&stream) {
            prop_assert!(taken <= FIXED + REST_MAX);
            prop_assert_eq!(read(&stream).unwrap(), read(&stream[..taken]).unwrap());
        }
    }
}
