//! ICMP errors about packets of our flows: reading what they quote, and translating the quote along
//! with the message, so that whoever gets it knows the packet.
//!
//! Eight bytes behind the quoted IP header are all that is needed: a router must quote no more
//! (RFC 792), and path MTU discovery hangs on these errors.

use crate::abi::{Addr, Be16};
use crate::checksum::Change;
use crate::forward::nat::{End, Way, address_change, write_address};
use crate::forward::{ethertype, link};
use crate::frame::Frame;
use crate::lookups::NextHop;
use crate::parse::Packet;
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// Whether a packet is an ICMP error: one that quotes a packet (RFC 792, RFC 4443 section 2.1).
/// Redirects are for hosts on the link alone.
#[inline(always)]
pub fn is_error<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> bool {
    // Two bytes: the verifier does not follow the check for a single one.
    let Some([kind, _code]) = frame.read::<[u8; 2]>(packet.l4) else {
        return false;
    };
    match (packet.is_v6, packet.protocol) {
        (false, Icmp::PROTOCOL_V4) => matches!(kind, 3 | 11 | 12),
        (true, Icmp::PROTOCOL_V6) => matches!(kind, 1..=4),
        _ => false,
    }
}

/// The packet that an ICMP error quotes, as far as it is quoted: its addresses and ports.
#[inline(always)]
pub fn quoted<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Option<Packet> {
    let quote = Packet::quoted(frame, packet.l4 + Icmp::LEN, packet.is_v6)?;
    let end = packet.l3 + packet.len as usize;
    if !quote.has_ports() || quote.is_later_fragment() || quote.l4 + QUOTED_MIN > end {
        return None;
    }
    // As in headers that are not quoted: inside, these mean IPv4.
    if quote.is_v6 && (quote.source.is_v4() || quote.destination.is_v4()) {
        return None;
    }
    let [source, destination]: [[u8; 2]; 2] = frame.read(quote.l4)?;
    Some(Packet {
        source_port: Be16::new(u16::from_be_bytes(source)),
        destination_port: Be16::new(u16::from_be_bytes(destination)),
        ..quote
    })
}

/// Bytes of the quoted packet's payload that every error has.
const QUOTED_MIN: usize = 8;

/// What becomes of an ICMP error's addresses, and of those in its quote.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// Who tells.
    pub source: Addr,
    /// Who is told.
    pub destination: Addr,
    /// Who sent the quoted packet.
    pub quoted_source: End,
    /// Whom it was for.
    pub quoted_destination: End,
}

/// Translates an ICMP error and its quote, and sends the frame to `to`. `None` where the frame is
/// shorter than it was seen to be, or there is no room for its link header.
#[inline(always)]
pub fn translate<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    new: &Translation,
    to: &NextHop,
) -> Option<()> {
    let is_v6 = packet.is_v6;
    let at = |way: Way, l3: usize| l3 + way.address(is_v6);
    write_address(frame, at(Way::From, packet.l3), is_v6, &new.source)?;
    write_address(frame, at(Way::To, packet.l3), is_v6, &new.destination)?;
    let outer = address_change(is_v6, &packet.source, &new.source).and(address_change(
        is_v6,
        &packet.destination,
        &new.destination,
    ));
    let inner = quote_change(frame, packet, quote, new)?;
    // ICMPv6 has the addresses in its checksum, ICMP has not.
    let change = if is_v6 { inner.and(outer) } else { inner };
    let checksum_at = packet.l4 + Icmp::CHECKSUM;
    let checksum = u16::from_ne_bytes(frame.read(checksum_at)?);
    frame.write(checksum_at, &change.apply(checksum).to_ne_bytes())?;
    crate::forward::hop(frame, packet, outer)?;
    link(frame, packet.l3, 0, to, ethertype(packet)).map(drop)
}

/// Rewrites the quoted packet; what that does to the checksum of the message.
#[inline(always)]
fn quote_change<F: Frame + ?Sized>(
    frame: &mut F,
    packet: &Packet,
    quote: &Packet,
    new: &Translation,
) -> Option<Change> {
    let is_v6 = quote.is_v6;
    let (from, to) = (&new.quoted_source, &new.quoted_destination);
    let at = |way: Way| quote.l3 + way.address(is_v6);
    write_address(frame, at(Way::From), is_v6, &from.address)?;
    write_address(frame, at(Way::To), is_v6, &to.address)?;
    let addresses = address_change(is_v6, &quote.source, &from.address).and(address_change(
        is_v6,
        &quote.destination,
        &to.address,
    ));
    frame.write(quote.l4, &[from.port, to.port] as &[Be16; 2])?;
    let ports = Change::new()
        .word(quote.source_port.bits(), from.port.bits())
        .word(quote.destination_port.bits(), to.port.bits());
    let mut change = addresses.and(ports);
    if !is_v6 {
        let mended = mend(frame, quote.l3 + Ipv4::CHECKSUM, addresses)?;
        change = change.and(mended);
    }
    let (l4_checksum, is_udp) = if quote.protocol == Udp::PROTOCOL {
        (quote.l4 + Udp::CHECKSUM, true)
    } else {
        (quote.l4 + Tcp::CHECKSUM, false)
    };
    // Quoted is what the router cared to quote.
    if l4_checksum + 2 > packet.l3 + packet.len as usize {
        return Some(change);
    }
    if is_udp && frame.read::<[u8; 2]>(l4_checksum)? == [0; 2] {
        return Some(change);
    }
    Some(change.and(mend(frame, l4_checksum, addresses.and(ports))?))
}

/// Mends a checksum in the quote; what that in turn does to the message's.
#[inline(always)]
fn mend<F: Frame + ?Sized>(frame: &mut F, at: usize, change: Change) -> Option<Change> {
    let old = u16::from_ne_bytes(frame.read(at)?);
    let new = change.apply(old);
    frame.write(at, &new.to_ne_bytes())?;
    Some(Change::new().word(old, new))
}
