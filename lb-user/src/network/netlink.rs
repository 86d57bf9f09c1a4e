//! The kernel's links, neighbours and routes over rtnetlink: asked for, and followed live.
//!
//! Not here: what follows from them ([`super::Network`]).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's lists are open"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::{StreamExt as _, TryStreamExt as _};
use lb_ebpf::abi::Mac;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio::sync::mpsc;

use super::{Link, Path, Xdp};

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Links or routes changed: ask again for both.
    Topology,
    /// A neighbour is resolved, or (`None`) no longer.
    Neighbour {
        /// Interface it is on.
        ifindex: u32,
        /// Its IP address.
        address: IpAddr,
        /// Its Ethernet address.
        mac: Option<Mac>,
    },
    /// The kernel had more to tell than we read in time: ask again for everything.
    Overrun,
}

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// A request failed.
    #[error("netlink: {0}")]
    Request(#[from] rtnetlink::Error),
}

/// The connection to the kernel.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// Opens the connection, spawns its task and one that turns notifications into [`Event`]s.
///
/// # Errors
/// No socket can be had.
pub fn connect(events: mpsc::Sender<Event>) -> Result<Netlink, Error> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Route,
    ];
    let (connection, handle, mut messages) = new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        while let Some((message, _)) = messages.next().await {
            if let Some(event) = event(message) {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(Netlink { handle })
}

impl Netlink {
    /// All links by index.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub async fn links(&self) -> Result<BTreeMap<u32, Link>, Error> {
        let messages: Vec<LinkMessage> = self.handle.link().get().execute().try_collect().await?;
        Ok(messages
            .iter()
            .map(|message| (message.header.index, link(message)))
            .collect())
    }

    /// All resolved IPv4 neighbours.
    ///
    /// # Errors
    /// As [`Self::links`].
    pub async fn neighbours(&self) -> Result<BTreeMap<(u32, IpAddr), Mac>, Error> {
        let request = self
            .handle
            .neighbours()
            .get()
            .set_address_family(AddressFamily::Inet);
        let messages: Vec<NeighbourMessage> = request.execute().try_collect().await?;
        let resolved = messages
            .iter()
            .filter_map(|message| match neighbour(message)? {
                Event::Neighbour {
                    ifindex,
                    address,
                    mac: Some(mac),
                } => Some(((ifindex, address), mac)),
                Event::Neighbour { .. } | Event::Topology | Event::Overrun => None,
            });
        Ok(resolved.collect())
    }

    /// The path to a destination; `None` where no route leads, or the destination is this host.
    ///
    /// # Errors
    /// As [`Self::links`].
    pub async fn path(&self, destination: IpAddr) -> Result<Option<Path>, Error> {
        let IpAddr::V4(v4) = destination else {
            return Ok(None);
        };
        let request = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(v4, 32)
            .build();
        let mut routes = self.handle.route().get(request);
        // One destination, one answer: not the dump that the builder asks for.
        routes.message_mut().header.table = 0;
        let mut answers = Box::pin(routes.execute());
        match answers.try_next().await {
            Ok(route) => Ok(route.as_ref().and_then(|route| path(route, destination))),
            // The kernel's word for "no route" (ENETUNREACH, EHOSTUNREACH, EACCES of a prohibit).
            Err(rtnetlink::Error::NetlinkError(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the kernel resolve a neighbour, or make sure of one it knows (`ip neigh … use`).
    ///
    /// # Errors
    /// The link is gone.
    pub async fn solicit(&self, path: Path) -> Result<(), Error> {
        let request = self
            .handle
            .neighbours()
            .add(path.ifindex, path.via)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        Ok(request.execute().await?)
    }
}

/// A notification as an event; `None` for what does not matter here.
fn event(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Event> {
    match message.payload {
        NetlinkPayload::Overrun(_) => Some(Event::Overrun),
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(_)
            | RouteNetlinkMessage::DelLink(_)
            | RouteNetlinkMessage::NewRoute(_)
            | RouteNetlinkMessage::DelRoute(_),
        ) => Some(Event::Topology),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) => {
            neighbour(&message)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(message)) => {
            neighbour(&message).map(forgotten)
        }
        _ => None,
    }
}

/// A neighbour that was deleted is unresolved, whatever state it was in.
fn forgotten(event: Event) -> Event {
    match event {
        Event::Neighbour {
            ifindex, address, ..
        } => Event::Neighbour {
            ifindex,
            address,
            mac: None,
        },
        Event::Topology | Event::Overrun => event,
    }
}

/// An IPv4 neighbour on an Ethernet link.
fn neighbour(message: &NeighbourMessage) -> Option<Event> {
    if message.header.family != AddressFamily::Inet {
        return None;
    }
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
            _ => None,
        })?;
    let mac = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
            _ => None,
        });
    let usable = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    Some(Event::Neighbour {
        ifindex: message.header.ifindex,
        address,
        mac: mac.filter(|_| usable),
    })
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        name: String::new(),
        mac: None,
        xdp: Xdp::None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes),
            LinkAttribute::Xdp(attributes) => link.xdp = xdp(attributes),
            _ => {}
        }
    }
    link
}

fn xdp(attributes: &[LinkXdp]) -> Xdp {
    let attached = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(attached) => Some(attached),
        _ => None,
    });
    match attached {
        None | Some(XdpAttached::None) => Xdp::None,
        Some(XdpAttached::Driver) => Xdp::Native,
        Some(XdpAttached::SocketBuffer) => Xdp::Generic,
        Some(_) => Xdp::Other,
    }
}

/// The answer to "how is this reached": out by which link, and via whom.
fn path(route: &RouteMessage, destination: IpAddr) -> Option<Path> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let mut path = Path {
        ifindex: 0,
        via: destination,
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => path.ifindex = *ifindex,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => {
                path.via = IpAddr::V4(*gateway);
            }
            _ => {}
        }
    }
    (path.ifindex != 0).then_some(path)
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes).ok().map(Mac)
}
