//! Who has a virtual router's VIP? The Active director's program answers ARP requests and neighbour
//! solicitations itself; that of any other drops them, so that the host's own stack does not
//! answer either, though it may have the VIP on its loopback.
//!
//! What asks for other addresses, and what tells instead of asking, is the stack's. Not here: when
//! nobody asked (lb-user's `vrrp::announce`).

use zerocopy::IntoBytes as _;
use zerocopy::network_endian::{U16, U32};

use crate::abi::{Addr, Interface, Mac, Reason, Router};
use crate::checksum::{fold, sum};
use crate::frame::Frame;
use crate::icmp::{move_link_header, pseudo_header};
use crate::lease;
use crate::lookups::{Lookups, find_address};
use crate::parse::{is_martian_v4, is_martian_v6, untag, vlan_of};
use crate::steer::{Action, Verdict, received, vip_at};
use crate::wire::arp::Arp;
use crate::wire::eth::Eth;
use crate::wire::icmp::Icmp;
use crate::wire::ipv6::Ipv6;
use crate::wire::ndp::{Advertisement, Solicitation};

/// Hops that neighbour discovery has, so that it comes from the link itself (RFC 4861 section 7.1.1).
const HOPS: u8 = 255;
/// Bytes of a solicitation at most, options and all; more than anybody needs without SEND.
const SOLICITATION_MAX: usize = 128;
/// Who gets the answer to somebody without an address: all nodes, at this Ethernet address.
const ALL_NODES: Addr = Addr::v6([[0xff, 2, 0, 0], [0; 4], [0; 4], [0, 0, 0, 1]]);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// Whether a frame may ask for an address: ARP, or a neighbour solicitation.
#[inline(always)]
pub(crate) fn asks<F: Frame + ?Sized>(frame: &F, eth: &Eth) -> bool {
    let Ok((ethertype, l3)) = untag(frame, eth.ethertype) else {
        return false;
    };
    if ethertype == Eth::ARP {
        return true;
    }
    // Extension headers are nothing that a solicitation has.
    let Some([next, _hops]) = frame.read::<[u8; 2]>(l3 + Ipv6::NEXT_HEADER) else {
        return false;
    };
    let Some([kind, _code]) = frame.read::<[u8; 2]>(l3 + Ipv6::LEN) else {
        return false;
    };
    ethertype == Eth::IPV6 && next == Icmp::PROTOCOL_V6 && kind == Solicitation::KIND
}

/// Decides for a frame that may ask for an address.
#[inline(always)]
pub fn neighbour<F, L>(frame: &mut F, lookups: &L, ingress: u32, now: u64) -> Verdict
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
{
    let (interface, eth) = match received(frame, lookups, ingress) {
        Ok(received) => received,
        Err(verdict) => return verdict,
    };
    let Ok((ethertype, l3)) = untag(frame, eth.ethertype) else {
        return Verdict::pass(Reason::Truncated);
    };
    let asked = Asked {
        eth,
        l3,
        ingress,
        now,
    };
    if ethertype == Eth::ARP {
        asked.by_arp(frame, interface, lookups)
    } else {
        asked.by_ndp(frame, interface, lookups)
    }
}

/// A frame that may ask for an address.
struct Asked {
    eth: Eth,
    l3: usize,
    ingress: u32,
    now: u64,
}

impl Asked {
    /// What becomes of a frame that asks for no VIP of a virtual router: what becomes of it where there
    /// is none.
    #[inline(always)]
    const fn other(&self, interface: &Interface, reason: Reason) -> Verdict {
        if self.eth.destination.bits() == interface.mac_bits() {
            Verdict::pass(reason)
        } else {
            Verdict::pass(Reason::NotOurMac)
        }
    }

    /// The Ethernet address of a router's VIP, if it is to be told.
    #[inline(always)]
    fn place<F, L>(&self, frame: &F, router: u32, lookups: &L) -> Result<Mac, Reason>
    where
        F: Frame + ?Sized,
        L: Lookups + ?Sized,
    {
        let Some(Router {
            mac, ifindex, vlan, ..
        }) = lookups.router(router).copied()
        else {
            return Err(Reason::NotActive);
        };
        let tagged = self.l3 > Eth::LEN;
        let is_on_link = ifindex == self.ingress
            && vlan == vlan_of(frame, &self.eth)
            && (!tagged || self.l3 == Eth::LEN_TAGGED);
        if !is_on_link {
            return Err(Reason::NotOnLink);
        }
        if !lease::answers(router, lookups, self.now) {
            return Err(Reason::NotActive);
        }
        Ok(mac)
    }

