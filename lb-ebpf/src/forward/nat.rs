//! Translation of addresses and ports. LVS-NAT: towards the real server the destination is
//! rewritten, on the way back the source; the real server sees the client's address and must route
//! its replies through the director. Fullnat: both are rewritten, both ways.

use crate::abi::{Addr, Be16};
use crate::checksum::Change;
use crate::frame::Frame;
use crate::lookups::NextHop;
use crate::parse::Packet;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// An address and port that another is to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The address.
    pub address: Addr,
    /// The port.
    pub port: Be16,
}

impl End {
    /// With port 0, which says that it stays, as the port `kept`.
    #[inline(always)]
    pub const fn or_port(self, kept: Be16) -> Self {
        if self.port.bits() == 0 {
            return Self { port: kept, ..self };
        }
        self
    }
}

/// Rewrites the destination and sends the frame to `to`. `None` where the frame is shorter than
/// [`Packet`] saw it, or there is no room for its link header.
#[inline(always)]
pub fn forward<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    destination: End,
    to: &NextHop,
) -> Option<()> {
    let change = address(frame, packet, Way::To, &destination.address)?;
    let ports = port(frame, packet, Way::To, destination.port, Change::new())?;
    finish(frame, packet, change, ports, to)
}

/// Rewrites the source and sends the frame to `to`. `None` as in [`forward`].
#[inline(always)]
pub fn reply<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    source: End,
    to: &NextHop,
) -> Option<()> {
    let change = address(frame, packet, Way::From, &source.address)?;
    let ports = port(frame, packet, Way::From, source.port, Change::new())?;
    finish(frame, packet, change, ports, to)
}

/// Rewrites both ends and sends the frame to `to`. `None` as in [`forward`].
#[inline(always)]
pub fn both<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    source: End,
    destination: End,
    to: &NextHop,
) -> Option<()> {
    let change = address(frame, packet, Way::From, &source.address)?;
    let change = change.and(address(frame, packet, Way::To, &destination.address)?);
    let ports = port(frame, packet, Way::From, source.port, Change::new())?;
    let ports = port(frame, packet, Way::To, destination.port, ports)?;
    finish(frame, packet, change, ports, to)
}

/// Which end of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    From,
    To,
}

impl Way {
    /// Offset of the end's address in the IP header.
    #[inline(always)]
    pub(crate) const fn address(self, is_v6: bool) -> usize {
        match (self, is_v6) {
            (Self::From, false) => Ipv4::SOURCE,
            (Self::To, false) => Ipv4::DESTINATION,
            (Self::From, true) => Ipv6::SOURCE,
            (Self::To, true) => Ipv6::DESTINATION,
        }
    }

    /// Offset of the end's port in the TCP or UDP header.
    #[inline(always)]
    pub(crate) const fn port(self) -> usize {
        match self {
            Self::From => Tcp::SOURCE,
            Self::To => Tcp::DESTINATION,
        }
    }
}

/// Writes another address at an end; what that does to checksums over it.
#[inline(always)]
fn address<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    way: Way,
    new: &Addr,
) -> Option<Change> {
    let old = match way {
        Way::From => &packet.source,
        Way::To => &packet.destination,
    };
    write_address(
        frame,
        packet.l3 + way.address(packet.is_v6),
        packet.is_v6,
        new,
    )?;
    Some(address_change(packet.is_v6, old, new))
}

/// Writes an address as it stands in an IP header.
#[inline(always)]
pub(crate) fn write_address<F: Frame + ?Sized>(
    frame: &mut F,
    at: usize,
    is_v6: bool,
    address: &Addr,
) -> Option<()> {
    if is_v6 {
        frame.write(at, address)
    } else {
        frame.write(at, &address.v4_word())
    }
}

/// What another address does to checksums over it.
#[inline(always)]
pub(crate) fn address_change(is_v6: bool, old: &Addr, new: &Addr) -> Change {
    let mut change = Change::new();
    if !is_v6 {
        return change.long(old.v4_word().bits(), new.v4_word().bits());
    }
    for (old, new) in old.words().iter().zip(new.words()) {
        change = change.long(old.bits(), new.bits());
    }
    change
}

/// Writes another port at an end, of a packet that has ports; what that and `before` do to the
/// checksum.
#[inline(always)]
fn port<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    way: Way,
    new: Be16,
    before: Change,
) -> Option<Change> {
    if packet.is_later_fragment() {
        return Some(before);
    }
    let old = match way {
        Way::From => packet.source_port,
        Way::To => packet.destination_port,
    };
    frame.write(packet.l4 + way.port(), &new)?;
    Some(before.word(old.bits(), new.bits()))
}

/// Mends the checksums and sends the frame.
#[inline(always)]
fn finish<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    addresses: Change,
    ports: Change,
    to: &NextHop,
) -> Option<()> {
    if !packet.is_later_fragment() {
        mend_l4(frame, packet.l4, packet.protocol, addresses.and(ports))?;
    }
    super::hop(frame, packet, addresses)?;
    super::to_next_hop(frame, packet, to)
}

/// Mends the checksum of TCP or UDP; both cover the addresses (pseudo-header) and the ports.
#[inline(always)]
fn mend_l4<F: Frame + ?Sized>(
    frame: &mut F,
    l4: usize,
    protocol: u8,
    change: Change,
) -> Option<()> {
    let tcp = protocol == Tcp::PROTOCOL;
    let at = l4 + if tcp { Tcp::CHECKSUM } else { Udp::CHECKSUM };
    let old = u16::from_ne_bytes(frame.read(at)?);
    if !tcp && old == 0 {
        return Some(()); // RFC 768: the sender made no checksum.
    }
    let mut new = change.apply(old);
    if !tcp && new == 0 {
        new = 0xffff; // RFC 768: zero would say that there is none.
    }
    frame.write(at, &new.to_ne_bytes())
}
