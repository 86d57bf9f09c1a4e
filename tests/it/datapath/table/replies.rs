//! Replies of nat real servers: the source becomes the virtual service, the kernel's routes decide
//! where to.

use std::net::Ipv4Addr;

use lb_ebpf::abi::Reason;
use tests::packet::{Ipv4, Tcp, Udp, eth};

use crate::datapath::case::{Case, drops, passes, replies};
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, DIRECTOR, FAR_SHOP, GAME, LAN, LB, LB_WAN, NOWHERE, PORT, ROUTED_CLIENT,
    ROUTER_MAC, SHOP, SILENT_CLIENT, VIP, VLAN, VLAN_CLIENT, WAN, WAN_CLIENT, WEB, mac,
};

use super::{ACK, FIN, RST, SYN};

pub(super) fn cases() -> Vec<Case> {
    [rewritten(), elsewhere(), not_sent(), not_replies()].concat()
}

/// A segment of the shop's real server.
fn reply_to(client: Ipv4Addr) -> Ipv4<Tcp> {
    eth(SHOP.next_hop.destination, LB)
        .ipv4(SHOP.real_v4(), client)
        .tcp(SHOP.real_port, PORT)
}

/// A datagram of the game's real server.
fn datagram() -> Ipv4<Udp> {
    let game = GAME.next_hop.destination;
    eth(game, LB)
        .ipv4(GAME.real_v4(), CLIENT)
        .udp(GAME.real_port, PORT)
        .payload(b"won")
}

/// The shop's segment as it leaves for the client.
fn sent(reply: Ipv4<Tcp>) -> Ipv4<Tcp> {
    reply
        .from(VIP)
        .ports(SHOP.port, PORT)
        .ttl(63)
        .hop(LB, CLIENT_MAC)
}

/// The game's datagram as it leaves for the client.
fn sent_udp(reply: Ipv4<Udp>) -> Ipv4<Udp> {
    reply
        .from(VIP)
        .ports(GAME.port, PORT)
        .ttl(63)
        .hop(LB, CLIENT_MAC)
}

fn rewritten() -> Vec<Case> {
    let syn_ack = reply_to(CLIENT).flags(SYN | ACK);
    let data = reply_to(CLIENT).payload(b"HTTP/1.1 200 OK\r\n\r\nodd");
    let segment = reply_to(CLIENT).payload(&[0x33; 1460]);
    let fin = reply_to(CLIENT).flags(FIN | ACK);
    let rst = reply_to(CLIENT).flags(RST);
    let options = reply_to(CLIENT)
        .options(&[1; 40])
        .tcp_options(&[1; 40])
        .payload(b"x");
    let padded = reply_to(CLIENT).padded_to(60);
    let last = reply_to(CLIENT).ttl(2);
    let damaged = reply_to(CLIENT)
        .tcp_checksum_off_by(0x1234)
        .checksum_off_by(0x4321);
    let datagram_without = datagram().no_checksum();
    vec![
        replies(
            "reply: a SYN and ACK comes from the VIP",
            &SHOP,
            syn_ack.clone(),
            sent(syn_ack),
        ),
        replies("reply: data", &SHOP, data.clone(), sent(data)),
        replies(
            "reply: a full segment of 1500 bytes",
            &SHOP,
            segment.clone(),
            sent(segment),
        ),
        replies("reply: a FIN", &SHOP, fin.clone(), sent(fin)),
        replies("reply: an RST", &SHOP, rst.clone(), sent(rst)),
        replies(
            "reply: the longest headers there are",
            &SHOP,
            options.clone(),
            sent(options),
        ),
        replies(
            "reply: a short frame filled up to 60 bytes",
            &SHOP,
            padded.clone(),
            sent(padded),
        ),
        replies(
            "reply: one hop left after this one",
            &SHOP,
            last.clone(),
            sent(last).ttl(1),
        ),
        replies(
            "reply: wrong checksums stay as wrong",
            &SHOP,
            damaged.clone(),
            sent(damaged),
        ),
        replies("reply: a datagram", &GAME, datagram(), sent_udp(datagram())),
        replies(
            "reply: a datagram without checksum stays without",
            &GAME,
            datagram_without.clone(),
            sent_udp(datagram_without),
        ),
    ]
}

fn elsewhere() -> Vec<Case> {
    let routed = reply_to(ROUTED_CLIENT);
    let other = reply_to(WAN_CLIENT);
    let far = eth(mac(16), LB_WAN)
        .ipv4(FAR_SHOP.real_v4(), CLIENT)
        .tcp(FAR_SHOP.real_port, PORT);
    let far_sent = far
        .clone()
        .from(VIP)
        .ports(FAR_SHOP.port, PORT)
        .ttl(63)
        .hop(LB, CLIENT_MAC);
    vec![
        replies(
            "reply: to a client behind a router",
            &SHOP,
            routed.clone(),
            sent(routed).hop(LB, ROUTER_MAC),
        ),
        replies(
            "reply: out by another interface",
            &SHOP,
            other.clone(),
            sent(other).hop(LB_WAN, mac(10)),
        )
        .by(WAN),
        replies(
            "reply: to a client in a VLAN",
            &SHOP,
            reply_to(VLAN_CLIENT),
            sent(reply_to(VLAN_CLIENT)).tagged(VLAN).hop(LB, mac(12)),
        ),
        replies("reply: in by the other interface", &FAR_SHOP, far, far_sent)
            .from(WAN)
            .by(LAN),
    ]
}

fn not_sent() -> Vec<Case> {
    let not_routed = Reason::ReplyNotRouted;
    let unresolved = Reason::NextHopUnresolved;
    vec![
        passes(
            "reply: to the director itself (its probes)",
            not_routed,
            reply_to(DIRECTOR),
        ),
        passes(
            "reply: to where no route leads",
            not_routed,
            reply_to(NOWHERE),
        ),
        passes(
            "reply: to everyone",
            not_routed,
            reply_to(Ipv4Addr::BROADCAST),
        ),
        passes(
            "reply: to a multicast group",
            not_routed,
            reply_to(Ipv4Addr::new(224, 0, 0, 5)),
        ),
        drops(
            "reply: to a client without Ethernet address",
            unresolved,
            reply_to(SILENT_CLIENT),
        )
        .asking_for(SILENT_CLIENT),
        drops(
            "reply: its time to live ends here",
            Reason::TtlExpired,
            reply_to(CLIENT).ttl(1),
        ),
        passes(
            "reply: to the director itself with its last hop",
            not_routed,
            reply_to(DIRECTOR).ttl(1),
        ),
    ]
}

fn not_replies() -> Vec<Case> {
    let from = |source, port| eth(mac(13), LB).ipv4(source, CLIENT).tcp(port, PORT);
    let not_vip = Reason::NotVip;
    vec![
        passes(
            "reply: another port of a nat real server",
            not_vip,
            from(SHOP.real_v4(), 22),
        ),
        passes(
            "reply: another host at the same port",
            not_vip,
            from(bystander(), 80),
        ),
        passes(
            "reply: another protocol of a nat real server",
            not_vip,
            eth(mac(13), LB)
                .ipv4(SHOP.real_v4(), CLIENT)
                .udp(SHOP.real_port, PORT),
        ),
        passes(
            "reply: a dr real server's, to forward as any",
            not_vip,
            from(WEB.real_v4(), 80),
        ),
    ]
}

/// A host of the lan that is no real server.
fn bystander() -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 40)
}
