//! The PROXY protocol, versions 1 and 2, as bytes: who is behind the proxy that connects (HAProxy's
//! `proxy-protocol.txt`).
//!
//! A header stands once, before everything else of a connection, TLS included. Reading never needs a
//! byte behind it, so that what follows stays in the socket. Extensions (TLVs) are skipped, checksums
//! among them. Not here: sockets, and who may send one.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Bytes of a header of version 1 at most, its line end included.
const LINE_MAX: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of the fixed part of version 2.
const FIXED: usize = 16;
/// Bytes behind that at most: addresses and extensions. Longer ones are refused, whatever they say.
const REST_MAX: usize = 4096;
/// The shortest header there is: `PROXY UNKNOWN` and its line end. So much is read at once.
const SHORTEST: usize = 15;

/// Which version is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of the connection that a proxy speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// What there is of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// At least so many bytes more belong to it.
    Needs(usize),
    /// All of it. Without ends the proxy speaks for itself, as in a health check, or does not know.
    Whole(Option<Ends>),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// They begin otherwise.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// They begin like one.
    #[error("malformed PROXY header")]
    Malformed,
    /// More than is taken.
    #[error("PROXY header too long")]
    TooLong,
    /// It ended, or took too long, before it was whole.
    #[error("no whole PROXY header came")]
    Unfinished,
}

impl Wrong {
    /// All of them, by their place.
    pub const ALL: [Self; 4] = [
        Self::Missing,
        Self::Malformed,
        Self::TooLong,
        Self::Unfinished,
    ];

    /// The metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Reads what came so far, from the first byte of a connection.
///
/// # Errors
/// Bytes that are no header.
pub fn read(bytes: &[u8]) -> Result<Read, Wrong> {
    let common = |known: &[u8]| {
        let length = known.len().min(bytes.len());
        bytes[..length] == known[..length]
    };
    if common(&SIGNATURE) && !bytes.is_empty() {
        return binary(bytes);
    }
    match common(b"PROXY ") {
        true => line(bytes),
        false => Err(Wrong::Missing),
    }
}

fn line(bytes: &[u8]) -> Result<Read, Wrong> {
    if bytes.len() < SHORTEST {
        return Ok(Read::Needs(SHORTEST - bytes.len()));
    }
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        if bytes.len() >= LINE_MAX {
            return Err(Wrong::TooLong);
        }
        return Ok(Read::Needs(line_needs(bytes).min(LINE_MAX - bytes.len())));
    };
    if end + 2 > LINE_MAX {
        return Err(Wrong::TooLong);
    }
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_not_text| Wrong::Malformed)?;
    let mut words = text.split(' ').skip(1);
    let mut next = || words.next().ok_or(Wrong::Malformed);
    let is_v6 = match next()? {
        // What follows means nothing.
        "UNKNOWN" => return Ok(Read::Whole(None)),
        "TCP4" => false,
        "TCP6" => true,
        _ => return Err(Wrong::Malformed),
    };
    let (source, destination) = (address(next()?, is_v6)?, address(next()?, is_v6)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    match words.next() {
        Some(_) => Err(Wrong::Malformed),
        None => Ok(Read::Whole(Some(Ends {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        }))),
    }
}

/// How many bytes a line without an end has at least to come: a space and a byte for each word that is
/// missing, and the line end.
fn line_needs(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    let spaces = bytes.iter().filter(|&&byte| byte == b' ').count();
    match bytes.starts_with(b"PROXY TCP") {
        true => 2 + 2 * 5_usize.saturating_sub(spaces),
        false => 2,
    }
}

fn address(text: &str, is_v6: bool) -> Result<IpAddr, Wrong> {
    let parsed = match is_v6 {
        true => text.parse::<Ipv6Addr>().map(IpAddr::V6),
        false => text.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    parsed.map_err(|_none| Wrong::Malformed)
}

/// Decimal digits without leading zeroes.
fn port(text: &str) -> Result<u16, Wrong> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    let parsed = text.parse().ok().filter(|_| is_plain && is_short);
    parsed.ok_or(Wrong::Malformed)
}

