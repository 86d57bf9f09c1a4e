//! ICMP errors about flows of every service of the table, with everything in them at random that may
//! be: type, how much they quote, and of what.

use lb_ebpf::wire::tcp::Tcp;
use proptest::prelude::*;
use tests::packet::{Eth, Header, Packet, eth};

use super::served::Served;
use super::site::{self, CLIENT, CLIENT6, LB, OWN, OWN6, ROUTER, ROUTER_MAC, ROUTER6};

/// What is at random.
#[derive(Clone, Debug)]
struct Dice {
    service: Served,
    /// About a reply, for the real server; else about a request, for the client.
    is_reply: bool,
    kind: [u8; 2],
    rest: u32,
    port: u16,
    /// Bytes that are quoted, and those that the packet carries.
    lengths: (usize, usize),
    ttl: u8,
    tag: Option<u16>,
    options: usize,
}

/// Whole frames to the director.
pub(super) fn frames() -> impl Strategy<Value = Vec<u8>> {
    let service = prop::sample::select(site::fronts());
    let kind = (
        prop_oneof![6 => 1u8..5, 2 => 11u8..13, 1 => any::<u8>()],
        any::<u8>(),
    );
    let lengths = (0usize..140, 0usize..100);
    let ttl = prop_oneof![4 => Just(64u8), 1 => any::<u8>()];
    let port = prop_oneof![Just(site::PORT), any::<u16>()];
    let numbers = (any::<u32>(), port, ttl, 0usize..3);
    let rest = (any::<bool>(), proptest::option::of(any::<u16>()));
    (service, kind, lengths, numbers, rest).prop_map(
        |(service, (kind, code), lengths, (rest, port, ttl, options), (is_reply, tag))| {
            build(&Dice {
                service,
                is_reply,
                kind: [kind, code],
                rest,
                port,
                lengths,
                ttl,
                tag,
                options: options * 8,
            })
        },
    )
}

fn build(dice: &Dice) -> Vec<u8> {
    let link = eth(ROUTER_MAC, LB);
    let link = match dice.tag {
        Some(tag) => link.vlan(tag),
        None => link,
    };
    match dice.service.vip {
        std::net::IpAddr::V4(vip) => v4(dice, link, vip),
        std::net::IpAddr::V6(vip) => v6(dice, link, vip),
    }
}

fn v4(dice: &Dice, link: Eth, vip: std::net::Ipv4Addr) -> Vec<u8> {
    let std::net::IpAddr::V4(real) = dice.service.real else {
        return link.carrying(0x0800, &[]);
    };
    let is_fullnat = dice.service.method == lb_ebpf::abi::method::FULLNAT;
    let client = if is_fullnat { OWN } else { CLIENT };
    let (to, inside) = if dice.is_reply {
        (vip, eth(LB, LB).ipv4(vip, CLIENT))
    } else {
        (client, eth(LB, LB).ipv4(client, real))
    };
    let quote = quote(dice, inside.options(&vec![1; dice.options]));
    let error = link.ipv4(ROUTER, to).ttl(dice.ttl);
    error.error(dice.kind, dice.rest, &quote).build()
}

fn v6(dice: &Dice, link: Eth, vip: std::net::Ipv6Addr) -> Vec<u8> {
    let std::net::IpAddr::V6(real) = dice.service.real else {
        return link.carrying(0x86dd, &[]);
    };
    let is_fullnat = dice.service.method == lb_ebpf::abi::method::FULLNAT;
    let client = if is_fullnat { OWN6 } else { CLIENT6 };
    let (to, inside) = if dice.is_reply {
        (vip, eth(LB, LB).ipv6(vip, CLIENT6))
    } else {
        (client, eth(LB, LB).ipv6(client, real))
    };
    let inside = match dice.options {
        0 => inside,
        len => inside.destination_options(&vec![0; len]),
    };
    let quote = quote(dice, inside);
    let error = link.ipv6(ROUTER6, to).ttl(dice.ttl);
    error.error(dice.kind, dice.rest, &quote).build()
}

/// As much of the packet as is quoted.
fn quote<H: Header>(dice: &Dice, inside: Packet<H>) -> Vec<u8> {
    let (from, to) = if dice.is_reply {
        (dice.service.port, dice.port)
    } else {
        (dice.port, dice.service.port_behind())
    };
    let (quoted, carried) = dice.lengths;
    let payload = vec![0x5e; carried];
    let packet = if dice.service.protocol == Tcp::PROTOCOL {
        inside.tcp(from, to).payload(&payload).packet()
    } else {
        inside.udp(from, to).payload(&payload).packet()
    };
    packet[..quoted.min(packet.len())].to_vec()
}
