//! The site of the stories: a service of every method, scheduler and family, of ranges and prefixes,
//! with persistence, entries for all, QUIC and fullnat, and what becomes of it when it changes.
//!
//! Addresses, interfaces and routes are those of the packet table (`it`'s `datapath::site`), whose
//! frames are the first inputs. Not here: the frames of a story ([`super::script`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::{Be16, Interface, Mac, PoolEntry, SERVED, encapsulation, method};
use lb_ebpf::{NextHop, Route};
use lb_user::tables::{
    Persistence, Quic, RealWish, RouterWish, Scheduler, ServiceKey, ServiceWish, Standing,
    Timeouts, Vip, Way, Wish,
};

/// Interface that most frames come in by.
pub const LAN: u32 = 7;
/// The director's other interface.
pub const WAN: u32 = 8;
/// An interface that is not served.
pub const UNSERVED: u32 = LAN + lb_ebpf::abi::INTERFACE_SLOTS;
/// The director's Ethernet address on [`LAN`].
pub const LB: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// The director's Ethernet address on [`WAN`].
pub const LB_WAN: Mac = Mac([2, 0, 0, 0, 0, 3]);
/// The client's Ethernet address.
pub const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// The Ethernet address of the router on [`LAN`].
pub const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
/// The director.
pub const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The director, by IPv6.
pub const DIRECTOR6: Ipv6Addr = lan6(2);
/// The router on [`LAN`].
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The router on [`LAN`], by IPv6.
pub const ROUTER6: Ipv6Addr = lan6(1);
/// Where most services are.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// Where most services of IPv6 are.
pub const VIP6: Ipv6Addr = lan6(0x100);

const ALL_PORTS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 101);
const PREFIX: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 80, 0, 0));
const PREFIX6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd80, 0, 0, 0, 0, 0, 0, 0));
const POOL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
const POOL6: Ipv6Addr = lan6(0x200);

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Ticks in a unit of a story's time: far more than a test takes.
pub const UNIT: u32 = 1 << 16;
/// Never a whole number of units, so that nothing depends on a tick more or less.
const TIMEOUTS: Timeouts = Timeouts {
    established: 4 * UNIT + UNIT / 2,
    syn: 2 * UNIT + UNIT / 2,
    fin: UNIT + UNIT / 2,
    rst: UNIT / 2,
};

/// An address of [`LAN`].
const fn lan6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last)
}

const fn outside6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0x100, 0, 0, 0, last))
}

