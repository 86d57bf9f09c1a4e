//! The site that is measured: one VIP a family, a hundred real servers, a service for each kind of
//! case.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Interface, Mac, PoolEntry, SERVED, encapsulation, method};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};
use lb_user::tables::{
    Persistence, RealWish, Scheduler, ServiceKey, ServiceWish, Standing, Way, Wish,
};

use super::case::Traffic;
use crate::packet::eth;

/// Ports of the services.
pub(super) mod port {
    pub(in super::super) const DR: u16 = 80;
    pub(in super::super) const NAT: u16 = 81;
    pub(in super::super) const CHANGED: u16 = 82;
    pub(in super::super) const IPIP: u16 = 83;
    pub(in super::super) const GUE: u16 = 84;
    pub(in super::super) const RR: u16 = 85;
    pub(in super::super) const TRACK: u16 = 86;
    pub(in super::super) const FULLNAT: u16 = 87;
    pub(in super::super) const PERSISTENT: u16 = 88;
    pub(in super::super) const UNSETTLED: u16 = 89;
    /// No service is there.
    pub(in super::super) const CLOSED: u16 = 9;
    /// Packets to this port go to another address than the VIP.
    pub(in super::super) const NOT_A_VIP: u16 = 7;
}

/// `BPF_PROG_TEST_RUN` lets frames come in by the loopback interface.
pub(super) const LOOPBACK: u32 = 1;

pub(super) const LB: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CLIENT: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 128, 0, 0),
    Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 0),
);
const VIP: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 0, 0, 100),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100),
);
const NOT_A_VIP: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 0, 0, 101),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x101),
);
const OWN: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
);
const REALS: u8 = 100;
/// Kernel ticks.
const PERSISTENCE: u32 = 1 << 20;

/// The interface that frames come in by, and leave by.
const fn interface(ifindex: u32) -> Interface {
    Interface {
        ifindex,
        flags: SERVED,
        mac: LB,
        vlan: 0,
        egress: ifindex,
    }
}

/// All services, behind an interface; those in `changed` lack a real server that they had.
pub(super) fn wish(changed: &[u16], ifindex: u32) -> Wish {
    let service = |v6, protocol, port, method| service(v6, protocol, port, method, ifindex);
    let tcp = |port, method| service(false, Tcp::PROTOCOL, port, method);
    let mut services = vec![
        tcp(port::DR, method::DR),
        service(false, Udp::PROTOCOL, port::DR, method::DR),
        service(true, Tcp::PROTOCOL, port::DR, method::DR),
        tcp(port::NAT, method::NAT),
        tcp(port::CHANGED, method::DR),
        tcp(port::IPIP, method::TUNNEL),
        service(true, Tcp::PROTOCOL, port::IPIP, method::TUNNEL),
        tcp(port::GUE, method::TUNNEL),
        ServiceWish {
            scheduler: Scheduler::Rr,
            ..tcp(port::RR, method::DR)
        },
        ServiceWish {
            track: true,
            ..tcp(port::TRACK, method::DR)
        },
        tcp(port::FULLNAT, method::FULLNAT),
        ServiceWish {
            persistence: Some(Persistence {
                timeout: PERSISTENCE,
                prefix: 32,
            }),
            ..tcp(port::PERSISTENT, method::DR)
        },
        tcp(port::UNSETTLED, method::DR),
    ];
    for service in &mut services {
        if changed.contains(&service.key.first) {
            service.reals[0].weight = 0;
        }
        // A ring of its own: its slots are written by hand.
        if service.key.first == port::UNSETTLED {
            service.reals.pop();
        }
    }
    Wish {
        interfaces: vec![interface(ifindex)],
        services,
        pool: (0..8)
            .map(|last| PoolEntry {
                address: Ipv4Addr::new(10, 2, 0, last).into(),
                first: 1024,
                count: 64_512,
            })
            .collect(),
        fragments: true,
        routers: Vec::new(),
    }
}

fn service(v6: bool, protocol: u8, port: u16, method: u8, ifindex: u32) -> ServiceWish {
    let of = |pair| family(v6, pair);
    let reals = (0..REALS).map(|last| {
        let hop = NextHop {
            ifindex,
            destination: Mac([2, 0, 0, 0, 1, last]),
            source: LB,
            vlan: 0,
        };
        let way = match method {
            method::TUNNEL => Way::Inside {
                hop,
                source: of(OWN),
                spread_bits: 0,
                encapsulation: match port {
                    port::GUE => encapsulation::GUE,
                    _ => encapsulation::IPIP,
                },
                mtu: 1500,
            },
            _ => Way::Via(hop),
        };
        let v4 = Ipv4Addr::new(10, 1, 0, last);
        RealWish {
            address: of((v4, v4.to_ipv6_compatible())),
            port,
            weight: 1,
            drained: false,
            standing: Standing::Up,
            way: Some(way),
            server_id: None,
        }
    });
    ServiceWish {
        reals: reals.collect(),
        ..ServiceWish::new(ServiceKey::new(of(VIP), port, protocol), method)
    }
}

fn family(v6: bool, (v4_address, v6_address): (Ipv4Addr, Ipv6Addr)) -> IpAddr {
    if v6 {
        v6_address.into()
    } else {
        v4_address.into()
    }
}

/// The first flow's packet.
pub(super) fn frame(traffic: Traffic) -> Vec<u8> {
    let to = match traffic.port {
        port::NOT_A_VIP => NOT_A_VIP,
        _ => VIP,
    };
    let link = eth(Mac([2, 0, 0, 0, 9, 9]), LB);
    let Traffic {
        protocol,
        port,
        flags,
        ..
    } = traffic;
    if traffic.v6 {
        let packet = link.ipv6(CLIENT.1, to.1);
        return packet.tcp(1024, port).flags(flags).payload(&[0; 6]).build();
    }
    let packet = link.ipv4(CLIENT.0, to.0);
    if protocol == Udp::PROTOCOL {
        return packet.udp(1024, port).payload(&[0; 18]).build();
    }
    packet.tcp(1024, port).flags(flags).payload(&[0; 6]).build()
}
