//! What an operator asked for: how often to probe, with what, and how many results make a verdict.
//!
//! Every type here can only hold what a probe can work with, so the machine and the probes have
//! nothing left to check. Not here: the site file's words for it and their defaults where a file
//! says nothing, which are the caller's.

use std::{fmt, num::NonZeroU32, ops::RangeInclusive, str::FromStr, time::Duration};

/// When to probe and how many results in a row make a verdict.
///
/// The default is the site file's: every second, a second's patience, up after 2, down after 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// From the start of one probe to the start of the next (HAProxy's `inter`; keepalived counts
    /// from the end instead, so a target that times out is probed less often there). A probe
    /// that takes longer delays the next one: there is never more than one in flight.
    pub interval: Duration,
    /// How long one probe may take, from connecting to the last byte it needs.
    pub timeout: Duration,
    /// Passed probes in a row that bring a target back up.
    pub rise: NonZeroU32,
    /// Failed probes in a row that take a target down.
    pub fall: NonZeroU32,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: NonZeroU32::MIN.saturating_add(1),
            fall: NonZeroU32::MIN.saturating_add(2),
        }
    }
}

/// What a probe does to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Connects and closes: the kernel of the target answers, the program need not.
    Tcp,
    /// `GET`s a path and judges the status.
    Http(HttpCheck),
}

impl ProbeKind {
    /// The word for it in the site file and in logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http(_) => "http",
        }
    }
}

/// An HTTP request and the answers that count as healthy. The default asks for `/` and takes
/// 200-399.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCheck {
    /// What is asked for.
    pub path: HttpPath,
    /// The `Host` header; without one, the target's address (and port, unless that is 80).
    pub host: Option<HttpHost>,
    /// The statuses that pass.
    pub statuses: StatusSet,
    /// Bytes before the request: a PROXY header, where the target wants one. Mostly none.
    pub preamble: Vec<u8>,
}

/// The longest [`HttpPath`] and [`HttpHost`] taken, in bytes.
pub const MAX_TEXT: usize = 1024;

/// Why a text cannot be part of a probe's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A path that is not absolute.
    #[error("does not start with `/`")]
    NotAbsolute,
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_TEXT`] bytes.
    #[error("is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// A character that HTTP wants percent-encoded, or that would end the request line or header.
    #[error("has the character {0:?}, which cannot stand in a request")]
    Character(char),
}

/// The path (and query) of a request: starts with `/`, printable ASCII, no `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPath(String);

impl HttpPath {
    /// The path as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HttpPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for HttpPath {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        // RFC 3986 section 3.3 and 3.4, less strict where servers are (`|`, `[`, `{` do go through).
        let wire_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '`');
        if !text.starts_with('/') {
            return Err(TextError::NotAbsolute);
        }
        bounded(text, wire_safe).map(Self)
    }
}

/// The value of a `Host` header: a name or address, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpHost(String);

impl HttpHost {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpHost {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let in_a_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]%~".contains(c);
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        bounded(text, in_a_host).map(Self)
    }
}

fn bounded(text: &str, allowed: impl Fn(char) -> bool) -> Result<String, TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError::TooLong);
    }
    match text.chars().find(|&c| !allowed(c)) {
        Some(c) => Err(TextError::Character(c)),
        None => Ok(text.to_owned()),
    }
}

/// HTTP statuses that pass: any of these ranges. 200-399 unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<StatusRange>);

impl StatusSet {
    /// The statuses in any of the ranges. With no range nothing passes.
    #[must_use]
    pub fn new(ranges: Vec<StatusRange>) -> Self {
        Self(ranges)
    }

    /// Whether a response of this status passes.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.0.contains(&status))
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![StatusRange(200..=399)])
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, StatusRange(range)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// One status or a range of them, as `200` or `200-399`, within 100-599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRange(RangeInclusive<u16>);

/// Why a text is not a [`StatusRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Neither a number nor two with a `-` between.
    #[error("is not a status or a range of them")]
    NotANumber,
    /// A number that is no HTTP status.
    #[error("is outside 100-599")]
    OutOfRange,
    /// A range whose end lies before its start.
    #[error("ends before it starts")]
    Reversed,
}

impl FromStr for StatusRange {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (status(first)?, status(last)?);
        if first > last {
            return Err(StatusError::Reversed);
        }
        Ok(Self(first..=last))
    }
}

fn status(text: &str) -> Result<u16, StatusError> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(StatusError::NotANumber);
    }
    // Digits that do not fit are a number all the same, only too large a one.
    match text.parse() {
        Ok(status @ 100..=599) => Ok(status),
        Ok(_) | Err(_) => Err(StatusError::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::{HttpHost, HttpPath, StatusError, StatusRange, StatusSet, TextError};

    #[test]
    fn status_ranges_parse_or_say_why_not() {
        let parse = |text: &str| text.parse::<StatusRange>();
        assert_eq!(parse("200").unwrap(), StatusRange(200..=200));
        assert_eq!(parse("200-399").unwrap(), StatusRange(200..=399));
        assert_eq!(parse("301 - 302").unwrap(), StatusRange(301..=302));
        assert_eq!(parse("399-200"), Err(StatusError::Reversed));
        assert_eq!(parse("99"), Err(StatusError::OutOfRange));
        assert_eq!(parse("200-600"), Err(StatusError::OutOfRange));
        assert_eq!(parse("99999999"), Err(StatusError::OutOfRange));
        for text in [
            "",
            "-",
            "2xx",
            "200-",
            "-200",
            "+200",
            "200-300-400",
            "200,201",
        ] {
            assert_eq!(parse(text), Err(StatusError::NotANumber), "{text:?}");
        }
    }

    #[test]
    fn a_set_holds_its_ranges_ends_included() {
        let set = StatusSet::new(vec!["200".parse().unwrap(), "301-302".parse().unwrap()]);
        let held: Vec<u16> = (100..600).filter(|&status| set.contains(status)).collect();
        assert_eq!(held, [200, 301, 302]);
        assert_eq!(set.to_string(), "200,301-302");
        assert_eq!(StatusSet::default().to_string(), "200-399");
    }

    #[test]
    fn a_request_cannot_be_split_by_its_path_or_host() {
        let path = |text: &str| {
            text.parse::<HttpPath>()
                .map(|path| path.as_str().to_owned())
        };
        assert_eq!(path("/health?deep=1").unwrap(), "/health?deep=1");
        assert_eq!(path("health"), Err(TextError::NotAbsolute));
        assert_eq!(path(""), Err(TextError::NotAbsolute));
        assert_eq!(path("/a b"), Err(TextError::Character(' ')));
        assert_eq!(path("/a\r\nX: y"), Err(TextError::Character('\r')));
        assert_eq!(path("/ü"), Err(TextError::Character('ü')));
        assert_eq!(path(&"/".repeat(1025)), Err(TextError::TooLong));
        let host = |text: &str| {
            text.parse::<HttpHost>()
                .map(|host| host.as_str().to_owned())
        };
        assert_eq!(
            host("www.example.com:8080").unwrap(),
            "www.example.com:8080"
        );
        assert_eq!(host("a\nb"), Err(TextError::Character('\n')));
        assert_eq!(host(""), Err(TextError::Empty));
    }
}
