//! Packets to a VIP from addresses that no host can have, or from the VIP itself: they end here, by name.
//! To other addresses they are not ours.

use std::net::{Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::Reason;

use crate::datapath::case::{Case, drops, forwards, passes};
use crate::datapath::kinds::DR;
use crate::datapath::site::{CLIENT, CLIENT6, DIRECTOR, DIRECTOR6, OWN, PORT, VIP, VIP6, WEB};

use super::{SYN, direct, tcp_to, tcp6_to, to_director, udp_to};

pub(super) fn cases() -> Vec<Case> {
    [land(), martians(), martians6(), elsewhere()].concat()
}

fn land() -> Vec<Case> {
    let (v4, v6) = (tcp_to(WEB.port), tcp6_to(DR.tcp6().port));
    vec![
        drops(
            "strange: from the VIP to itself",
            Reason::Land,
            v4.clone().from(VIP).flags(SYN),
        ),
        drops(
            "strange: from the VIP to itself, the same port (LAND)",
            Reason::Land,
            v4.clone().from(VIP).ports(WEB.port, WEB.port).flags(SYN),
        ),
        drops(
            "strange: from the VIP to itself, a port without service",
            Reason::Land,
            udp_to(9).from(VIP),
        ),
        drops(
            "strange: from the VIP to itself, IPv6",
            Reason::Land,
            v6.from(VIP6).flags(SYN),
        ),
        drops(
            "strange: an echo from the VIP to itself",
            Reason::Land,
            to_director().ipv4(VIP, VIP).other(1, &[8; 8]),
        ),
        drops(
            "strange: a fragment from the VIP to itself",
            Reason::Land,
            v4.from(VIP).fragment(7, false),
        ),
    ]
}

fn martians() -> Vec<Case> {
    let reason = Reason::MartianSource;
    let mut cases: Vec<Case> = [
        ([0, 0, 0, 0], "nobody"),
        ([0, 1, 2, 3], "this network"),
        ([127, 0, 0, 1], "loopback"),
        ([127, 255, 255, 254], "the end of loopback"),
        ([224, 0, 0, 1], "a multicast group"),
        ([239, 255, 255, 255], "the last multicast group"),
        ([240, 0, 0, 1], "a reserved address"),
        ([255, 255, 255, 255], "everyone"),
    ]
    .map(|(source, who)| {
        let name = format!("strange: from {who}");
        drops(name, reason, tcp_to(WEB.port).from(Ipv4Addr::from(source)))
    })
    .to_vec();
    for source in [
        [1, 0, 0, 1],
        [126, 1, 1, 1],
        [128, 0, 0, 1],
        [223, 255, 255, 254],
    ] {
        let packet = tcp_to(WEB.port).from(Ipv4Addr::from(source));
        let name = format!(
            "strange, but not forbidden: from {}",
            Ipv4Addr::from(source)
        );
        cases.push(forwards(name, &WEB, packet.clone(), direct(&WEB, packet)));
    }
    cases.push(drops(
        "strange: from loopback, and cut in pieces",
        reason,
        udp_to(53).from(Ipv4Addr::LOCALHOST).fragment(0, true),
    ));
    cases
}

fn martians6() -> Vec<Case> {
    let served = DR.tcp6();
    let from = |source: Ipv6Addr| tcp6_to(served.port).from(source);
    let mut cases: Vec<Case> = [
        (Ipv6Addr::UNSPECIFIED, "nobody"),
        (Ipv6Addr::LOCALHOST, "loopback"),
        (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), "all nodes"),
        (CLIENT.to_ipv6_mapped(), "a mapped address"),
    ]
    .map(|(source, who)| {
        let name = format!("strange: from {who}, IPv6");
        drops(name, Reason::MartianSource, from(source))
    })
    .to_vec();
    // Link-local, and what only looks like loopback.
    for source in [
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 2),
        Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1),
    ] {
        let name = format!("strange, but not forbidden: from {source}");
        let packet = from(source);
        cases.push(forwards(
            name,
            &served,
            packet.clone(),
            direct(&served, packet),
        ));
    }
    cases
}

fn elsewhere() -> Vec<Case> {
    let not_vip = Reason::NotVip;
    let to = |destination| to_director().ipv4(CLIENT, destination).tcp(PORT, 22);
    vec![
        passes(
            "strange: from loopback to the director",
            not_vip,
            to(DIRECTOR).from(Ipv4Addr::LOCALHOST),
        ),
        passes(
            "strange: from the director to itself",
            not_vip,
            to(DIRECTOR).from(DIRECTOR),
        ),
        passes(
            "strange: from an address of fullnat to itself",
            not_vip,
            to(OWN).from(OWN),
        ),
        passes(
            "strange: from nobody to the director, IPv6",
            not_vip,
            to_director()
                .ipv6(Ipv6Addr::UNSPECIFIED, DIRECTOR6)
                .udp(546, 547),
        ),
        passes(
            "strange: malformed, to the director",
            not_vip,
            to(DIRECTOR).claims_ihl(3),
        ),
        passes(
            "strange: malformed, to an address of fullnat",
            not_vip,
            to(OWN).claims_total_len(2000),
        ),
        passes(
            "strange: a routing header with a hop to come, to the director",
            not_vip,
            to_director()
                .ipv6(CLIENT6, DIRECTOR6)
                .extension(43, &[0, 0, 1, 0, 0, 0, 0])
                .udp(1, 2),
        ),
        passes(
            "strange: cut in pieces, to the director",
            not_vip,
            to(DIRECTOR).fragment(9, true),
        ),
    ]
}
