//! From a frame to what its headers say, in three steps, each no further than needed: addresses
//! ([`Ends`]) tell whether a frame is ours at all; headers and ports ([`Packet`]) are read of those
//! that are.
//!
//! Everything is bounded: VLAN tags, extension headers, lengths. Not here: what becomes of a packet.

use zerocopy::network_endian::U16;

use crate::abi::{Addr, Be16, Endpoint, Reason};
use crate::frame::Frame;
use crate::wire::eth::{Eth, Vlan};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Extension, FragmentHeader, Ipv6};
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// Tags before the IP header at most: 802.1Q in 802.1ad.
pub(crate) const VLAN_TAGS_MAX: usize = 2;
/// Extension headers at most; RFC 8200 section 4.1 knows no use for more before the payload.
const EXTENSIONS_MAX: usize = 6;
/// Bytes of IPv6 headers at most: what follows must be where a program in the kernel can read.
const HEADERS_MAX: usize = 896;

/// Who sends an IP packet, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Whether the IP header is version 6.
    pub is_v6: bool,
    /// Offset of the IP header in the frame.
    pub l3: usize,
}

impl Ends {
    /// Reads the addresses of a frame whose Ethernet header is `eth`.
    ///
    /// # Errors
    /// It is no IP packet, or ends before its addresses do.
    #[inline(always)]
    pub fn read<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> Result<Self, Reason> {
        let (ethertype, l3) = untag(frame, eth.ethertype)?;
        match ethertype {
            Eth::IPV4 => Self::v4(frame, l3),
            Eth::IPV6 => Self::v6(frame, l3),
            _ => Err(Reason::NotIp),
        }
    }

    /// Reads the addresses of an IPv4 header at `l3`.
    ///
    /// # Errors
    /// It is none, or the frame ends before it does.
    #[inline(always)]
    pub fn v4<F: Frame + ?Sized>(frame: &F, l3: usize) -> Result<Self, Reason> {
        let ip: Ipv4 = frame.read(l3).ok_or(Reason::Truncated)?;
        if ip.version_ihl >> 4 != 4 {
            return Err(Reason::BadVersion);
        }
        Ok(Self::of_v4(&ip, l3))
    }

    /// Reads the addresses of an IPv6 header at `l3`.
    ///
    /// # Errors
    /// As [`Self::v4`].
    #[inline(always)]
    pub fn v6<F: Frame + ?Sized>(frame: &F, l3: usize) -> Result<Self, Reason> {
        let ip: Ipv6 = frame.read(l3).ok_or(Reason::Truncated)?;
        if ip.version_class >> 4 != 6 {
            return Err(Reason::BadVersion);
        }
        Ok(Self::of_v6(&ip, l3))
    }

    #[inline(always)]
    pub(crate) const fn of_v4(ip: &Ipv4, l3: usize) -> Self {
        Self {
            source: Addr::from_v4_octets(ip.source),
            destination: Addr::from_v4_octets(ip.destination),
            is_v6: false,
            l3,
        }
    }

    #[inline(always)]
    const fn of_v6(ip: &Ipv6, l3: usize) -> Self {
        Self {
            source: Addr::v6(ip.source),
            destination: Addr::v6(ip.destination),
            is_v6: true,
            l3,
        }
    }

    /// Whether the destination can be looked up: inside, an IPv4-mapped address means IPv4; on the
    /// wire nobody may use it (RFC 4291 section 2.5.5.2, RFC 6890).
    #[inline(always)]
    pub const fn has_plain_destination(&self) -> bool {
        !self.is_v6 || !self.destination.is_v4()
    }

    /// Whether source and destination can be looked up: see [`Self::has_plain_destination`].
    #[inline(always)]
    pub const fn are_plain(&self) -> bool {
        !self.is_v6 || !(self.source.is_v4() || self.destination.is_v4())
    }

