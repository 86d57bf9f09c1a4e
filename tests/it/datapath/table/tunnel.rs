//! Tunnels: what fits, what is told of what does not, and what goes on from inside to outside.
//!
//! Not here: one plain packet of every sort ([`super::kinds`]).

use lb_ebpf::abi::Reason;
use tests::packet::{Header, Ipv4, Ipv6, Packet, Ported, Tcp};

use crate::datapath::case::{Case, drops, forwards, tells};
use crate::datapath::kinds::{GUE, GUE6, IPIP, IPIP6, Kind, MTU};
use crate::datapath::served::Served;
use crate::datapath::site::{CLIENT, CLIENT_MAC, CLIENT6, LB, PORT, VIP, VIP6};

use super::{SYN, tcp_to, tcp6_to, to_director, tunnelled, udp_to, udp6_to};

const KINDS: [Kind; 4] = [IPIP, IPIP6, GUE, GUE6];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = [whole(), told_of(), outside()].concat();
    for kind in KINDS {
        cases.extend(around_the_limit(kind));
    }
    cases
}

/// With payload until the packet has so many bytes.
fn of_len<H: Header, S: Ported>(packet: Packet<H, S>, len: usize) -> Packet<H, S> {
    let bare = packet.packet().len();
    let payload: Vec<u8> = (0..=250).cycle().take(len - bare).collect();
    packet.payload(&payload)
}

fn carries<H: Header, S: Ported>(
    name: impl Into<String>,
    served: &Served,
    packet: Packet<H, S>,
) -> Case {
    forwards(name, served, packet.clone(), tunnelled(served, packet))
}

/// The longest packet that fits.
fn fitting(served: &Served) -> usize {
    usize::from(MTU) - served.overhead()
}

/// What is told of a packet of IPv4: header and 8 bytes of it, by the VIP, where it came from.
fn told<S: Ported>(served: &Served, packet: &Ipv4<S>) -> Vec<u8> {
    let fits = u32::try_from(fitting(served)).expect("below 1500");
    let bytes = packet.packet();
    let header = usize::from(bytes[0] & 0xf) * 4;
    packet
        .link()
        .between(LB, CLIENT_MAC)
        .ipv4(VIP, CLIENT)
        .id(0)
        .too_big(fits, &bytes[..header + 8])
        .build()
}

/// What is told of a packet of IPv6 without extension headers.
fn told6<S: Ported>(served: &Served, packet: &Ipv6<S>) -> Vec<u8> {
    told6_quoting(served, packet, 48)
}

/// What is told of a packet of IPv6, quoting so many bytes.
fn told6_quoting<S: Ported>(served: &Served, packet: &Ipv6<S>, quoted: usize) -> Vec<u8> {
    let fits = u32::try_from(fitting(served)).expect("below 1500");
    packet
        .link()
        .between(LB, CLIENT_MAC)
        .ipv6(VIP6, CLIENT6)
        .too_big(fits, &packet.packet()[..quoted])
        .build()
}

fn around_the_limit(kind: Kind) -> Vec<Case> {
    let name = |what: &str| format!("{}: {what}", kind.name);
    let (served, served6) = (kind.tcp(), kind.tcp6());
    let v4 = |len| of_len(tcp_to(served.port), len);
    let fits = fitting(&served);
    let long = v4(fits + 1).dont_fragment();
    let long6 = of_len(tcp6_to(served6.port), fits + 1);
    vec![
        carries(
            name("IPv4 that just fits"),
            &served,
            v4(fits).dont_fragment(),
        ),
        carries(
            name("IPv4 that just fits and may be fragmented"),
            &served,
            v4(fits),
        ),
        carries(
            name("IPv6 that just fits"),
            &served6,
            of_len(tcp6_to(served6.port), fits),
        ),
        tells(
            name("IPv4, a byte too long"),
            long.clone(),
            told(&served, &long),
        ),
        drops(
            name("IPv4, a byte too long, that may be fragmented"),
            Reason::TooBig,
            v4(fits + 1),
        ),
        tells(
            name("IPv6, a byte too long"),
            long6.clone(),
            told6(&served6, &long6),
        ),
    ]
}

