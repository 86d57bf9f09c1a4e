//! An advert as a frame: Ethernet and IP headers around VRRP's message.
//!
//! Not here: the message itself ([`vrrp::Advert`]), and sockets.

use lb_ebpf::abi::Mac;
use std::net::{IpAddr, Ipv4Addr};
use vrrp::Ends;
use vrrp::advert::{HOP_LIMIT, MAX_LEN};

/// IP protocol number of VRRP (section 5.1.1.4).
pub(super) const PROTOCOL: u8 = 112;

/// Bytes of an Ethernet header.
pub(super) const ETHERNET: usize = 14;

/// The longest frame: an IPv6 header, and the longest message.
pub(super) const FRAME_MAX: usize = ETHERNET + 40 + MAX_LEN;

/// DSCP CS6, internetwork control: what keepalived and routers send.
const TRAFFIC_CLASS: u8 = 0xc0;

/// A frame that is being written.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: [u8; FRAME_MAX],
    len: usize,
}

impl Frame {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; FRAME_MAX],
        len: 0,
    };

    /// Writes headers and message.
    pub(super) fn write(&mut self, source: Mac, ends: Ends, message: &[u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            // Of what does not fit nothing is written; FRAME_MAX is what fits.
            if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
                at += bytes.len();
            }
        };
        put(&group_mac(ends));
        put(&source.0);
        match ends {
            Ends::V4 {
                source,
                destination,
            } => {
                put(&[8, 0]);
                put(&ipv4(source, destination, message.len()));
            }
            Ends::V6 {
                source,
                destination,
            } => {
                put(&[0x86, 0xdd]);
                put(&ipv6_start(message.len()));
                put(&source.octets());
                put(&destination.octets());
            }
        }
        put(message);
        self.len = at;
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Without the Ethernet header.
    pub(super) fn packet(&self) -> &[u8] {
        self.bytes().get(ETHERNET..).unwrap_or_default()
    }
}

/// The Ethernet address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7). Of a single
/// host it is the kernel's matter, and this is written over.
const fn group_mac(ends: Ends) -> [u8; 6] {
    match ends {
        Ends::V4 { destination, .. } => {
            let [_, b, c, d] = destination.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        Ends::V6 { destination, .. } => {
            let [.., a, b, c, d] = destination.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// The header of an IPv4 packet, as section 5.1.1 wants it; without "don't fragment", as keepalived.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, payload: usize) -> [u8; 20] {
    let mut header = [0; 20];
    let length = u16::try_from(20 + payload).unwrap_or(u16::MAX);
    header[0] = 0x45;
    header[1] = TRAFFIC_CLASS;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[8] = HOP_LIMIT;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let sum = vrrp::checksum::plain(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The header of an IPv6 packet, up to its addresses.
fn ipv6_start(payload: usize) -> [u8; 8] {
    let [high, low] = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
    let class = TRAFFIC_CLASS;
    [
        0x60 | class >> 4,
        class << 4,
        0,
        0,
        high,
        low,
        PROTOCOL,
        HOP_LIMIT,
    ]
}

/// What a socket of VRRP's protocol received over IPv4: headers are with it.
pub(super) fn read_ipv4(packet: &[u8]) -> Option<vrrp::Datagram<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let length = usize::from(header[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let address = |at: usize| {
        Some(Ipv4Addr::from(
            <[u8; 4]>::try_from(&header[at..at + 4]).ok()?,
        ))
    };
    Some(vrrp::Datagram {
        ends: Ends::V4 {
            source: address(12)?,
            destination: address(16)?,
        },
        hop_limit: header[8],
        payload: packet.get(length..total.min(packet.len()))?,
    })
}

/// To a single host instead of the group.
pub(super) fn unicast(source: IpAddr, peer: IpAddr) -> Option<Ends> {
    match (source, peer) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Ends::V4 {
            source,
            destination,
        }),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Ends::V6 {
            source,
            destination,
        }),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// The address of the virtual router's own Ethernet interface (section 7.3).
pub const fn virtual_mac(vrid: vrrp::Vrid, family: vrrp::Family) -> Mac {
    let version = match family {
        vrrp::Family::V4 => 1,
        vrrp::Family::V6 => 2,
    };
    Mac([0, 0, 0x5e, 0, version, vrid.get()])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    #[test]
    fn an_advert_over_ipv4_goes_to_the_group_and_is_read_back() {
        let mut frame = Frame::EMPTY;
        frame.write(Mac([2; 6]), Ends::multicast(SOURCE.into()), &[1, 2, 3]);
        let bytes = frame.bytes();
        assert_eq!(bytes[..6], [1, 0, 0x5e, 0, 0, 0x12]);
        assert_eq!(bytes[6..14], [2, 2, 2, 2, 2, 2, 8, 0]);
        assert_eq!(vrrp::checksum::plain(&bytes[14..34]), 0);
        assert_eq!((bytes[15], bytes[22], bytes[23]), (0xc0, 255, 112));
        // As a raw socket of the kernel gives it, padded to the shortest frame.
        let mut packet = frame.packet().to_vec();
        packet.resize(46, 0);
        let datagram = read_ipv4(&packet).expect("a datagram");
        assert_eq!(datagram.ends, Ends::multicast(SOURCE.into()));
        assert_eq!(
            (datagram.hop_limit, datagram.payload),
            (255, &[1, 2, 3][..])
        );
    }

    #[test]
    fn an_advert_over_ipv6_goes_to_the_group() {
        let source: Ipv6Addr = "fe80::2".parse().unwrap();
        let mut frame = Frame::EMPTY;
        frame.write(Mac([2; 6]), Ends::multicast(source.into()), &[9; 24]);
        let bytes = frame.bytes();
        assert_eq!(bytes[..6], [0x33, 0x33, 0, 0, 0, 0x12]);
        assert_eq!(bytes[12..22], [0x86, 0xdd, 0x6c, 0, 0, 0, 0, 24, 112, 255]);
        assert_eq!(bytes[22..38], source.octets());
        assert_eq!(bytes.len(), 14 + 40 + 24);
    }

    #[test]
    fn what_is_no_ipv4_packet_is_none() {
        assert!(read_ipv4(&[]).is_none());
        assert!(read_ipv4(&[0x45; 19]).is_none());
        let mut short = [0u8; 24];
        short[0] = 0x4f;
        short[3] = 24;
        assert!(read_ipv4(&short).is_none(), "its header is longer than it");
    }
}
