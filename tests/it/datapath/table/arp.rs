//! Who has a virtual router's VIP: ARP requests, answered, passed and dropped.
//!
//! Not here: neighbour solicitations ([`super::ndp`]).

use std::net::Ipv4Addr;

use lb_ebpf::abi::{Mac, Reason};
use tests::packet::{Eth, eth};

use crate::datapath::case::{Case, answers, drops, passes};
use crate::datapath::routers::{
    ABSENT, ACTIVE, BACKUP, BACKUP_LOCAL, BACKUP_OWN, ELSEWHERE, GATEWAY, IN_VLAN, LINGERING,
    Owner, VIRTUAL,
};
use crate::datapath::site::{CLIENT_MAC, LB, LB_WAN, ROUTER, UNSERVED, VLAN, WAN, mac};

use super::routers::GROUP;
use super::to_director;

pub(super) fn cases() -> Vec<Case> {
    [answered_here(), passed(), dropped()].concat()
}

/// From the client to all.
fn to_all() -> Eth {
    eth(CLIENT_MAC, Mac([0xff; 6]))
}

/// The answer to an ARP request, whose header is at `l3`: at this Ethernet address.
fn reply(request: &[u8], l3: usize, at: Mac) -> Vec<u8> {
    let mut frame = request.to_vec();
    frame[..6].copy_from_slice(&request[6..12]);
    frame[6..12].copy_from_slice(&at.0);
    frame[l3 + 7] = 2;
    frame[l3 + 8..l3 + 14].copy_from_slice(&at.0);
    frame[l3 + 14..l3 + 18].copy_from_slice(&request[l3 + 24..l3 + 28]);
    frame[l3 + 18..l3 + 28].copy_from_slice(&request[l3 + 8..l3 + 18]);
    frame
}

fn answered_here() -> Vec<Case> {
    let answered = |name: &str, request: Vec<u8>, l3, at| {
        let answer = reply(&request, l3, at);
        answers(name, Reason::AnsweredArp, request, answer)
    };
    let nobody = Ipv4Addr::UNSPECIFIED;
    let mut padded = to_all().arp(ROUTER, ACTIVE.vip());
    padded.resize(60, 0);
    let own = eth(CLIENT_MAC, VIRTUAL.mac());
    vec![
        answered("arp: to all", to_all().arp(ROUTER, ACTIVE.vip()), 14, LB),
        answered(
            "arp: to us",
            to_director().arp(ROUTER, ACTIVE.vip()),
            14,
            LB,
        ),
        answered("arp: filled up to 60 bytes", padded, 14, LB),
        answered("arp: a gateway", to_all().arp(ROUTER, GATEWAY), 14, LB),
        answered("arp: a probe", to_all().arp(nobody, ACTIVE.vip()), 14, LB),
        answered(
            "arp: an address of its own",
            to_all().arp(ROUTER, VIRTUAL.vip()),
            14,
            VIRTUAL.mac(),
        ),
        // It is no packet of the interface's any more when it is answered.
        answered(
            "arp: to the address of its own",
            own.arp(ROUTER, VIRTUAL.vip()),
            14,
            VIRTUAL.mac(),
        ),
        answered(
            "arp: a probe for an address of its own",
            to_all().arp(nobody, VIRTUAL.vip()),
            14,
            VIRTUAL.mac(),
        ),
        answered(
            "arp: a tag with a priority alone",
            to_all().vlan(0xe000).arp(ROUTER, ACTIVE.vip()),
            18,
            LB,
        ),
        answered(
            "arp: in the router's VLAN",
            to_all().vlan(VLAN | 0x2000).arp(ROUTER, IN_VLAN.vip()),
            18,
            LB,
        ),
        answered(
            "arp: on the router's interface",
            to_all().arp(ROUTER, ELSEWHERE.vip()),
            14,
            LB_WAN,
        )
        .from(WAN),
    ]
}

