//! Nat towards the real server: address, port, and every checksum over them.

use tests::packet::{Ipv4, Udp};

use crate::datapath::case::{Case, forwards};
use crate::datapath::site::{CLIENT_MAC, FAR_SHOP, GAME, LB, PORT, SHOP, VIP};

use super::{ACK, FIN, RST, SYN, SYN_OPTIONS, by_nat, tcp_to, udp_to};

pub(super) fn cases() -> Vec<Case> {
    [tcp(), headers(), udp()].concat()
}

fn tcp() -> Vec<Case> {
    let to = |packet| by_nat(&SHOP, packet);
    let syn = tcp_to(8080)
        .flags(SYN)
        .dont_fragment()
        .tcp_options(&SYN_OPTIONS);
    let ack = tcp_to(8080);
    let odd = tcp_to(8080).payload(b"odd");
    let segment = tcp_to(8080).payload(&[0x5a; 1460]);
    let fin = tcp_to(8080).flags(FIN | ACK);
    let rst = tcp_to(8080).flags(RST);
    let far = tcp_to(82).flags(SYN);
    vec![
        forwards(
            "nat: a SYN goes to the real server's address and port",
            &SHOP,
            syn.clone(),
            to(syn),
        )
        .opening(),
        forwards("nat: an ACK", &SHOP, ack.clone(), to(ack)),
        forwards("nat: data of an odd length", &SHOP, odd.clone(), to(odd)),
        forwards(
            "nat: a full segment of 1500 bytes",
            &SHOP,
            segment.clone(),
            to(segment),
        ),
        forwards("nat: a FIN", &SHOP, fin.clone(), to(fin)).ending(),
        forwards("nat: an RST", &SHOP, rst.clone(), to(rst)).ending(),
        forwards(
            "nat: out by another interface",
            &FAR_SHOP,
            far.clone(),
            by_nat(&FAR_SHOP, far),
        )
        .opening(),
    ]
}

fn headers() -> Vec<Case> {
    let to = |packet| by_nat(&SHOP, packet);
    let last = tcp_to(8080).ttl(2);
    let padded = tcp_to(8080).padded_to(60);
    let options = tcp_to(8080).options(&[0x94, 4, 0, 0]).payload(b"x");
    let all_options = tcp_to(8080)
        .options(&[1; 40])
        .tcp_options(&[1; 40])
        .payload(b"xyz");
    let damaged = tcp_to(8080).checksum_off_by(0x1234);
    let damaged_tcp = tcp_to(8080).tcp_checksum_off_by(0x1234);
    vec![
        forwards(
            "nat: one hop left after this one",
            &SHOP,
            last.clone(),
            to(last).ttl(1),
        ),
        forwards(
            "nat: a short frame filled up to 60 bytes",
            &SHOP,
            padded.clone(),
            to(padded),
        ),
        forwards(
            "nat: an IPv4 option before the TCP header",
            &SHOP,
            options.clone(),
            to(options),
        ),
        forwards(
            "nat: the longest headers there are",
            &SHOP,
            all_options.clone(),
            to(all_options),
        ),
        forwards(
            "nat: a wrong IPv4 checksum stays as wrong",
            &SHOP,
            damaged.clone(),
            to(damaged),
        ),
        forwards(
            "nat: a wrong TCP checksum stays as wrong",
            &SHOP,
            damaged_tcp.clone(),
            to(damaged_tcp),
        ),
    ]
}

fn udp() -> Vec<Case> {
    let to = |packet| by_nat(&GAME, packet);
    let datagram = udp_to(5000).payload(b"left");
    let odd = udp_to(5000).payload(b"right");
    let bare = udp_to(5000).payload(b"left").no_checksum();
    let empty = udp_to(5000);
    let short = udp_to(5000).payload(b"left, right").claims_length(12);
    let options = udp_to(5000)
        .options(&[7, 7, 4, 0, 0, 0, 0])
        .payload(b"route");
    let zero = udp_to(5000).payload(b"zero").with_checksum_zero();
    vec![
        forwards("nat: a datagram", &GAME, datagram.clone(), to(datagram)),
        forwards(
            "nat: a datagram of an odd length",
            &GAME,
            odd.clone(),
            to(odd),
        ),
        forwards(
            "nat: a datagram without checksum stays without",
            &GAME,
            bare.clone(),
            to(bare),
        ),
        forwards("nat: an empty datagram", &GAME, empty.clone(), to(empty)),
        forwards(
            "nat: a datagram shorter than its packet",
            &GAME,
            short.clone(),
            to(short),
        ),
        forwards(
            "nat: an IPv4 option before the UDP header",
            &GAME,
            options.clone(),
            to(options),
        ),
        forwards(
            "nat: a checksum of 0, written 0xffff, comes in",
            &GAME,
            zero.clone(),
            to(zero),
        ),
        becomes_zero(to(udp_to(5000).payload(b"zero")).with_checksum_zero()),
    ]
}

/// The datagram whose rewritten checksum is 0.
fn becomes_zero(output: Ipv4<Udp>) -> Case {
    assert_eq!(
        output.build()[40..42],
        [0xff; 2],
        "the case is not what it says"
    );
    let input = output
        .clone()
        .to(VIP)
        .ports(PORT, GAME.port)
        .ttl(64)
        .hop(CLIENT_MAC, LB);
    forwards(
        "nat: a checksum that becomes 0 is written 0xffff",
        &GAME,
        input,
        output,
    )
}
