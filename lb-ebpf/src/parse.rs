//! A frame as a packet: where its headers are and what decides its way, or why it is not ours.
//!
//! Ethernet with up to two VLAN tags, IPv4 with options, IPv6 with extension headers, TCP, UDP;
//! every loop is bounded. Nothing is changed and nothing is looked up. A frame that is malformed is
//! refused by name; the caller passes it to the stack, since before the look-up nobody can say that
//! it was for a VIP.

use zerocopy::network_endian::U16;

use crate::abi::{Addr, Be16, Be32, Endpoint, Reason};
use crate::frame::Frame;
use crate::wire::eth::{Eth, Vlan};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Extension, Ipv6};
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// A TCP or UDP packet, whole: headers present, lengths right, not a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// IP protocol number: [`Tcp::PROTOCOL`] or [`Udp::PROTOCOL`].
    pub protocol: u8,
    /// Hops left: time to live, or hop limit.
    pub ttl: u8,
    /// TCP's flags; 0 for UDP.
    pub tcp_flags: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Whether routers must not fragment it: always so in IPv6.
    pub dont_fragment: bool,
    /// Whether the IP header is version 6.
    pub is_v6: bool,
    /// Offset of the IP header in the frame.
    pub l3: usize,
    /// Offset of the TCP or UDP header in the frame.
    pub l4: usize,
    /// Bytes of the IP packet.
    pub len: u32,
}

/// Tags before the IP header at most: 802.1Q in 802.1ad.
pub(crate) const VLAN_TAGS_MAX: usize = 2;
/// Extension headers at most; RFC 8200 section 4.1 knows no use for more before the payload.
const EXTENSIONS_MAX: usize = 6;
/// Bytes of IPv6 headers at most: what follows must be where a program in the kernel can read.
const HEADERS_MAX: usize = 896;

impl Packet {
    /// Reads the headers of a frame whose Ethernet header is `eth`.
    ///
    /// # Errors
    /// The name of what is not there or not so.
    #[inline(always)]
    pub fn parse<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> Result<Self, Reason> {
        let (ethertype, l3) = untag(frame, eth.ethertype)?;
        match ethertype {
            Eth::IPV4 => Self::parse_v4(frame, l3),
            Eth::IPV6 => Self::parse_v6(frame, l3),
            _ => Err(Reason::NotIp),
        }
    }

    #[inline(always)]
    fn parse_v4<F: Frame + ?Sized>(frame: &F, l3: usize) -> Result<Self, Reason> {
        let ip: Ipv4 = frame.read(l3).ok_or(Reason::Truncated)?;
        if ip.version_ihl >> 4 != 4 {
            return Err(Reason::BadVersion);
        }
        let header = usize::from(ip.version_ihl & 0xf) * 4;
        let total = usize::from(ip.total_len.get());
        if header < Ipv4::LEN || total < header {
            return Err(Reason::BadLength);
        }
        if l3 + total > frame.len() {
            return Err(Reason::Truncated);
        }
        if ip.protocol != Tcp::PROTOCOL && ip.protocol != Udp::PROTOCOL {
            return Err(Reason::NotTcpOrUdp);
        }
        if ip.fragment.get() & Ipv4::FRAGMENT_MASK != 0 {
            return Err(Reason::Fragment);
        }
        let l4 = l3 + header;
        let ports = Ports::parse(frame, ip.protocol, l4, total - header)?;
        Ok(Self {
            source: Addr::v4(wire32(ip.source)),
            destination: Addr::v4(wire32(ip.destination)),
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.protocol,
            ttl: ip.ttl,
            tcp_flags: ports.tcp_flags,
            tos: ip.tos,
            dont_fragment: ip.fragment.get() & Ipv4::DONT_FRAGMENT != 0,
            is_v6: false,
            l3,
            l4,
            len: u32::from(ip.total_len.get()),
        })
    }

    #[inline(always)]
    fn parse_v6<F: Frame + ?Sized>(frame: &F, l3: usize) -> Result<Self, Reason> {
        let ip: Ipv6 = frame.read(l3).ok_or(Reason::Truncated)?;
        if ip.version_class >> 4 != 6 {
            return Err(Reason::BadVersion);
        }
        let total = Ipv6::LEN + usize::from(ip.payload_len.get());
        if l3 + total > frame.len() {
            return Err(Reason::Truncated);
        }
        let (protocol, header) = skip_extensions(frame, l3, ip.next_header)?;
        if header > total {
            return Err(Reason::BadLength);
        }
        let (source, destination) = (Addr::v6(ip.source), Addr::v6(ip.destination));
        // Inside, such an address means IPv4; on the wire nobody may use it (RFC 4291 section
        // 2.5.5.2, RFC 6890).
        if source.is_v4() || destination.is_v4() {
            return Err(Reason::BadAddress);
        }
        let l4 = l3 + header;
        let ports = Ports::parse(frame, protocol, l4, total - header)?;
        Ok(Self {
            source,
            destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol,
            ttl: ip.hop_limit,
            tcp_flags: ports.tcp_flags,
            tos: (ip.version_class << 4) | (ip.class_flow[0] >> 4),
            dont_fragment: true,
            is_v6: true,
            l3,
            l4,
            len: u32::from(Ipv6::BYTES) + u32::from(ip.payload_len.get()),
        })
    }

