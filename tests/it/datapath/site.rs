//! The site of the packet table: addresses, services with one willing real server each, so that
//! the table can say where a frame goes, and the routes of the director.
//!
//! Not here: services of every kind ([`super::kinds`]), the site that changes ([`super::stories`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::{Interface, Mac, PoolEntry, SERVED, method};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::tables::{
    Persistence, Quic, RealWish, Scheduler, ServiceWish, Standing, Timeouts, Wish,
};

use super::served::{Served, on_lan, on_wan};
use super::{kinds, routers};

/// Interface that frames come in by, and most leave by.
pub(super) const LAN: u32 = 7;
/// The director's other interface.
pub(super) const WAN: u32 = 8;
/// An interface of the director that is not served; shares [`LAN`]'s place in the table.
pub(super) const UNSERVED: u32 = LAN + lb_ebpf::abi::INTERFACE_SLOTS;

/// The director's Ethernet address on [`LAN`].
pub(super) const LB: Mac = mac(2);
/// The director's Ethernet address on [`WAN`].
pub(super) const LB_WAN: Mac = mac(3);
/// The client's Ethernet address, or that of the router it is behind.
pub(super) const CLIENT_MAC: Mac = mac(1);
/// The router on [`LAN`].
pub(super) const ROUTER_MAC: Mac = mac(9);

/// The director.
pub(super) const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Where all services are.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// A client on [`LAN`], its Ethernet address known.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// A client behind the router.
pub(super) const ROUTED_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);
/// A client on [`WAN`].
pub(super) const WAN_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// A client on [`LAN`] whose Ethernet address nobody knows.
pub(super) const SILENT_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// An address that no route leads to.
pub(super) const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The router on [`LAN`].
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The director, by IPv6.
pub(super) const DIRECTOR6: Ipv6Addr = lan6(2);
/// Where all services of IPv6 are.
pub(super) const VIP6: Ipv6Addr = lan6(0x100);
/// The router on [`LAN`], by IPv6.
pub(super) const ROUTER6: Ipv6Addr = lan6(1);
/// As [`CLIENT`], by IPv6.
pub(super) const CLIENT6: Ipv6Addr = outside6(7);
/// As [`ROUTED_CLIENT`], by IPv6.
pub(super) const ROUTED_CLIENT6: Ipv6Addr = outside6(8);
/// As [`WAN_CLIENT`], by IPv6.
pub(super) const WAN_CLIENT6: Ipv6Addr = outside6(9);
/// As [`SILENT_CLIENT`], by IPv6.
pub(super) const SILENT_CLIENT6: Ipv6Addr = outside6(10);
/// As [`NOWHERE`], by IPv6.
pub(super) const NOWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xdead, 0, 0, 0, 0, 1);

/// An address of [`LAN`].
pub(super) const fn lan6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last)
}

/// An address of the Internet.
const fn outside6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0x100, 0, 0, 0, last)
}

/// The director's address for fullnat.
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 190);
/// As [`OWN`], by IPv6.
pub(super) const OWN6: Ipv6Addr = lan6(0x190);
/// The one port of each that fullnat may take: so the table can say which it takes.
pub(super) const OWN_PORT: u16 = 20_000;

/// The VLAN of [`LAN`] that some real servers and a client are in.
pub(super) const VLAN: u16 = 30;
/// Its interface.
pub(super) const LAN_VLAN: u32 = 30;
/// A client in the VLAN.
pub(super) const VLAN_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 11);
/// As [`VLAN_CLIENT`], by IPv6.
pub(super) const VLAN_CLIENT6: Ipv6Addr = outside6(11);

/// The client's port.
pub(super) const PORT: u16 = 40_000;

/// Ticks: long against a test, short against half of what wraps.
pub(super) const TIMEOUT: u32 = 1 << 24;
/// The timeouts of all services; each is another.
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    established: TIMEOUT,
    syn: TIMEOUT / 2,
    fin: TIMEOUT / 4,
    rst: TIMEOUT / 8,
};

