//! Tags: what is behind them decides; they were those of the link that the frame came by, and go.

use lb_ebpf::abi::Reason;
use tests::packet::{Eth, Ipv4, Ipv6, Tcp};

use crate::datapath::case::{Case, drops, forwards, passes};
use crate::datapath::kinds::{DR, GUE6};
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, CLIENT6, FAR_WEB, LB_WAN, PORT, ROUTER, VIP, VIP6, WAN, WEB,
};

use super::{SYN, direct, to_director, tunnelled};

pub(super) fn cases() -> Vec<Case> {
    [forwarded(), passed()].concat()
}

fn to_web(eth: Eth) -> Ipv4<Tcp> {
    eth.ipv4(CLIENT, VIP).tcp(PORT, WEB.port)
}

fn to_dr6(eth: Eth) -> Ipv6<Tcp> {
    eth.ipv6(CLIENT6, VIP6).tcp(PORT, DR.tcp6().port)
}

fn forwarded() -> Vec<Case> {
    let dr =
        |name: &str, packet: Ipv4<Tcp>| forwards(name, &WEB, packet.clone(), direct(&WEB, packet));
    let far = to_director().vlan(5).ipv4(CLIENT, VIP).tcp(PORT, 81);
    let across = to_web(tests::packet::eth(CLIENT_MAC, LB_WAN).vlan(5));
    let v6 = to_dr6(to_director().vlan(5)).hop_by_hop(&[]).padded_to(120);
    let served = GUE6.tcp6();
    let padded = to_director()
        .service_vlan(5)
        .vlan(6)
        .ipv6(CLIENT6, VIP6)
        .tcp(PORT, served.port);
    let carried = [tunnelled(&served, padded.clone()), vec![0xee; 10]].concat();
    let len = padded.build().len() + 10;
    vec![
        dr(
            "tag: a SYN opens a connection",
            to_web(to_director().vlan(5)).flags(SYN),
        )
        .opening(),
        dr(
            "tag: a priority alone (VLAN 0)",
            to_web(to_director().vlan(0xe000)),
        ),
        dr(
            "tag: of 802.1ad alone",
            to_web(to_director().service_vlan(5)),
        ),
        forwards(
            "tag: a short frame filled up to 64 bytes",
            &WEB,
            to_web(to_director().vlan(5)).padded_to(64),
            direct(&WEB, to_web(to_director())).padded_to(60),
        ),
        dr(
            "tag: the longest headers there are",
            to_web(to_director().service_vlan(5).vlan(6))
                .options(&[1; 40])
                .tcp_options(&[1; 40])
                .payload(b"x"),
        ),
        forwards(
            "tag: IPv6 with an extension header, filled up",
            &DR.tcp6(),
            v6.clone(),
            direct(&DR.tcp6(), v6).padded_to(116),
        ),
        forwards(
            "tag: filled up, in a tunnel",
            &served,
            padded.padded_to(len),
            carried,
        ),
        forwards(
            "tag: out by another interface",
            &FAR_WEB,
            far.clone(),
            direct(&FAR_WEB, far),
        ),
        forwards(
            "tag: in by the other interface",
            &WEB,
            across.clone(),
            direct(&WEB, across),
        )
        .from(WAN)
        .by(WEB.next_hop.ifindex),
    ]
}

fn passed() -> Vec<Case> {
    let tagged = || to_director().vlan(5);
    let not_ip = Reason::NotIp;
    let truncated = Reason::Truncated;
    let packet = to_web(to_director()).packet();
    vec![
        passes(
            "tag: three of them",
            not_ip,
            to_web(tagged().vlan(6).vlan(7)),
        ),
        passes("tag: ARP", not_ip, tagged().arp(ROUTER, VIP)),
        passes("tag: LLDP", not_ip, tagged().carrying(0x88cc, &[2, 7, 4])),
        passes(
            "tag: an 802.3 length instead of a type",
            not_ip,
            tagged().carrying(3, &[0x42; 3]),
        ),
        passes(
            "tag: of a kind that is none (0x9100)",
            not_ip,
            to_director().carrying(0x9100, &[&[0, 5, 8, 0][..], &packet].concat()),
        ),
        passes(
            "tag: half of one",
            truncated,
            to_director().carrying(0x8100, &[0, 5]),
        ),
        passes(
            "tag: one, and half of another",
            truncated,
            tagged().carrying(0x8100, &[0, 6, 8]),
        ),
        passes(
            "tag: nothing behind it",
            truncated,
            tagged().carrying(0x0800, &[]),
        ),
        passes(
            "tag: nothing behind two, IPv6",
            truncated,
            tagged().vlan(6).carrying(0x86dd, &[]),
        ),
        passes(
            "tag: another port of the VIP",
            Reason::NoService,
            tagged().ipv4(CLIENT, VIP).tcp(PORT, 22),
        ),
        passes(
            "tag: for another host's Ethernet address",
            Reason::NotOurMac,
            to_web(tagged()).hop(CLIENT_MAC, LB_WAN),
        ),
        drops(
            "tag: one hop left",
            Reason::TtlExpired,
            to_web(tagged()).ttl(1),
        ),
        drops(
            "tag: one hop left, IPv6",
            Reason::TtlExpired,
            to_dr6(tagged()).ttl(1),
        ),
    ]
}
