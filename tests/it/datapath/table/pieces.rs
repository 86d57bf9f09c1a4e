//! Fragments: the first goes where its packet would go, the others follow it. Every piece is one of a
//! packet that is rewritten whole, so their checksums are those of the whole.
//!
//! In the order of the table: of each packet, the first piece is sent first.

use std::ops::Range;

use lb_ebpf::abi::{Be16, Reason};
use lb_ebpf::select::flow_hash;
use tests::packet::{Header, Packet, Ported};

use crate::datapath::case::{Case, drops, forwards, passes, replies, stays};
use crate::datapath::kinds::{self, DR, FULLNAT, Kind, LOCAL, NAT, REPLYING};
use crate::datapath::served::{Road, Served};
use crate::datapath::site::{CLIENT, CLIENT6, DIRECTOR, LB, OWN, OWN_PORT, OWN6, PORT, VIP, VIP6};

use super::{SYN, answered, carried, direct, sent, tcp_to, tcp6_to, to_director, udp_to, udp6_to};

/// Of a packet of 100 bytes behind its IP header: the first piece, one in the middle, the last.
const PIECES: [Range<usize>; 3] = [0..48, 48..80, 80..100];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in kinds::ALL {
        let (udp, udp6) = (kind.udp(), kind.udp6());
        let v4 = udp_to(udp.port).id(kind_id(kind)).payload(&[0xa7; 92]);
        let v6 = udp6_to(udp6.port).id(u32::from(kind_id(kind)) << 8);
        cases.extend(of(&format!("{}, IPv4", kind.name), &udp, &v4));
        cases.extend(of(
            &format!("{}, IPv6", kind.name),
            &udp6,
            &v6.payload(&[0x7a; 92]),
        ));
    }
    for kind in REPLYING {
        cases.extend(answers(kind));
    }
    [cases, segments(), alone(), unknown(), others(), beside()].concat()
}

/// An identification for each kind.
fn kind_id(kind: Kind) -> u16 {
    kind.udp().port
}

/// All pieces of a client's packet.
fn of<H: Header, S: Ported>(name: &str, served: &Served, whole: &Packet<H, S>) -> Vec<Case> {
    let [client, _] = whole.header().addresses();
    let mut cases = Vec::new();
    for (which, bytes) in ["first", "middle", "last"].iter().zip(PIECES) {
        let name = format!("pieces: {name}, the {which}");
        let piece = whole.piece(bytes.clone());
        let output = match served.road {
            Road::Local => {
                cases.push(stays(name, served, piece));
                continue;
            }
            // Only the first piece tells the ports.
            Road::Tunnel(..) => {
                let ports = if bytes.start == 0 {
                    [PORT, served.port]
                } else {
                    [0, 0]
                };
                let [from, to] = ports.map(Be16::new);
                let spread = flow_hash(&client.into(), from, to, served.protocol);
                carried(served, spread, piece.clone())
            }
            Road::Plain => sent(served, whole.clone()).piece(bytes).build(),
        };
        cases.push(forwards(name, served, piece, output));
    }
    cases
}

/// All pieces of replies to what was sent before.
fn answers(kind: Kind) -> Vec<Case> {
    let (udp, udp6) = (kind.udp(), kind.udp6());
    let is_fullnat = kind.needs_syn();
    let (to, to6) = if is_fullnat {
        (OWN, OWN6)
    } else {
        (CLIENT, CLIENT6)
    };
    let port = if is_fullnat { OWN_PORT } else { PORT };
    let link = |served: &Served| tests::packet::eth(served.next_hop.destination, LB);
    let v4 = link(&udp)
        .ipv4(udp.real_v4(), to)
        .udp(udp.real_port, port)
        .payload(&[0x2b; 92]);
    let v6 = link(&udp6)
        .ipv6(udp6.real_v6(), to6)
        .udp(udp6.real_port, port)
        .payload(&[0xb2; 92]);
    let mut cases = Vec::new();
    for (which, bytes) in ["first", "middle", "last"].iter().zip(PIECES) {
        let name = |family: &str| format!("pieces: {}, reply, {family}, the {which}", kind.name);
        let (sent, sent6) = (answered(&udp, v4.clone()), answered(&udp6, v6.clone()));
        cases.push(replies(
            name("IPv4"),
            &udp,
            v4.piece(bytes.clone()),
            sent.piece(bytes.clone()),
        ));
        cases.push(replies(
            name("IPv6"),
            &udp6,
            v6.piece(bytes.clone()),
            sent6.piece(bytes),
        ));
    }
    cases
}

/// TCP, whose segments seldom come in pieces.
fn segments() -> Vec<Case> {
    let (nat, dr6) = (NAT.tcp(), DR.tcp6());
    let data = tcp_to(nat.port).id(77).payload(&[5; 80]);
    let syn = tcp_to(nat.port).id(78).flags(SYN).payload(&[6; 80]);
    let data6 = tcp6_to(dr6.port)
        .id(79)
        .hop_by_hop(&[5, 2, 0, 0])
        .payload(&[7; 80]);
    let mut cases = of("a segment by nat", &nat, &data);
    cases.extend(of("a segment behind an extension header", &dr6, &data6));
    cases.push(
        forwards(
            "pieces: a SYN with much behind it opens a connection",
            &nat,
            syn.piece(0..48),
            sent(&nat, syn).piece(0..48),
        )
        .opening(),
    );
    cases
}

