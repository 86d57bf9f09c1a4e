//! Replies of nat real servers over IPv6: rewritten, and sent where the kernel's routes say.

use std::net::Ipv6Addr;

use lb_ebpf::abi::Reason;
use tests::packet::{Ipv6, Tcp, Udp, eth};

use crate::datapath::case::{Case, drops, passes, replies};
use crate::datapath::kinds::NAT;
use crate::datapath::site::{
    CLIENT_MAC, CLIENT6, DIRECTOR6, LB, LB_WAN, NOWHERE6, PORT, ROUTED_CLIENT6, ROUTER_MAC,
    SILENT_CLIENT6, VIP6, VLAN, VLAN_CLIENT6, WAN, WAN_CLIENT6, lan6, mac,
};

use super::{ACK, FIN, SYN};

pub(super) fn cases() -> Vec<Case> {
    [rewritten(), datagrams(), elsewhere(), not_replies()].concat()
}

/// A segment of the real server.
fn reply_to(client: Ipv6Addr) -> Ipv6<Tcp> {
    let served = NAT.tcp6();
    eth(served.next_hop.destination, LB)
        .ipv6(served.real_v6(), client)
        .tcp(served.real_port, PORT)
}

/// A datagram of the real server.
fn datagram() -> Ipv6<Udp> {
    let served = NAT.udp6();
    eth(served.next_hop.destination, LB)
        .ipv6(served.real_v6(), CLIENT6)
        .udp(served.real_port, PORT)
        .payload(b"won!")
}

/// The segment as it leaves for the client.
fn sent(reply: Ipv6<Tcp>) -> Ipv6<Tcp> {
    reply
        .from(VIP6)
        .ports(NAT.tcp6().port, PORT)
        .ttl(63)
        .hop(LB, CLIENT_MAC)
}

/// The datagram as it leaves for the client.
fn sent_udp(reply: Ipv6<Udp>) -> Ipv6<Udp> {
    reply
        .from(VIP6)
        .ports(NAT.udp6().port, PORT)
        .ttl(63)
        .hop(LB, CLIENT_MAC)
}

fn rewritten() -> Vec<Case> {
    let case =
        |name: &str, reply: Ipv6<Tcp>| replies(name, &NAT.tcp6(), reply.clone(), sent(reply));
    let last = reply_to(CLIENT6).ttl(2);
    vec![
        case(
            "IPv6 reply: a SYN and ACK comes from the VIP",
            reply_to(CLIENT6).flags(SYN | ACK),
        ),
        case(
            "IPv6 reply: data of an odd length",
            reply_to(CLIENT6).payload(b"HTTP/1.1 200 OK\r\n\r\nodd"),
        ),
        case(
            "IPv6 reply: a full segment of 1500 bytes",
            reply_to(CLIENT6).payload(&[0x33; 1440]),
        ),
        case("IPv6 reply: a FIN", reply_to(CLIENT6).flags(FIN | ACK)),
        case(
            "IPv6 reply: behind extension headers",
            reply_to(CLIENT6)
                .hop_by_hop(&[])
                .destination_options(&[0; 20])
                .payload(b"x"),
        ),
        case(
            "IPv6 reply: padding goes along",
            reply_to(CLIENT6).padded_to(90),
        ),
        case(
            "IPv6 reply: a wrong checksum stays as wrong",
            reply_to(CLIENT6).tcp_checksum_off_by(0x1234),
        ),
        replies(
            "IPv6 reply: one hop left after this one",
            &NAT.tcp6(),
            last.clone(),
            sent(last).ttl(1),
        ),
    ]
}

fn datagrams() -> Vec<Case> {
    let case = |name: &str, input, output| replies(name, &NAT.udp6(), input, output);
    let zero = sent_udp(datagram()).with_checksum_zero();
    let becomes_zero = zero
        .clone()
        .from(NAT.udp6().real)
        .ports(NAT.udp6().real_port, PORT)
        .ttl(64)
        .hop(NAT.udp6().next_hop.destination, LB);
    let was_zero = datagram().with_checksum_zero();
    let without = datagram().no_checksum();
    vec![
        case("IPv6 reply: a datagram", datagram(), sent_udp(datagram())),
        case(
            "IPv6 reply: a datagram without checksum stays without",
            without.clone(),
            sent_udp(without),
        ),
        case(
            "IPv6 reply: a checksum that becomes 0 is written 0xffff",
            becomes_zero,
            zero,
        ),
        case(
            "IPv6 reply: a checksum of 0, written 0xffff, comes in",
            was_zero.clone(),
            sent_udp(was_zero),
        ),
    ]
}

fn elsewhere() -> Vec<Case> {
    let routed = reply_to(ROUTED_CLIENT6);
    let other = reply_to(WAN_CLIENT6);
    let not_routed = Reason::ReplyNotRouted;
    let stays = |name: &str, client| passes(name, not_routed, reply_to(client));
    vec![
        replies(
            "IPv6 reply: to a client behind a router",
            &NAT.tcp6(),
            routed.clone(),
            sent(routed).hop(LB, ROUTER_MAC),
        ),
        replies(
            "IPv6 reply: out by another interface",
            &NAT.tcp6(),
            other.clone(),
            sent(other).hop(LB_WAN, mac(10)),
        )
        .by(WAN),
        replies(
            "IPv6 reply: to a client in a VLAN, tagged otherwise",
            &NAT.tcp6(),
            reply_to(VLAN_CLIENT6).tagged(7),
            sent(reply_to(VLAN_CLIENT6)).tagged(VLAN).hop(LB, mac(12)),
        ),
        stays("IPv6 reply: to the director itself (its probes)", DIRECTOR6),
        stays("IPv6 reply: to where no route leads", NOWHERE6),
        stays(
            "IPv6 reply: to a multicast group",
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        ),
        drops(
            "IPv6 reply: to a client without Ethernet address",
            Reason::NextHopUnresolved,
            reply_to(SILENT_CLIENT6),
        )
        .asking_for(SILENT_CLIENT6),
        drops(
            "IPv6 reply: its hop limit ends here",
            Reason::TtlExpired,
            reply_to(CLIENT6).ttl(1),
        ),
        passes(
            "IPv6 reply: to the director itself with its last hop",
            not_routed,
            reply_to(DIRECTOR6).ttl(1),
        ),
    ]
}

fn not_replies() -> Vec<Case> {
    let served = NAT.tcp6();
    let from = |source, port| {
        eth(served.next_hop.destination, LB)
            .ipv6(source, CLIENT6)
            .tcp(port, PORT)
    };
    vec![
        passes(
            "IPv6 reply: another port of a nat real server",
            Reason::NotVip,
            from(served.real_v6(), 22),
        ),
        passes(
            "IPv6 reply: another host at the same port",
            Reason::NotVip,
            from(lan6(0x40), served.real_port),
        ),
    ]
}