fn passed() -> Vec<Case> {
    let vip = ACTIVE.vip();
    // Everything that says what the packet is, wrong one at a time.
    let odd = |at: usize, byte: u8| {
        let mut request = to_director().arp(ROUTER, vip);
        request[14 + at] = byte;
        request
    };
    let is_not = |name: &str, request| passes(name, Reason::NotIp, request);
    vec![
        is_not("arp: a reply", odd(7, 2)),
        is_not("arp: a request of RARP", odd(7, 3)),
        is_not("arp: no operation", odd(6, 1)),
        is_not("arp: of IEEE 802", odd(1, 6)),
        is_not("arp: of another protocol", odd(2, 0x86)),
        is_not("arp: other Ethernet addresses", odd(4, 8)),
        is_not("arp: other protocol addresses", odd(5, 16)),
        passes(
            "arp: the peer announces itself",
            Reason::NotOurMac,
            to_all().arp(vip, vip),
        ),
        passes(
            "arp: the peer announces what we do not serve",
            Reason::NotOurMac,
            to_all().arp(BACKUP.vip(), BACKUP.vip()),
        ),
        passes(
            "arp: for no VIP",
            Reason::NotOurMac,
            to_all().arp(ROUTER, Ipv4Addr::new(10, 77, 0, 201 ^ 64)),
        ),
        passes(
            "arp: to another host",
            Reason::NotOurMac,
            eth(CLIENT_MAC, mac(77)).arp(ROUTER, vip),
        ),
        passes(
            "arp: by an interface that is not served",
            Reason::UnknownInterface,
            to_all().arp(ROUTER, vip),
        )
        .from(UNSERVED),
        passes(
            "arp: three tags",
            Reason::NotOurMac,
            to_all().vlan(1).vlan(2).vlan(3).arp(ROUTER, vip),
        ),
    ]
}

fn dropped() -> Vec<Case> {
    let of = |owner: &Owner| to_all().arp(ROUTER, owner.vip());
    let (idle, off) = (Reason::NotActive, Reason::NotOnLink);
    vec![
        drops("arp: not active", idle, of(&BACKUP)),
        drops(
            "arp: not active, to us",
            idle,
            to_director().arp(ROUTER, BACKUP.vip()),
        ),
        drops(
            "arp: not active, to the address of its own",
            idle,
            eth(CLIENT_MAC, BACKUP.mac()).arp(ROUTER, BACKUP.vip()),
        ),
        drops(
            "arp: not active, a real server here",
            idle,
            of(&BACKUP_LOCAL),
        ),
        drops("arp: not active, an address here", idle, of(&BACKUP_OWN)),
        drops(
            "arp: from a group's Ethernet address",
            Reason::MartianSource,
            eth(GROUP, Mac([0xff; 6])).arp(ROUTER, ACTIVE.vip()),
        ),
        drops(
            "arp: not active, a probe",
            idle,
            to_all().arp(Ipv4Addr::UNSPECIFIED, BACKUP.vip()),
        ),
        drops("arp: stepped down", idle, of(&LINGERING)),
        drops("arp: on another interface", off, of(&ELSEWHERE)),
        drops("arp: on another interface, here", off, of(&ACTIVE)).from(WAN),
        drops("arp: not active, on another interface", off, of(&BACKUP)).from(WAN),
        drops("arp: without the router's tag", off, of(&IN_VLAN)),
        drops(
            "arp: in another VLAN",
            off,
            to_all().vlan(VLAN + 1).arp(ROUTER, IN_VLAN.vip()),
        ),
        drops(
            "arp: in a VLAN",
            off,
            to_all().vlan(VLAN).arp(ROUTER, ACTIVE.vip()),
        ),
        drops(
            "arp: in a VLAN in the router's",
            off,
            to_all().vlan(VLAN).vlan(5).arp(ROUTER, IN_VLAN.vip()),
        ),
        drops(
            "arp: a provider's tag",
            off,
            to_all().service_vlan(VLAN).arp(ROUTER, IN_VLAN.vip()),
        ),
        drops("arp: on an interface that is not there", off, of(&ABSENT)),
        drops(
            "arp: from a group",
            Reason::MartianSource,
            to_all().arp(Ipv4Addr::new(224, 0, 0, 1), ACTIVE.vip()),
        ),
        drops(
            "arp: from a loopback",
            Reason::MartianSource,
            to_all().arp(Ipv4Addr::LOCALHOST, ACTIVE.vip()),
        ),
    ]
}
