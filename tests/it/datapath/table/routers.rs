//! What comes to virtual routers' VIPs and Ethernet addresses, but for who has them
//! ([`super::arp`], [`super::ndp`]): pings, packets, and what this director does not serve now.

use lb_ebpf::abi::{Mac, Reason};
use tests::packet::{Eth, Ipv4, Ipv6, Other, eth};

use crate::datapath::case::{Case, answers, drops, forwards, passes};
use crate::datapath::routers::{
    ACTIVE, BACKUP, BACKUP_LOCAL, BACKUP_OWN, GATEWAY, GATEWAY6, LINGERING, Owner, VIRTUAL,
};
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, CLIENT6, DIRECTOR, DIRECTOR6, LB, LB_WAN, PORT, VIP, WAN,
};

use super::{ACK, SYN, direct, to_director};

pub(super) fn cases() -> Vec<Case> {
    [
        pings(),
        odd_pings(),
        unanswered_pings(),
        packets(),
        elsewhere(),
        adopted(),
        not_adopted(),
    ]
    .concat()
}

/// An Ethernet address that nobody sends from.
pub(super) const GROUP: Mac = Mac([1, 0, 0x5e, 0, 0, 18]);

/// An ICMP message of IPv4 with its checksum, and `data` behind.
fn message(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    bytes.extend(data);
    let sum = lb_ebpf::checksum::whole(&bytes, 0);
    bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

/// One of ICMPv6 between the client and `owner`'s VIP, to it or from it.
fn message6(kind: u8, vip: std::net::Ipv6Addr, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    bytes.extend(data);
    let sum = super::ndp::checksum(CLIENT6, vip, &bytes);
    bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

fn ping(link: Eth, owner: &Owner, data: &[u8]) -> Ipv4<Other> {
    link.ipv4(CLIENT, owner.vip()).other(1, &message(8, data))
}

fn ping6(link: Eth, owner: &Owner, data: &[u8]) -> Ipv6<Other> {
    let message = message6(128, owner.vip6(), data);
    link.ipv6(CLIENT6, owner.vip6()).other(58, &message)
}

fn pong(link: Eth, owner: &Owner, data: &[u8]) -> Ipv4<Other> {
    let reply = link.between(LB, CLIENT_MAC).ipv4(owner.vip(), CLIENT);
    reply.id(0).dont_fragment().other(1, &message(0, data))
}

fn pong6(link: Eth, owner: &Owner, data: &[u8]) -> Ipv6<Other> {
    let message = message6(129, owner.vip6(), data);
    let reply = link.between(LB, CLIENT_MAC).ipv6(owner.vip6(), CLIENT6);
    reply.other(58, &message)
}

fn pings() -> Vec<Case> {
    let reason = Reason::AnsweredEcho;
    let mut cases = Vec::new();
    // The last ones are as long as may be.
    let (v4, v6) = ([8; 1472], [8; 1452]);
    for (data, data6) in [
        (&[][..], &[][..]),
        (&[7; 56], &[7; 56]),
        (&[1, 2, 3], &[1, 2, 3]),
        (&v4, &v6),
    ] {
        let (len, len6) = (data.len(), data6.len());
        cases.extend([
            answers(
                format!("ping: the VIP of a router, with {len} bytes"),
                reason,
                ping(to_director(), &ACTIVE, data),
                pong(to_director(), &ACTIVE, data),
            ),
            answers(
                format!("ping: the IPv6 VIP of a router, with {len6} bytes"),
                reason,
                ping6(to_director(), &ACTIVE, data6),
                pong6(to_director(), &ACTIVE, data6),
            ),
        ]);
    }
    let own = eth(CLIENT_MAC, VIRTUAL.mac());
    let tagged = to_director().vlan(5);
    cases.extend([
        answers(
            "ping: to the router's own Ethernet address",
            reason,
            ping(own.clone(), &VIRTUAL, &[1; 8]),
            pong(own.clone(), &VIRTUAL, &[1; 8]),
        ),
        answers(
            "ping: by IPv6, to the router's own Ethernet address",
            reason,
            ping6(own.clone(), &VIRTUAL, &[1; 8]),
            pong6(own, &VIRTUAL, &[1; 8]),
        ),
        answers(
            "ping: tagged, with DSCP, its last hop and padding",
            reason,
            ping(tagged.clone(), &ACTIVE, &[])
                .tos(0xb8)
                .ttl(1)
                .padded_to(64),
            pong(tagged.clone(), &ACTIVE, &[]).tos(0xb8).padded_to(64),
        ),
        answers(
            "ping: by IPv6, tagged, with a class, its last hop and padding",
            reason,
            ping6(tagged.clone(), &ACTIVE, &[])
                .tos(0xb8)
                .ttl(1)
                .padded_to(80),
            pong6(tagged, &ACTIVE, &[]).tos(0xb8).padded_to(80),
        ),
        answers(
            "ping: a gateway without a service",
            reason,
            ping(to_director(), &ACTIVE, &[]).to(GATEWAY),
            pong(to_director(), &ACTIVE, &[]).from(GATEWAY),
        ),
    ]);
    cases
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn odd_pings() -> Vec<Case> {
    let reason = Reason::NotTcpOrUdp;
    let to_active = || to_director().ipv4(CLIENT, ACTIVE.vip());
    let to_active6 = || to_director().ipv6(CLIENT6, ACTIVE.vip6());
    let mut wrong = message(8, &[1, 2]);
    wrong[3] ^= 0x10;
    let mut wrong_back = message(0, &[1, 2]);
    wrong_back[3] ^= 0x10;
    let code = [8, 1, 0xf7, 0xfd, 0, 0, 0, 0];
    vec![
        answers(
            "ping: with a wrong checksum, which stays wrong",
            Reason::AnsweredEcho,
            to_active().other(1, &wrong),
            to_director()
                .between(LB, CLIENT_MAC)
                .ipv4(ACTIVE.vip(), CLIENT)
                .id(0)
                .dont_fragment()
                .other(1, &wrong_back),
        ),
        passes("ping: with a code", reason, to_active().other(1, &code)),
        passes(
            "ping: the answer to one",
            reason,
            to_active().other(1, &message(0, &[])),
        ),
        passes(
            "ping: the answer to one, by IPv6",
            reason,
            to_active6().other(58, &message6(129, ACTIVE.vip6(), &[])),
        ),
        passes(
            "ping: with options",
            reason,
            to_active().options(&[1; 4]).other(1, &message(8, &[])),
        ),
        passes(
            "ping: behind destination options",
            reason,
            to_active6()
                .destination_options(&[1, 4, 0, 0, 0, 0])
                .other(58, &message6(128, ACTIVE.vip6(), &[])),
        ),
        passes(
            "ping: its first fragment",
            reason,
            to_active().fragment(0, true).other(1, &message(8, &[0; 8])),
        ),
        passes(
            "ping: a later fragment",
            reason,
            to_active()
                .fragment(2, false)
                .other(1, &message(8, &[0; 8])),
        ),
        passes(
            "ping: less than a header",
            reason,
            to_active().other(1, &message(8, &[])[..7]),
        ),
        passes(
            "ping: of IPv4, by IPv6",
            reason,
            to_active6().other(1, &message(8, &[])),
        ),
        passes(
            "ping: a VIP of no router, which is the stack's",
            reason,
            to_director().ipv4(CLIENT, VIP).other(1, &message(8, &[])),
        ),
    ]
}

/// Those that are too long, come from nowhere, or are another director's.
fn unanswered_pings() -> Vec<Case> {
    vec![
        passes(
            "ping: longer than a common link's packets",
            Reason::NotTcpOrUdp,
            ping(to_director(), &ACTIVE, &[8; 1473]),
        ),
        passes(
            "ping: by IPv6, longer than a common link's packets",
            Reason::NotTcpOrUdp,
            ping6(to_director(), &ACTIVE, &[8; 1453]),
        ),
        drops(
            "ping: from a group's Ethernet address",
            Reason::MartianSource,
            ping(eth(GROUP, LB), &ACTIVE, &[]),
        ),
        drops(
            "ping: by IPv6, from a group's Ethernet address",
            Reason::MartianSource,
            ping6(eth(GROUP, LB), &ACTIVE, &[]),
        ),
        drops(
            "ping: of a router that has stepped down",
            Reason::NotActive,
            ping(to_director(), &LINGERING, &[]),
        ),
        drops(
            "ping: by IPv6, of a router that has stepped down",
            Reason::NotActive,
            ping6(to_director(), &LINGERING, &[]),
        ),
    ]
}

fn packets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, owner) in [
        ("Active", ACTIVE),
        ("stepping down", LINGERING),
        ("Active, with an address of its own", VIRTUAL),
    ] {
        let (served, served6) = (owner.service(), owner.service6());
        let request = to_director().ipv4(CLIENT, owner.vip()).tcp(PORT, 80);
        let request6 = to_director().ipv6(CLIENT6, owner.vip6()).tcp(PORT, 80);
        cases.extend([
            forwards(
                format!("router: a packet, {name}"),
                &served,
                request.clone().flags(ACK),
                direct(&served, request.flags(ACK)),
            ),
            forwards(
                format!("router: a packet by IPv6, {name}"),
                &served6,
                request6.clone().flags(ACK),
                direct(&served6, request6.flags(ACK)),
            ),
        ]);
    }
    let to = |vip| to_director().ipv4(CLIENT, vip).tcp(PORT, 443).flags(SYN);
    let to6 = |vip| to_director().ipv6(CLIENT6, vip).tcp(PORT, 443).flags(SYN);
    cases.extend([
        passes(
            "router: another port of its VIP",
            Reason::NoService,
            to(ACTIVE.vip()),
        ),
        passes(
            "router: a gateway without a service",
            Reason::NoService,
            to(GATEWAY),
        ),
        passes(
            "router: a gateway without a service, by IPv6",
            Reason::NoService,
            to6(GATEWAY6),
        ),
    ]);
    cases
}

/// What another director serves.
fn elsewhere() -> Vec<Case> {
    let mut cases = Vec::new();
    let local = |case: &str| format!("not active: {case}, where this host is a real server");
    let own = |case: &str| format!("not active: {case}, where this host has the address");
    let none = |case: &str| format!("not active: {case}");
    for (name, owner) in [
        (&none as &dyn Fn(&str) -> String, BACKUP),
        (&local, BACKUP_LOCAL),
        (&own, BACKUP_OWN),
    ] {
        let tells = |what: &str, frame: Vec<u8>| match owner.vip() == BACKUP.vip() {
            true => drops(name(what), Reason::NotActive, frame),
            false => passes(name(what), Reason::NotActiveLocal, frame),
        };
        let ipv4 = || to_director().ipv4(CLIENT, owner.vip());
        let ipv6 = || to_director().ipv6(CLIENT6, owner.vip6());
        let quoted = to_director()
            .ipv4(owner.vip(), CLIENT)
            .tcp(80, PORT)
            .packet();
        cases.extend([
            tells("a SYN", ipv4().tcp(PORT, 80).flags(SYN).build()),
            tells("a datagram", ipv4().udp(PORT, 80).build()),
            tells("another port", ipv4().tcp(PORT, 443).build()),
            tells("a SYN by IPv6", ipv6().tcp(PORT, 80).flags(SYN).build()),
            tells("a ping", ping(to_director(), &owner, &[]).build()),
            tells("a ping by IPv6", ping6(to_director(), &owner, &[]).build()),
            tells(
                "a later fragment",
                ipv4().fragment(2, false).other(6, &[0; 8]).build(),
            ),
            tells("an ICMP error", ipv4().error([3, 1], 0, &quoted).build()),
            tells("GRE", ipv4().other(47, &[0; 40]).build()),
            tells(
                "tagged",
                to_director()
                    .vlan(5)
                    .ipv4(CLIENT, owner.vip())
                    .tcp(PORT, 80)
                    .build(),
            ),
            tells(
                "by the other interface",
                eth(CLIENT_MAC, LB_WAN)
                    .ipv4(CLIENT, owner.vip())
                    .tcp(PORT, 80)
                    .build(),
            )
            .from(WAN),
            drops(
                name("from the VIP itself"),
                Reason::Land,
                to_director().ipv4(owner.vip(), owner.vip()).tcp(PORT, 80),
            ),
        ]);
    }
    cases
}

/// Frames to a router's own Ethernet address.
fn adopted() -> Vec<Case> {
    let owner = VIRTUAL;
    let (served, served6) = (owner.service(), owner.service6());
    let link = || eth(CLIENT_MAC, owner.mac());
    let request = link().ipv4(CLIENT, owner.vip()).tcp(PORT, 80).flags(SYN);
    let request6 = link().ipv6(CLIENT6, owner.vip6()).tcp(PORT, 80).flags(SYN);
    let to_host = link().ipv4(CLIENT, DIRECTOR).tcp(PORT, 22);
    let to_host6 = link().ipv6(CLIENT6, DIRECTOR6).tcp(PORT, 22);
    let stack = |packet: Vec<u8>| crate::datapath::routers::adopted(7, &packet);
    vec![
        forwards(
            "own address: a SYN to a router",
            &served,
            request.clone(),
            direct(&served, request),
        )
        .opening(),
        forwards(
            "own address: a SYN by IPv6 to a router",
            &served6,
            request6.clone(),
            direct(&served6, request6),
        )
        .opening(),
        passes(
            "own address: to no VIP, of a router",
            Reason::NotVip,
            to_host.clone(),
        )
        .becoming(stack(to_host.build())),
        passes(
            "own address: by IPv6 to no VIP, of a router",
            Reason::NotVip,
            to_host6.clone(),
        )
        .becoming(stack(to_host6.build())),
        passes(
            "own address: to another port, of a router",
            Reason::NoService,
            link().ipv4(CLIENT, owner.vip()).tcp(PORT, 443),
        )
        .becoming(stack(
            link().ipv4(CLIENT, owner.vip()).tcp(PORT, 443).build(),
        )),
        passes(
            "own address: in a VLAN where it is not, of a router",
            Reason::NotOurMac,
            link().vlan(5).ipv4(CLIENT, owner.vip()).tcp(PORT, 80),
        ),
        passes(
            "own address: on the other interface, of a router",
            Reason::NotOurMac,
            link().ipv4(CLIENT, owner.vip()).tcp(PORT, 80),
        )
        .from(WAN),
        passes(
            "own address: no IP, to a router",
            Reason::NotIp,
            link().carrying(0x88cc, &[2, 7, 4]),
        )
        .becoming(stack(link().carrying(0x88cc, &[2, 7, 4]))),
        drops(
            "own address: of a router, a VIP that another director serves",
            Reason::NotActive,
            link().ipv4(CLIENT, BACKUP.vip()).tcp(PORT, 80),
        )
        .becoming(stack(
            link().ipv4(CLIENT, BACKUP.vip()).tcp(PORT, 80).build(),
        )),
    ]
}

/// Those that are another director's, or nobody's.
fn not_adopted() -> Vec<Case> {
    let mut cases = Vec::new();
    let reason = Reason::NotActive;
    for (name, owner) in [
        ("that is not Active", BACKUP),
        ("that has stepped down", LINGERING),
    ] {
        let link = || eth(CLIENT_MAC, owner.mac());
        cases.extend([
            drops(
                format!("own address: of a router {name}"),
                reason,
                link().ipv4(CLIENT, owner.vip()).tcp(PORT, 80),
            ),
            drops(
                format!("own address: by IPv6, of a router {name}"),
                reason,
                link().ipv6(CLIENT6, owner.vip6()).tcp(PORT, 80),
            ),
            drops(
                format!("own address: of a router {name}, a VIP that is served"),
                reason,
                link().ipv4(CLIENT, VIP).tcp(PORT, 80),
            ),
            drops(
                format!("own address: of a router {name}, to no VIP"),
                reason,
                link().ipv6(CLIENT6, DIRECTOR6).tcp(PORT, 22),
            ),
            drops(
                format!("own address: of a router {name}, no IP"),
                reason,
                link().carrying(0x88cc, &[2, 7, 4]),
            ),
        ]);
    }
    cases.extend([
        passes(
            "own address: of a router that is nobody's",
            Reason::NotOurMac,
            eth(CLIENT_MAC, Mac([0, 0, 0x5e, 0, 1, 0x77]))
                .ipv4(CLIENT, ACTIVE.vip())
                .tcp(PORT, 80),
        ),
        passes(
            "own address: a multicast frame of VRRP",
            Reason::NotOurMac,
            eth(VIRTUAL.mac(), GROUP)
                .ipv4(DIRECTOR, std::net::Ipv4Addr::new(224, 0, 0, 18))
                .ttl(255)
                .other(112, &[0; 12]),
        ),
    ]);
    cases
}