    /// The same of a packet to `destination`, which may be a VIP, though it asks for none.
    #[inline(always)]
    fn beside<L: Lookups + ?Sized>(
        &self,
        interface: &Interface,
        destination: &Addr,
        lookups: &L,
    ) -> Verdict {
        match vip_at(destination, interface, lookups) {
            Some(vip) if vip.is_vip() && !destination.is_v4() => {
                if lease::is_served(vip, lookups, || self.now) {
                    self.other(interface, Reason::NotTcpOrUdp)
                } else {
                    lease::unserved(vip)
                }
            }
            _ => self.other(interface, Reason::NotVip),
        }
    }

    #[inline(always)]
    fn by_arp<F, L>(&self, frame: &mut F, interface: &Interface, lookups: &L) -> Verdict
    where
        F: Frame + ?Sized,
        L: Lookups + ?Sized,
    {
        let other = self.other(interface, Reason::NotIp);
        let Some(request) = frame.read::<Arp>(self.l3) else {
            return other;
        };
        let router = router_of(&Addr::from_v4_octets(request.target), lookups);
        // Who asks for its own address announces it: another director that has become Active.
        if router == 0 || !request.is_request() || request.sender == request.target {
            return other;
        }
        let mac = match self.place(frame, router - 1, lookups) {
            Ok(mac) => mac,
            Err(reason) => return Verdict::drop(reason),
        };
        // A probe has no sender.
        let is_martian = request.sender != [0; 4] && is_martian_v4(request.sender);
        if is_martian || self.eth.source.is_group() {
            return Verdict::drop(Reason::MartianSource);
        }
        let reply = Arp {
            operation: Arp::REPLY,
            sender_mac: mac,
            sender: request.target,
            target_mac: request.sender_mac,
            target: request.sender,
            ..request
        };
        let addresses = [self.eth.source, mac];
        answered(
            frame
                .write(0, &addresses)
                .and_then(|()| frame.write(self.l3, &reply)),
            Reason::AnsweredArp,
        )
    }

    #[inline(always)]
    fn by_ndp<F, L>(&self, frame: &mut F, interface: &Interface, lookups: &L) -> Verdict
    where
        F: Frame + ?Sized,
        L: Lookups + ?Sized,
    {
        let Some(ip) = frame.read::<Ipv6>(self.l3) else {
            return self.other(interface, Reason::NotVip);
        };
        let other = self.beside(interface, &Addr::v6(ip.destination), lookups);
        let Some(message) = frame.read::<Solicitation>(self.l3 + Ipv6::LEN) else {
            return other;
        };
        let len = usize::from(ip.payload_len.get());
        let target = Addr::v6(message.target);
        // Inside, an IPv4-mapped address means IPv4.
        let router = if target.is_v4() {
            0
        } else {
            router_of(&target, lookups)
        };
        let is_other = ip.version_class >> 4 != 6
            || message.kind != Solicitation::KIND
            || len < Solicitation::LEN;
        if router == 0 || is_other {
            return other;
        }
        let mac = match self.place(frame, router - 1, lookups) {
            Ok(mac) => mac,
            Err(reason) => return Verdict::drop(reason),
        };
        let source = Addr::v6(ip.source);
        let is_nobody = source == Addr::v6([[0; 4]; 4]);
        if !is_nobody && is_martian_v6(&source) || self.eth.source.is_group() {
            return Verdict::drop(Reason::MartianSource);
        }
        if source == target {
            return Verdict::drop(Reason::Land);
        }
        if ip.hop_limit != HOPS || message.code != 0 || !self.is_whole(frame, &ip, len, is_nobody) {
            return Verdict::drop(Reason::SolicitationMalformed);
        }
        let to = if is_nobody {
            (ALL_NODES, ALL_NODES_MAC)
        } else {
            (source, self.eth.source)
        };
        answered(
            self.advertise(frame, len, &target, mac, to),
            Reason::AnsweredNdp,
        )
    }

