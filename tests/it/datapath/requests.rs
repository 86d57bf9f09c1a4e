//! Requests for every service of the table with everything in them at random that may be: tags,
//! options or extension headers, hops, class, payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::wire::tcp::Tcp;
use proptest::prelude::*;
use tests::packet::{Eth, Header, Packet, Ported, eth};

use super::served::Served;
use super::site::{self, CLIENT, CLIENT_MAC, CLIENT6, LB, lan6};

/// What is at random.
#[derive(Clone, Debug)]
struct Dice {
    service: Served,
    tags: Vec<(bool, u16)>,
    ttl: u8,
    tos: u8,
    /// Kinds of extension headers and bytes in them; in IPv4, the first is that of options.
    extensions: Vec<(u8, usize)>,
    port: u16,
    flags: u8,
    payload: usize,
    /// Not to be fragmented; a checksum in UDP.
    on: (bool, bool),
}

/// Whole frames to the director.
pub(super) fn any() -> impl Strategy<Value = Vec<u8>> {
    let hops = prop_oneof![4 => Just(64u8), 1 => proptest::num::u8::ANY];
    let payload = prop_oneof![4 => 0usize..100, 1 => 1300usize..1500];
    let numbers = (
        hops,
        proptest::num::u8::ANY,
        proptest::num::u8::ANY,
        payload,
    );
    let headers = (
        proptest::collection::vec(proptest::prelude::any::<(bool, u16)>(), 0..3),
        proptest::collection::vec((0u8..40, 0usize..60), 0..8),
    );
    let service = prop::sample::select(site::fronts());
    let rest = proptest::prelude::any::<(u16, (bool, bool))>();
    (service, numbers, headers, rest).prop_map(
        |(service, (ttl, tos, flags, payload), (tags, extensions), (port, on))| {
            build(&Dice {
                service,
                tags,
                ttl,
                tos,
                extensions,
                port,
                flags,
                payload,
                on,
            })
        },
    )
}

fn build(dice: &Dice) -> Vec<u8> {
    let link = dice
        .tags
        .iter()
        .fold(eth(CLIENT_MAC, LB), |link, (outer, id)| match outer {
            true => link.service_vlan(*id),
            false => link.vlan(*id),
        });
    match dice.service.vip {
        IpAddr::V4(vip) => v4(dice, link, vip),
        IpAddr::V6(vip) => v6(dice, link, vip),
    }
}

fn v4(dice: &Dice, link: Eth, vip: Ipv4Addr) -> Vec<u8> {
    let options = dice.extensions.first().map_or(0, |(_, len)| *len % 41);
    let mut packet = link.ipv4(CLIENT, vip).options(&vec![1; options]);
    match dice.extensions.get(1) {
        Some((0..3, len)) => {
            let offset = u16::try_from(*len % 3).unwrap_or(0);
            packet = packet.fragment(offset, len % 2 == 0);
        }
        _ if dice.on.0 => packet = packet.dont_fragment(),
        _ => {}
    }
    carrying(dice, packet)
}

fn v6(dice: &Dice, link: Eth, vip: Ipv6Addr) -> Vec<u8> {
    let packet = dice
        .extensions
        .iter()
        .fold(link.ipv6(CLIENT6, vip), |packet, (kind, len)| match kind {
            0 => packet.fragment(u16::try_from(*len % 3).unwrap_or(0), len % 2 == 0),
            1..10 => packet.routing(lan6(0x99)),
            10..25 => packet.hop_by_hop(&vec![0; *len]),
            _ => packet.destination_options(&vec![0; *len]),
        });
    carrying(dice, packet)
}

fn carrying<H: Header>(dice: &Dice, packet: Packet<H>) -> Vec<u8> {
    let packet = packet.ttl(dice.ttl).tos(dice.tos);
    let port = dice.service.port;
    if dice.service.protocol == Tcp::PROTOCOL {
        return with_payload(dice, packet.tcp(dice.port, port).flags(dice.flags));
    }
    let datagram = packet.udp(dice.port, port);
    if dice.on.1 {
        with_payload(dice, datagram)
    } else {
        with_payload(dice, datagram.no_checksum())
    }
}

fn with_payload<H: Header, S: Ported>(dice: &Dice, packet: Packet<H, S>) -> Vec<u8> {
    let payload: Vec<u8> = (dice.flags..=255).cycle().take(dice.payload).collect();
    packet.payload(&payload).build()
}
