//! Answers made here: rows that look like their own end, endless ones, and bytes that are none. What
//! real servers send is in `tests/it`.

use proptest::prelude::*;

use super::*;
use crate::wire::fields::put_lenenc;
use crate::wire::packet::{FULL, put_message};

const MODERN: Capabilities = Capabilities::DEPRECATE_EOF.with(Capabilities::SESSION_TRACK);

/// A result set of one column.
fn result_set(out: &mut Vec<u8>, capabilities: Capabilities, rows: &[Vec<u8>], status: u16) {
    let mut sequence = 1;
    let mut put = |out: &mut Vec<u8>, payload: &[u8]| {
        sequence = put_message(out, sequence, payload);
    };
    put(out, &[1]);
    put(out, b"\x03def...");
    let eof = EofPacket {
        status: Status(status),
        ..EofPacket::default()
    };
    let mut end = Vec::new();
    if capabilities.has(Capabilities::DEPRECATE_EOF) {
        let status = Status(status);
        let ok = OkPacket {
            status,
            ..OkPacket::default()
        };
        ok.put(&mut end, 0xfe, capabilities);
    } else {
        eof.put(&mut end);
        put(out, &end);
    }
    for row in rows {
        put(out, row);
    }
    put(out, &end);
}

/// Follows to the end, with all bytes at hand.
fn follow(shape: Shape, capabilities: Capabilities, bytes: &[u8]) -> Result<Tally, WireError> {
    let mut follower = Follower::new(shape, capabilities, 1);
    let mut at = 0;
    loop {
        match follower.step(&bytes[at..])? {
            Step::Pass(len) | Step::Packet { len, .. } => at += len,
            Step::Need(_) => return Err(WireError::Truncated("the test's bytes")),
            Step::Wait | Step::Done => break,
        }
    }
    assert_eq!(at, bytes.len());
    Ok(*follower.tally())
}

fn value(first: &[u8], len: usize) -> Vec<u8> {
    let mut row = first.to_vec();
    row.resize(len.max(first.len()), b'x');
    row
}

/// A row that begins with 0xfe has a value of 16 MB; one with 0x00 an empty string; 0xfb is NULL.
#[test]
fn rows_that_look_like_an_end_are_rows() {
    let mut long = Vec::new();
    put_lenenc(&mut long, 0x100_0000);
    assert_eq!(long[0], 0xfe);
    long.resize(0x100_0000 + 9, b'x');
    let rows = [vec![0], vec![0xfb], value(&[0], 7), long, vec![0xfb, 0xfb]];
    for capabilities in [MODERN, Capabilities::NONE] {
        let mut bytes = Vec::new();
        result_set(&mut bytes, capabilities, &rows, 0);
        let tally = follow(Shape::Query, capabilities, &bytes).unwrap();
        assert_eq!((tally.results, tally.rows), (1, 5), "{capabilities:?}");
    }
}

#[test]
fn a_row_of_exactly_one_packet_is_followed_by_an_empty_one() {
    for len in [FULL - 1, FULL, FULL + 1] {
        let mut bytes = Vec::new();
        result_set(&mut bytes, MODERN, &[value(&[0xfd], len), vec![0]], 0);
        let tally = follow(Shape::Query, MODERN, &bytes).unwrap();
        assert_eq!((tally.results, tally.rows), (1, 2), "{len}");
    }
}

/// What came before a mistake goes on, also where both came at once.
#[test]
fn what_is_before_a_mistake_passes() {
    let mut good = Vec::new();
    result_set(&mut good, MODERN, &[vec![0], vec![1]], 0);
    let rows_end = good.len();
    let mut first = Follower::new(Shape::Query, MODERN, 1);
    let Ok(Step::Pass(passed)) = first.step(&good) else {
        panic!("nothing passes");
    };
    assert!(passed < rows_end);
    // The end of rows, out of its turn.
    good[passed + 3] = good[passed + 3].wrapping_add(1);
    let mut follower = Follower::new(Shape::Query, MODERN, 1);
    assert_eq!(follower.step(&good), Ok(Step::Pass(passed)));
    assert_eq!(follower.tally().bytes, passed as u64);
    let error = follower.step(&good[passed..]).unwrap_err();
    assert!(matches!(error, WireError::Sequence { .. }), "{error}");
}

/// An OK that stands for EOF may tell of the session at length: MySQL does for `SELECT f()` where f
/// sets variables.
#[test]
fn the_end_of_rows_may_be_long() {
    let mut bytes = Vec::new();
    put_message(&mut bytes, 1, &[1]);
    put_message(&mut bytes, 2, b"\x03def");
    put_message(&mut bytes, 3, &[1, b'x']);
    let ok = OkPacket {
        info: &[b'i'; 300],
        ..OkPacket::default()
    };
    let mut end = Vec::new();
    ok.put(&mut end, 0xfe, MODERN);
    put_message(&mut bytes, 4, &end);
    let tally = follow(Shape::Query, MODERN, &bytes).unwrap();
    assert_eq!((tally.results, tally.rows), (1, 1));
}

