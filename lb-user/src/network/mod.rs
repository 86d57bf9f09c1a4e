//! What this host knows of its network, as far as real servers are concerned: links, neighbours,
//! and the route to each real server. From these follow the next hops that the program writes
//! into frames.
//!
//! A plain value; [`netlink`] is where it is learned. [`addresses`] is for whoever changes this host's
//! own.

pub mod addresses;
pub mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_ebpf::NextHop;
use lb_ebpf::abi::Mac;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` for links that have none.
    pub mac: Option<Mac>,
    /// Bytes an IP packet on it may have.
    pub mtu: u32,
    /// Whether it is up, with a carrier.
    pub is_up: bool,
    /// How an XDP program is attached to it.
    pub xdp: Xdp,
    /// The VLAN it is, where it is one.
    pub vlan: Option<Vlan>,
}

/// A link that is a VLAN of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Its number, 0 to 4095.
    pub id: u16,
    /// The link whose frames carry its tag.
    pub parent: u32,
    /// Whether the tag is one of 802.1Q; else of 802.1ad, which the program does not write.
    pub is_dot1q: bool,
}

/// How an XDP program is attached to a link, as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xdp {
    /// Not at all.
    None,
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// In the card, or several ways at once.
    Other,
}

impl Xdp {
    /// The word for it in status and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Other => "other",
        }
    }
}

/// Where packets to a destination go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Interface they leave by.
    pub ifindex: u32,
    /// Who gets them on that link: the gateway, or the destination itself.
    pub via: IpAddr,
    /// The source address that this host's own packets there would have.
    pub source: Option<IpAddr>,
    /// Bytes a packet may have by the route; the link may allow fewer.
    pub mtu: Option<u32>,
}

/// Everything known at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// By interface index.
    pub links: BTreeMap<u32, Link>,
    /// Interfaces that the program is attached to, or is about to be.
    pub served: BTreeSet<u32>,
    /// Addresses of this host itself.
    pub own: BTreeSet<IpAddr>,
    /// Resolved neighbours, by interface index and address.
    neighbours: BTreeMap<(u32, IpAddr), Mac>,
    /// Paths to the destinations asked for.
    paths: BTreeMap<IpAddr, Path>,
    /// The last next hop of each destination: a neighbour that times out is used on, as one who
    /// does not answer may still receive; health decides whether it is alive.
    last: BTreeMap<IpAddr, NextHop>,
}

impl Network {
    /// The link of a name.
    pub fn link(&self, name: &str) -> Option<(u32, &Link)> {
        self.links
            .iter()
            .find(|(_, link)| link.name == name)
            .map(|(ifindex, link)| (*ifindex, link))
    }

    /// A neighbour was resolved; whether that matters to a path.
    pub fn resolved(&mut self, ifindex: u32, address: IpAddr, mac: Mac) -> bool {
        let before = self.neighbours.insert((ifindex, address), mac);
        before != Some(mac)
            && self
                .hops()
                .any(|hop| (hop.ifindex, hop.via) == (ifindex, address))
    }

    /// A neighbour's address is no longer known.
    pub fn unresolved(&mut self, ifindex: u32, address: IpAddr) {
        self.neighbours.remove(&(ifindex, address));
    }

    /// The path to a destination that was asked for.
    pub fn path(&self, destination: IpAddr) -> Option<Path> {
        self.paths.get(&destination).copied()
    }

    /// Whether a destination is reached without a router; so it is while no path is known.
    pub fn is_on_link(&self, destination: IpAddr) -> bool {
        self.paths
            .get(&destination)
            .is_none_or(|path| path.via == destination)
    }

    /// Replaces the paths to all destinations that matter; what is known of others is forgotten.
    pub fn set_paths(&mut self, paths: BTreeMap<IpAddr, Path>) {
        let mut last = std::mem::take(&mut self.last);
        last.retain(|destination, hop| {
            let path = paths.get(destination);
            let out = path.and_then(|path| self.out_by(path.ifindex));
            out.is_some_and(|out| (out.ifindex, out.vlan) == (hop.ifindex, hop.vlan))
        });
        self.last = last;
        self.paths = paths;
    }

    /// Replaces all neighbours: after the kernel has told more than we could read.
    pub fn set_neighbours(&mut self, neighbours: BTreeMap<(u32, IpAddr), Mac>) {
        self.neighbours = neighbours;
    }

    /// Takes over a next hop that an earlier daemon found, until a better one is known.
    pub fn remember(&mut self, destination: IpAddr, hop: NextHop) {
        self.last.insert(destination, hop);
    }

    /// Who has to be resolved, and kept so, for the paths in use.
    pub fn hops(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.values().copied()
    }

    /// Paths whose next hop is not resolved.
    pub fn missing(&self) -> impl Iterator<Item = Path> + '_ {
        self.hops()
            .filter(|path| !self.neighbours.contains_key(&(path.ifindex, path.via)))
    }

    /// How frames leave that the kernel would send by a link. Those of a VLAN leave by the served
    /// interface below it, tagged: a VLAN has no way for what an XDP program sends. `None` where one
    /// tag does not do, or a link has no Ethernet address.
    fn out_by(&self, ifindex: u32) -> Option<Out> {
        let link = self.links.get(&ifindex)?;
        let plain = Out {
            ifindex,
            vlan: 0,
            source: link.mac?,
        };
        let Some(vlan) = link.vlan.filter(|_| !self.served.contains(&ifindex)) else {
            return Some(plain);
        };
        if self.is_stacked(ifindex) {
            return None;
        }
        let is_below_served = self.served.contains(&vlan.parent);
        Some(if is_below_served {
            Out {
                ifindex: vlan.parent,
                vlan: vlan.id,
                ..plain
            }
        } else {
            plain
        })
    }

    /// Whether a link is a VLAN of a VLAN, or one of 802.1ad: frames for it would need more than one
    /// tag of 802.1Q.
    fn is_stacked(&self, ifindex: u32) -> bool {
        let vlan = |ifindex| self.links.get(&ifindex).and_then(|link| link.vlan);
        vlan(ifindex).is_some_and(|found| !found.is_dot1q || vlan(found.parent).is_some())
    }

    /// Whether a destination is behind a link that frames can't be tagged for.
    pub fn is_out_of_reach(&self, destination: IpAddr) -> bool {
        self.paths.get(&destination).is_some_and(|path| {
            !self.served.contains(&path.ifindex) && self.is_stacked(path.ifindex)
        })
    }

    /// The VLANs that packets can leave by, with what the program has to know of them.
    pub fn vlans(&self) -> impl Iterator<Item = (u32, NextHop)> + '_ {
        let links = self.links.keys().copied();
        links.filter_map(|ifindex| {
            let out = self.out_by(ifindex).filter(|out| out.vlan != 0)?;
            let hop = NextHop {
                ifindex: out.ifindex,
                destination: Mac::default(),
                source: out.source,
                vlan: out.vlan,
            };
            Some((ifindex, hop))
        })
    }

    /// Bytes an IP packet may have on its way to a destination, as far as this host knows.
    pub fn mtu(&self, destination: IpAddr) -> Option<u32> {
        let path = self.paths.get(&destination)?;
        let link = self.links.get(&path.ifindex)?.mtu;
        Some(path.mtu.unwrap_or(link).min(link))
    }

    /// The same where packets may come in that are longer, one by one as they were sent: a program in
    /// the driver sees them so. In the stack they have been put together, and lengths tell nothing.
    pub fn narrow_mtu(&self, destination: IpAddr) -> Option<u32> {
        let way = self.mtu(destination)?;
        let served = self.served.iter().map(|ifindex| self.links.get(ifindex));
        let (mut is_native, mut is_wider) = (true, false);
        for link in served {
            is_native &= link.is_some_and(|link| link.xdp == Xdp::Native);
            is_wider |= link.is_some_and(|link| link.mtu > way);
        }
        (is_native && is_wider).then_some(way)
    }

    /// The next hop towards a destination: resolved now, or the last one that was.
    pub fn next_hop(&mut self, destination: IpAddr) -> Option<NextHop> {
        let path = self.paths.get(&destination)?;
        let Out {
            ifindex,
            vlan,
            source,
        } = self.out_by(path.ifindex)?;
        let Some(mac) = self.neighbours.get(&(path.ifindex, path.via)) else {
            let last = self.last.get(&destination)?;
            return Some(NextHop { source, ..*last });
        };
        let hop = NextHop {
            ifindex,
            destination: *mac,
            source,
            vlan,
        };
        self.last.insert(destination, hop);
        Some(hop)
    }
}

/// How frames leave.
struct Out {
    ifindex: u32,
    vlan: u16,
    source: Mac,
}

#[cfg(test)]
mod tests;