/// The lab's Ethernet addresses: locally administered, numbered.
pub(super) const fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// TCP by direct routing.
pub(super) const WEB: Served = on_lan(80, Tcp::PROTOCOL, method::DR, 11, 80);
/// UDP by direct routing.
pub(super) const DNS: Served = on_lan(53, Udp::PROTOCOL, method::DR, 12, 53);
/// TCP by nat, to another port.
pub(super) const SHOP: Served = on_lan(8080, Tcp::PROTOCOL, method::NAT, 13, 80);
/// UDP by nat, to another port.
pub(super) const GAME: Served = on_lan(5000, Udp::PROTOCOL, method::NAT, 14, 6000);
/// Direct routing out by the other interface.
pub(super) const FAR_WEB: Served = on_wan(81, method::DR, 15, 81);
/// Nat out by the other interface.
pub(super) const FAR_SHOP: Served = on_wan(82, method::NAT, 16, 8082);
/// A service with four real servers, for frames that nobody wrote.
pub(super) const CROWD: Served = on_lan(90, Tcp::PROTOCOL, method::NAT, 21, 9000);

/// A VIP of which every port is served.
pub(super) const VIP_ALL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 102);
/// An address of a VIP prefix, `10.80.0.0/24`.
pub(super) const VIP_WITHIN: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 9);
/// An address of the same prefix with a service of its own.
pub(super) const VIP_APART: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 7);
/// An address of the VIP prefix `2001:db8:80::/64`.
pub(super) const VIP_WITHIN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 9);

/// Ports 8100 to 8199 by direct routing.
pub(super) const RANGE: Served = on_lan(8100, Tcp::PROTOCOL, method::DR, 51, 0).ports(8100, 8199);
/// A port in the middle of [`RANGE`], by nat to another port.
pub(super) const RANGE_INNER: Served = on_lan(8150, Tcp::PROTOCOL, method::NAT, 52, 80);
/// Ports 6000 to 6009 by nat, each to its own.
pub(super) const NAT_RANGE: Served =
    on_lan(6000, Udp::PROTOCOL, method::NAT, 53, 0).ports(6000, 6009);
/// Ports 6100 to 6109 by fullnat, each to its own.
pub(super) const FULLNAT_RANGE: Served =
    on_lan(6100, Udp::PROTOCOL, method::FULLNAT, 54, 0).ports(6100, 6109);

/// Services at more than one port of one address.
pub(super) fn ranges() -> Vec<Served> {
    let all = on_lan(0, Tcp::PROTOCOL, method::DR, 55, 0).ports(0, 65_535);
    let half = on_lan(1000, Tcp::PROTOCOL, method::DR, 56, 0).ports(1000, 1999);
    let inner = on_lan(1500, Tcp::PROTOCOL, method::DR, 57, 0).ports(1500, 1599);
    let one = on_lan(1550, Tcp::PROTOCOL, method::DR, 58, 1550);
    let last = on_lan(65_535, Tcp::PROTOCOL, method::DR, 59, 65_535);
    let tail = on_lan(9000, Udp::PROTOCOL, method::DR, 60, 0).ports(9000, 65_535);
    let at_all = [all, half, inner, one, last, tail].map(|served| served.at(VIP_ALL));
    [RANGE, RANGE_INNER, NAT_RANGE, FULLNAT_RANGE]
        .into_iter()
        .chain(at_all)
        .collect()
}

/// Services at every address of a prefix, and at one of those alone.
pub(super) fn prefixes() -> [Served; 6] {
    let (wide, narrow, apart) = (VIP_WITHIN, VIP_WITHIN, VIP_APART);
    [
        on_lan(80, Tcp::PROTOCOL, method::DR, 61, 80)
            .at(wide)
            .within(16),
        on_lan(80, Tcp::PROTOCOL, method::DR, 62, 80)
            .at(narrow)
            .within(24),
        on_lan(443, Tcp::PROTOCOL, method::DR, 63, 443)
            .at(wide)
            .within(16),
        on_lan(80, Tcp::PROTOCOL, method::DR, 64, 80).at(apart),
        on_lan(53, Udp::PROTOCOL, method::FULLNAT, 65, 5353)
            .at(narrow)
            .within(24),
        on_lan(80, Tcp::PROTOCOL, method::DR, 66, 80)
            .over_v6(lan6(0x66))
            .at(VIP_WITHIN6)
            .within(64),
    ]
}