    /// Whether no host can have the source address: unspecified, loopback, multicast, broadcast or
    /// reserved (RFC 6890, RFC 1812 section 5.3.7), or IPv4-mapped in an IPv6 header.
    #[inline(always)]
    pub fn is_martian(&self) -> bool {
        if self.is_v6 {
            is_martian_v6(&self.source)
        } else {
            is_martian_v4(self.source.v4_octets())
        }
    }
}

/// As [`Ends::is_martian`].
#[inline(always)]
pub(crate) const fn is_martian_v4([first, ..]: [u8; 4]) -> bool {
    // 0, and from 224 on.
    first.wrapping_sub(1) >= 223 || first == 127
}

/// As [`Ends::is_martian`].
#[inline(always)]
pub(crate) fn is_martian_v6(source: &Addr) -> bool {
    let (high, low) = source.halves();
    let [first, ..] = source.v6_octets()[0];
    let small = high == 0 && (low == 0 || low == u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, 1]));
    small || first == 0xff || source.is_v4()
}

/// An IP packet. After [`Packet::headers`], ports and flags are 0; [`Packet::with_ports`] reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// IP protocol number.
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
    /// Of a fragment: its offset in units of 8 bytes, and [`Ipv4::MORE_FRAGMENTS`]; else 0.
    pub fragment: u16,
    /// Of a fragment: names the packet it is of.
    pub fragment_id: u32,
    /// The IPv4 header's checksum as it stands there; 0 in IPv6.
    pub checksum: u16,
    /// Offset of the IP header in the frame.
    pub l3: usize,
    /// Offset of what the IP header carries.
    pub l4: usize,
    /// Bytes of the IP packet.
    pub len: u32,
}

impl Packet {
    /// Reads all of a TCP or UDP packet that is no fragment.
    ///
    /// # Errors
    /// The name of what is not there or not so.
    #[inline(always)]
    pub fn parse<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> Result<Self, Reason> {
        Self::headers(frame, &Ends::read(frame, eth)?)?.with_ports(frame)
    }

    /// Reads the IP headers.
    ///
    /// # Errors
    /// The name of what is not there or not so.
    #[inline(always)]
    pub fn headers<F: Frame + ?Sized>(frame: &F, ends: &Ends) -> Result<Self, Reason> {
        if ends.is_v6 {
            Self::headers_v6(frame, ends)
        } else {
            Self::headers_v4(frame, ends)
        }
    }

    #[inline(always)]
    fn headers_v4<F: Frame + ?Sized>(frame: &F, ends: &Ends) -> Result<Self, Reason> {
        let ip: Ipv4 = frame.read(ends.l3).ok_or(Reason::VipTruncated)?;
        let header = usize::from(ip.version_ihl & 0xf) * 4;
        let total = usize::from(ip.total_len.get());
        if header < Ipv4::LEN || total < header {
            return Err(Reason::VipBadLength);
        }
        if !frame.holds(ends.l3 + total) {
            return Err(Reason::VipTruncated);
        }
        let fragment = ip.fragment.get();
        Ok(Self {
            protocol: ip.protocol,
            ttl: ip.ttl,
            tos: ip.tos,
            dont_fragment: fragment & Ipv4::DONT_FRAGMENT != 0,
            fragment: fragment & Ipv4::FRAGMENT_MASK,
            fragment_id: u32::from(ip.id.get()),
            checksum: u16::from_ne_bytes(ip.checksum),
            l4: ends.l3 + header,
            len: u32::from(ip.total_len.get()),
            ..Self::of(ends)
        })
    }

