//! The site of the packet table: addresses, services with one willing real server each, so that
//! the table can say where a frame goes, and the routes of the director.
//!
//! Not here: services of every kind ([`super::kinds`]), the site that changes ([`super::stories`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::{Interface, Mac, method};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::tables::{RealWish, Standing, Wish};

use super::kinds;
use super::served::{Served, on_lan, on_wan};

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

/// The client's port.
pub(super) const PORT: u16 = 40_000;

/// Ticks: long against a test, short against half of what wraps.
pub(super) const TIMEOUT: u32 = 1 << 24;

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
    [(LAN, LB), (WAN, LB_WAN)]
        .map(|(ifindex, mac)| Interface {
            ifindex,
            flags: 0,
            mac,
            _pad: [0; 2],
        })
        .to_vec()
}

/// Everything above, as the daemon would wish for it.
pub(super) fn wish() -> Wish {
    let mut services: Vec<_> = [WEB, DNS, SHOP, GAME, FAR_WEB, FAR_SHOP]
        .iter()
        .map(Served::wish)
        .chain(kinds::services().iter().map(Served::wish))
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
    Wish {
        interfaces: interfaces(),
        services,
    }
}

/// How the director reaches a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteTo {
    /// The destination, alone: no other address is routed.
    pub(super) to: IpAddr,
    /// The interface: [`LAN`] or [`WAN`].
    pub(super) ifindex: u32,
    /// The router on the way.
    pub(super) via: Option<IpAddr>,
    /// The next hop's Ethernet address, if it is known.
    pub(super) neighbour: Option<Mac>,
}

/// All routes of the director.
pub(super) const ROUTES: [RouteTo; 8] = [
    direct(IpAddr::V4(CLIENT), LAN, Some(CLIENT_MAC)),
    direct(IpAddr::V4(WAN_CLIENT), WAN, Some(mac(10))),
    direct(IpAddr::V4(SILENT_CLIENT), LAN, None),
    routed(IpAddr::V4(ROUTED_CLIENT), IpAddr::V4(ROUTER)),
    direct(IpAddr::V6(CLIENT6), LAN, Some(CLIENT_MAC)),
    direct(IpAddr::V6(WAN_CLIENT6), WAN, Some(mac(10))),
    direct(IpAddr::V6(SILENT_CLIENT6), LAN, None),
    routed(IpAddr::V6(ROUTED_CLIENT6), IpAddr::V6(ROUTER6)),
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
