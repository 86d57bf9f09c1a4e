//! IPv6: the headers between it and what it carries, hops, and checksums that must be there.
//!
//! Not here: lies about them ([`super::lies6`]), replies ([`super::replies6`]).

use lb_ebpf::abi::Reason;
use lb_ebpf::wire::ipv6::Extension;
use tests::packet::{Ipv6, Tcp, Udp, eth};

use crate::datapath::case::{Case, drops, forwards, passes};
use crate::datapath::kinds::{DR, IPIP6, NAT};
use crate::datapath::site::{CLIENT_MAC, CLIENT6, EMPTY, LB, PORT, VIP6, lan6};

use super::{ACK, FIN, SYN, SYN_OPTIONS, by_nat, direct, tcp6_to, to_director, tunnelled, udp6_to};

/// Router alert for MLD (RFC 2711), which is what hop-by-hop options are used for.
const ROUTER_ALERT: [u8; 4] = [5, 2, 0, 0];
/// Extension headers at most.
const MOST: usize = 6;

pub(super) fn cases() -> Vec<Case> {
    [segments(), datagrams(), extended(), hops(), others()].concat()
}

fn tcp() -> Ipv6<Tcp> {
    tcp6_to(DR.tcp6().port)
}

fn nat_tcp() -> Ipv6<Tcp> {
    tcp6_to(NAT.tcp6().port)
}

fn nat_udp() -> Ipv6<Udp> {
    udp6_to(NAT.udp6().port)
}

/// By direct routing.
fn dr(name: &str, packet: Ipv6<Tcp>) -> Case {
    let served = DR.tcp6();
    forwards(name, &served, packet.clone(), direct(&served, packet))
}

/// By nat.
fn nat(name: &str, packet: Ipv6<Tcp>) -> Case {
    let served = NAT.tcp6();
    forwards(name, &served, packet.clone(), by_nat(&served, packet))
}

/// A datagram by nat.
fn nat_datagram(name: &str, packet: Ipv6<Udp>) -> Case {
    let served = NAT.udp6();
    forwards(name, &served, packet.clone(), by_nat(&served, packet))
}

/// By 6in6.
fn tunnel(name: &str, packet: Ipv6<Tcp>) -> Case {
    let served = IPIP6.tcp6();
    forwards(name, &served, packet.clone(), tunnelled(&served, packet))
}

fn segments() -> Vec<Case> {
    let syn = |packet: Ipv6<Tcp>| packet.flags(SYN).tcp_options(&SYN_OPTIONS);
    vec![
        dr("IPv6, dr: a SYN opens a connection", syn(tcp())).opening(),
        nat("IPv6, nat: a SYN opens a connection", syn(nat_tcp())).opening(),
        nat("IPv6, nat: a FIN", nat_tcp().flags(FIN | ACK)).ending(),
        nat(
            "IPv6, nat: data of an odd length",
            nat_tcp().payload(b"odd"),
        ),
        nat(
            "IPv6, nat: a full segment of 1500 bytes",
            nat_tcp().payload(&[0x5a; 1440]),
        ),
        nat(
            "IPv6, nat: a wrong TCP checksum stays as wrong",
            nat_tcp().tcp_checksum_off_by(0x1234),
        ),
        dr(
            "IPv6, dr: bytes beyond the packet's end go along",
            tcp().padded_to(100),
        ),
        dr(
            "IPv6, dr: class and flow label stay",
            tcp().tos(0xff).flow_label(0xfffff),
        ),
    ]
}

fn datagrams() -> Vec<Case> {
    let served = NAT.udp6();
    let output = by_nat(&served, nat_udp().payload(b"zero")).with_checksum_zero();
    assert_eq!(output.build()[60..62], [0xff; 2], "not what it says");
    let input = output
        .clone()
        .to(VIP6)
        .ports(PORT, served.port)
        .ttl(64)
        .hop(CLIENT_MAC, LB);
    let bare = udp6_to(DR.udp6().port).no_checksum();
    vec![
        nat_datagram("IPv6, nat: an empty datagram", nat_udp()),
        nat_datagram(
            "IPv6, nat: a datagram of an odd length",
            nat_udp().payload(b"right"),
        ),
        nat_datagram(
            "IPv6, nat: a datagram without checksum stays without",
            nat_udp().payload(b"left").no_checksum(),
        ),
        forwards(
            "IPv6, dr: a datagram without checksum",
            &DR.udp6(),
            bare.clone(),
            direct(&DR.udp6(), bare),
        ),
        nat_datagram(
            "IPv6, nat: a checksum of 0, written 0xffff, comes in",
            nat_udp().payload(b"zero").with_checksum_zero(),
        ),
        forwards(
            "IPv6, nat: a checksum that becomes 0 is written 0xffff",
            &served,
            input,
            output,
        ),
        nat_datagram(
            "IPv6, nat: a datagram behind all extension headers",
            all(nat_udp()).payload(b"behind"),
        ),
    ]
}

/// With the extension headers of RFC 8200 section 4.1, in its order.
fn all<S>(packet: Ipv6<S>) -> Ipv6<S> {
    packet
        .hop_by_hop(&ROUTER_ALERT)
        .destination_options(&[0x1e, 4, 1, 2, 3, 4])
        .routing(lan6(0x99))
        .destination_options(&[0; 30])
}