/// Packets of which much is told.
fn told_of() -> Vec<Case> {
    let (served, served6) = (IPIP.tcp(), GUE6.tcp6());
    let (udp, udp6) = (GUE.udp(), IPIP6.udp6());
    let all_options = of_len(tcp_to(served.port).options(&[7; 40]), 1500).dont_fragment();
    let one_option = of_len(tcp_to(served.port).options(&[7, 7, 4, 0]), 1500).dont_fragment();
    let tagged = of_len(
        to_director()
            .vlan(0x4005)
            .ipv4(CLIENT, VIP)
            .tos(0x48)
            .dont_fragment()
            .tcp(PORT, served.port),
        1500,
    );
    let tagged6 = of_len(
        to_director()
            .service_vlan(5)
            .vlan(6)
            .ipv6(CLIENT6, VIP6)
            .tos(0x48)
            .flow_label(9)
            .tcp(PORT, served6.port),
        1500,
    );
    let datagram = of_len(udp_to(udp.port).dont_fragment(), 1500);
    let datagram6 = of_len(udp6_to(udp6.port), 1500);
    let wrong = of_len(tcp_to(served.port).dont_fragment(), 1500).checksum_off_by(0x0102);
    let extended = |len: usize| {
        let packet = tcp6_to(served6.port).destination_options(&vec![0; len - 2]);
        of_len(packet, 1500)
    };
    let (short, long) = (extended(80), extended(88));
    let case = |name: &str, packet: Ipv4<Tcp>| tells(name, packet.clone(), told(&served, &packet));
    vec![
        case("told: all options are quoted", all_options.clone()),
        case("told: an option is quoted", one_option),
        case("told: in the sender's VLAN", tagged),
        case("told: a wrong checksum is quoted as it is", wrong),
        tells(
            "told: in the sender's VLANs, IPv6",
            tagged6.clone(),
            told6(&served6, &tagged6),
        ),
        tells("told: a datagram", datagram.clone(), told(&udp, &datagram)),
        tells(
            "told: a datagram, IPv6",
            datagram6.clone(),
            told6(&udp6, &datagram6),
        ),
        case(
            "told: padding is not quoted",
            all_options.clone().padded_to(1600),
        ),
        tells(
            "told: extension headers are quoted, and ports",
            short.clone(),
            told6_quoting(&served6, &short, 128),
        ),
        tells(
            "told: no more than 128 bytes of them",
            long.clone(),
            told6_quoting(&served6, &long, 128),
        ),
        drops(
            "told: one hop left is worse",
            Reason::TtlExpired,
            all_options.ttl(1),
        ),
    ]
}

/// What changes outside with the inside.
fn outside() -> Vec<Case> {
    let (served, served6) = (GUE6.tcp(), IPIP.tcp6());
    let mut cases = Vec::new();
    for tos in [0x01, 0x02, 0x03, 0xfc, 0xff] {
        cases.push(carries(
            format!("outer class {tos:#04x}, IPv4 in IPv6"),
            &served,
            tcp_to(served.port).tos(tos),
        ));
        cases.push(carries(
            format!("outer class {tos:#04x}, IPv6 in IPv4"),
            &served6,
            tcp6_to(served6.port).tos(tos),
        ));
    }
    for (ttl, what) in [(2, "one hop left"), (255, "most hops left")] {
        let v4 = tcp_to(served.port).ttl(ttl);
        let v6 = tcp6_to(served6.port).ttl(ttl);
        // The inner packet is one hop older, the outer one starts at 64.
        let (sent, sent6) = (
            tunnelled(&served, v4.clone()),
            tunnelled(&served6, v6.clone()),
        );
        let sent = replaced(
            &sent,
            &v4.clone().ttl(63).packet(),
            &v4.clone().ttl(ttl - 1).packet(),
        );
        let sent6 = replaced(
            &sent6,
            &v6.clone().ttl(63).packet(),
            &v6.clone().ttl(ttl - 1).packet(),
        );
        cases.push(forwards(format!("{what}, IPv4 in IPv6"), &served, v4, sent));
        cases.push(forwards(
            format!("{what}, IPv6 in IPv4"),
            &served6,
            v6,
            sent6,
        ));
    }
    cases
}

/// The frame with its end, which is `old`, replaced.
fn replaced(frame: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let head = frame.strip_suffix(old).expect("it ends so");
    [head, new].concat()
}

/// Packets that are more than a header and some bytes.
fn whole() -> Vec<Case> {
    let served = IPIP.tcp();
    let to = || tcp_to(served.port);
    let padded = tunnelled(&served, to());
    let padding = 60 - to().build().len();
    vec![
        carries("inside: a SYN opens a connection", &served, to().flags(SYN)).opening(),
        carries("inside: options stay", &served, to().options(&[1; 40])),
        carries(
            "inside: wrong checksums stay as wrong",
            &served,
            to().checksum_off_by(0x0304).tcp_checksum_off_by(0x0506),
        ),
        forwards(
            "inside: padding goes along, outside the packet",
            &served,
            to().padded_to(60),
            [padded, vec![0xee; padding]].concat(),
        ),
        forwards(
            "inside: only the packet has to fit, not its padding",
            &served,
            of_len(to(), 1480).padded_to(1514),
            [tunnelled(&served, of_len(to(), 1480)), vec![0xee; 20]].concat(),
        ),
        carries(
            "inside: a datagram without checksum",
            &GUE.udp(),
            udp_to(GUE.udp().port).payload(b"none").no_checksum(),
        ),
        carries(
            "inside: an empty datagram, IPv6",
            &GUE.udp6(),
            udp6_to(GUE.udp6().port),
        ),
        drops("inside: no hop left", Reason::TtlExpired, to().ttl(0)),
    ]
}
