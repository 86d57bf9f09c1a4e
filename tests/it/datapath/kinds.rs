//! A service of every kind: each way to a real server, in each family, for TCP and UDP.
//!
//! Not here: their frames ([`super::table`]).

use std::net::{IpAddr, Ipv4Addr};

use lb_ebpf::abi::{encapsulation, method};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};

use super::served::{Road, Served, on_lan};
use super::site::{DIRECTOR, DIRECTOR6, VLAN, lan6};

/// Bytes a packet may have on the way through a tunnel.
pub(super) const MTU: u16 = 1500;

/// A way to real servers, and its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    method: u8,
    road: Road,
    /// The VLAN that its packets leave by; 0: none.
    vlan: u16,
    /// Its services' port; its real servers are told apart by it too.
    port: u16,
}

const fn kind(name: &'static str, port: u16, method: u8, road: Road) -> Kind {
    Kind {
        name,
        method,
        road,
        vlan: 0,
        port,
    }
}

const fn in_vlan(kind: Kind) -> Kind {
    Kind { vlan: VLAN, ..kind }
}

const fn tunnel(name: &'static str, port: u16, source: IpAddr, encapsulation: u8) -> Kind {
    let road = Road::Tunnel(source, encapsulation, MTU);
    kind(name, port, method::TUNNEL, road)
}

const FROM_V4: IpAddr = IpAddr::V4(DIRECTOR);
const FROM_V6: IpAddr = IpAddr::V6(DIRECTOR6);

/// By direct routing.
pub(super) const DR: Kind = kind("dr", 2000, method::DR, Road::Plain);
/// By nat.
pub(super) const NAT: Kind = kind("nat", 2001, method::NAT, Road::Plain);
/// Here, where others would be reached by direct routing.
pub(super) const LOCAL: Kind = kind("local", 2002, method::DR, Road::Local);
/// Here, where others would be reached by nat.
pub(super) const LOCAL_NAT: Kind = kind("local beside nat", 2003, method::NAT, Road::Local);
/// Here, where others would be reached by a tunnel.
pub(super) const LOCAL_TUNNEL: Kind =
    kind("local beside tunnels", 2004, method::TUNNEL, Road::Local);
/// In IPv4: IPIP and 6in4.
pub(super) const IPIP: Kind = tunnel("in IPv4", 2005, FROM_V4, encapsulation::IPIP);
/// In IPv6: 4in6 and 6in6.
pub(super) const IPIP6: Kind = tunnel("in IPv6", 2006, FROM_V6, encapsulation::IPIP);
/// In GUE over IPv4.
pub(super) const GUE: Kind = tunnel("in GUE over IPv4", 2007, FROM_V4, encapsulation::GUE);
/// In GUE over IPv6.
pub(super) const GUE6: Kind = tunnel("in GUE over IPv6", 2008, FROM_V6, encapsulation::GUE);
/// By fullnat.
pub(super) const FULLNAT: Kind = kind("fullnat", 2009, method::FULLNAT, Road::Plain);
/// Here, where others would be reached by fullnat.
pub(super) const LOCAL_FULLNAT: Kind =
    kind("local beside fullnat", 2010, method::FULLNAT, Road::Local);
/// By direct routing in a VLAN.
pub(super) const DR_VLAN: Kind = in_vlan(kind("dr by VLAN", 2011, method::DR, Road::Plain));
/// By nat in a VLAN.
pub(super) const NAT_VLAN: Kind = in_vlan(kind("nat by VLAN", 2012, method::NAT, Road::Plain));
/// By fullnat in a VLAN.
pub(super) const FULLNAT_VLAN: Kind =
    in_vlan(kind("fullnat by VLAN", 2013, method::FULLNAT, Road::Plain));
/// In IPv4, in a VLAN.
pub(super) const IPIP_VLAN: Kind = in_vlan(tunnel(
    "in IPv4 by VLAN",
    2014,
    FROM_V4,
    encapsulation::IPIP,
));
/// In GUE over IPv6, in a VLAN.
pub(super) const GUE6_VLAN: Kind = in_vlan(tunnel(
    "in GUE over IPv6 by VLAN",
    2015,
    FROM_V6,
    encapsulation::GUE,
));

/// All of them.
pub(super) const ALL: [Kind; 16] = [
    DR,
    NAT,
    LOCAL,
    LOCAL_NAT,
    LOCAL_TUNNEL,
    IPIP,
    IPIP6,
    GUE,
    GUE6,
    FULLNAT,
    LOCAL_FULLNAT,
    DR_VLAN,
    NAT_VLAN,
    FULLNAT_VLAN,
    IPIP_VLAN,
    GUE6_VLAN,
];

/// Those whose replies come back through the director.
pub(super) const REPLYING: [Kind; 4] = [NAT, FULLNAT, NAT_VLAN, FULLNAT_VLAN];

impl Kind {
    /// Whether only a SYN opens a flow over TCP.
    pub(super) const fn needs_syn(self) -> bool {
        self.method == method::FULLNAT
    }

    /// Its service over TCP at the VIP of IPv4.
    pub(super) fn tcp(self) -> Served {
        self.served(Tcp::PROTOCOL, false)
    }

    /// Its service over UDP at the VIP of IPv4.
    pub(super) fn udp(self) -> Served {
        self.served(Udp::PROTOCOL, false)
    }

    /// Its service over TCP at the VIP of IPv6.
    pub(super) fn tcp6(self) -> Served {
        self.served(Tcp::PROTOCOL, true)
    }

    /// Its service over UDP at the VIP of IPv6.
    pub(super) fn udp6(self) -> Served {
        self.served(Udp::PROTOCOL, true)
    }

    fn served(self, protocol: u8, is_v6: bool) -> Served {
        let last = u8::try_from(self.port - 1800).expect("ports from 2000 to 2055");
        let mut plain = on_lan(self.port, protocol, self.method, last, self.port + 1000);
        plain.next_hop.vlan = self.vlan;
        let v4 = IpAddr::V4(Ipv4Addr::new(10, 77, 1, last));
        let v6 = lan6(0x1000 + u16::from(last));
        let served = if is_v6 { plain.over_v6(v6) } else { plain };
        let real = match self.road {
            Road::Tunnel(source, ..) if source.is_ipv4() => v4,
            Road::Tunnel(..) => v6.into(),
            Road::Plain | Road::Local => served.real,
        };
        // Only nat and fullnat may change the port, and not where they do nothing.
        let is_translated = matches!(self.method, method::NAT | method::FULLNAT)
            && !matches!(self.road, Road::Local);
        let real_port = if is_translated {
            served.real_port
        } else {
            self.port
        };
        Served {
            real,
            real_port,
            ..served.by(self.road)
        }
    }
}

/// Their services.
pub(super) fn services() -> Vec<Served> {
    ALL.iter()
        .flat_map(|kind| [kind.tcp(), kind.udp(), kind.tcp6(), kind.udp6()])
        .collect()
}
