//! The far end of a tunnel: takes the packet out of the one that carried it, on a real server.
//!
//! Only packets for this host that carry one to a VIP it holds are opened: a tunnel's end that
//! opens everything lets anybody send anything in anybody's name. All others pass as they are.

use zerocopy::network_endian::U16;

use crate::abi::{Addr, encapsulation};
use crate::frame::Frame;
use crate::wire::eth::Eth;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::udp::Udp;

/// IP protocol number of an IPv4 packet inside (RFC 2003).
const INNER_V4: u8 = 4;
/// IP protocol number of an IPv6 packet inside (RFC 2473).
const INNER_V6: u8 = 41;

/// What the far end may ask.
pub trait Ends {
    /// Whether packets to this address are to be taken out.
    fn is_vip(&self, address: &Addr) -> bool;
}

/// Takes out the packet that the frame carries, if it carries one to a VIP; whether it did.
#[inline(always)]
pub fn open<F: Frame + ?Sized, E: Ends>(frame: &mut F, ends: &E) -> bool {
    let Some((eth, outer)) = outer(frame) else {
        return false;
    };
    let inner = Eth::LEN + outer.bytes;
    let Some(destination) = inner_destination(frame, inner, outer.inner_is_v6) else {
        return false;
    };
    if !ends.is_vip(&destination) {
        return false;
    }
    let header = Eth {
        destination: eth.destination,
        source: eth.source,
        ethertype: if outer.inner_is_v6 {
            Eth::IPV6
        } else {
            Eth::IPV4
        },
    };
    // The new Ethernet header ends where the inner packet starts.
    frame.write(outer.bytes, &header).is_some() && frame.shrink(outer.bytes).is_some()
}

/// What carries the packet.
struct Outer {
    /// Bytes of all its headers behind Ethernet.
    bytes: usize,
    inner_is_v6: bool,
}

/// Reads the outer headers; `None` where they carry nothing.
#[inline(always)]
fn outer<F: Frame + ?Sized>(frame: &F) -> Option<(Eth, Outer)> {
    let eth: Eth = frame.read(0)?;
    let (protocol, bytes) = match eth.ethertype {
        Eth::IPV4 => {
            let ip: Ipv4 = frame.read(Eth::LEN)?;
            let is_whole = ip.fragment.get() & Ipv4::FRAGMENT_MASK == 0;
            (is_whole && ip.version_ihl == 0x45).then_some((ip.protocol, Ipv4::LEN))?
        }
        Eth::IPV6 => {
            let ip: Ipv6 = frame.read(Eth::LEN)?;
            (ip.next_header, Ipv6::LEN)
        }
        _ => return None,
    };
    let outer = match protocol {
        INNER_V4 => Outer {
            bytes,
            inner_is_v6: false,
        },
        INNER_V6 => Outer {
            bytes,
            inner_is_v6: true,
        },
        Udp::PROTOCOL => gue(frame, bytes)?,
        _ => return None,
    };
    Some((eth, outer))
}

/// Reads the UDP header of GUE variant 1: the inner packet's version tells its family.
#[inline(always)]
fn gue<F: Frame + ?Sized>(frame: &F, bytes: usize) -> Option<Outer> {
    const PORT: U16 = U16::new(encapsulation::GUE_PORT);
    let udp: Udp = frame.read(Eth::LEN + bytes)?;
    if udp.destination != PORT.to_bytes() {
        return None;
    }
    let bytes = bytes + Udp::LEN;
    let version: u8 = frame.read(Eth::LEN + bytes)?;
    match version >> 4 {
        4 => Some(Outer {
            bytes,
            inner_is_v6: false,
        }),
        6 => Some(Outer {
            bytes,
            inner_is_v6: true,
        }),
        _ => None,
    }
}

/// Where the packet inside goes.
#[inline(always)]
fn inner_destination<F: Frame + ?Sized>(frame: &F, at: usize, is_v6: bool) -> Option<Addr> {
    if is_v6 {
        let ip: Ipv6 = frame.read(at)?;
        let destination = Addr::v6(ip.destination);
        // Nobody may use an IPv4-mapped address on the wire: in maps it means the IPv4 one.
        return (ip.version_class >> 4 == 6 && !destination.is_v4()).then_some(destination);
    }
    let ip: Ipv4 = frame.read(at)?;
    (ip.version_ihl >> 4 == 4).then(|| Addr::from_v4_octets(ip.destination))
}