/// What is a fragment in name only: whole, and decided without memory (RFC 6946).
fn alone() -> Vec<Case> {
    let (dr, nat) = (DR.udp6(), NAT.udp6());
    let atomic = |port| udp6_to(port).id(99).payload(&[1; 24]).fragment(0, false);
    vec![
        forwards(
            "pieces: IPv6, one that is all, dr",
            &dr,
            atomic(dr.port),
            direct(&dr, atomic(dr.port)),
        ),
        forwards(
            "pieces: IPv6, one that is all, nat",
            &nat,
            atomic(nat.port),
            sent(&nat, atomic(nat.port)),
        ),
    ]
}

/// Pieces whose first one nobody has seen, or that hide their ports.
fn unknown() -> Vec<Case> {
    let reason = Reason::FragmentUnknown;
    let (dr, nat, fullnat) = (DR.udp(), NAT.udp(), FULLNAT.udp());
    let datagram = |port| udp_to(port).id(0xdead).payload(&[3; 92]);
    let datagram6 = |port| udp6_to(port).id(0xdead).payload(&[3; 92]);
    let tiny = Reason::FragmentTiny;
    vec![
        drops(
            "pieces: a last one, and no first",
            reason,
            datagram(dr.port).piece(48..100),
        ),
        drops(
            "pieces: a last one, and no first, IPv6",
            reason,
            datagram6(DR.udp6().port).piece(48..100),
        ),
        drops(
            "pieces: a last one of nat, and no first",
            reason,
            datagram(nat.port).piece(48..100),
        ),
        drops(
            "pieces: a last one of fullnat, and no first",
            reason,
            datagram(fullnat.port).piece(48..100),
        ),
        drops(
            "pieces: the last there can be",
            reason,
            udp_to(dr.port).id(0xdead).fragment(0x1fff, false),
        ),
        drops(
            "pieces: of TCP, a first one that ends in the header",
            tiny,
            tcp_to(DR.tcp().port).piece(0..16),
        ),
        drops(
            "pieces: of TCP, a first one that ends in the options",
            tiny,
            tcp_to(DR.tcp().port).tcp_options(&[1; 20]).piece(0..32),
        ),
        drops(
            "pieces: of IPv6, a first one that ends in the header",
            tiny,
            tcp6_to(DR.tcp6().port).piece(0..16),
        ),
        drops(
            "pieces: a first one without a byte",
            tiny,
            udp_to(dr.port).piece(0..0),
        ),
        drops(
            "pieces: one hop left",
            Reason::TtlExpired,
            datagram(dr.port).ttl(1).piece(0..48),
        ),
    ]
}

/// Pieces of what is no request.
fn others() -> Vec<Case> {
    let echo = |id| to_director().ipv4(CLIENT, VIP).id(id).other(1, &[8; 64]);
    let echo6 = to_director().ipv6(CLIENT6, VIP6).other(58, &[128; 64]);
    let no_ports = Reason::NotTcpOrUdp;
    vec![
        passes(
            "pieces: a first one of a ping",
            no_ports,
            echo(1).piece(0..32),
        ),
        passes(
            "pieces: a last one of a ping",
            no_ports,
            echo(1).piece(32..64),
        ),
        passes(
            "pieces: a first one of a ping, IPv6",
            no_ports,
            echo6.piece(0..32),
        ),
        passes(
            "pieces: a last one of a ping, IPv6",
            no_ports,
            echo6.piece(32..64),
        ),
        passes(
            "pieces: a first one to a port without service",
            Reason::NoService,
            udp_to(9).payload(&[4; 92]).piece(0..48),
        ),
    ]
}

/// Pieces of what is not to a VIP.
fn beside() -> Vec<Case> {
    let not_vip = Reason::NotVip;
    let elsewhere = udp_to(DR.udp().port).to(DIRECTOR).payload(&[4; 92]);
    let local = LOCAL.udp();
    let from_real = |port| {
        let nat = NAT.udp();
        tests::packet::eth(nat.next_hop.destination, LB)
            .ipv4(nat.real_v4(), CLIENT)
            .id(0xbeef)
            .udp(port, PORT)
            .payload(&[4; 92])
    };
    let to_own = |port| {
        tests::packet::eth(local.next_hop.destination, LB)
            .ipv4(FULLNAT.udp().real_v4(), OWN)
            .id(0xbeef)
            .udp(9, port)
            .payload(&[4; 92])
    };
    vec![
        passes(
            "pieces: a first one to the director",
            not_vip,
            elsewhere.piece(0..48),
        ),
        passes(
            "pieces: a last one to the director",
            not_vip,
            elsewhere.piece(48..100),
        ),
        passes(
            "pieces: of a nat real server, from another port",
            not_vip,
            from_real(9).piece(0..48),
        ),
        passes(
            "pieces: of a nat real server, a last one and no first",
            not_vip,
            from_real(9).piece(48..100),
        ),
        passes(
            "pieces: to an address of fullnat, of no flow",
            not_vip,
            to_own(OWN_PORT).piece(0..48),
        ),
        passes(
            "pieces: to an address of fullnat, a last one and no first",
            not_vip,
            to_own(OWN_PORT).piece(48..100),
        ),
    ]
}
