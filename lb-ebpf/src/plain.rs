//! The common path of what most frames are: untagged, IPv4 without options, and TCP or UDP if to a VIP.
//!
//! It knows where the headers are, reads each once, and keeps nothing in a map; so it costs less than
//! [`common`](crate::common), which decides about any frame, and about these the same. A copy for IPv6
//! too would be more than the kernel's verifier has patience for. Not here: services, real servers
//! ([`mod@crate::steer`]).

use crate::abi::{Addr, NAT_REPLIES, Reason, SERVED};
use crate::frame::Frame;
use crate::lease;
use crate::lookups::{Lookups, find_address};
use crate::parse::{Ends, Packet, is_martian_v4, wire16};
use crate::replies::{reply, replying};
use crate::steer::{Outcome, Verdict, to_port, vip_at};
use crate::wire::eth::Eth;
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// Decides about a plain frame, as [`common`](crate::common) would. `None` of any other: the frame is as it
/// was, but that it is addressed to the interface. The tick is asked for where a virtual router's lease is
/// looked at, only there.
#[inline(always)]
pub fn plain<F, L, N>(frame: &mut F, lookups: &L, ingress: u32, now: N) -> Option<Outcome>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
    N: Fn() -> u64 + Copy,
{
    let (eth, ip) = frame.heads()?;
    if eth.ethertype != Eth::IPV4 || ip.version_ihl != Ipv4::PLAIN {
        return None;
    }
    let interface = lookups.interface(ingress)?;
    if interface.flags & SERVED == 0 {
        return None;
    }
    if eth.destination.bits() != interface.mac_bits() {
        if let Err(outcome) = lease::adopt(frame, &eth, interface, lookups, ingress, now) {
            return Some(outcome);
        }
    }
    let destination = Addr::from_v4_octets(ip.destination);
    let Some(vip) = vip_at(&destination, interface, lookups) else {
        if interface.flags & NAT_REPLIES == 0 {
            return Some(Outcome::Done(Verdict::pass(Reason::NotVip)));
        }
        return plain_beside(frame, &ip, lookups, ingress);
    };
    if vip.is_vip() {
        if ip.source == ip.destination {
            return Some(Outcome::Done(Verdict::drop(Reason::Land)));
        }
        if is_martian_v4(ip.source) {
            return Some(Outcome::Done(Verdict::drop(Reason::MartianSource)));
        }
        if !lease::is_served(vip, lookups, now) {
            return Some(Outcome::Done(lease::unserved(vip)));
        }
    }
    let packet = Packet::plain(frame, &ip)?;
    Some(to_port(frame, &packet, vip, lookups, ingress))
}

/// A plain packet to no VIP, where nat is used: see [`mod@crate::replies`].
#[inline(always)]
fn plain_beside<F, L>(frame: &mut F, ip: &Ipv4, lookups: &L, ingress: u32) -> Option<Outcome>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let source = Addr::from_v4_octets(ip.source);
    let Some(source) = find_address(&source, |at| lookups.nat_source(at)) else {
        // An ICMP error may come from any router.
        let is_icmp = ip.protocol == Icmp::PROTOCOL_V4;
        return (!is_icmp).then_some(Outcome::Done(Verdict::pass(Reason::NotVip)));
    };
    let packet = Packet::plain(frame, ip)?;
    Some(Outcome::Done(match replying(&packet, source, lookups) {
        Some(real) => reply(frame, &packet, real, lookups, ingress),
        None => Verdict::pass(Reason::NotVip),
    }))
}

impl Packet {
    /// A TCP or UDP packet behind this IPv4 header, which has no options, in an untagged frame: one that
    /// [`Self::parse`] would read, no fragment, and with as many bytes as TCP's header has. `None` of any
    /// other.
    #[inline(always)]
    pub(crate) fn plain<F: Frame + ?Sized>(frame: &F, ip: &Ipv4) -> Option<Self> {
        let tcp: Tcp = frame.read(Eth::LEN + Ipv4::LEN)?;
        let total = usize::from(ip.total_len.get());
        let room = total.wrapping_sub(Ipv4::LEN);
        let fragment = ip.fragment.get();
        if fragment & Ipv4::FRAGMENT_MASK != 0 || total < Ipv4::LEN {
            return None;
        }
        let (least, length, tcp_flags) = match ip.protocol {
            Tcp::PROTOCOL => (Tcp::LEN, usize::from(tcp.offset >> 4) * 4, tcp.flags),
            // Of UDP, length and checksum are where TCP has its sequence number.
            Udp::PROTOCOL => (Udp::LEN, (tcp.sequence.get() >> 16) as usize, 0),
            _ => return None,
        };
        if length < least || length > room || !frame.holds(Eth::LEN + total) {
            return None;
        }
        let ends = Ends::of_v4(ip, Eth::LEN);
        Some(Self {
            source_port: wire16(tcp.source),
            destination_port: wire16(tcp.destination),
            protocol: ip.protocol,
            ttl: ip.ttl,
            tcp_flags,
            tos: ip.tos,
            dont_fragment: fragment & Ipv4::DONT_FRAGMENT != 0,
            fragment_id: u32::from(ip.id.get()),
            checksum: u16::from_ne_bytes(ip.checksum),
            l4: Eth::LEN + Ipv4::LEN,
            len: u32::from(ip.total_len.get()),
            ..Self::of(&ends)
        })
    }
}
