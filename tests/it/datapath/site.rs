//! The site of the packet table: addresses, services with one willing real server each, so that
//! the table can say where a frame goes, and the routes of the director.
//!
//! Not here: the site that changes ([`super::stories`]).

use std::net::Ipv4Addr;

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Be16, Endpoint, Interface, Mac, method};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::tables::{RealWish, ServiceWish, Standing, Wish};

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
/// The client's port.
pub(super) const PORT: u16 = 40_000;

/// Ticks: long against a test, short against half of what wraps.
pub(super) const TIMEOUT: u32 = 1 << 24;

/// The lab's Ethernet addresses: locally administered, numbered.
pub(super) const fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// A virtual service at [`VIP`] with one real server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) port: u16,
    pub(super) protocol: u8,
    pub(super) method: u8,
    pub(super) real: Ipv4Addr,
    pub(super) real_port: u16,
    pub(super) next_hop: NextHop,
}

impl Served {
    /// VIP, port and protocol.
    pub(super) fn key(&self) -> Endpoint {
        Endpoint::new(VIP.into(), Be16::new(self.port), self.protocol)
    }

    fn wish(&self) -> ServiceWish {
        self.wish_of(vec![self.real_wish()])
    }

    fn wish_of(&self, reals: Vec<RealWish>) -> ServiceWish {
        ServiceWish {
            key: self.key(),
            method: self.method,
            timeout: TIMEOUT,
            reals,
        }
    }

    fn real_wish(&self) -> RealWish {
        RealWish {
            address: self.real.into(),
            port: self.real_port,
            weight: 100,
            standing: Standing::Up,
            next_hop: Some(self.next_hop),
        }
    }
}

/// A service whose real server, number `last`, is on [`LAN`].
const fn on_lan(port: u16, protocol: u8, method: u8, last: u8, real_port: u16) -> Served {
    let real = Ipv4Addr::new(10, 77, 0, last);
    let next_hop = NextHop {
        ifindex: LAN,
        destination: mac(last),
        source: LB,
    };
    Served {
        port,
        protocol,
        method,
        real,
        real_port,
        next_hop,
    }
}

/// A service whose real server, number `last`, is on [`WAN`].
const fn on_wan(port: u16, method: u8, last: u8, real_port: u16) -> Served {
    let real = Ipv4Addr::new(10, 78, 0, last);
    let next_hop = NextHop {
        ifindex: WAN,
        destination: mac(last),
        source: LB_WAN,
    };
    Served {
        port,
        protocol: Tcp::PROTOCOL,
        method,
        real,
        real_port,
        next_hop,
    }
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
            next_hop: None,
            ..real
        }),
        on_lan(EMPTY, Tcp::PROTOCOL, method::DR, 17, EMPTY).wish_of(Vec::new()),
    ]);
    Wish {
        interfaces: interfaces(),
        services,
    }
}

/// How the director reaches a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// The destination, alone: no other address is routed.
    pub(super) to: Ipv4Addr,
    /// The interface: [`LAN`] or [`WAN`].
    pub(super) ifindex: u32,
    /// The router on the way.
    pub(super) via: Option<Ipv4Addr>,
    /// The next hop's Ethernet address, if it is known.
    pub(super) neighbour: Option<Mac>,
}

/// All routes of the director.
pub(super) const WAYS: [Way; 4] = [
    Way {
        to: CLIENT,
        ifindex: LAN,
        via: None,
        neighbour: Some(CLIENT_MAC),
    },
    Way {
        to: ROUTED_CLIENT,
        ifindex: LAN,
        via: Some(ROUTER),
        neighbour: Some(ROUTER_MAC),
    },
    Way {
        to: WAN_CLIENT,
        ifindex: WAN,
        via: None,
        neighbour: Some(mac(10)),
    },
    Way {
        to: SILENT_CLIENT,
        ifindex: LAN,
        via: None,
        neighbour: None,
    },
];

/// The director's own Ethernet address on an interface.
pub(super) fn own_mac(ifindex: u32) -> Mac {
    if ifindex == WAN { LB_WAN } else { LB }
}
