//! Virtual routers as the program reads them, and whose VIP an address is.
//!
//! Not here: their leases, which the protocol thread writes by itself
//! ([`Leases`](crate::datapath::Leases)).

use std::collections::BTreeMap;

use lb_ebpf::abi::{Addr, Router, VirtualMac};

use super::{RouterWish, Tables, Wish};

/// The virtual routers of VIPs.
pub(super) type Owners = BTreeMap<Addr, Owner>;

/// The virtual router of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Its index.
    pub(super) router: u16,
    /// Whether the VIP is an address of this host.
    pub(super) is_local: bool,
}

/// Fills in the virtual routers; whose VIPs are whose.
pub(super) fn fill(tables: &mut Tables, wish: &Wish) -> Owners {
    let mut owners = Owners::new();
    for router in &wish.routers {
        let programmed = programmed(router, wish);
        let index = u32::from(router.index);
        tables.routers.insert(index, programmed);
        if let (Some(mac), 1..) = (router.mac, programmed.ifindex) {
            let mac = VirtualMac {
                ifindex: programmed.ifindex,
                vlan: programmed.vlan,
                mac,
            };
            tables.virtual_macs.insert(mac, index);
        }
        for vip in &router.vips {
            let owner = Owner {
                router: router.index,
                is_local: router.local.contains(vip),
            };
            owners.entry(Addr::from(*vip)).or_insert(owner);
        }
    }
    owners
}

/// Whose VIPs are whose in tables that were built.
pub(super) fn owners(tables: &Tables) -> Owners {
    let owned = tables.vips.values().filter_map(|entry| {
        let router = u16::try_from(entry.tcp.router()).ok()?.checked_sub(1)?;
        // Of a real server here as well as of the VIP: as long as neither changes, it is the same.
        let is_local = entry.tcp.is_local();
        Some((entry.address, Owner { router, is_local }))
    });
    owned.collect()
}

/// A router, its interface as frames see it; on one that is not there it answers nobody.
fn programmed(router: &RouterWish, wish: &Wish) -> Router {
    let mut interfaces = wish.interfaces.iter();
    let Some(interface) = interfaces.find(|interface| interface.ifindex == router.ifindex) else {
        return Router::default();
    };
    Router {
        mac: router.mac.unwrap_or(interface.mac),
        ifindex: interface.egress,
        vlan: interface.vlan,
        ..Router::default()
    }
}
