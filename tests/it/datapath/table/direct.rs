//! Direct routing: a new Ethernet header and one hop fewer, nothing else.

use tests::packet::eth;

use crate::datapath::case::{Case, forwards};
use crate::datapath::site::{CLIENT, CLIENT_MAC, DNS, FAR_WEB, LAN, LB, LB_WAN, VIP, WAN, WEB};

use super::{ACK, FIN, RST, SYN, SYN_OPTIONS, direct, tcp_to, udp_to};

pub(super) fn cases() -> Vec<Case> {
    [tcp(), headers(), udp(), interfaces()].concat()
}

fn tcp() -> Vec<Case> {
    let to = |packet| direct(&WEB, packet);
    let syn = tcp_to(80)
        .flags(SYN)
        .dont_fragment()
        .tcp_options(&SYN_OPTIONS);
    let ack = tcp_to(80);
    let data = tcp_to(80).payload(b"GET / HTTP/1.1\r\n\r\n");
    let segment = tcp_to(80).payload(&[0xa5; 1460]);
    let fin = tcp_to(80).flags(FIN | ACK);
    let rst = tcp_to(80).flags(RST);
    let syn_rst = tcp_to(80).flags(SYN | RST);
    let syn_ack = tcp_to(80).flags(SYN | ACK);
    let bare_syn = tcp_to(80).flags(SYN);
    let ecn_syn = tcp_to(80).flags(SYN | 0xc0);
    let null = tcp_to(80).flags(0);
    vec![
        forwards(
            "dr: a SYN with its options opens a connection",
            &WEB,
            syn.clone(),
            to(syn),
        )
        .opening(),
        forwards(
            "dr: a SYN without options",
            &WEB,
            bare_syn.clone(),
            to(bare_syn),
        )
        .opening(),
        forwards(
            "dr: a SYN that negotiates ECN",
            &WEB,
            ecn_syn.clone(),
            to(ecn_syn),
        )
        .opening(),
        forwards("dr: an ACK opens nothing", &WEB, ack.clone(), to(ack)),
        forwards("dr: data", &WEB, data.clone(), to(data)),
        forwards(
            "dr: a full segment of 1500 bytes",
            &WEB,
            segment.clone(),
            to(segment),
        ),
        forwards("dr: a FIN", &WEB, fin.clone(), to(fin)).ending(),
        forwards("dr: an RST", &WEB, rst.clone(), to(rst)).ending(),
        forwards(
            "dr: a SYN with RST opens nothing",
            &WEB,
            syn_rst.clone(),
            to(syn_rst),
        )
        .ending(),
        forwards(
            "dr: a SYN with ACK opens nothing",
            &WEB,
            syn_ack.clone(),
            to(syn_ack),
        ),
        forwards(
            "dr: a segment without any flag",
            &WEB,
            null.clone(),
            to(null),
        ),
    ]
}

fn headers() -> Vec<Case> {
    let to = |packet| direct(&WEB, packet);
    let last = tcp_to(80).ttl(2);
    let most = tcp_to(80).ttl(255);
    let padded = tcp_to(80).padded_to(60);
    let options = tcp_to(80).options(&[0x94, 4, 0, 0]);
    let all_options = tcp_to(80)
        .options(&[1; 40])
        .tcp_options(&[1; 40])
        .payload(b"x");
    let damaged = tcp_to(80).checksum_off_by(0x0100);
    let damaged_tcp = tcp_to(80).tcp_checksum_off_by(0x0100);
    let evil = tcp_to(80).fragment(0x8000, false);
    let trailing = tcp_to(80).payload(&[7; 100]).claims_total_len(40);
    vec![
        forwards(
            "dr: one hop left after this one",
            &WEB,
            last.clone(),
            to(last).ttl(1),
        ),
        forwards(
            "dr: the longest time to live",
            &WEB,
            most.clone(),
            to(most).ttl(254),
        ),
        forwards(
            "dr: a short frame filled up to 60 bytes",
            &WEB,
            padded.clone(),
            to(padded),
        ),
        forwards(
            "dr: an IPv4 option before the TCP header",
            &WEB,
            options.clone(),
            to(options),
        ),
        forwards(
            "dr: the longest headers there are",
            &WEB,
            all_options.clone(),
            to(all_options),
        ),
        forwards(
            "dr: a wrong IPv4 checksum stays as wrong",
            &WEB,
            damaged.clone(),
            to(damaged),
        ),
        forwards(
            "dr: a wrong TCP checksum is left alone",
            &WEB,
            damaged_tcp.clone(),
            to(damaged_tcp),
        ),
        forwards(
            "dr: the reserved bit makes no fragment (RFC 3514)",
            &WEB,
            evil.clone(),
            to(evil),
        ),
        forwards(
            "dr: bytes beyond the packet's end go along",
            &WEB,
            trailing.clone(),
            to(trailing),
        ),
    ]
}

fn udp() -> Vec<Case> {
    let to = |packet| direct(&DNS, packet);
    let query = udp_to(53).payload(b"a question");
    let bare = udp_to(53).payload(b"a question").no_checksum();
    let empty = udp_to(53);
    let short = udp_to(53).payload(b"a question").claims_length(12);
    let padded = udp_to(53).payload(b"?").padded_to(60);
    vec![
        forwards(
            "dr: a datagram, which is no connection",
            &DNS,
            query.clone(),
            to(query),
        ),
        forwards(
            "dr: a datagram without checksum",
            &DNS,
            bare.clone(),
            to(bare),
        ),
        forwards("dr: an empty datagram", &DNS, empty.clone(), to(empty)),
        forwards(
            "dr: a datagram shorter than its packet",
            &DNS,
            short.clone(),
            to(short),
        ),
        forwards(
            "dr: a short datagram filled up to 60 bytes",
            &DNS,
            padded.clone(),
            to(padded),
        ),
    ]
}

fn interfaces() -> Vec<Case> {
    let far = tcp_to(81).payload(b"far");
    let back = eth(CLIENT_MAC, LB_WAN).ipv4(CLIENT, VIP).tcp(40_000, 81);
    let across = eth(CLIENT_MAC, LB_WAN).ipv4(CLIENT, VIP).tcp(40_000, 80);
    vec![
        forwards(
            "dr: out by another interface",
            &FAR_WEB,
            far.clone(),
            direct(&FAR_WEB, far),
        ),
        forwards(
            "dr: in and out by the other interface",
            &FAR_WEB,
            back.clone(),
            direct(&FAR_WEB, back),
        )
        .from(WAN)
        .by(WAN),
        forwards(
            "dr: in by the other interface",
            &WEB,
            across.clone(),
            direct(&WEB, across),
        )
        .from(WAN)
        .by(LAN),
        forwards(
            "dr: a real server that asks its own VIP gets its frame back",
            &WEB,
            eth(WEB.next_hop.destination, LB)
                .ipv4(WEB.real_v4(), VIP)
                .tcp(40_000, 80),
            eth(LB, WEB.next_hop.destination)
                .ipv4(WEB.real_v4(), VIP)
                .ttl(63)
                .tcp(40_000, 80),
        ),
    ]
}
