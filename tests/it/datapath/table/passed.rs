//! What is not for a VIP passes untouched, whatever it is.

use std::net::Ipv4Addr;

use lb_ebpf::abi::{Mac, Reason};
use tests::packet::eth;

use crate::datapath::case::{Case, passes};
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, DIRECTOR, LB, PORT, ROUTER, UNSERVED, VIP, WAN, mac,
};

use super::{SYN, tcp_to, to_director, udp_to};

/// IPv4's Router Alert option (RFC 2113).
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// An ICMP echo request, number 1.
const ECHO: [u8; 8] = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];

pub(super) fn cases() -> Vec<Case> {
    [ethernet(), addressees(), protocols(), others()].concat()
}

fn ethernet() -> Vec<Case> {
    let reason = Reason::NotIp;
    let broadcast = eth(CLIENT_MAC, Mac([0xff; 6]));
    vec![
        passes(
            "pass: an ARP request for the VIP, to all",
            Reason::NotOurMac,
            broadcast.arp(ROUTER, VIP),
        ),
        passes(
            "pass: an ARP request for the VIP, to us",
            reason,
            to_director().arp(ROUTER, VIP),
        ),
        passes(
            "pass: LLDP",
            reason,
            to_director().carrying(0x88cc, &[2, 7, 4]),
        ),
        passes(
            "pass: an 802.3 length instead of a type",
            reason,
            to_director().carrying(3, &[0x42; 3]),
        ),
        passes(
            "pass: an Ethernet header alone",
            Reason::Truncated,
            to_director().carrying(0x0800, &[]),
        ),
    ]
}

fn addressees() -> Vec<Case> {
    let to = |mac| {
        eth(CLIENT_MAC, mac)
            .ipv4(CLIENT, VIP)
            .tcp(PORT, 80)
            .flags(SYN)
    };
    let multicast = Mac([1, 0, 0x5e, 0, 0, 1]);
    vec![
        passes(
            "pass: for another host's Ethernet address",
            Reason::NotOurMac,
            to(mac(77)),
        ),
        passes(
            "pass: a VIP's packet in a broadcast frame",
            Reason::NotOurMac,
            to(Mac([0xff; 6])),
        ),
        passes(
            "pass: a VIP's packet in a multicast frame",
            Reason::NotOurMac,
            to(multicast),
        ),
        passes(
            "pass: by one interface, for the other's address",
            Reason::NotOurMac,
            to(LB),
        )
        .from(WAN),
        passes(
            "pass: by an interface that is not served",
            Reason::UnknownInterface,
            to(LB),
        )
        .from(UNSERVED),
    ]
}

fn protocols() -> Vec<Case> {
    let ipv4 = |destination| to_director().ipv4(CLIENT, destination);
    let quoted = [&[3, 4, 0, 0, 0, 0, 5, 0x78][..], &tcp_to(80).build()[14..]].concat();
    let reports = Ipv4Addr::new(224, 0, 0, 22);
    let routers = Ipv4Addr::new(224, 0, 0, 18);
    let advert = [0x31, 51, 100, 1, 0, 100, 0, 0, 10, 77, 0, 100];
    let report = [0x22, 0, 0xf9, 2, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 18];
    let multicast = |last| eth(CLIENT_MAC, Mac([1, 0, 0x5e, 0, 0, last]));
    let reason = Reason::NotTcpOrUdp;
    vec![
        passes("pass: a ping of the VIP", reason, ipv4(VIP).other(1, &ECHO)),
        passes(
            "pass: fragmentation needed, quoting a packet to the VIP",
            Reason::IcmpUnmatched,
            ipv4(VIP).other(1, &quoted),
        ),
        passes(
            "pass: IGMP with router alert, to its group",
            Reason::NotOurMac,
            multicast(22)
                .ipv4(ROUTER, reports)
                .options(&ROUTER_ALERT)
                .other(2, &report),
        ),
        passes(
            "pass: IGMP with router alert, to us",
            Reason::NotVip,
            ipv4(reports).options(&ROUTER_ALERT).other(2, &report),
        ),
        passes(
            "pass: a VRRP advert, to its group",
            Reason::NotOurMac,
            multicast(18)
                .ipv4(ROUTER, routers)
                .ttl(255)
                .other(112, &advert),
        ),
        passes(
            "pass: a VRRP advert, to us",
            Reason::NotVip,
            ipv4(DIRECTOR).ttl(255).other(112, &advert),
        ),
        passes(
            "pass: IP in IP for the VIP",
            reason,
            ipv4(VIP).other(4, &tcp_to(80).build()[14..]),
        ),
        passes(
            "pass: GRE for the VIP",
            reason,
            ipv4(VIP).other(47, &[0; 40]),
        ),
        passes(
            "pass: SCTP for the VIP",
            reason,
            ipv4(VIP).other(132, &[0; 40]),
        ),
        passes(
            "pass: an unknown protocol without a byte",
            reason,
            ipv4(VIP).other(255, &[]),
        ),
        passes(
            "pass: a ping with its last hop",
            reason,
            ipv4(VIP).ttl(1).other(1, &ECHO),
        ),
    ]
}

fn others() -> Vec<Case> {
    let (reason, elsewhere) = (Reason::NoService, Reason::NotVip);
    let to = |destination, port| {
        to_director()
            .ipv4(CLIENT, destination)
            .tcp(PORT, port)
            .flags(SYN)
    };
    vec![
        passes("pass: another port of the VIP", reason, tcp_to(8081)),
        passes(
            "pass: the port, but by the other protocol",
            reason,
            udp_to(80),
        ),
        passes("pass: the other protocol's port", reason, tcp_to(53)),
        passes(
            "pass: another address, a service's port",
            elsewhere,
            to(Ipv4Addr::new(10, 77, 0, 101), 80),
        ),
        passes(
            "pass: the director's own address",
            elsewhere,
            to(DIRECTOR, 22),
        ),
        passes("pass: port 0 of the VIP", reason, tcp_to(0)),
        passes(
            "pass: not ours, with its last hop",
            elsewhere,
            to(DIRECTOR, 22).ttl(1),
        ),
        passes(
            "pass: the VIP's bytes in the wrong order",
            elsewhere,
            to(Ipv4Addr::new(100, 0, 77, 10), 80),
        ),
        passes(
            "pass: the port's bytes in the wrong order",
            reason,
            tcp_to(80u16.swap_bytes()),
        ),
    ]
}
