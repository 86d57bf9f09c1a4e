//! Who has a virtual router's VIP: neighbour solicitations, answered, passed and dropped.
//!
//! Not here: ARP requests ([`super::arp`]).

use std::net::Ipv6Addr;

use lb_ebpf::abi::{Mac, Reason};
use lb_ebpf::checksum::{fold, sum};
use tests::packet::{Eth, Ipv6, Other, eth};

use crate::datapath::case::{Case, answers, drops, passes};
use crate::datapath::routers::{
    ABSENT, ACTIVE, BACKUP, BACKUP_LOCAL, BACKUP_OWN, ELSEWHERE, GATEWAY6, IN_VLAN, LINGERING,
    VIRTUAL,
};
use crate::datapath::site::{CLIENT_MAC, DIRECTOR6, LB, LB_WAN, ROUTER6, VLAN, WAN, lan6, mac};

use super::routers::GROUP;
use super::to_director;

pub(super) fn cases() -> Vec<Case> {
    [answered_here(), passed(), dropped(), malformed()].concat()
}

/// The checksum of an ICMPv6 message between these.
pub(super) fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let mut covered = [from.octets(), to.octets()].concat();
    covered.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    covered.extend([0, 0, 0, 58]);
    covered.extend(message);
    !fold(sum(&covered))
}

/// The group of an address's solicitations, and its Ethernet address (RFC 4291 section 2.7.1).
fn group(target: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    );
    (group, Mac([0x33, 0x33, 0xff, a, b, c]))
}

/// The option with the sender's Ethernet address.
fn sender() -> Vec<u8> {
    [&[1, 1][..], &CLIENT_MAC.0].concat()
}

/// A nonce (RFC 3971 section 5.3.2), as it is in a probe of RFC 7527.
const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];

/// A solicitation, everything in it right.
fn asks(link: Eth, from: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Ipv6<Other> {
    with_kind(link, from, to, [135, 0], target, options)
}

fn with_kind(
    link: Eth,
    from: Ipv6Addr,
    to: Ipv6Addr,
    [kind, code]: [u8; 2],
    target: Ipv6Addr,
    options: &[u8],
) -> Ipv6<Other> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend(options);
    let sum = checksum(from, to, &message);
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    link.ipv6(from, to).ttl(255).other(58, &message)
}

/// The usual one: from the router on the link, to the target's group.
fn asks_all(target: Ipv6Addr) -> Ipv6<Other> {
    let (group, mac) = group(target);
    asks(eth(CLIENT_MAC, mac), ROUTER6, group, target, &sender())
}

/// A probe for a duplicate: from nobody.
fn probes(target: Ipv6Addr, options: &[u8]) -> Ipv6<Other> {
    let (group, mac) = group(target);
    asks(
        eth(CLIENT_MAC, mac),
        Ipv6Addr::UNSPECIFIED,
        group,
        target,
        options,
    )
}