/// Port of a service whose only real server is down.
pub(super) const ALL_DOWN: u16 = 83;
/// Port of a service without real servers.
pub(super) const EMPTY: u16 = 84;
/// Port of a service whose only real server has weight 0.
pub(super) const QUIESCENT: u16 = 85;
/// Port of a service whose only real server has no Ethernet address yet.
pub(super) const UNREACHABLE: u16 = 86;

/// The interfaces that are served.
pub(super) fn interfaces() -> Vec<Interface> {
    let served = |ifindex, mac| Interface {
        ifindex,
        flags: SERVED,
        mac,
        vlan: 0,
        egress: ifindex,
    };
    let vlan = Interface {
        ifindex: LAN_VLAN,
        flags: 0,
        vlan: VLAN,
        ..served(LAN, LB)
    };
    vec![served(LAN, LB), served(WAN, LB_WAN), vlan]
}

/// Everything above, as the daemon would wish for it.
pub(super) fn wish() -> Wish {
    let mut services: Vec<_> = [WEB, DNS, SHOP, GAME, FAR_WEB, FAR_SHOP]
        .iter()
        .map(Served::wish)
        .chain(kinds::services().iter().map(Served::wish))
        .chain(ranges().iter().map(Served::wish))
        .chain(prefixes().iter().map(Served::wish))
        .collect();
    let crowd = (21..25).map(|last| on_lan(90, Tcp::PROTOCOL, method::NAT, last, 9000));
    services.push(CROWD.wish_of(crowd.map(|server| server.real_wish()).collect()));
    let idle = |port, method, change: fn(RealWish) -> RealWish| {
        let service = on_lan(port, Tcp::PROTOCOL, method, 17, port);
        service.wish_of(vec![change(service.real_wish())])
    };
    services.extend([
        idle(ALL_DOWN, method::DR, |real| RealWish {
            standing: Standing::Down,
            ..real
        }),
        idle(QUIESCENT, method::NAT, |real| RealWish {
            weight: 0,
            ..real
        }),
        idle(UNREACHABLE, method::DR, |real| RealWish {
            way: None,
            ..real
        }),
        on_lan(EMPTY, Tcp::PROTOCOL, method::DR, 17, EMPTY).wish_of(Vec::new()),
        on_lan(EMPTY, Tcp::PROTOCOL, method::DR, 17, EMPTY)
            .over_v6(lan6(17))
            .wish_of(Vec::new()),
    ]);
    services.extend(routers::services());
    Wish {
        routers: routers::wishes(),
        ..of_services(services)
    }
}

/// These services at the interfaces that are served.
pub(super) fn of_services(services: Vec<ServiceWish>) -> Wish {
    Wish {
        interfaces: interfaces(),
        services,
        pool: pool(1),
        fragments: true,
        routers: Vec::new(),
    }
}

/// The director's own addresses for fullnat, with so many ports each.
pub(super) fn pool(count: u16) -> Vec<PoolEntry> {
    [IpAddr::from(OWN), IpAddr::from(OWN6)]
        .map(|address| PoolEntry {
            address: address.into(),
            first: OWN_PORT,
            count,
        })
        .to_vec()
}

/// Services with four real servers each and with something to remember, for frames that nobody wrote.
fn crowds() -> Vec<(Served, ServiceWish)> {
    type Change = fn(&mut ServiceWish);
    let changes: [Change; 9] = [
        |service| service.scheduler = Scheduler::Rr,
        |service| service.scheduler = Scheduler::Wrr,
        |service| service.scheduler = Scheduler::Lc,
        |service| service.scheduler = Scheduler::Wlc,
        |service| service.scheduler = Scheduler::Sh,
        |service| service.track = true,
        |service| service.persistence = Some(PERSISTENCE),
        |service| {
            service.scheduler = Scheduler::Rr;
            service.persistence = Some(PERSISTENCE);
        },
        with_quic,
    ];
    let methods = [method::DR, method::NAT, method::FULLNAT];
    let mut crowds = Vec::new();
    for ((port, change), method) in (3000..).zip(changes).zip(methods.into_iter().cycle()) {
        for protocol in [Tcp::PROTOCOL, Udp::PROTOCOL] {
            let real_port = if method == method::DR {
                port
            } else {
                port + 1000
            };
            let server = |last| on_lan(port, protocol, method, last, real_port);
            let reals = (71..75).map(|last| server(last).real_wish());
            let mut wish = server(71).wish_of(reals.collect());
            change(&mut wish);
            for (real, weight) in wish.reals.iter_mut().zip([100, 50, 200, 0]) {
                real.weight = weight;
            }
            crowds.push((server(71), wish));
        }
    }
    crowds
}