fn binary(bytes: &[u8]) -> Result<Read, Wrong> {
    // Before the signature is whole it may still be something else that is shorter.
    let first = SHORTEST.min(FIXED);
    if bytes.len() < first {
        return Ok(Read::Needs(first - bytes.len()));
    }
    if bytes.len() < FIXED {
        return Ok(Read::Needs(FIXED - bytes.len()));
    }
    let (command, family) = (bytes[12], bytes[13]);
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command >> 4 != 2 || command & 15 > 1 || family >> 4 > 3 || family & 15 > 2 {
        return Err(Wrong::Malformed);
    }
    if rest > REST_MAX {
        return Err(Wrong::TooLong);
    }
    let Some(rest) = bytes.get(FIXED..FIXED + rest) else {
        return Ok(Read::Needs(FIXED + rest - bytes.len()));
    };
    // LOCAL: whatever is said of addresses means nothing.
    if command & 15 == 0 {
        return Ok(Read::Whole(None));
    }
    let ends = match family >> 4 {
        1 => ends_of::<4>(rest)?,
        2 => ends_of::<16>(rest)?,
        // Unknown, or a Unix socket.
        _ => return Ok(Read::Whole(None)),
    };
    Ok(Read::Whole(Some(ends)))
}

/// Two addresses of so many bytes, and two ports.
fn ends_of<const N: usize>(rest: &[u8]) -> Result<Ends, Wrong>
where
    IpAddr: From<[u8; N]>,
{
    let part = |from: usize| {
        rest.get(from..from + N)
            .and_then(|part| part.try_into().ok())
    };
    let port = |from: usize| {
        rest.get(from..from + 2)
            .and_then(|part| part.try_into().ok())
    };
    let ends = || {
        let (source, destination): ([u8; N], [u8; N]) = (part(0)?, part(N)?);
        let (from, to): ([u8; 2], [u8; 2]) = (port(2 * N)?, port(2 * N + 2)?);
        Some(Ends {
            source: SocketAddr::new(source.into(), u16::from_be_bytes(from)),
            destination: SocketAddr::new(destination.into(), u16::from_be_bytes(to)),
        })
    };
    ends().ok_or(Wrong::Malformed)
}

/// Writes a header. Without ends it says that the proxy speaks for itself. Where one end is of IPv6, so
/// is the other.
pub fn write(version: Version, ends: Option<Ends>, out: &mut Vec<u8>) {
    let ends = ends.map(|ends| {
        let (source, destination) = (canonical(ends.source), canonical(ends.destination));
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => (source, destination, false),
            _ => (as_v6(source), as_v6(destination), true),
        }
    });
    match version {
        Version::V1 => {
            // Writing into memory cannot fail.
            drop(match ends {
                None => write!(out, "PROXY UNKNOWN\r\n"),
                Some((source, destination, is_v6)) => write!(
                    out,
                    "PROXY {} {} {} {} {}\r\n",
                    if is_v6 { "TCP6" } else { "TCP4" },
                    source.ip(),
                    destination.ip(),
                    source.port(),
                    destination.port()
                ),
            });
        }
        Version::V2 => write_binary(ends, out),
    }
}

fn write_binary(ends: Option<(SocketAddr, SocketAddr, bool)>, out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    let Some((source, destination, is_v6)) = ends else {
        out.extend_from_slice(&[0x20, 0, 0, 0]);
        return;
    };
    out.extend_from_slice(match is_v6 {
        true => &[0x21, 0x21, 0, 36],
        false => &[0x21, 0x11, 0, 12],
    });
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
    }
    for end in [source, destination] {
        out.extend_from_slice(&end.port().to_be_bytes());
    }
}

fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

fn as_v6(end: SocketAddr) -> SocketAddr {
    let address = match end.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    SocketAddr::new(address.into(), end.port())
}

#[cfg(test)]
mod tests;
