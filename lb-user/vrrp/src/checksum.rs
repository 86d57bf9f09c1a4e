//! The checksum of a VRRP message, in both forms that are in use.
//!
//! RFC 5798 was read by everyone as: over IPv4 as over IPv6, the pseudo-header comes first. RFC 9568
//! says that over IPv4 it does not. keepalived and FRR send the first form, so it is the default;
//! both are accepted, and counted.
//!
//! Not here: where in a message the sum stands.

use std::net::Ipv6Addr;

use crate::advert::Ends;

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;

/// What the checksum of a message over IPv4 covers. Over IPv6 the pseudo-header is always in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// Pseudo-header and message, as keepalived and FRR do.
    #[default]
    PseudoHeader,
    /// The message alone, as RFC 9568 says.
    MessageOnly,
}

/// The Internet checksum (RFC 1071) of `message`, whose own field counts as it stands: 0 to make the
/// sum to send; on receipt the result is 0 when all is well.
#[must_use]
pub(crate) fn of(message: &[u8], ends: Ends, form: ChecksumForm) -> u16 {
    let sum = match (ends, form) {
        (Ends::V4 { .. }, ChecksumForm::MessageOnly) => words(message),
        (
            Ends::V4 {
                source,
                destination,
            },
            ChecksumForm::PseudoHeader,
        ) => pseudo(&source.octets(), &destination.octets(), PROTOCOL, message),
        (
            Ends::V6 {
                source,
                destination,
            },
            ChecksumForm::PseudoHeader | ChecksumForm::MessageOnly,
        ) => pseudo(&source.octets(), &destination.octets(), PROTOCOL, message),
    };
    !fold(sum)
}

/// The checksum of bytes without a pseudo-header, as of an IPv4 header.
#[must_use]
pub fn plain(bytes: &[u8]) -> u16 {
    !fold(words(bytes))
}

/// The checksum of a message of another protocol over IPv6.
#[must_use]
pub(crate) fn over_ipv6(
    message: &[u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
) -> u16 {
    let (source, destination) = (source.octets(), destination.octets());
    !fold(pseudo(&source, &destination, protocol, message))
}

/// Both pseudo-headers sum up alike: their other bytes are zero.
fn pseudo(source: &[u8], destination: &[u8], protocol: u8, message: &[u8]) -> u64 {
    words(source) + words(destination) + words(message) + u64::from(protocol) + message.len() as u64
}

fn words(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [last] => u64::from(last) << 8,
        _ => 0,
    });
    pairs.sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends::V4 {
        source: std::net::Ipv4Addr::new(10, 77, 0, 1),
        destination: std::net::Ipv4Addr::new(224, 0, 0, 18),
    };

    #[test]
    fn an_odd_byte_counts_as_the_high_one() {
        assert_eq!(of(&[1], ENDS, ChecksumForm::MessageOnly), !0x0100);
        assert_eq!(of(&[], ENDS, ChecksumForm::MessageOnly), !0);
    }

    #[test]
    fn carries_are_added_back() {
        let ones = [0xff; 512];
        assert_eq!(of(&ones, ENDS, ChecksumForm::MessageOnly), 0);
    }
}
