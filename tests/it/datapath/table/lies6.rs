//! IPv6 headers that say what is not so, and addresses that may not be there: to a VIP, they end here
//! by name; else they pass.

use std::net::Ipv6Addr;

use lb_ebpf::abi::Reason;
use tests::packet::{Ipv6, Tcp};

use crate::datapath::case::{Case, drops, passes};
use crate::datapath::kinds::{DR, NAT};
use crate::datapath::site::{CLIENT, CLIENT6, SHOP, VIP, VIP6, WEB};

use super::{SYN, tcp_to, tcp6_to, to_director, udp6_to};

pub(super) fn cases() -> Vec<Case> {
    [versions(), lengths(), extensions(), segments(), addresses()].concat()
}

fn tcp() -> Ipv6<Tcp> {
    tcp6_to(DR.tcp6().port).flags(SYN)
}

fn versions() -> Vec<Case> {
    let reason = Reason::BadVersion;
    let swapped = |ethertype, packet: Vec<u8>| to_director().carrying(ethertype, &packet);
    vec![
        passes("IPv6 lie: version 0", reason, tcp().claims_version(0)),
        passes("IPv6 lie: version 4", reason, tcp().claims_version(4)),
        passes("IPv6 lie: version 15", reason, tcp().claims_version(15)),
        passes(
            "IPv6 lie: IPv4 in an IPv6 frame",
            reason,
            swapped(0x86dd, tcp_to(80).payload(&[0; 20]).packet()),
        ),
        passes(
            "IPv6 lie: IPv6 in an IPv4 frame",
            reason,
            swapped(0x0800, tcp().packet()),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let (bad, truncated) = (Reason::VipBadLength, Reason::VipTruncated);
    let claims = |bytes| tcp().claims_payload_len(bytes);
    vec![
        drops(
            "IPv6 lie: one byte more than there are",
            truncated,
            claims(21),
        ),
        drops("IPv6 lie: 65,535 bytes", truncated, claims(u16::MAX)),
        drops(
            "IPv6 lie: a length that ends within the padding, less one",
            truncated,
            claims(47).padded_to(100),
        ),
        drops("IPv6 lie: no byte of TCP", bad, claims(0)),
        drops("IPv6 lie: TCP of 19 bytes", bad, claims(19)),
        drops(
            "IPv6 lie: a header alone",
            bad,
            to_director().ipv6(CLIENT6, VIP6).other(6, &[]),
        ),
        passes(
            "IPv6 lie: a header alone, without next header",
            Reason::NotTcpOrUdp,
            to_director().ipv6(CLIENT6, VIP6).other(59, &[]),
        ),
    ]
}

fn extensions() -> Vec<Case> {
    let (bad, truncated) = (Reason::VipBadLength, Reason::VipTruncated);
    let long = |next, units| {
        to_director().ipv6(CLIENT6, VIP6).other(
            0,
            &[&[next, units, 0, 0, 0, 0, 0, 0][..], &[0; 20]].concat(),
        )
    };
    vec![
        drops(
            "extension lie: TCP far behind the end",
            Reason::VipTooManyHeaders,
            long(6, 255),
        ),
        drops(
            "extension lie: another far behind the end",
            Reason::VipTooManyHeaders,
            long(60, 255),
        ),
        drops("extension lie: TCP right at the end", bad, long(6, 3)),
        drops(
            "extension lie: TCP in the padding",
            bad,
            long(6, 3).padded_to(120),
        ),
        drops(
            "extension lie: TCP that ends in the padding",
            bad,
            long(6, 2).padded_to(120),
        ),
        drops(
            "extension lie: a byte alone",
            truncated,
            to_director().ipv6(CLIENT6, VIP6).other(0, &[6]),
        ),
        drops(
            "extension lie: no byte",
            truncated,
            to_director().ipv6(CLIENT6, VIP6).other(43, &[]),
        ),
        drops(
            "extension lie: a packet that ends in it",
            bad,
            tcp().hop_by_hop(&[]).claims_payload_len(4),
        ),
    ]
}

fn segments() -> Vec<Case> {
    let bad = Reason::VipBadLength;
    let datagram = || udp6_to(DR.udp6().port).payload(b"a question");
    vec![
        drops(
            "IPv6 lie: a TCP header of 16 bytes",
            bad,
            tcp().claims_offset(4),
        ),
        drops(
            "IPv6 lie: a TCP header longer than the packet",
            bad,
            tcp().claims_offset(6),
        ),
        drops(
            "IPv6 lie: a TCP header that ends in the padding",
            bad,
            tcp().claims_offset(6).padded_to(100),
        ),
        drops(
            "IPv6 lie: a datagram of 0 bytes, as in a jumbogram",
            bad,
            datagram().claims_length(0),
        ),
        drops(
            "IPv6 lie: a datagram longer than its packet",
            bad,
            datagram().claims_length(19),
        ),
        drops(
            "IPv6 lie: a datagram that ends in the padding",
            bad,
            datagram().claims_length(20).padded_to(100),
        ),
    ]
}

fn addresses() -> Vec<Case> {
    let bad = Reason::NotVip;
    let (client, vip) = (CLIENT.to_ipv6_mapped(), VIP.to_ipv6_mapped());
    let to = |source, destination| {
        to_director()
            .ipv6(source, destination)
            .tcp(40_000, WEB.port)
    };
    let [_, _, _, _, _, _, high, low] = vip.segments();
    let compatible = Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low);
    let translated = Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low);
    let shop = SHOP.real_v4().to_ipv6_mapped();
    vec![
        passes("mapped: client and VIP", bad, to(client, vip)),
        passes("mapped: the VIP", bad, to(CLIENT6, vip)),
        drops(
            "mapped: the client",
            Reason::MartianSource,
            tcp().from(client),
        ),
        passes(
            "mapped: a nat real server's reply",
            bad,
            to_director()
                .ipv6(shop, CLIENT6)
                .tcp(SHOP.real_port, 40_000),
        ),
        passes(
            "mapped: a nat real server's reply, to a mapped client",
            bad,
            to_director().ipv6(shop, client).tcp(SHOP.real_port, 40_000),
        ),
        passes(
            "mapped: a reply of IPv6 to a mapped client",
            bad,
            to_director()
                .ipv6(NAT.tcp6().real_v6(), client)
                .tcp(NAT.tcp6().real_port, 40_000),
        ),
        passes(
            "mapped: another way to write IPv4 is another address",
            bad,
            to(CLIENT6, compatible),
        ),
        passes(
            "mapped: nor is a translated one",
            bad,
            to(CLIENT6, translated),
        ),
    ]
}
