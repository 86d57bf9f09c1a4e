//! Bytes as a story: frames, answers to what has left, changes of the site, time.
//!
//! A story says of most frames only what is special about them, so that few bytes make a long one, and
//! that a byte changed makes another that means something. Not here: where it is played.

use std::net::IpAddr;

use lb_user::tables::{ServiceWish, Wish};

use super::site::{
    self, CLIENT_MAC, CLIENTS, LAN, LB, LB_WAN, ROUTER, ROUTER_MAC, ROUTER6, UNSERVED, WAN,
};
use crate::fuzz::reader::Reader;
use crate::packet::anatomy::{self, Anatomy};
use crate::packet::{Header, Packet, Ported, eth};

/// Steps of a story at most.
const LONGEST: usize = 64;
/// Changes of the site in a story at most: each costs more than many frames.
const CHANGES: usize = 2;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame comes in.
    Frame(Sent),
    /// The site changes: [`site::wish`].
    Site(u8),
    /// So many units of time go by: [`site::UNIT`].
    Wait(u8),
    /// The daemon sweeps the flow table.
    Sweep,
    /// The host forwards packets, or does not.
    Forwarding(bool),
}

/// A frame and where it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Interface.
    pub ingress: u32,
    /// All of it.
    pub frame: Vec<u8>,
}

/// A story that is being read.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    reader: Reader<'a>,
    steps: usize,
    changes: usize,
    /// The last frame that came in.
    came: Option<Sent>,
    /// The last one that went on.
    pub left: Option<Vec<u8>>,
}

impl<'a> Script<'a> {
    /// The story that the bytes are.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader(bytes),
            steps: 0,
            changes: 0,
            came: None,
            left: None,
        }
    }

    /// The next step; `wish` is the site as it is now.
    pub fn next(&mut self, wish: &Wish) -> Option<Step> {
        while self.steps < LONGEST {
            self.steps += 1;
            let word = self.reader.next_byte()?;
            if let Some(step) = self.step(word, wish) {
                if let Step::Frame(sent) = &step {
                    self.came = Some(sent.clone());
                }
                return Some(step);
            }
        }
        None
    }

    /// The step of a word; `None` where it does not fit.
    fn step(&mut self, word: u8, wish: &Wish) -> Option<Step> {
        let reader = &mut self.reader;
        match word & 15 {
            0 => {
                let ingress = match word >> 4 {
                    14 => WAN,
                    15 => UNSERVED,
                    _ => LAN,
                };
                let len = usize::from(reader.byte());
                let frame = reader.bytes(len).to_vec();
                // A test run in the kernel refuses shorter ones.
                (frame.len() >= 14).then_some(Step::Frame(Sent { ingress, frame }))
            }
            1 => {
                let mut sent = self.came.clone()?;
                let at = usize::from(reader.byte()) % sent.frame.len();
                sent.frame[at] ^= reader.byte();
                Some(Step::Frame(sent))
            }
            2..=4 => reply(self.left.as_ref()?, reader.byte(), reader.byte()).map(Step::Frame),
            5 => {
                let (kind, len) = (reader.byte(), reader.byte());
                error(self.left.as_ref()?, kind, len).map(Step::Frame)
            }
            6 if self.changes < CHANGES => {
                self.changes += 1;
                Some(Step::Site(reader.byte() & 7))
            }
            7 => Some(Step::Wait(reader.byte() & 7)),
            8 if word & 0x80 != 0 => Some(Step::Sweep),
            8 => Some(Step::Forwarding(word & 0x10 != 0)),
            _ => {
                let service = usize::from(reader.byte()) % wish.services.len();
                let request = Request {
                    client: reader.byte(),
                    flags: reader.byte(),
                    shape: reader.byte(),
                };
                Some(Step::Frame(
                    request.frame(&wish.services[service], word >> 4),
                ))
            }
        }
    }
}

/// What is special about a client's packet.
#[derive(Clone, Copy, Debug)]
struct Request {
    client: u8,
    flags: u8,
    shape: u8,
}

impl Request {
    fn frame(self, service: &ServiceWish, at: u8) -> Sent {
        let vip = IpAddr::from(service.key.vip.address);
        // Clients of the VIP's family, which are four each.
        let number = usize::from(self.client & 3) + if vip.is_ipv4() { 0 } else { 4 };
        let (client, ingress, _) = CLIENTS[number];
        let mut link = eth(CLIENT_MAC, site::own_mac(ingress));
        if self.shape & 0x20 != 0 {
            link = link.vlan(5);
        }
        let is_odd = self.shape & 0x80 != 0;
        let frame = match (client, vip) {
            (IpAddr::V4(client), IpAddr::V4(vip)) => {
                let vip = if is_odd && !service.key.vip.is_single() {
                    (vip.to_bits() | u32::from(self.client >> 2)).into()
                } else {
                    vip
                };
                let mut packet = link.ipv4(client, vip).id(7);
                match self.shape & 3 {
                    1 => packet = packet.fragment(0, true),
                    2 => packet = packet.fragment(64, false),
                    _ if self.shape & 4 != 0 => packet = packet.dont_fragment(),
                    _ => {}
                }
                if is_odd {
                    packet = packet.options(&[1; 4]);
                }
                self.carried(packet, service, at)
            }
            (IpAddr::V6(client), IpAddr::V6(vip)) => {
                let mut packet = link.ipv6(client, vip);
                if is_odd {
                    packet = packet.destination_options(&[]);
                }
                match self.shape & 3 {
                    1 => packet = packet.fragment(0, true),
                    2 => packet = packet.fragment(64, false),
                    _ => {}
                }
                self.carried(packet, service, at)
            }
            _ => unreachable!("the client is of the VIP's family"),
        };
        Sent { ingress, frame }
    }