    #[inline(always)]
    fn headers_v6<F: Frame + ?Sized>(frame: &F, ends: &Ends) -> Result<Self, Reason> {
        let ip: Ipv6 = frame.read(ends.l3).ok_or(Reason::VipTruncated)?;
        let total = Ipv6::LEN + usize::from(ip.payload_len.get());
        if !frame.holds(ends.l3 + total) {
            return Err(Reason::VipTruncated);
        }
        let mut packet = Self {
            protocol: ip.next_header,
            ttl: ip.hop_limit,
            tos: (ip.version_class << 4) | (ip.class_flow[0] >> 4),
            dont_fragment: true,
            l4: ends.l3 + Ipv6::LEN,
            len: u32::from(Ipv6::BYTES) + u32::from(ip.payload_len.get()),
            ..Self::of(ends)
        };
        if is_extension(ip.next_header) {
            packet.skip_extensions(frame)?;
        }
        if packet.l4 > ends.l3 + total {
            return Err(Reason::VipBadLength);
        }
        Ok(packet)
    }

    /// Reads the IP headers of a packet that stands in another one, its end perhaps cut off; `len`
    /// is what it says.
    #[inline(always)]
    pub fn quoted<F: Frame + ?Sized>(frame: &F, l3: usize, is_v6: bool) -> Option<Self> {
        if is_v6 {
            let ip: Ipv6 = frame.read(l3)?;
            let ends = Ends {
                source: Addr::v6(ip.source),
                destination: Addr::v6(ip.destination),
                is_v6,
                l3,
            };
            let mut packet = Self {
                protocol: ip.next_header,
                l4: l3 + Ipv6::LEN,
                ..Self::of(&ends)
            };
            if is_extension(ip.next_header) {
                packet.skip_extensions(frame).ok()?;
            }
            return (ip.version_class >> 4 == 6).then_some(packet);
        }
        let ip: Ipv4 = frame.read(l3)?;
        let header = usize::from(ip.version_ihl & 0xf) * 4;
        let ends = Ends {
            source: Addr::from_v4_octets(ip.source),
            destination: Addr::from_v4_octets(ip.destination),
            is_v6,
            l3,
        };
        let packet = Self {
            protocol: ip.protocol,
            fragment: ip.fragment.get() & Ipv4::FRAGMENT_MASK,
            l4: l3 + header,
            ..Self::of(&ends)
        };
        (ip.version_ihl >> 4 == 4 && header >= Ipv4::LEN).then_some(packet)
    }

    /// A packet between these ends of which nothing else is known.
    #[inline(always)]
    pub(crate) const fn of(ends: &Ends) -> Self {
        Self {
            source: ends.source,
            destination: ends.destination,
            source_port: Be16::new(0),
            destination_port: Be16::new(0),
            protocol: 0,
            ttl: 0,
            tcp_flags: 0,
            tos: 0,
            dont_fragment: false,
            is_v6: ends.is_v6,
            fragment: 0,
            fragment_id: 0,
            checksum: 0,
            l3: ends.l3,
            l4: ends.l3,
            len: 0,
        }
    }

    /// Steps over IPv6 extension headers, up to what is carried or to a later fragment's bytes.
    #[inline(always)]
    fn skip_extensions<F: Frame + ?Sized>(&mut self, frame: &F) -> Result<(), Reason> {
        for _ in 0..=EXTENSIONS_MAX {
            if !is_extension(self.protocol) {
                return Ok(());
            }
            let extension: Extension = frame.read(self.l4).ok_or(Reason::VipTruncated)?;
            let mut len = (usize::from(extension.len) + 1) * 8;
            if self.protocol == Extension::FRAGMENT {
                let header: FragmentHeader = frame.read(self.l4).ok_or(Reason::VipTruncated)?;
                (self.fragment, self.fragment_id) = (header.as_ipv4(), header.id.get());
                len = FragmentHeader::LEN;
            }
            // It is not for whom it seems to be for, and its checksum is not over that address.
            if self.protocol == Extension::ROUTING && extension.kind_and_left[1] != 0 {
                return Err(Reason::VipSourceRouted);
            }
            self.protocol = extension.next_header;
            self.l4 += len;
            if self.l4 - self.l3 > HEADERS_MAX {
                return Err(Reason::VipTooManyHeaders);
            }
            if self.is_later_fragment() {
                return Ok(());
            }
        }
        Err(Reason::VipTooManyHeaders)
    }

