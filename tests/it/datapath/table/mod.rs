//! The frames of the table, by what they are about.
//!
//! Not here: where they are sent ([`super::site`]) and how they are compared ([`super::case`]).

mod arp;
mod direct;
mod dropped;
mod errors;
mod errors_odd;
mod kinds;
mod lies;
mod lies6;
mod nat;
mod ndp;
mod passed;
mod pieces;
mod replies;
mod replies6;
mod routers;
mod strange;
mod tunnel;
mod v6;
mod vlan;
mod wide;

use std::net::IpAddr;

use lb_ebpf::abi::{Be16, encapsulation, method};
use lb_ebpf::select::flow_hash;
use lb_ebpf::wire;
use tests::packet::{Eth, Header, Ipv4, Ipv6, Packet, Ported, Segment, Tcp, Udp, eth};

use super::case::Case;
use super::served::{Road, Served};
use super::site::{CLIENT, CLIENT_MAC, CLIENT6, LB, OWN, OWN_PORT, OWN6, PORT, VIP, VIP6};

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    [
        kinds::cases(),
        direct::cases(),
        nat::cases(),
        replies::cases(),
        dropped::cases(),
        passed::cases(),
        lies::cases(),
        v6::cases(),
        lies6::cases(),
        replies6::cases(),
        tunnel::cases(),
        vlan::cases(),
        strange::cases(),
        pieces::cases(),
        wide::cases(),
        errors::cases(),
        errors_odd::cases(),
        routers::cases(),
        arp::cases(),
        ndp::cases(),
    ]
    .concat()
}

const ACK: u8 = wire::tcp::Tcp::ACK;
const FIN: u8 = wire::tcp::Tcp::FIN;
const RST: u8 = wire::tcp::Tcp::RST;
const SYN: u8 = wire::tcp::Tcp::SYN;

/// A TCP option list as clients send it: MSS, SACK permitted, time stamps, window scale.
const SYN_OPTIONS: [u8; 20] = [
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// A frame from the client to the director.
fn to_director() -> Eth {
    eth(CLIENT_MAC, LB)
}

/// The client's segment to a port of the VIP.
fn tcp_to(port: u16) -> Ipv4<Tcp> {
    to_director().ipv4(CLIENT, VIP).tcp(PORT, port)
}

/// The client's datagram to a port of the VIP.
fn udp_to(port: u16) -> Ipv4<Udp> {
    to_director().ipv4(CLIENT, VIP).udp(PORT, port)
}

/// The client's segment to a port of the VIP, by IPv6.
fn tcp6_to(port: u16) -> Ipv6<Tcp> {
    to_director().ipv6(CLIENT6, VIP6).tcp(PORT, port)
}

/// The client's datagram to a port of the VIP, by IPv6.
fn udp6_to(port: u16) -> Ipv6<Udp> {
    to_director().ipv6(CLIENT6, VIP6).udp(PORT, port)
}

/// A request by direct routing, as it leaves.
fn direct<H: Header, S>(service: &Served, request: Packet<H, S>) -> Packet<H, S> {
    let to = service.next_hop;
    request
        .ttl(63)
        .tagged(to.vlan)
        .hop(to.source, to.destination)
}

/// A request by nat, as it leaves.
fn by_nat<H: Header, S: Ported>(service: &Served, request: Packet<H, S>) -> Packet<H, S> {
    direct(
        service,
        request.to(service.real).ports(PORT, service.port_behind()),
    )
}

/// A request by fullnat, as it leaves.
fn by_fullnat<H: Header, S: Ported>(service: &Served, request: Packet<H, S>) -> Packet<H, S> {
    let own = own_address(service);
    by_nat(service, request)
        .from(own)
        .ports(OWN_PORT, service.port_behind())
}

/// The director's own address towards a real server of fullnat.
fn own_address(service: &Served) -> IpAddr {
    if service.real.is_ipv4() {
        OWN.into()
    } else {
        OWN6.into()
    }
}

/// A request that is no tunnel's, as it leaves.
fn sent<H: Header, S: Ported>(service: &Served, request: Packet<H, S>) -> Packet<H, S> {
    match service.method {
        method::NAT => by_nat(service, request),
        method::FULLNAT => by_fullnat(service, request),
        _ => direct(service, request),
    }
}

/// A reply that came to the director, as it leaves for the client.
fn answered<H: Header, S: Ported>(service: &Served, reply: Packet<H, S>) -> Packet<H, S> {
    let client: IpAddr = if service.vip.is_ipv4() {
        CLIENT.into()
    } else {
        CLIENT6.into()
    };
    reply
        .from(service.vip)
        .to(client)
        .ports(service.port, PORT)
        .ttl(63)
        .tagged(0)
        .hop(LB, CLIENT_MAC)
}

/// A request by a tunnel, as it leaves; `request` may be longer than it says by padding alone.
fn tunnelled<H: Header, S: Segment>(service: &Served, request: Packet<H, S>) -> Vec<u8> {
    let [client, _] = request.header().addresses();
    let spread = flow_of(service, client, PORT);
    carried(service, spread, request)
}

/// As [`tunnelled`], with `spread` outside.
fn carried<H: Header, S: Segment>(service: &Served, spread: u32, request: Packet<H, S>) -> Vec<u8> {
    let Road::Tunnel(source, kind, _) = service.road else {
        panic!("{service:?} is no tunnel");
    };
    let link = direct(service, request.clone()).link();
    let (tos, inner) = (request.header().tos(), request.ttl(63));
    match source {
        IpAddr::V4(source) => {
            let outer = link.ipv4(source, service.real_v4()).tos(tos);
            inside(outer.id(0).dont_fragment(), kind, spread, &inner)
        }
        IpAddr::V6(source) => {
            let outer = link.ipv6(source, service.real_v6()).tos(tos);
            inside(outer.flow_label(spread), kind, spread, &inner)
        }
    }
}

/// The frame of `outer` around `inner`; the source port of GUE is the flow's, so that it is the same
/// for all its packets.
fn inside<O: Header, I: Header, S: Segment>(
    outer: Packet<O>,
    kind: u8,
    spread: u32,
    inner: &Packet<I, S>,
) -> Vec<u8> {
    if kind == encapsulation::GUE {
        outer.gue(49_152 + (spread % 16_384) as u16, inner).build()
    } else {
        outer.ip_in_ip(inner).build()
    }
}

/// The hash of a client's flow.
fn flow_of(service: &Served, client: IpAddr, port: u16) -> u32 {
    let ports = [port, service.port].map(Be16::new);
    flow_hash(&client.into(), ports[0], ports[1], service.protocol)
}