const fn outside(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// Clients: address, the interface they are behind, the next hop's Ethernet address if it is known.
pub const CLIENTS: [(IpAddr, u32, Option<Mac>); 8] = [
    (outside(7), LAN, Some(CLIENT_MAC)),
    (outside(8), LAN, Some(ROUTER_MAC)),
    (outside(9), WAN, Some(Mac([2, 0, 0, 0, 0, 10]))),
    (outside(10), LAN, None),
    (outside6(7), LAN, Some(CLIENT_MAC)),
    (outside6(8), LAN, Some(ROUTER_MAC)),
    (outside6(9), WAN, Some(Mac([2, 0, 0, 0, 0, 10]))),
    (outside6(10), LAN, None),
];

/// The director's own Ethernet address on an interface.
pub const fn own_mac(ifindex: u32) -> Mac {
    if ifindex == WAN { LB_WAN } else { LB }
}

/// The route to a client.
pub const fn route((_, ifindex, neighbour): (IpAddr, u32, Option<Mac>)) -> Route {
    match neighbour {
        None => Route::Unresolved,
        Some(destination) => Route::Via(NextHop {
            ifindex,
            destination,
            source: own_mac(ifindex),
            vlan: 0,
        }),
    }
}

/// What the site can become: of each service, the first real server drains (1), the second is down
/// (2), the third is gone (4); fragments pass (8); services of several ports are gone (16).
const CHANGES: [u8; 8] = [0, 1, 2, 4, 7, 8, 16, 9];

/// The site after a change, a number.
pub fn wish(change: u8) -> Wish {
    let change = CHANGES[usize::from(change) % CHANGES.len()];
    let mut services = services();
    for service in &mut services {
        let mut at = 0..;
        service.reals.retain_mut(|real| {
            let at = at.next().unwrap_or(0);
            if at == 0 && change & 1 != 0 {
                real.weight = 0;
            }
            if at == 1 && change & 2 != 0 {
                real.standing = Standing::Down;
            }
            !(at == 2 && change & 4 != 0)
        });
    }
    if change & 16 != 0 {
        services.retain(|service| service.key.first == service.key.last);
    }
    let interface = |ifindex| Interface {
        ifindex,
        flags: SERVED,
        mac: own_mac(ifindex),
        vlan: 0,
        egress: ifindex,
    };
    let own = |address: IpAddr, count| PoolEntry {
        address: address.into(),
        first: 20_000,
        count,
    };
    Wish {
        interfaces: [LAN, WAN].map(interface).to_vec(),
        services,
        pool: vec![own(POOL.into(), 64), own(POOL6.into(), 16)],
        fragments: change & 8 == 0,
        routers: vec![router(ACTIVE), router(BACKUP)],
    }
}

/// Index of a virtual router that has a lease while the host forwards.
pub const ACTIVE: u16 = 1;
/// Index of one that never has.
const BACKUP: u16 = 2;

/// The lease of [`ACTIVE`].
pub const fn lease(forwards: bool) -> [u64; 2] {
    if forwards { [u64::MAX; 2] } else { [0; 2] }
}

/// A virtual router on [`LAN`] with an Ethernet address of its own, and VIPs without services.
fn router(index: u16) -> RouterWish {
    let last = u8::try_from(index).unwrap_or(0);
    RouterWish {
        index,
        ifindex: LAN,
        mac: Some(Mac([0, 0, 0x5e, 0, 1, 0x32 + last])),
        vips: vec![
            IpAddr::V4(Ipv4Addr::new(10, 77, 0, 200 + last)),
            IpAddr::V6(lan6(0x200 + index)),
        ],
        local: Vec::new(),
    }
}

/// How packets get to the real servers of a service.
#[derive(Clone, Copy)]
enum Road {
    Lan,
    Wan,
    Local,
    Tunnel(IpAddr, u8),
}

const V4: IpAddr = IpAddr::V4(VIP);
const V6: IpAddr = IpAddr::V6(VIP6);

/// All services, with all their real servers.
fn services() -> Vec<ServiceWish> {
    let mut site = Site::default();
    site.table();
    site.kinds();
    site.schedulers();
    site.wide();
    site.0
}

/// Services that are being collected.
#[derive(Default)]
struct Site(Vec<ServiceWish>);

impl Site {
    fn add(&mut self, vip: IpAddr, port: u16, protocol: u8, method: u8) -> &mut ServiceWish {
        self.by(Road::Lan, vip, port, protocol, method)
    }

    fn by(
        &mut self,
        road: Road,
        vip: IpAddr,
        port: u16,
        protocol: u8,
        method: u8,
    ) -> &mut ServiceWish {
        // No two nat services may have one in common; others do, and share their rings.
        let number = match (method, road) {
            (method::NAT, _) => u8::try_from(self.0.len()).unwrap_or(u8::MAX),
            (_, Road::Lan) => 200,
            (_, Road::Wan) => 201,
            (_, Road::Local) => 202,
            (_, Road::Tunnel(source, kind)) => 203 + 2 * kind + u8::from(source.is_ipv6()),
        };
        let key = ServiceKey::new(vip, port, protocol);
        let real_port = match method {
            method::NAT | method::FULLNAT => port ^ 0x1000,
            _ => port,
        };
        let reals = (0..3).map(|last| real(number, last, vip.is_ipv4(), real_port, road));
        self.0.push(ServiceWish {
            timeouts: TIMEOUTS,
            reals: reals.collect(),
            ..ServiceWish::new(key, method)
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Those of the packet table.
    fn table(&mut self) {
        self.add(V4, 80, TCP, method::DR);
        self.add(V4, 53, UDP, method::DR);
        self.add(V4, 8080, TCP, method::NAT);
        self.add(V4, 5000, UDP, method::NAT);
        self.by(Road::Wan, V4, 81, TCP, method::DR);
        self.by(Road::Wan, V4, 82, TCP, method::NAT);
        self.add(V4, 90, TCP, method::NAT);
        self.add(V4, 84, TCP, method::DR).reals.clear();
        let unreachable = self.add(V4, 86, TCP, method::DR);
        unreachable
            .reals
            .iter_mut()
            .for_each(|real| real.way = None);
    }

    /// Every way to real servers.
    fn kinds(&mut self) {
        let [from, from6] = [IpAddr::V4(DIRECTOR), IpAddr::V6(DIRECTOR6)];
        let kinds = [
            (method::DR, Road::Lan),
            (method::NAT, Road::Lan),
            (method::DR, Road::Local),
            (method::NAT, Road::Local),
            (method::TUNNEL, Road::Local),
            (method::TUNNEL, Road::Tunnel(from, encapsulation::IPIP)),
            (method::TUNNEL, Road::Tunnel(from6, encapsulation::IPIP)),
            (method::TUNNEL, Road::Tunnel(from, encapsulation::GUE)),
            (method::TUNNEL, Road::Tunnel(from6, encapsulation::GUE)),
            (method::FULLNAT, Road::Lan),
            (method::FULLNAT, Road::Wan),
        ];
        for (port, (method, road)) in (2000..).zip(kinds) {
            for vip in [V4, V6] {
                for protocol in [TCP, UDP] {
                    let service = self.by(road, vip, port, protocol, method);
                    if method == method::TUNNEL && matches!(road, Road::Local) {
                        service.reals.truncate(1);
                    }
                }
            }
        }
    }

    /// Every scheduler, and what else makes entries.
    fn schedulers(&mut self) {
        let schedulers = [
            Scheduler::Rr,
            Scheduler::Wrr,
            Scheduler::Lc,
            Scheduler::Wlc,
            Scheduler::Sh,
        ];
        for (port, scheduler) in (2100..).zip(schedulers) {
            self.add(V4, port, TCP, method::DR).scheduler = scheduler;
            self.add(V6, port, UDP, method::NAT).scheduler = scheduler;
        }
        for (vip, prefix) in [(V4, 24), (V6, 64)] {
            for method in [method::DR, method::FULLNAT] {
                let port = 2110 + u16::from(method);
                self.add(vip, port, TCP, method).persistence = Some(Persistence {
                    timeout: 3 * UNIT + UNIT / 2,
                    prefix,
                });
            }
            self.add(vip, 2120, UDP, method::DR).track = true;
            self.quic(vip);
        }
    }

    fn quic(&mut self, vip: IpAddr) {
        let service = self.add(vip, 443, UDP, method::DR);
        service.quic = Some(Quic {
            config: 0,
            length: 4,
        });
        for (number, real) in (0..).zip(&mut service.reals) {
            let mut id = [0; 16];
            id[3] = number;
            real.server_id = Some(id);
        }
    }

    /// Ranges, all ports, prefixes, and services within them.
    fn wide(&mut self) {
        keep(self.add(V4, 3000, TCP, method::NAT)).key.last = 3999;
        self.add(V4, 3500, TCP, method::DR);
        keep(self.add(V6, 3000, UDP, method::FULLNAT)).key.last = 3999;
        all(self.add(ALL_PORTS.into(), 0, TCP, method::DR));
        self.add(ALL_PORTS.into(), 80, TCP, method::NAT);
        all(self.add(ALL_PORTS.into(), 0, UDP, method::FULLNAT));
        for (vip, length, narrow) in [(PREFIX, 24, 28), (PREFIX6, 64, 96)] {
            let tunnel = Road::Tunnel(IpAddr::V4(DIRECTOR), encapsulation::IPIP);
            let wide = self.by(tunnel, vip, 0, TCP, method::TUNNEL);
            all(wide).key.vip = Vip::prefix(vip, length);
            self.add(vip, 80, TCP, method::DR).key.vip = Vip::prefix(vip, narrow);
            self.add(vip, 80, UDP, method::FULLNAT).key.vip = Vip::prefix(vip, length);
            keep(self.add(vip, 9000, TCP, method::FULLNAT)).key.last = 9001;
        }
    }
}

/// The client's port is kept.
fn keep(service: &mut ServiceWish) -> &mut ServiceWish {
    if matches!(service.method, method::NAT | method::FULLNAT) {
        service.reals.iter_mut().for_each(|real| real.port = 0);
    }
    service
}

fn all(service: &mut ServiceWish) -> &mut ServiceWish {
    let service = keep(service);
    (service.key.first, service.key.last) = (0, u16::MAX);
    service
}

/// A real server, by the number of its service and its own.
fn real(service: u8, last: u8, is_v4: bool, port: u16, road: Road) -> RealWish {
    let v4 = Ipv4Addr::new(10, 78, service, last + 1).into();
    let v6 = Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, service.into(), u16::from(last) + 1).into();
    let hop = |ifindex| NextHop {
        ifindex,
        destination: Mac([2, 1, 0, 0, service, last]),
        source: own_mac(ifindex),
        vlan: 0,
    };
    let way = match road {
        Road::Lan => Way::Via(hop(LAN)),
        Road::Wan => Way::Via(hop(WAN)),
        // Of the real servers of such a service, one is this host.
        Road::Local if last == 0 => Way::Local,
        Road::Local => Way::Via(hop(LAN)),
        Road::Tunnel(source, encapsulation) => Way::Inside {
            hop: hop(LAN),
            source,
            spread_bits: 8 * (last & u8::from(source.is_ipv4())),
            encapsulation,
            mtu: 1500,
        },
    };
    let is_v4 = match road {
        Road::Tunnel(source, _) => source.is_ipv4(),
        Road::Lan | Road::Wan | Road::Local => is_v4,
    };
    RealWish {
        address: if is_v4 { v4 } else { v6 },
        port,
        weight: 1 + u16::from(last),
        drained: false,
        standing: Standing::Up,
        way: Some(way),
        server_id: None,
    }
}

/// A port of a service as packets have it.
pub(super) fn port_of(service: &ServiceWish, at: u8) -> Be16 {
    let width = service.key.last - service.key.first;
    let offset = if width == 0 { 0 } else { u16::from(at) % width };
    Be16::new(service.key.first + offset)
}
