//! The virtual routers of the packet table: who answers for which VIPs, where, and whether now.
//!
//! Not here: the frames ([`super::table`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ebpf::abi::{Mac, method};
use lb_ebpf::wire::tcp::Tcp;
use lb_user::tables::{RouterWish, ServiceWish};

use super::served::{Road, Served, on_lan};
use super::site::{LAN, LAN_VLAN, LB, WAN, lan6};
use super::stage::Stage;

/// A virtual router with a VIP of each family, both of them served at port 80.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    index: u16,
    ifindex: u32,
    /// Its own Ethernet address, where it has one.
    pub(super) virtual_mac: Option<Mac>,
    /// Whether it answers, and whether it forwards.
    serves: (bool, bool),
    road: Road,
    /// Whether its VIPs are addresses of this host.
    is_local: bool,
}

/// Active, at the interface's Ethernet address.
pub(super) const ACTIVE: Owner = Owner {
    index: 0,
    ifindex: LAN,
    virtual_mac: None,
    serves: (true, true),
    road: Road::Plain,
    is_local: false,
};
/// Active, at an Ethernet address of its own.
pub(super) const VIRTUAL: Owner = Owner {
    index: 1,
    virtual_mac: Some(virtual_mac(0x33)),
    ..ACTIVE
};
/// Another director is Active.
pub(super) const BACKUP: Owner = Owner {
    index: 2,
    virtual_mac: Some(virtual_mac(0x34)),
    serves: (false, false),
    ..ACTIVE
};
/// Another director is Active, and may choose this host as a real server.
pub(super) const BACKUP_LOCAL: Owner = Owner {
    index: 3,
    serves: (false, false),
    road: Road::Local,
    ..ACTIVE
};
/// Another director is Active, and the VIPs are addresses of this host.
pub(super) const BACKUP_OWN: Owner = Owner {
    index: 7,
    serves: (false, false),
    is_local: true,
    ..ACTIVE
};
/// Active on the other interface.
pub(super) const ELSEWHERE: Owner = Owner {
    index: 4,
    ifindex: WAN,
    ..ACTIVE
};
/// Active in a VLAN.
pub(super) const IN_VLAN: Owner = Owner {
    index: 5,
    ifindex: LAN_VLAN,
    ..ACTIVE
};
/// Has stepped down, and forwards for a while.
pub(super) const LINGERING: Owner = Owner {
    index: 6,
    virtual_mac: Some(virtual_mac(0x35)),
    serves: (false, true),
    ..ACTIVE
};
/// Active on an interface that is not there.
pub(super) const ABSENT: Owner = Owner {
    index: 1023,
    ifindex: 99,
    ..ACTIVE
};

/// All of them.
pub(super) const ALL: [Owner; 9] = [
    ACTIVE,
    VIRTUAL,
    BACKUP,
    BACKUP_LOCAL,
    BACKUP_OWN,
    ELSEWHERE,
    IN_VLAN,
    LINGERING,
    ABSENT,
];

/// A VIP of [`ACTIVE`] without a service, as the gateway of real servers is.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 220);
/// As [`GATEWAY`], by IPv6.
pub(super) const GATEWAY6: Ipv6Addr = lan6(0x220);

/// The Ethernet address of a virtual router for IPv4 (RFC 9568 section 7.3).
const fn virtual_mac(router: u8) -> Mac {
    Mac([0, 0, 0x5e, 0, 1, router])
}

impl Owner {
    const fn number(&self) -> u8 {
        (self.index & 0xf) as u8
    }

    /// Its VIP.
    pub(super) const fn vip(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 200 + self.number())
    }

    /// Its VIP of IPv6.
    pub(super) const fn vip6(&self) -> Ipv6Addr {
        lan6(0x200 + self.number() as u16)
    }

    /// The Ethernet address that its VIPs are at.
    pub(super) fn mac(&self) -> Mac {
        self.virtual_mac.unwrap_or(LB)
    }

    /// The service at its VIP.
    pub(super) fn service(&self) -> Served {
        let served = on_lan(80, Tcp::PROTOCOL, method::DR, 160 + self.number(), 80);
        served.by(self.road).at(self.vip())
    }

    /// The service at its VIP of IPv6.
    pub(super) fn service6(&self) -> Served {
        let served = self.service();
        served
            .over_v6(lan6(u16::from(160 + self.number())))
            .at(self.vip6())
    }

    fn wish(&self) -> RouterWish {
        let mut vips: Vec<IpAddr> = vec![self.vip().into(), self.vip6().into()];
        if self.index == ACTIVE.index {
            vips.extend([IpAddr::from(GATEWAY), GATEWAY6.into()]);
        }
        RouterWish {
            index: self.index,
            ifindex: self.ifindex,
            mac: self.virtual_mac,
            local: if self.is_local {
                vips.clone()
            } else {
                Vec::new()
            },
            vips,
        }
    }
}

/// As the daemon would wish for them.
pub(super) fn wishes() -> Vec<RouterWish> {
    ALL.iter().map(Owner::wish).collect()
}

/// The services at their VIPs.
pub(super) fn services() -> Vec<ServiceWish> {
    let both = ALL
        .iter()
        .flat_map(|owner| [owner.service(), owner.service6()]);
    both.map(|served| served.wish()).collect()
}

/// Gives each the lease that it has all the time.
pub(super) fn lend(stage: &mut Stage) {
    let ticks = |serves| if serves { u64::MAX } else { 0 };
    for owner in ALL {
        let (answers, forwards) = owner.serves;
        let until = [ticks(answers), ticks(forwards)];
        stage.plane().lend(owner.index, until);
    }
}

/// A frame that is for a virtual router on [`LAN`] which answers, as it is for the interface.
pub(super) fn adopted(ingress: u32, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some(to) = frame.get_mut(..6) {
        if ingress == LAN && to == VIRTUAL.mac().0 {
            to.copy_from_slice(&LB.0);
        }
    }
    frame
}

/// Where an ARP packet ends in its frame; what follows is padding.
pub(super) fn end_of_arp(frame: &[u8]) -> Option<usize> {
    let mut l3 = 14;
    while l3 < 22 && matches!(frame.get(l3 - 2..l3)?, [0x81, 0] | [0x88, 0xa8]) {
        l3 += 4;
    }
    (frame.get(l3 - 2..l3)? == [8, 6]).then_some(l3 + 28)
}
