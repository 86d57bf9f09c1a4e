//! Networks as they are written: `ADDRESS/LENGTH`.
//!
//! Not here: what a network is for, which says how long its prefix may be.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use toml::Spanned;

use super::findings::Findings;

/// Which networks may stand somewhere.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// What one looks like.
    pub example: &'static str,
    /// Prefix lengths of IPv4.
    pub v4: RangeInclusive<u8>,
    /// Those of IPv6, if it may be that.
    pub v6: Option<RangeInclusive<u8>>,
}

/// The address with all bits beyond the prefix cleared.
#[must_use]
pub fn first(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !host_bits_v4(length))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !host_bits_v6(length))),
    }
}

/// The address with all of them set.
#[must_use]
pub fn last(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() | host_bits_v4(length))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() | host_bits_v6(length))),
    }
}

fn host_bits_v4(length: u8) -> u32 {
    u32::MAX.checked_shr(length.into()).unwrap_or(0)
}

fn host_bits_v6(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// The length of a whole address.
#[must_use]
pub const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Reads a network, whose host bits have to be zero.
pub fn read(
    value: &Spanned<String>,
    allowed: &Allowed,
    findings: &mut Findings,
) -> Option<(IpAddr, u8)> {
    let text = value.get_ref();
    let Some((address, length)) = parse(text) else {
        let message = format!("`{text}` is not an address and the length of its prefix");
        let help = format!("write for example \"{}\"", allowed.example);
        return findings.refuse(value.span(), message, help);
    };
    let lengths = match address {
        IpAddr::V4(_) => Some(&allowed.v4),
        IpAddr::V6(_) => allowed.v6.as_ref(),
    };
    let Some(lengths) = lengths else {
        let help = format!("write for example \"{}\"", allowed.example);
        return findings.refuse(value.span(), format!("`{text}` is not IPv4"), help);
    };
    if !lengths.contains(&length) {
        let help = format!("write /{} to /{}", lengths.start(), lengths.end());
        return findings.refuse(
            value.span(),
            format!("prefix length {length} is out of range"),
            help,
        );
    }
    let network = first(address, length);
    if network != address {
        let message = format!("`{text}` has bits set beyond its prefix");
        let help = format!("write \"{network}/{length}\"");
        return findings.refuse(value.span(), message, help);
    }
    Some((address, length))
}

fn parse(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = address.parse().ok()?;
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse().ok().filter(|_| is_number)?;
    (length <= bits(address)).then_some((address, length))
}