    fn carried<H: Header>(self, packet: Packet<H>, service: &ServiceWish, at: u8) -> Vec<u8> {
        let hops = if self.shape & 0x40 != 0 { 1 } else { 64 };
        let packet = packet.ttl(hops);
        let from = 40_000 + u16::from(self.client >> 2);
        let port = site::port_of(service, at).get();
        if service.key.protocol == 6 {
            let segment = packet.tcp(from, port).flags(self.flags);
            return self.filled(segment);
        }
        self.filled(packet.udp(from, port))
    }

    fn filled<H: Header, S: Ported>(self, packet: Packet<H, S>) -> Vec<u8> {
        // As the first bytes of QUIC: a short header, and a connection id with a server id in it.
        let start = [0x40, 0, 0, 0, 0, self.flags & 3, 1, 2, 3, 4, 5, 6];
        match self.shape >> 3 & 3 {
            0 => packet.build(),
            1 => packet.payload(&start).build(),
            2 => packet.payload(&[7; 700]).build(),
            _ => packet.payload(&[7; 1460]).build(),
        }
    }
}

/// TCP or UDP in a frame that left: whole, in one tunnel at most.
fn ported(left: &[u8]) -> Option<(Anatomy, [u16; 2])> {
    let mut packet = anatomy::of(left)?;
    if matches!(packet.protocol, 4 | 41) {
        packet = inner(left, packet.l4)?;
    }
    let word = |at: usize| Some(u16::from_be_bytes([*left.get(at)?, *left.get(at + 1)?]));
    let ports = [word(packet.l4)?, word(packet.l4 + 2)?];
    (matches!(packet.protocol, 6 | 17) && !packet.is_later).then_some((packet, ports))
}

/// A packet that stands in a frame.
fn inner(frame: &[u8], at: usize) -> Option<Anatomy> {
    let is_v6 = frame.get(at)? >> 4 == 6;
    let ethertype = if is_v6 { [0x86, 0xdd] } else { [8, 0] };
    let alone = [&[0; 12][..], &ethertype, frame.get(at..)?].concat();
    Some(anatomy::of(&alone)?.moved_to(at))
}

fn ends(frame: &[u8], packet: &Anatomy) -> Option<[IpAddr; 2]> {
    let addresses = frame.get(packet.addresses())?;
    let (from, to) = addresses.split_at(addresses.len() / 2);
    let address = |bytes: &[u8]| match bytes.first_chunk::<16>() {
        Some(octets) => Some(IpAddr::from(*octets)),
        None => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
    };
    Some([address(from)?, address(to)?])
}

/// What the receiver of a frame that left sends back.
fn reply(left: &[u8], flags: u8, shape: u8) -> Option<Sent> {
    let (packet, [from_port, to_port]) = ported(left)?;
    let ingress = if left.get(6..12)? == LB_WAN.0 {
        WAN
    } else {
        LAN
    };
    let link = eth(CLIENT_MAC, site::own_mac(ingress));
    let is_tcp = packet.protocol == 6;
    let payload = &[9; 40][..usize::from(shape >> 2) % 40];
    let frame = match ends(left, &packet)? {
        [IpAddr::V4(from), IpAddr::V4(to)] => {
            let mut reply = link.ipv4(to, from).id(9);
            match shape & 3 {
                1 => reply = reply.fragment(0, true),
                2 => reply = reply.fragment(64, false),
                _ => {}
            }
            answer(reply, is_tcp, [to_port, from_port], flags, payload)
        }
        [IpAddr::V6(from), IpAddr::V6(to)] => {
            let mut reply = link.ipv6(to, from);
            match shape & 3 {
                1 => reply = reply.fragment(0, true),
                2 => reply = reply.fragment(64, false),
                _ => {}
            }
            answer(reply, is_tcp, [to_port, from_port], flags, payload)
        }
        _ => return None,
    };
    Some(Sent { ingress, frame })
}

fn answer<H: Header>(
    packet: Packet<H>,
    is_tcp: bool,
    [from, to]: [u16; 2],
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    if is_tcp {
        return packet.tcp(from, to).flags(flags).payload(payload).build();
    }
    packet.udp(from, to).payload(payload).build()
}

/// What a router on the way says of a frame that left, or of the reply to it.
fn error(left: &[u8], kind: u8, len: u8) -> Option<Sent> {
    let about = if kind & 1 == 0 {
        left.to_vec()
    } else {
        reply(left, 0x10, 0)?.frame
    };
    let packet = anatomy::of(&about)?;
    let packet = match packet.protocol {
        4 | 41 if kind & 2 != 0 => inner(&about, packet.l4)?,
        _ => packet,
    };
    let quote = about.get(packet.l3..packet.end)?;
    let quote = &quote[..quote.len().min(usize::from(len) + 8)];
    let ingress = if kind & 4 == 0 { LAN } else { WAN };
    let link = eth(ROUTER_MAC, if ingress == LAN { LB } else { LB_WAN });
    let frame = match ends(&about, &packet)? {
        [IpAddr::V4(to), _] => link.ipv4(ROUTER, to).too_big(1400, quote).build(),
        [IpAddr::V6(to), _] => link.ipv6(ROUTER6, to).too_big(1400, quote).build(),
    };
    Some(Sent { ingress, frame })
}
