//! The one message of VRRP version 3, to bytes and back (section 5.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
//! +-------+-------+---------------+---------------+---------------+
//! |Reserve| Max Advertise Interval|           Checksum            |
//! +-------+-----------------------+-------------------------------+
//! |                        IPvX Address(es) …                     |
//! ```
//!
//! Decoding is a view of the received bytes. It makes the checks of section 7.1 that need no
//! configuration, in the order of that section.
//!
//! Not here: the checks that do need it ([`crate::hear`]), and IP headers, which are the kernel's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    checksum::{self, ChecksumForm},
    interval::Interval,
    params::{Family, Priority, Vrid},
    refusal::{Notice, Notices, Refusal},
};

/// Where adverts over IPv4 go.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Where adverts over IPv6 go.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The TTL or hop limit that adverts are sent with, and must still have: no router has passed them on.
pub const HOP_LIMIT: u8 = 255;

/// The fixed part of a message.
const HEADER: usize = 8;

/// Version 3 and type 1, ADVERTISEMENT.
const VERSION: u8 = 3;
const TYPE: u8 = 1;

/// The longest message that is sent: 90 IPv6 addresses.
pub const MAX_LEN: usize = HEADER + 90 * 16;

/// The addresses of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Over IPv4.
    V4 {
        /// From the IP header.
        source: Ipv4Addr,
        /// From the IP header: the group, or this host.
        destination: Ipv4Addr,
    },
    /// Over IPv6.
    V6 {
        /// From the IP header.
        source: Ipv6Addr,
        /// From the IP header: the group, or this host.
        destination: Ipv6Addr,
    },
}

impl Ends {
    /// Of a datagram from `source` to the group of its family.
    #[must_use]
    pub const fn multicast(source: IpAddr) -> Self {
        match source {
            IpAddr::V4(source) => Self::V4 {
                source,
                destination: GROUP_V4,
            },
            IpAddr::V6(source) => Self::V6 {
                source,
                destination: GROUP_V6,
            },
        }
    }

    /// Who sent it.
    #[must_use]
    pub const fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => IpAddr::V4(source),
            Self::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.source())
    }
}

/// What a socket of IP protocol 112 received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// From and to.
    pub ends: Ends,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Everything behind the IP header.
    pub payload: &'a [u8],
}

/// A list of addresses, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vips<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> Vips<'a> {
    pub(crate) fn new(family: Family, bytes: &'a [u8]) -> Self {
        Self { family, bytes }
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'a {
        let chunks = self.bytes.chunks_exact(self.family.address_len());
        chunks.map(move |octets| match self.family {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(octets).unwrap_or_default()),
            Family::V6 => IpAddr::from(<[u8; 16]>::try_from(octets).unwrap_or_default()),
        })
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> usize {
        self.bytes.len() / self.family.address_len()
    }

    /// Whether both list the same addresses, in whatever order.
    #[must_use]
    pub fn same_addresses(self, other: Vips<'_>) -> bool {
        self.bytes == other.bytes
            || self.count() == other.count()
                && self.iter().all(|vip| other.iter().any(|its| its == vip))
                && other.iter().all(|its| self.iter().any(|vip| its == vip))
    }
}

/// An ADVERTISEMENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// The virtual router's number.
    pub vrid: Vrid,
    /// The sender's; none (0 on the wire) when it resigns.
    pub priority: Option<Priority>,
    /// Max Advertise Interval: the next one comes then.
    pub interval: Interval,
    /// What it serves.
    pub vips: Vips<'a>,
}

impl Advert<'_> {
    /// Writes it into `buffer` and returns what was written. VIPs that an advert cannot hold are
    /// left out; [`Params`](crate::Params) has none.
    pub fn encode<'b>(
        &self,
        ends: Ends,
        form: ChecksumForm,
        buffer: &'b mut [u8; MAX_LEN],
    ) -> &'b [u8] {
        let count = self.vips.count().min(self.vips.family.most_vips());
        let addresses = &self.vips.bytes[..count * self.vips.family.address_len()];
        let message = &mut buffer[..HEADER + addresses.len()];
        message[0] = VERSION << 4 | TYPE;
        message[1] = self.vrid.get();
        message[2] = self.priority.map_or(0, Priority::get);
        message[3] = u8::try_from(count).unwrap_or(u8::MAX);
        message[4..6].copy_from_slice(&self.interval.centis().to_be_bytes());
        message[6..8].fill(0);
        message[HEADER..].copy_from_slice(addresses);
        let sum = checksum::of(message, ends, form);
        message[6..8].copy_from_slice(&sum.to_be_bytes());
        message
    }
}

/// Reads a message, and what is worth noticing of it.
///
/// # Errors
/// The first check of section 7.1 that fails.
pub fn decode<'a>(datagram: &Datagram<'a>) -> Result<(Advert<'a>, Notices), Refusal> {
    let (family, payload) = (datagram.ends.family(), datagram.payload);
    if datagram.hop_limit != HOP_LIMIT {
        return Err(Refusal::HopLimit);
    }
    let first = *payload.first().ok_or(Refusal::Length)?;
    if first >> 4 != VERSION {
        return Err(Refusal::Version);
    }
    if first & 0xf != TYPE {
        return Err(Refusal::Type);
    }
    let header: &[u8; HEADER] = payload.first_chunk().ok_or(Refusal::Length)?;
    let [_, vrid, priority, count, interval @ .., _, _] = *header;
    let length = HEADER + usize::from(count) * family.address_len();
    let message = payload.get(..length).ok_or(Refusal::Length)?;
    let mut notices = Notices::default();
    notices.add(verify(message, datagram.ends)?);
    if payload.len() > length {
        notices.add(Notice::TrailingBytes);
    }
    let vrid = Vrid::new(vrid).ok_or(Refusal::Vrid)?;
    let interval = u16::from_be_bytes(interval) & Interval::MAX.centis();
    let interval = Interval::from_centis(interval).ok_or(Refusal::Interval)?;
    if count == 0 {
        return Err(Refusal::NoAddresses);
    }
    let advert = Advert {
        vrid,
        priority: Priority::from_wire(priority),
        interval,
        vips: Vips::new(family, &message[HEADER..]),
    };
    Ok((advert, notices))
}

/// Which form of checksum is right.
fn verify(message: &[u8], ends: Ends) -> Result<Notice, Refusal> {
    let right = |form| checksum::of(message, ends, form) == 0;
    if right(ChecksumForm::PseudoHeader) {
        Ok(Notice::ChecksumOverPseudoHeader)
    } else if right(ChecksumForm::MessageOnly) {
        Ok(Notice::ChecksumOverMessageOnly)
    } else {
        Err(Refusal::Checksum)
    }
}