    /// Reads the ports of TCP or UDP.
    ///
    /// # Errors
    /// The name of what is not there or not so.
    #[inline(always)]
    pub fn with_ports<F: Frame + ?Sized>(mut self, frame: &F) -> Result<Self, Reason> {
        let room = (self.len as usize + self.l3).saturating_sub(self.l4);
        let short = if self.is_fragment() {
            Reason::FragmentTiny
        } else {
            Reason::VipBadLength
        };
        if self.protocol == Tcp::PROTOCOL {
            if room < Tcp::LEN {
                return Err(short);
            }
            let tcp: Tcp = frame.read(self.l4).ok_or(Reason::VipTruncated)?;
            let header = usize::from(tcp.offset >> 4) * 4;
            if header < Tcp::LEN || header > room {
                return Err(short);
            }
            self.source_port = wire16(tcp.source);
            self.destination_port = wire16(tcp.destination);
            self.tcp_flags = tcp.flags;
        } else {
            if room < Udp::LEN {
                return Err(short);
            }
            let udp: Udp = frame.read(self.l4).ok_or(Reason::VipTruncated)?;
            let length = usize::from(udp.length.get());
            // A first fragment says how long the whole datagram is.
            if length < Udp::LEN || (length > room && !self.is_fragment()) {
                return Err(Reason::VipBadLength);
            }
            self.source_port = wire16(udp.source);
            self.destination_port = wire16(udp.destination);
        }
        Ok(self)
    }

    /// Where it goes.
    #[inline(always)]
    pub fn to(&self) -> Endpoint {
        Endpoint::new(self.destination, self.destination_port, self.protocol)
    }

    /// Where it comes from.
    #[inline(always)]
    pub fn from(&self) -> Endpoint {
        Endpoint::new(self.source, self.source_port, self.protocol)
    }

    /// Whether it is TCP or UDP.
    #[inline(always)]
    pub const fn has_ports(&self) -> bool {
        self.protocol == Tcp::PROTOCOL || self.protocol == Udp::PROTOCOL
    }

    /// Whether it is a part of a packet.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.fragment != 0
    }

    /// Whether it is a part of a packet, and not the first.
    #[inline(always)]
    pub const fn is_later_fragment(&self) -> bool {
        self.fragment & !Ipv4::MORE_FRAGMENTS != 0
    }

    /// Whether it asks for a new TCP connection.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.tcp_flags & (Tcp::SYN | Tcp::ACK | Tcp::RST) == Tcp::SYN
    }

    /// Whether it ends a TCP connection, or one direction of it.
    #[inline(always)]
    pub const fn is_end(&self) -> bool {
        self.tcp_flags & (Tcp::FIN | Tcp::RST) != 0
    }
}

/// Whether a next header is an extension header that can be stepped over.
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        Extension::HOP_BY_HOP | Extension::ROUTING | Extension::DESTINATION | Extension::FRAGMENT
    )
}

/// Steps over VLAN tags: the ethertype behind them, and where its header starts.
#[inline(always)]
pub(crate) fn untag<F: Frame + ?Sized>(frame: &F, outer: U16) -> Result<(U16, usize), Reason> {
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

/// The VLAN that a frame's tag names; 0 where it has none, or one for its priority alone.
#[inline(always)]
pub(crate) fn vlan_of<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> u16 {
    if eth.ethertype != Vlan::DOT1Q {
        return 0;
    }
    match frame.read::<Vlan>(Eth::LEN) {
        Some(tag) => tag.control.get() & Vlan::ID,
        None => 0,
    }
}

#[inline(always)]
pub(crate) fn wire16(bytes: [u8; 2]) -> Be16 {
    Be16::new(u16::from_be_bytes(bytes))
}