/// With QUIC, which only UDP has: server ids from 0 on.
fn with_quic(service: &mut ServiceWish) {
    if service.key.protocol != Udp::PROTOCOL {
        return;
    }
    service.quic = Some(Quic {
        config: 0,
        length: 1,
    });
    for (id, real) in (0..).zip(&mut service.reals) {
        let mut server_id = [0; 16];
        server_id[0] = id;
        real.server_id = Some(server_id);
    }
}

/// Of crowds: networks of 24 bits are one client.
const PERSISTENCE: Persistence = Persistence {
    timeout: TIMEOUT,
    prefix: 24,
};

/// What the table has, and services that remember much: for frames that nobody wrote.
pub(super) fn wide_wish() -> Wish {
    let mut wish = wish();
    let crowds = crowds().into_iter();
    wish.services.extend(crowds.map(|(_, service)| service));
    // So few that some flows find none.
    wish.pool = pool(2);
    wish
}

/// Where the services of [`wide_wish`] are asked.
pub(super) fn fronts() -> Vec<Served> {
    let mut fronts = kinds::services();
    fronts.extend(ranges());
    fronts.extend(prefixes());
    fronts.extend(crowds().into_iter().map(|(front, _)| front));
    fronts
}

/// How the director reaches a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteTo {
    /// The destination, alone: no other address is routed.
    pub(super) to: IpAddr,
    /// The interface: [`LAN`], [`WAN`] or [`LAN_VLAN`].
    pub(super) ifindex: u32,
    /// The router on the way.
    pub(super) via: Option<IpAddr>,
    /// The next hop's Ethernet address, if it is known.
    pub(super) neighbour: Option<Mac>,
}

/// All routes of the director.
pub(super) const ROUTES: [RouteTo; 10] = [
    direct(IpAddr::V4(CLIENT), LAN, Some(CLIENT_MAC)),
    direct(IpAddr::V4(WAN_CLIENT), WAN, Some(mac(10))),
    direct(IpAddr::V4(SILENT_CLIENT), LAN, None),
    routed(IpAddr::V4(ROUTED_CLIENT), IpAddr::V4(ROUTER)),
    direct(IpAddr::V6(CLIENT6), LAN, Some(CLIENT_MAC)),
    direct(IpAddr::V6(WAN_CLIENT6), WAN, Some(mac(10))),
    direct(IpAddr::V6(SILENT_CLIENT6), LAN, None),
    routed(IpAddr::V6(ROUTED_CLIENT6), IpAddr::V6(ROUTER6)),
    direct(IpAddr::V4(VLAN_CLIENT), LAN_VLAN, Some(mac(12))),
    direct(IpAddr::V6(VLAN_CLIENT6), LAN_VLAN, Some(mac(12))),
];

const fn direct(to: IpAddr, ifindex: u32, neighbour: Option<Mac>) -> RouteTo {
    RouteTo {
        to,
        ifindex,
        via: None,
        neighbour,
    }
}

const fn routed(to: IpAddr, router: IpAddr) -> RouteTo {
    RouteTo {
        to,
        ifindex: LAN,
        via: Some(router),
        neighbour: Some(ROUTER_MAC),
    }
}

/// The director's own Ethernet address on an interface.
pub(super) fn own_mac(ifindex: u32) -> Mac {
    if ifindex == WAN { LB_WAN } else { LB }
}