    /// Where it goes: key of a virtual service.
    #[inline(always)]
    pub fn to(&self) -> Endpoint {
        Endpoint::new(self.destination, self.destination_port, self.protocol)
    }

    /// Where it comes from: key of a nat real server.
    #[inline(always)]
    pub fn from(&self) -> Endpoint {
        Endpoint::new(self.source, self.source_port, self.protocol)
    }

    /// Whether it asks for a new TCP connection.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.tcp_flags & (Tcp::SYN | Tcp::ACK | Tcp::RST) == Tcp::SYN
    }
}

/// Steps over VLAN tags: the ethertype behind them, and where its header starts.
#[inline(always)]
fn untag<F: Frame + ?Sized>(frame: &F, outer: U16) -> Result<(U16, usize), Reason> {
    let (mut ethertype, mut l3) = (outer, Eth::LEN);
    for _ in 0..VLAN_TAGS_MAX {
        if ethertype != Vlan::DOT1Q && ethertype != Vlan::DOT1AD {
            break;
        }
        let tag: Vlan = frame.read(l3).ok_or(Reason::Truncated)?;
        ethertype = tag.ethertype;
        l3 += Vlan::LEN;
    }
    Ok((ethertype, l3))
}

/// Steps over IPv6 extension headers: the protocol behind them, and where its header starts,
/// counted from the IPv6 header.
#[inline(always)]
fn skip_extensions<F: Frame + ?Sized>(
    frame: &F,
    l3: usize,
    first: u8,
) -> Result<(u8, usize), Reason> {
    let (mut next, mut header) = (first, Ipv6::LEN);
    for _ in 0..=EXTENSIONS_MAX {
        match next {
            Tcp::PROTOCOL | Udp::PROTOCOL => return Ok((next, header)),
            Extension::FRAGMENT => return Err(Reason::Fragment),
            Extension::HOP_BY_HOP | Extension::ROUTING | Extension::DESTINATION => {
                let extension: Extension = frame.read(l3 + header).ok_or(Reason::Truncated)?;
                // It is not for whom it seems to be for, and its checksum is not over that address.
                if next == Extension::ROUTING && extension.kind_and_left[1] != 0 {
                    return Err(Reason::SourceRouted);
                }
                next = extension.next_header;
                header += (usize::from(extension.len) + 1) * 8;
                if header > HEADERS_MAX {
                    return Err(Reason::TooManyHeaders);
                }
            }
            _ => return Err(Reason::NotTcpOrUdp),
        }
    }
    Err(Reason::TooManyHeaders)
}

/// What the layer-4 header tells.
struct Ports {
    source: Be16,
    destination: Be16,
    tcp_flags: u8,
}

impl Ports {
    /// Reads it; `room` is what the IP header leaves for it.
    #[inline(always)]
    fn parse<F: Frame + ?Sized>(
        frame: &F,
        protocol: u8,
        l4: usize,
        room: usize,
    ) -> Result<Self, Reason> {
        if protocol == Tcp::PROTOCOL {
            let tcp: Tcp = frame.read(l4).ok_or(Reason::Truncated)?;
            let header = usize::from(tcp.offset >> 4) * 4;
            if header < Tcp::LEN || header > room {
                return Err(Reason::BadLength);
            }
            Ok(Self {
                source: wire16(tcp.source),
                destination: wire16(tcp.destination),
                tcp_flags: tcp.flags,
            })
        } else {
            let udp: Udp = frame.read(l4).ok_or(Reason::Truncated)?;
            let length = usize::from(udp.length.get());
            if length < Udp::LEN || length > room {
                return Err(Reason::BadLength);
            }
            Ok(Self {
                source: wire16(udp.source),
                destination: wire16(udp.destination),
                tcp_flags: 0,
            })
        }
    }
}

#[inline(always)]
fn wire32(bytes: [u8; 4]) -> Be32 {
    Be32::new(u32::from_be_bytes(bytes))
}

#[inline(always)]
fn wire16(bytes: [u8; 2]) -> Be16 {
    Be16::new(u16::from_be_bytes(bytes))
}