/// A routing header of type 2, from its length on, that has not been used up.
fn one_hop_to_come() -> Vec<u8> {
    let mut rest = vec![2, 2, 1, 0, 0, 0, 0];
    rest.extend(lan6(0x99).octets());
    rest
}

fn times<S>(packet: Ipv6<S>, count: usize) -> Ipv6<S> {
    (0..count).fold(packet, |packet, _| packet.destination_options(&[]))
}

fn extended() -> Vec<Case> {
    let too_many = Reason::VipTooManyHeaders;
    vec![
        dr(
            "extension: hop-by-hop options before TCP",
            tcp().hop_by_hop(&ROUTER_ALERT),
        ),
        dr(
            "extension: a routing header that is used up",
            tcp().routing(lan6(0x99)),
        ),
        drops(
            "extension: a routing header with a hop to come",
            Reason::VipSourceRouted,
            nat_tcp().extension(Extension::ROUTING, &one_hop_to_come()),
        ),
        dr(
            "extension: destination options",
            tcp().destination_options(&[1, 12]),
        ),
        dr("extension: one of each, dr", all(tcp())),
        nat("extension: one of each, nat", all(nat_tcp()).payload(b"x")),
        tunnel(
            "extension: one of each, in a tunnel",
            all(tcp6_to(IPIP6.tcp6().port)),
        ),
        nat(
            "extension: 800 bytes of options, nat",
            nat_tcp().destination_options(&[0; 798]),
        ),
        dr(
            "extension: a SYN behind one opens a connection",
            tcp().hop_by_hop(&[]).flags(SYN),
        )
        .opening(),
        dr("extension: as many as may be, dr", times(tcp(), MOST)),
        nat("extension: as many as may be, nat", times(nat_tcp(), MOST)),
        drops("extension: one more", too_many, times(tcp(), MOST + 1)),
        drops(
            "extension: more bytes than anybody needs",
            too_many,
            tcp().destination_options(&[0; 862]),
        ),
        drops(
            "extension: the longest there is",
            too_many,
            tcp().destination_options(&[0; 2046]),
        ),
        nat(
            "extension: as many bytes as may be, nat",
            nat_tcp().destination_options(&[0; 854]),
        ),
        drops("extension: thirty", too_many, times(tcp(), 30)),
    ]
}

fn hops() -> Vec<Case> {
    let expired = Reason::TtlExpired;
    let last = tcp().ttl(2);
    let most = nat_tcp().ttl(255);
    let inside = tcp6_to(IPIP6.tcp6().port);
    vec![
        forwards(
            "hop limit: one left after this one",
            &DR.tcp6(),
            last.clone(),
            direct(&DR.tcp6(), last).ttl(1),
        ),
        forwards(
            "hop limit: the most there are",
            &NAT.tcp6(),
            most.clone(),
            by_nat(&NAT.tcp6(), most).ttl(254),
        ),
        drops("hop limit: one left, dr", expired, tcp().ttl(1)),
        drops("hop limit: none left, dr", expired, tcp().ttl(0)),
        drops("hop limit: one left, nat", expired, nat_tcp().ttl(1)),
        drops("hop limit: none left, nat", expired, nat_udp().ttl(0)),
        drops("hop limit: one left, tunnel", expired, inside.ttl(1)),
        passes(
            "hop limit: one left, not for a VIP",
            Reason::NoService,
            tcp6_to(22).ttl(1),
        ),
    ]
}

fn others() -> Vec<Case> {
    let none = Reason::NoService;
    let protocol = |number| to_director().ipv6(CLIENT6, VIP6).other(number, &[0; 24]);
    let solicitation = eth(CLIENT_MAC, lb_ebpf::abi::Mac([0x33, 0x33, 0xff, 0, 1, 0]))
        .ipv6(CLIENT6, VIP6)
        .ttl(255)
        .other(58, &[135; 24]);
    let mut cases = vec![
        passes("IPv6: another port of the VIP", none, tcp6_to(22)),
        passes("IPv6: the other protocol", none, udp6_to(EMPTY)),
        passes(
            "IPv6: another address",
            Reason::NotVip,
            tcp().to(lan6(0x101)),
        ),
        drops(
            "IPv6: a service without real servers",
            Reason::NoRealServer,
            tcp6_to(EMPTY),
        ),
        passes(
            "IPv6: a neighbour solicitation, to its group",
            Reason::NotOurMac,
            solicitation.clone(),
        ),
        passes(
            "IPv6: a neighbour solicitation, to us",
            Reason::NotTcpOrUdp,
            solicitation.hop(CLIENT_MAC, LB),
        ),
    ];
    for (number, what) in [
        (58, "a ping"),
        (4, "IPv4 inside"),
        (41, "IPv6 inside"),
        (50, "ESP"),
        (51, "AH, even before TCP"),
        (59, "nothing"),
        (135, "a mobility header"),
        (139, "HIP"),
        (255, "an unknown protocol"),
    ] {
        let name = format!("IPv6: {what} for the VIP");
        cases.push(passes(name, Reason::NotTcpOrUdp, protocol(number)));
    }
    cases
}
