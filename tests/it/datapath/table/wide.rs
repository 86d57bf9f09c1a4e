//! Services at many ports and at many addresses: where one lies in another, the closer one has it.

use lb_ebpf::abi::Reason;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::datapath::case::{Case, forwards, passes, replies};
use crate::datapath::served::Served;
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, CLIENT6, FULLNAT_RANGE, LB, NAT_RANGE, OWN, OWN_PORT, PORT, RANGE,
    RANGE_INNER, VIP_ALL, VIP_APART, VIP_WITHIN, VIP_WITHIN6, prefixes, ranges,
};

use super::{answered, direct, sent, tcp_to, to_director, udp_to};

pub(super) fn cases() -> Vec<Case> {
    [range(), kept(), all(), within(), within6(), outside()].concat()
}

/// The client's segment to a port of a service by direct routing.
fn dr(name: &str, served: Served, vip: Ipv4Addr, port: u16) -> Case {
    let packet = tcp_to(port).to(vip);
    let served = served.port(port);
    forwards(name, &served, packet.clone(), direct(&served, packet))
}

fn range() -> Vec<Case> {
    let vip = crate::datapath::site::VIP;
    let inner = tcp_to(RANGE_INNER.port);
    vec![
        dr("range: its first port", RANGE, vip, 8100),
        dr("range: its last port", RANGE, vip, 8199),
        dr("range: just before the service inside", RANGE, vip, 8149),
        dr("range: just behind the service inside", RANGE, vip, 8151),
        forwards(
            "range: the service inside",
            &RANGE_INNER,
            inner.clone(),
            sent(&RANGE_INNER, inner),
        ),
        passes("range: just before it", Reason::NoService, tcp_to(8099)),
        passes("range: just behind it", Reason::NoService, tcp_to(8200)),
        passes(
            "range: by the other protocol",
            Reason::NoService,
            udp_to(8100),
        ),
    ]
}

/// Ports that nat and fullnat keep.
fn kept() -> Vec<Case> {
    let mut cases = Vec::new();
    for port in [6000, 6004, 6009] {
        let served = NAT_RANGE.port(port);
        let datagram = udp_to(port).payload(b"kept");
        let reply = tests::packet::eth(served.next_hop.destination, LB)
            .ipv4(served.real_v4(), CLIENT)
            .udp(port, PORT)
            .payload(b"back");
        cases.extend([
            forwards(
                format!("range: nat keeps port {port}"),
                &served,
                datagram.clone(),
                sent(&served, datagram),
            ),
            replies(
                format!("range: nat, a reply from port {port}"),
                &served,
                reply.clone(),
                answered(&served, reply),
            ),
        ]);
    }
    for port in [6100, 6109] {
        let served = FULLNAT_RANGE.port(port);
        let datagram = udp_to(port).payload(b"kept");
        let reply = tests::packet::eth(served.next_hop.destination, LB)
            .ipv4(served.real_v4(), OWN)
            .udp(port, OWN_PORT)
            .payload(b"back");
        cases.extend([
            forwards(
                format!("range: fullnat keeps port {port}"),
                &served,
                datagram.clone(),
                sent(&served, datagram),
            ),
            replies(
                format!("range: fullnat, a reply from port {port}"),
                &served,
                reply.clone(),
                answered(&served, reply),
            ),
        ]);
    }
    let stray = tests::packet::eth(NAT_RANGE.next_hop.destination, LB)
        .ipv4(NAT_RANGE.real_v4(), CLIENT)
        .udp(6010, PORT);
    cases.push(passes(
        "range: nat, a packet from a port behind it",
        Reason::NotVip,
        stray,
    ));
    cases
}

fn all() -> Vec<Case> {
    let at = |last: u8| {
        let mut all = ranges().into_iter();
        let found = all.find(|served| served.next_hop.destination.0[5] == last);
        found.expect("a service with this real server")
    };
    let tail = at(60);
    let datagram = udp_to(65_535).to(VIP_ALL);
    let case = |port, last, what: &str| {
        dr(
            &format!("all ports: {port}, {what}"),
            at(last),
            VIP_ALL,
            port,
        )
    };
    vec![
        case(0, 55, "all"),
        case(1, 55, "all"),
        case(999, 55, "all"),
        case(1000, 56, "the range inside"),
        case(1499, 56, "the range inside"),
        case(1500, 57, "the range inside that"),
        case(1549, 57, "the range inside that"),
        case(1550, 58, "the port inside all of them"),
        case(1551, 57, "the range inside that"),
        case(1599, 57, "the range inside that"),
        case(1600, 56, "the range inside"),
        case(1999, 56, "the range inside"),
        case(2000, 55, "all"),
        case(65_534, 55, "all"),
        case(65_535, 59, "the last one, alone"),
        forwards(
            "all ports: UDP, to the last",
            &tail.port(65_535),
            datagram.clone(),
            direct(&tail, datagram),
        ),
        passes(
            "all ports: UDP, of which not all are served",
            Reason::NoService,
            udp_to(8999).to(VIP_ALL),
        ),
    ]
}

