//! The virtual services of the table, as they are served and as the daemon would wish for them.
//!
//! Not here: which there are ([`super::site`], [`super::kinds`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::NextHop;
use lb_ebpf::abi::{Addr, encapsulation};
use lb_ebpf::select::masked;
use lb_ebpf::wire::tcp::Tcp;
use lb_user::tables::{RealWish, ServiceKey, ServiceWish, Standing, Vip, Way};

use super::site::{LAN, LB, LB_WAN, TIMEOUTS, VIP, VIP6, WAN, mac};

/// A virtual service with one real server, at [`VIP`] or [`VIP6`] where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// The address that packets go to.
    pub(super) vip: IpAddr,
    /// How many bits of it the service is about, of 128.
    pub(super) bits: u8,
    /// The port that packets go to.
    pub(super) port: u16,
    /// The service's first port and its last.
    pub(super) ports: (u16, u16),
    pub(super) protocol: u8,
    pub(super) method: u8,
    pub(super) real: IpAddr,
    /// Its port; 0 where that of the packet is kept.
    pub(super) real_port: u16,
    pub(super) next_hop: NextHop,
    pub(super) road: Road,
}

/// What is on the way to a real server besides the next hop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Road {
    /// Nothing.
    Plain,
    /// There is no way: it is this host.
    Local,
    /// Packets around the packets: their source and [`encapsulation`], and how long they may be.
    Tunnel(IpAddr, u8, u16),
}

impl Served {
    /// VIP, ports and protocol.
    pub(super) fn key(&self) -> ServiceKey {
        let address = masked(&Addr::from(self.vip), self.bits);
        ServiceKey {
            vip: Vip {
                address,
                bits: self.bits,
            },
            protocol: self.protocol,
            first: self.ports.0,
            last: self.ports.1,
        }
    }

    /// The same at another address.
    pub(super) fn at(self, vip: impl Into<IpAddr>) -> Self {
        Self {
            vip: vip.into(),
            ..self
        }
    }

    /// The same at all addresses that begin with so many bits of this one, of its own family's.
    pub(super) fn within(self, length: u8) -> Self {
        let before = if self.vip.is_ipv4() { 96 } else { 0 };
        Self {
            bits: before + length,
            ..self
        }
    }

    /// The same at all of these ports.
    pub(super) const fn ports(self, first: u16, last: u16) -> Self {
        Self {
            ports: (first, last),
            ..self
        }
    }

    /// The same, asked at another of its ports.
    pub(super) const fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The port that packets have behind the director.
    pub(super) const fn port_behind(&self) -> u16 {
        if self.real_port == 0 {
            self.port
        } else {
            self.real_port
        }
    }

    /// The service as the daemon would wish for it.
    pub(super) fn wish(&self) -> ServiceWish {
        self.wish_of(vec![self.real_wish()])
    }

    /// As [`Self::wish`], with other real servers.
    pub(super) fn wish_of(&self, reals: Vec<RealWish>) -> ServiceWish {
        ServiceWish {
            timeouts: TIMEOUTS,
            reals,
            ..ServiceWish::new(self.key(), self.method)
        }
    }

    /// Its real server.
    pub(super) fn real_wish(&self) -> RealWish {
        let hop = self.next_hop;
        let way = match self.road {
            Road::Plain => Way::Via(hop),
            Road::Local => Way::Local,
            Road::Tunnel(source, encapsulation, mtu) => Way::Inside {
                hop,
                source,
                spread_bits: 0,
                encapsulation,
                mtu,
            },
        };
        RealWish {
            address: self.real,
            port: self.real_port,
            weight: 100,
            drained: false,
            standing: Standing::Up,
            way: Some(way),
            server_id: None,
        }
    }

    /// The real server's address, where it is IPv4.
    pub(super) fn real_v4(&self) -> Ipv4Addr {
        match self.real {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => panic!("{address} is not IPv4"),
        }
    }

    /// The real server's address, where it is IPv6.
    pub(super) fn real_v6(&self) -> Ipv6Addr {
        match self.real {
            IpAddr::V6(address) => address,
            IpAddr::V4(address) => panic!("{address} is not IPv6"),
        }
    }

    /// The same at [`VIP6`], by way of a real server of IPv6 behind the same next hop.
    pub(super) const fn over_v6(self, real: Ipv6Addr) -> Self {
        Self {
            vip: IpAddr::V6(VIP6),
            real: IpAddr::V6(real),
            ..self
        }
    }

    /// The same with something else on the way.
    pub(super) const fn by(self, road: Road) -> Self {
        Self { road, ..self }
    }

    /// Bytes that carrying a packet to the real server adds.
    pub(super) fn overhead(&self) -> usize {
        match self.road {
            Road::Plain | Road::Local => 0,
            Road::Tunnel(source, kind, _) => {
                let udp = if kind == encapsulation::GUE { 8 } else { 0 };
                udp + if source.is_ipv4() { 20 } else { 40 }
            }
        }
    }
}

/// A service whose real server, number `last`, is on [`LAN`].
pub(super) const fn on_lan(
    port: u16,
    protocol: u8,
    method: u8,
    last: u8,
    real_port: u16,
) -> Served {
    Served {
        vip: IpAddr::V4(VIP),
        bits: 128,
        port,
        ports: (port, port),
        protocol,
        method,
        real: IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)),
        real_port,
        next_hop: NextHop {
            ifindex: LAN,
            destination: mac(last),
            source: LB,
            vlan: 0,
        },
        road: Road::Plain,
    }
}

/// A service whose real server, number `last`, is on [`WAN`].
pub(super) const fn on_wan(port: u16, method: u8, last: u8, real_port: u16) -> Served {
    Served {
        real: IpAddr::V4(Ipv4Addr::new(10, 78, 0, last)),
        next_hop: NextHop {
            ifindex: WAN,
            destination: mac(last),
            source: LB_WAN,
            vlan: 0,
        },
        ..on_lan(port, Tcp::PROTOCOL, method, last, real_port)
    }
}
