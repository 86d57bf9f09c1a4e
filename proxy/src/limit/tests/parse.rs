//! What an operator writes, and what is said where it is wrong.

use super::super::key::KeyError;
use super::*;

/// The part of `text` an error points at, and what it says.
fn rate_error(text: &str) -> (&str, String) {
    let error = text.parse::<Rate>().unwrap_err();
    (&text[error.span()], error.to_string())
}

#[test]
fn rates_are_read_and_written() {
    for text in ["12r/m", "5r/s", "4000000r/s", "1r/m"] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
    }
    assert_eq!("5".parse::<Rate>().unwrap().to_string(), "5r/s");
    assert_eq!(
        "4000000r/s".parse::<Rate>().unwrap().thousandths(),
        4_000_000_000
    );
}

#[test]
fn a_wrong_rate_is_pointed_at() {
    let cases = [
        ("", "", "missing"),
        ("r/s", "r/s", "missing"),
        ("12r/h", "r/h", "`r/h` is not a unit"),
        ("12/m", "/m", "`/m` is not a unit"),
        ("12 r/m", "12 ", "`12 ` is not a whole number"),
        ("1.5r/s", "1.5", "`1.5` is not a whole number"),
        ("-1r/s", "-1", "`-1` is not a whole number"),
        ("0r/m", "0", "would let nobody in"),
        ("4000001r/s", "4000001", "more than 4000000"),
        ("99999999999r/s", "99999999999", "more than 4000000"),
        ("12R/M", "12R", "not a whole number"),
    ];
    for (text, place, what) in cases {
        let (at, error) = rate_error(text);
        assert_eq!(at, place, "{text}");
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn sizes_are_bounded() {
    for size in [Size::LEAST, Size::MOST] {
        assert_eq!(Size::of_bytes(size.bytes()), Some(size));
    }
    assert_eq!(Size::of_bytes(Size::LEAST.bytes() - 1), None);
    assert_eq!(Size::of_bytes(Size::MOST.bytes() + 1), None);
}

#[test]
fn keys_are_read_and_written() {
    for text in [
        "address",
        "address/24/64",
        "header:x-api-key",
        "cookie:id",
        "host",
        "path",
    ] {
        assert_eq!(text.parse::<Part>().unwrap().to_string(), text);
    }
    let cases = [
        ("ip", "no part of a request"),
        ("address/24", "two prefix lengths"),
        ("address/33/64", "two prefix lengths"),
        ("address/24/129", "two prefix lengths"),
        ("header:", "does not name a header"),
        ("header:x y", "does not name a header"),
        ("cookie:", "does not name a header or cookie"),
    ];
    for (text, what) in cases {
        let error = text.parse::<Part>().unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
    assert_eq!(Key::new(Vec::new()), Err(KeyError::Empty));
}

#[test]
fn a_burst_or_delay_has_bounds() {
    assert_eq!(Burst::new(rate::MOST).unwrap().thousandths(), 4_000_000_000);
    assert!(Burst::new(rate::MOST + 1).is_err());
    assert!(Delay::after(rate::MOST + 1).is_err());
}