fn within() -> Vec<Case> {
    let [wide, narrow, other, apart, fullnat, _] = prefixes();
    let address = |a, b| Ipv4Addr::new(10, 80, a, b);
    let query = to_director()
        .ipv4(CLIENT, VIP_WITHIN)
        .udp(PORT, fullnat.port)
        .payload(b"?");
    let reply = tests::packet::eth(fullnat.next_hop.destination, LB)
        .ipv4(fullnat.real_v4(), OWN)
        .udp(fullnat.real_port, OWN_PORT)
        .payload(b"!");
    vec![
        dr("prefix: an address within", narrow, VIP_WITHIN, 80),
        dr("prefix: its first address", narrow, address(0, 0), 80),
        dr("prefix: its last address", narrow, address(0, 255), 80),
        dr("prefix: only in the wider one", wide, address(1, 0), 80),
        dr("prefix: the wider one's last", wide, address(255, 255), 80),
        dr(
            "prefix: another port, which only the wider one has",
            other,
            VIP_WITHIN,
            443,
        ),
        dr(
            "prefix: an address with a service of its own",
            apart,
            VIP_APART,
            80,
        ),
        dr(
            "prefix: that address, a port which only the prefix has",
            other,
            VIP_APART,
            443,
        ),
        forwards(
            "prefix: by fullnat, which remembers the address",
            &fullnat,
            query.clone(),
            sent(&fullnat, query),
        ),
        replies(
            "prefix: by fullnat, the reply comes from that address",
            &fullnat,
            reply.clone(),
            answered(&fullnat, reply).hop(LB, CLIENT_MAC),
        ),
    ]
}

fn within6() -> Vec<Case> {
    let [.., served] = prefixes();
    let to = |last: [u16; 4]| {
        let [a, b, c, d] = last;
        let vip = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, a, b, c, d);
        to_director().ipv6(CLIENT6, vip).tcp(PORT, 80)
    };
    let case = |name: &str, last| forwards(name, &served, to(last), direct(&served, to(last)));
    vec![
        case("prefix: IPv6, an address within", [0, 0, 0, 9]),
        case("prefix: IPv6, its first address", [0; 4]),
        case("prefix: IPv6, its last address", [0xffff; 4]),
    ]
}

fn outside() -> Vec<Case> {
    let not_vip = Reason::NotVip;
    let no_service = Reason::NoService;
    let [_, _, before, _, ..] = VIP_WITHIN6.segments();
    let beside = Ipv6Addr::new(0x2001, 0xdb8, 0x80, before + 1, 0, 0, 0, 9);
    vec![
        passes(
            "prefix: the address before the widest",
            not_vip,
            tcp_to(80).to(Ipv4Addr::new(10, 79, 255, 255)),
        ),
        passes(
            "prefix: the address behind the widest",
            not_vip,
            tcp_to(80).to(Ipv4Addr::new(10, 81, 0, 0)),
        ),
        passes(
            "prefix: a port that is not served",
            no_service,
            tcp_to(22).to(VIP_WITHIN),
        ),
        passes(
            "prefix: a port that is not served, of an address apart",
            no_service,
            tcp_to(22).to(VIP_APART),
        ),
        passes(
            "prefix: IPv6, the next prefix",
            not_vip,
            to_director().ipv6(CLIENT6, beside).tcp(PORT, 80),
        ),
        passes(
            "prefix: a ping",
            Reason::NotTcpOrUdp,
            to_director().ipv4(CLIENT, VIP_WITHIN).other(1, &[8; 8]),
        ),
        crate::datapath::case::drops(
            "prefix: malformed",
            Reason::VipBadLength,
            tcp_to(80).to(VIP_WITHIN).claims_ihl(4),
        ),
        crate::datapath::case::drops(
            "prefix: from an address within to itself",
            Reason::Land,
            tcp_to(80).to(VIP_WITHIN).from(VIP_WITHIN),
        ),
    ]
}