#[test]
fn a_cursor_ends_the_answer_to_execute_alone() {
    let mut bytes = Vec::new();
    put_message(&mut bytes, 1, &[1]);
    put_message(&mut bytes, 2, b"\x03def");
    put_message(&mut bytes, 3, b"\xfe\0\0\x42\0");
    let tally = follow(Shape::Execute, Capabilities::NONE, &bytes).unwrap();
    assert_eq!((tally.results, tally.rows), (1, 0));
    // A query has rows, cursor or not.
    assert!(follow(Shape::Query, Capabilities::NONE, &bytes).is_err());
}

#[test]
fn what_has_to_be_held_is_bounded() {
    let mut bytes = Vec::new();
    let mut ok = Vec::new();
    let info = vec![b'i'; HELD_MAX];
    let packet = OkPacket {
        info: &info,
        ..OkPacket::default()
    };
    packet.put(&mut ok, 0, MODERN);
    put_message(&mut bytes, 1, &ok);
    let error = follow(Shape::Query, MODERN, &bytes).unwrap_err();
    assert!(matches!(error, WireError::TooLong { .. }), "{error}");
}

#[test]
fn a_statement_that_needs_nothing_has_a_head_alone() {
    let head = Prepared {
        statement: 7,
        columns: 0,
        parameters: 0,
        warnings: 1,
    };
    let (mut payload, mut bytes) = (Vec::new(), Vec::new());
    head.put(&mut payload);
    put_message(&mut bytes, 1, &payload);
    let mut follower = Follower::new(Shape::Prepare, MODERN, 1);
    let step = follower.step(&bytes).unwrap();
    let packet = Packet::Prepared(head);
    let (len, sequence) = (bytes.len(), 1);
    assert_eq!(
        step,
        Step::Packet {
            len,
            sequence,
            packet
        }
    );
    assert!(follower.is_done() && follower.has_begun());
}

#[test]
fn a_login_goes_back_and_forth() {
    let mut follower = Follower::new(Shape::Login, MODERN, 1);
    let step = |follower: &mut Follower, sequence, payload: &[u8]| {
        let mut bytes = Vec::new();
        put_message(&mut bytes, sequence, payload);
        let step = follower
            .step(&bytes)
            .map(|step| matches!(step, Step::Packet { .. }));
        assert_eq!(step, Ok(true));
        matches!(follower.step(&[]), Ok(Step::Wait))
    };
    assert!(step(
        &mut follower,
        1,
        b"\xfecaching_sha2_password\0nonce\0"
    ));
    follower.resume(3);
    assert!(step(&mut follower, 3, b"\x01\x04"));
    follower.resume(5);
    assert!(!step(&mut follower, 5, b"\x01\x03"));
    assert!(!step(&mut follower, 6, b"\0\0\0\x02\0\0\0"));
    assert!(follower.is_done());
}

proptest! {
    #[test]
    fn results_are_counted_wherever_they_are_cut(
        rows in prop::collection::vec((0_u8..0xfe, 1_usize..300), 0..20),
        sets in 1_usize..4,
        is_modern: bool,
        piece in 1_usize..50,
    ) {
        let capabilities = if is_modern { MODERN } else { Capabilities::NONE };
        let rows: Vec<Vec<u8>> = rows.iter().map(|&(first, len)| value(&[first], len)).collect();
        let mut bytes = Vec::new();
        let mut sequence = 1_u8;
        for nth in 1..=sets {
            let status = if nth < sets { Status::MORE_RESULTS } else { 0 };
            let mut set = Vec::new();
            result_set(&mut set, capabilities, &rows, status);
            // Numbered through.
            let mut at = 0;
            while at < set.len() {
                set[at + 3] = sequence;
                sequence = sequence.wrapping_add(1);
                at += HEADER + Header::read(&set[at..]).unwrap().len;
            }
            bytes.extend(set);
        }
        let mut follower = Follower::new(Shape::Query, capabilities, 1);
        let (mut from, mut to) = (0, 0);
        while !follower.is_done() {
            match follower.step(&bytes[from..to]) {
                Ok(Step::Need(_)) => to = (to + piece).min(bytes.len()),
                Ok(Step::Pass(len) | Step::Packet { len, .. }) => from += len,
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(from, bytes.len());
        let tally = follower.tally();
        prop_assert_eq!(tally.results as usize, sets);
        prop_assert_eq!(tally.rows, (sets * rows.len()) as u64);
        prop_assert_eq!(tally.bytes, bytes.len() as u64);
    }

    #[test]
    fn any_bytes_pass_or_are_refused_and_never_stand_still(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4, 0xfa_u8..], 0..200),
        shape in 0_usize..Shape::ALL.len(),
        is_modern: bool,
    ) {
        let capabilities = if is_modern { MODERN } else { Capabilities::NONE };
        let mut follower = Follower::new(Shape::ALL[shape], capabilities, 1);
        let mut at = 0;
        loop {
            match follower.step(&bytes[at..]) {
                Ok(Step::Pass(len) | Step::Packet { len, .. }) => {
                    prop_assert!(len > 0 && at + len <= bytes.len());
                    at += len;
                }
                Ok(Step::Need(more)) => {
                    prop_assert!(more > bytes.len() - at);
                    break;
                }
                Ok(Step::Wait) => follower.resume(1),
                Ok(Step::Done) | Err(_) => break,
            }
        }
    }
}