    /// Whether a solicitation of `len` bytes is as RFC 4861 section 7.1.1 has it: its options fill it,
    /// its checksum is right, and from nobody it is to the group of its target and gives no sender.
    #[inline(always)]
    fn is_whole<F: Frame + ?Sized>(
        &self,
        frame: &F,
        ip: &Ipv6,
        len: usize,
        is_nobody: bool,
    ) -> bool {
        if len > SOLICITATION_MAX || !len.is_multiple_of(8) {
            return false;
        }
        let [group, middle, one, last] = ip.destination;
        let is_of_group =
            group == [0xff, 2, 0, 0] && middle == [0; 4] && one == [0, 0, 0, 1] && last[0] == 0xff;
        if is_nobody && !is_of_group {
            return false;
        }
        let (source, destination) = (Addr::v6(ip.source), Addr::v6(ip.destination));
        let mut total = pseudo_header(&source, &destination, len);
        // Where the next option begins.
        let mut option = Solicitation::LEN;
        for word in 0..SOLICITATION_MAX / 8 {
            let at = word * 8;
            if at >= len {
                break;
            }
            let Some(bits) = frame.read::<u64>(self.l3 + Ipv6::LEN + at) else {
                return false;
            };
            total += (bits & 0xffff_ffff) + (bits >> 32);
            if at == option {
                let [kind, units, ..] = bits.to_ne_bytes();
                if units == 0 || is_nobody && kind == Solicitation::SOURCE_ADDRESS {
                    return false;
                }
                option += usize::from(units) * 8;
            }
        }
        option == len && fold(total) == 0xffff
    }

    /// Makes the frame of a solicitation of `len` bytes the answer to it.
    #[inline(always)]
    fn advertise<F: Frame + ?Sized>(
        &self,
        frame: &mut F,
        len: usize,
        target: &Addr,
        mac: Mac,
        (to, to_mac): (Addr, Mac),
    ) -> Option<()> {
        let l3 = self.l3;
        // The answer has one option: what has none is that much shorter.
        if len == Solicitation::LEN {
            const OPTION: usize = Advertisement::LEN - Solicitation::LEN;
            frame.grow(OPTION)?;
            move_link_header(frame, l3, OPTION)?;
        }
        let end = l3 + Ipv6::LEN + Advertisement::LEN;
        if frame.len() > end {
            frame.truncate(end)?;
        }
        let solicited = if to_mac == ALL_NODES_MAC {
            0
        } else {
            Advertisement::SOLICITED
        };
        let mut answer = Advertisement {
            kind: Advertisement::KIND,
            code: 0,
            checksum: [0; 2],
            flags: U32::new(Advertisement::ROUTER | Advertisement::OVERRIDE | solicited),
            target: target.v6_octets(),
            option: Advertisement::TARGET_ADDRESS,
            mac,
        };
        let total = pseudo_header(target, &to, Advertisement::LEN) + sum(answer.as_bytes());
        answer.checksum = (!fold(total)).to_ne_bytes();
        let ip = Ipv6 {
            version_class: 0x60,
            class_flow: [0; 3],
            payload_len: U16::new(Advertisement::BYTES),
            next_header: Icmp::PROTOCOL_V6,
            hop_limit: HOPS,
            source: target.v6_octets(),
            destination: to.v6_octets(),
        };
        frame.write(0, &[to_mac, mac])?;
        frame.write(l3, &ip)?;
        frame.write(l3 + Ipv6::LEN, &answer)
    }
}

/// The virtual router whose VIP an address is: its index plus one, or 0.
#[inline(always)]
fn router_of<L: Lookups + ?Sized>(address: &Addr, lookups: &L) -> u32 {
    match find_address(address, |at| lookups.vip(at)) {
        Some(found) => found.router(),
        None => 0,
    }
}

/// An answer goes back by the interface that was asked.
#[inline(always)]
const fn answered(written: Option<()>, reason: Reason) -> Verdict {
    match written {
        Some(()) => Verdict {
            action: Action::Transmit,
            reason,
        },
        None => Verdict::drop(Reason::NoHeadroom),
    }
}