/// The answer: the target is at this Ethernet address. As the daemon announces it, where nobody asked.
fn told(link: Eth, target: Ipv6Addr, at: Mac, to: Option<Ipv6Addr>) -> Ipv6<Other> {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let (to, mac, flags) = match to {
        Some(to) => (to, CLIENT_MAC, 0xe0),
        None => (all, Mac([0x33, 0x33, 0, 0, 0, 1]), 0xa0),
    };
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([2, 1]);
    message.extend(at.0);
    let sum = checksum(target, to, &message);
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    link.between(at, mac)
        .ipv6(target, to)
        .ttl(255)
        .other(58, &message)
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn answered_here() -> Vec<Case> {
    let answered = |name: &str, request: Ipv6<Other>, target, at, to| {
        let answer = told(request.link(), target, at, to);
        answers(name, Reason::AnsweredNdp, request, answer)
    };
    let (vip, own) = (ACTIVE.vip6(), VIRTUAL.vip6());
    let some = Some(ROUTER6);
    let two = [sender(), NONCE.to_vec()].concat();
    let many = [sender(), vec![0xfd, 12], vec![7; 94]].concat();
    let by = |link: Eth, target: Ipv6Addr, options: &[u8]| {
        asks(link, ROUTER6, group(target).0, target, options)
    };
    let to_group = |target| eth(CLIENT_MAC, group(target).1);
    vec![
        answered("ndp: to the group", asks_all(vip), vip, LB, some),
        answered("ndp: a gateway", asks_all(GATEWAY6), GATEWAY6, LB, some),
        answered(
            "ndp: an address of its own",
            asks_all(own),
            own,
            VIRTUAL.mac(),
            some,
        ),
        answered(
            "ndp: to us, without an option",
            asks(to_director(), ROUTER6, vip, vip, &[]),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: to the director's address",
            asks(to_director(), ROUTER6, DIRECTOR6, vip, &sender()),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: without an option",
            by(to_group(vip), vip, &[]),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: two options",
            by(to_group(vip), vip, &two),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: as long as can be",
            by(to_group(vip), vip, &many),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: with padding",
            asks_all(vip).padded_to(100),
            vip,
            LB,
            some,
        ),
        answered(
            "ndp: without an option, with padding",
            by(to_group(vip), vip, &[]).padded_to(100),
            vip,
            LB,
            some,
        ),
        answered("ndp: a probe", probes(vip, &[]), vip, LB, None),
        answered(
            "ndp: a probe with a nonce",
            probes(vip, &NONCE),
            vip,
            LB,
            None,
        ),
        answered(
            "ndp: a probe for an address of its own",
            probes(own, &[]),
            own,
            VIRTUAL.mac(),
            None,
        ),
        answered(
            "ndp: in the router's VLAN",
            by(
                to_group(IN_VLAN.vip6()).vlan(VLAN),
                IN_VLAN.vip6(),
                &sender(),
            ),
            IN_VLAN.vip6(),
            LB,
            some,
        ),
        answered(
            "ndp: in the router's VLAN, without an option",
            by(to_group(IN_VLAN.vip6()).vlan(VLAN), IN_VLAN.vip6(), &[]),
            IN_VLAN.vip6(),
            LB,
            some,
        ),
        answered(
            "ndp: on the router's interface",
            asks_all(ELSEWHERE.vip6()),
            ELSEWHERE.vip6(),
            LB_WAN,
            some,
        )
        .from(WAN),
    ]
}

fn passed() -> Vec<Case> {
    let vip = ACTIVE.vip6();
    let (group, to_group) = group(vip);
    let other = Reason::NotOurMac;
    let link = || eth(CLIENT_MAC, to_group);
    let mapped = ACTIVE.vip().to_ipv6_mapped();
    vec![
        passes("ndp: for no VIP", other, asks_all(lan6(0x299))),
        passes(
            "ndp: for no VIP, to us",
            Reason::NotVip,
            asks(to_director(), ROUTER6, DIRECTOR6, DIRECTOR6, &sender()),
        ),
        passes(
            "ndp: for an IPv4 VIP",
            other,
            asks(link(), ROUTER6, group, mapped, &sender()),
        ),
        passes(
            "ndp: the peer announces itself",
            other,
            told(to_director(), vip, mac(9), None),
        ),
        passes(
            "ndp: a router is asked for",
            other,
            with_kind(link(), ROUTER6, group, [133, 0], vip, &[]),
        ),
        passes(
            "ndp: behind an option",
            other,
            link()
                .ipv6(ROUTER6, group)
                .ttl(255)
                .hop_by_hop(&[1, 4, 0, 0, 0, 0])
                .other(58, &[135, 0, 0, 0]),
        ),
        passes(
            "ndp: of another version",
            other,
            asks_all(vip).claims_version(4),
        ),
        passes(
            "ndp: too short",
            other,
            link().ipv6(ROUTER6, group).ttl(255).other(58, &[135; 20]),
        ),
        passes(
            "ndp: to a VIP, for another address",
            Reason::NotTcpOrUdp,
            asks(to_director(), ROUTER6, vip, DIRECTOR6, &[]),
        ),
        drops(
            "ndp: to a VIP that is not served, for another address",
            Reason::NotActive,
            asks(to_director(), ROUTER6, BACKUP.vip6(), DIRECTOR6, &[]),
        ),
        passes(
            "ndp: less than a solicitation",
            other,
            asks_all(vip).claims_payload_len(16),
        ),
        passes(
            "ndp: to another host",
            other,
            asks(eth(CLIENT_MAC, mac(77)), ROUTER6, vip, vip, &sender()),
        ),
    ]
}

fn dropped() -> Vec<Case> {
    let (idle, off) = (Reason::NotActive, Reason::NotOnLink);
    let vip = ACTIVE.vip6();
    let to_group = eth(CLIENT_MAC, group(vip).1);
    let from = |source| asks(to_group.clone(), source, group(vip).0, vip, &sender());
    let tagged = asks(
        to_group.clone().vlan(VLAN),
        ROUTER6,
        group(vip).0,
        vip,
        &sender(),
    );
    let backup = BACKUP.vip6();
    let martian = Reason::MartianSource;
    vec![
        drops("ndp: not active", idle, asks_all(backup)),
        drops(
            "ndp: not active, to us",
            idle,
            asks(to_director(), ROUTER6, backup, backup, &[]),
        ),
        drops(
            "ndp: not active, to the director's address",
            idle,
            asks(to_director(), ROUTER6, DIRECTOR6, backup, &[]),
        ),
        drops("ndp: not active, a probe", idle, probes(backup, &[])),
        drops(
            "ndp: not active, a real server here",
            idle,
            asks_all(BACKUP_LOCAL.vip6()),
        ),
        drops("ndp: not active, malformed", idle, asks_all(backup).ttl(64)),
        drops("ndp: stepped down", idle, asks_all(LINGERING.vip6())),
        drops(
            "ndp: not active, an address here",
            idle,
            asks_all(BACKUP_OWN.vip6()),
        ),
        drops(
            "ndp: from a group's Ethernet address",
            Reason::MartianSource,
            asks(
                eth(GROUP, LB),
                ROUTER6,
                ACTIVE.vip6(),
                ACTIVE.vip6(),
                &sender(),
            ),
        ),
        drops("ndp: on another interface", off, asks_all(ELSEWHERE.vip6())),
        drops("ndp: on another interface, here", off, asks_all(vip)).from(WAN),
        drops(
            "ndp: without the router's tag",
            off,
            asks_all(IN_VLAN.vip6()),
        ),
        drops("ndp: in a VLAN", off, tagged),
        drops(
            "ndp: on an interface that is not there",
            off,
            asks_all(ABSENT.vip6()),
        ),
        drops("ndp: from a group", martian, from(group(vip).0)),
        drops("ndp: from a loopback", martian, from(Ipv6Addr::LOCALHOST)),
        drops("ndp: from the VIP itself", Reason::Land, from(vip)),
    ]
}

fn malformed() -> Vec<Case> {
    let vip = ACTIVE.vip6();
    let (to, to_group) = group(vip);
    let link = || eth(CLIENT_MAC, to_group);
    let with = |options: &[u8]| asks(link(), ROUTER6, to, vip, options);
    let wrong = |name: &str, request: Ipv6<Other>| {
        drops(
            format!("ndp: {name}"),
            Reason::SolicitationMalformed,
            request,
        )
    };
    let mut sum = asks_all(vip).build();
    let last = sum.len() - 1;
    sum[last] ^= 1;
    let beyond = [&[14, 2][..], &[0; 6]].concat();
    let long = [vec![0xfd, 14], vec![7; 110]].concat();
    let nobody = Ipv6Addr::UNSPECIFIED;
    vec![
        wrong("from beyond the link", asks_all(vip).ttl(254)),
        wrong(
            "with a code",
            with_kind(link(), ROUTER6, to, [135, 1], vip, &sender()),
        ),
        drops("ndp: a wrong checksum", Reason::SolicitationMalformed, sum),
        wrong("half an option", with(&[1, 1, 0, 0])),
        wrong("an option of no length", with(&[1, 0, 0, 0, 0, 0, 0, 0])),
        wrong("an option that ends behind it", with(&beyond)),
        wrong("longer than can be", with(&long)),
        wrong("less than it says", asks_all(vip).claims_payload_len(40)),
        wrong("a probe that tells its sender", probes(vip, &sender())),
        wrong(
            "a probe that tells its sender behind a nonce",
            probes(vip, &[&NONCE[..], &sender()].concat()),
        ),
        wrong("a probe to us", asks(to_director(), nobody, vip, vip, &[])),
        wrong(
            "a probe to all",
            asks(
                link(),
                nobody,
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
                vip,
                &[],
            ),
        ),
    ]
}
