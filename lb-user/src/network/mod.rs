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
    /// How an XDP program is attached to it.
    pub xdp: Xdp,
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
        self.last.retain(|destination, hop| {
            paths
                .get(destination)
                .is_some_and(|path| path.ifindex == hop.ifindex)
        });
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

    /// The next hop towards a destination: resolved now, or the last one that was.
    pub fn next_hop(&mut self, destination: IpAddr) -> Option<NextHop> {
        let path = self.paths.get(&destination)?;
        let source = self.links.get(&path.ifindex)?.mac?;
        let Some(mac) = self.neighbours.get(&(path.ifindex, path.via)) else {
            let last = self.last.get(&destination)?;
            return Some(NextHop { source, ..*last });
        };
        let hop = NextHop {
            ifindex: path.ifindex,
            destination: *mac,
            source,
        };
        self.last.insert(destination, hop);
        Some(hop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: u32 = 2;
    const ETH1: u32 = 3;

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network() -> Network {
        let link = |name: &str, last| Link {
            name: name.to_owned(),
            mac: Some(mac(last)),
            mtu: 1500,
            xdp: Xdp::None,
        };
        let mut network = Network::default();
        network.links.insert(ETH0, link("eth0", 100));
        network.links.insert(ETH1, link("eth1", 101));
        network.set_paths(BTreeMap::from([
            (
                ip("10.0.0.11"),
                Path {
                    ifindex: ETH0,
                    via: ip("10.0.0.11"),
                    source: None,
                    mtu: None,
                },
            ),
            (
                ip("10.9.0.1"),
                Path {
                    ifindex: ETH1,
                    via: ip("10.1.0.254"),
                    source: None,
                    mtu: None,
                },
            ),
        ]));
        network
    }

    #[test]
    fn a_next_hop_needs_a_path_and_a_neighbour() {
        let mut network = network();
        assert_eq!(network.next_hop(ip("10.0.0.11")), None);
        assert_eq!(network.missing().count(), 2);
        network.resolved(ETH0, ip("10.0.0.11"), mac(11));
        let hop = network.next_hop(ip("10.0.0.11")).unwrap();
        assert_eq!(
            hop,
            NextHop {
                ifindex: ETH0,
                destination: mac(11),
                source: mac(100)
            }
        );
        assert_eq!(network.next_hop(ip("10.0.0.12")), None);
    }

    #[test]
    fn behind_a_router_the_next_hop_is_the_router() {
        let mut network = network();
        network.resolved(ETH1, ip("10.1.0.254"), mac(254));
        let hop = network.next_hop(ip("10.9.0.1")).unwrap();
        assert_eq!((hop.ifindex, hop.destination), (ETH1, mac(254)));
    }

    #[test]
    fn a_neighbour_that_times_out_is_used_on_and_a_new_address_takes_effect() {
        let mut network = network();
        network.resolved(ETH0, ip("10.0.0.11"), mac(11));
        let hop = network.next_hop(ip("10.0.0.11"));
        network.unresolved(ETH0, ip("10.0.0.11"));
        assert_eq!(network.next_hop(ip("10.0.0.11")), hop);
        network.resolved(ETH0, ip("10.0.0.11"), mac(12));
        assert_eq!(
            network.next_hop(ip("10.0.0.11")).unwrap().destination,
            mac(12)
        );
    }

    #[test]
    fn a_destination_that_moves_to_another_link_is_not_reached_by_the_old_hop() {
        let mut network = network();
        network.resolved(ETH0, ip("10.0.0.11"), mac(11));
        network.next_hop(ip("10.0.0.11")).unwrap();
        network.set_paths(BTreeMap::from([(
            ip("10.0.0.11"),
            Path {
                ifindex: ETH1,
                via: ip("10.1.0.254"),
                source: None,
                mtu: None,
            },
        )]));
        assert_eq!(network.next_hop(ip("10.0.0.11")), None);
    }
}
