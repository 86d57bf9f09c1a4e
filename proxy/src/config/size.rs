//! Sizes as the site file writes them: `"16KiB"`, `"100MB"`, `"0"`.
//!
//! Always text, always with a unit (but for 0): a bare 100 would be bytes to one reader and megabytes
//! to the next. As in nginx, `k` and `m` are powers of 1024; so are `KB` and `KiB`, which nobody tells
//! apart.

use daemon::site::findings::Findings;
use toml::Spanned;

const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
];

/// A number of bytes; `None` where it is none.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    if unit.is_empty() {
        return (number == 0).then_some(0);
    }
    let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
    number.checked_mul(*factor)
}

/// A size within a range, by what it is called.
pub(super) fn read(
    value: Option<&Spanned<String>>,
    what: &str,
    default: u64,
    (least, most): (u64, u64),
    findings: &mut Findings,
) -> Option<u64> {
    let Some(value) = value else {
        return Some(default);
    };
    let text = value.get_ref();
    match parse(text) {
        Some(size) if size >= least && size <= most => Some(size),
        Some(_) => findings.refuse(
            value.span(),
            format!("{what} `{text}` is out of range"),
            format!("write \"{}\" to \"{}\"", shown(least), shown(most)),
        ),
        None => findings.refuse(
            value.span(),
            format!("`{text}` is not a size"),
            "write a number and its unit: \"512B\", \"16KiB\", \"10MiB\"",
        ),
    }
}

/// With the largest unit that leaves no remainder.
#[must_use]
pub fn shown(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fits = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None if bytes == 0 => "0".to_owned(),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse("16KiB"), Some(16 << 10));
        assert_eq!(parse("16k"), Some(16 << 10));
        assert_eq!(parse("100 MB"), Some(100 << 20));
        assert_eq!(parse("0"), Some(0));
        for bad in ["", "16", "KiB", "-1k", "1.5m", "99999999999g", "1x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(shown(16 << 10), "16KiB");
        assert_eq!(shown(1000), "1000B");
    }
}
