//! A frame as a packet: where its headers are and what decides its way, or why it is not ours.
//!
//! Nothing is changed and nothing is looked up. A frame that is malformed is refused by name; the
//! caller passes it to the stack, since before the look-up nobody can say that it was for a VIP.

use crate::abi::{Addr, Be16, Be32, Endpoint, Reason};
use crate::frame::Frame;
use crate::wire::eth::Eth;
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// A TCP or UDP packet over IPv4, whole: headers present, lengths right, not a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Be32,
    /// Destination address.
    pub destination: Be32,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// IP protocol number: [`Tcp::PROTOCOL`] or [`Udp::PROTOCOL`].
    pub protocol: u8,
    /// Hops left.
    pub ttl: u8,
    /// TCP's flags; 0 for UDP.
    pub tcp_flags: u8,
    /// Offset of the TCP or UDP header in the frame.
    pub l4: usize,
    /// Bytes of the IP packet.
    pub len: u16,
}

impl Packet {
    /// Offset of the IPv4 header in the frame.
    pub const L3: usize = Eth::LEN;

    /// Reads the headers of a frame whose Ethernet header is `eth`.
    ///
    /// # Errors
    /// The name of what is not there or not so.
    #[inline(always)]
    pub fn parse<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> Result<Self, Reason> {
        if eth.ethertype != Eth::IPV4 {
            return Err(Reason::NotIpv4);
        }
        let ip: Ipv4 = frame.read(Self::L3).ok_or(Reason::Truncated)?;
        if ip.version_ihl >> 4 != 4 {
            return Err(Reason::BadVersion);
        }
        let header = usize::from(ip.version_ihl & 0xf) * 4;
        let total = usize::from(ip.total_len.get());
        if header < Ipv4::LEN || total < header {
            return Err(Reason::BadLength);
        }
        if Self::L3 + total > frame.len() {
            return Err(Reason::Truncated);
        }
        if ip.protocol != Tcp::PROTOCOL && ip.protocol != Udp::PROTOCOL {
            return Err(Reason::NotTcpOrUdp);
        }
        if ip.fragment.get() & Ipv4::FRAGMENT_MASK != 0 {
            return Err(Reason::Fragment);
        }
        let l4 = Self::L3 + header;
        let ports = Ports::parse(frame, ip.protocol, l4, total - header)?;
        Ok(Self {
            source: wire32(ip.source),
            destination: wire32(ip.destination),
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.protocol,
            ttl: ip.ttl,
            tcp_flags: ports.tcp_flags,
            l4,
            len: ip.total_len.get(),
        })
    }

    /// Where it goes: key of a virtual service.
    #[inline(always)]
    pub fn to(&self) -> Endpoint {
        Endpoint::new(
            Addr::v4(self.destination),
            self.destination_port,
            self.protocol,
        )
    }

    /// Where it comes from: key of a nat real server.
    #[inline(always)]
    pub fn from(&self) -> Endpoint {
        Endpoint::new(Addr::v4(self.source), self.source_port, self.protocol)
    }

    /// Whether it asks for a new TCP connection.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.tcp_flags & (Tcp::SYN | Tcp::ACK | Tcp::RST) == Tcp::SYN
    }
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
