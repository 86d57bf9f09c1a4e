//! This host's own interfaces and addresses over rtnetlink: asked for, added and removed.
//!
//! Not here: next hops to others ([`super::netlink`]), and which addresses a host should have.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's lists are open"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use rtnetlink::RouteMessageBuilder;

use super::netlink::{Error, Netlink, answer};

/// An interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it leads nowhere but to this host.
    pub is_loopback: bool,
    /// Whether others on it can ask for addresses, by ARP or NDP.
    pub is_asked: bool,
    /// Bytes an IP packet on it may have.
    pub mtu: u32,
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// The interface that has it.
    pub ifindex: u32,
}

/// A route to everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Whether it is IPv6's.
    pub is_v6: bool,
    /// The interface it leaves by.
    pub ifindex: u32,
}

/// A lifetime without an end.
const FOREVER: u32 = u32::MAX;

impl Netlink {
    /// All interfaces.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub async fn interfaces(&self) -> Result<Vec<Interface>, Error> {
        let links: Vec<LinkMessage> =
            answer(self.handle.link().get().execute().try_collect()).await?;
        Ok(links.iter().map(interface).collect())
    }

    /// All addresses.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub async fn addresses(&self) -> Result<Vec<Held>, Error> {
        let held: Vec<AddressMessage> =
            answer(self.handle.address().get().execute().try_collect()).await?;
        Ok(held.iter().filter_map(address).collect())
    }

    /// All default routes.
    ///
    /// # Errors
    /// As [`Netlink::links`].
    pub async fn default_routes(&self) -> Result<Vec<DefaultRoute>, Error> {
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut found = Vec::new();
        for (request, is_v6) in [(v4, false), (v6, true)] {
            let routes = self.handle.route().get(request).execute();
            let routes: Vec<RouteMessage> = answer(routes.try_collect()).await?;
            found.extend(routes.iter().flat_map(|route| defaults(route, is_v6)));
        }
        Ok(found)
    }

    /// Adds an address that stands alone (/32, /128) and that the kernel never chooses as the source
    /// of the host's own connections.
    ///
    /// # Errors
    /// The interface has it already, or the caller may not.
    pub async fn add_alone(&self, ifindex: u32, vip: IpAddr) -> Result<(), Error> {
        let mut request = self.handle.address().add(ifindex, vip, alone(vip));
        let message = request.message_mut();
        match vip {
            IpAddr::V4(_) => message.header.scope = AddressScope::Host,
            // IPv6 has no such scope; an address that is deprecated is chosen last of all.
            IpAddr::V6(_) => message.attributes.extend([
                AddressAttribute::Flags(AddressFlags::Nodad),
                AddressAttribute::CacheInfo(lifetime(0, FOREVER)),
            ]),
        }
        answer(request.execute()).await
    }

    /// Removes an address that stands alone.
    ///
    /// # Errors
    /// The interface does not have it, or the caller may not.
    pub async fn remove_alone(&self, ifindex: u32, vip: IpAddr) -> Result<(), Error> {
        // As it is for the kernel to find: the message that would add it.
        let mut like = self.handle.address().add(ifindex, vip, alone(vip));
        let message = like.message_mut().clone();
        answer(self.handle.address().del(message).execute()).await
    }
}

/// The prefix length of an address that stands alone.
pub const fn alone(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn lifetime(preferred: u32, valid: u32) -> CacheInfo {
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_preferred = preferred;
    lifetime.ifa_valid = valid;
    lifetime
}

fn interface(message: &LinkMessage) -> Interface {
    let flags = message.header.flags;
    let is_loopback = flags.contains(LinkFlags::Loopback);
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        is_up: flags.contains(LinkFlags::Up),
        is_loopback,
        is_asked: !is_loopback && !flags.contains(LinkFlags::Noarp),
        mtu: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            _ => {}
        }
    }
    interface
}

/// `IFA_LOCAL` is the host's own; `IFA_ADDRESS`, on a point-to-point link, the peer's.
fn address(message: &AddressMessage) -> Option<Held> {
    let of = |local: bool| {
        message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(address) if local => Some(*address),
                AddressAttribute::Address(address) if !local => Some(*address),
                _ => None,
            })
    };
    Some(Held {
        address: of(true).or_else(|| of(false))?,
        prefix: message.header.prefix_len,
        ifindex: message.header.index,
    })
}

/// The interfaces that a default route leaves by; several where it has several paths.
fn defaults(route: &RouteMessage, is_v6: bool) -> Vec<DefaultRoute> {
    if route.header.kind != RouteType::Unicast || route.header.destination_prefix_length != 0 {
        return Vec::new();
    }
    let by = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Oif(ifindex) => vec![*ifindex],
        RouteAttribute::MultiPath(paths) => paths.iter().map(|path| path.interface_index).collect(),
        _ => Vec::new(),
    };
    let by = route.attributes.iter().flat_map(by);
    by.map(|ifindex| DefaultRoute { is_v6, ifindex }).collect()
}
