//! The kernel's links, neighbours and routes over rtnetlink: asked for, and followed live.
//!
//! Not here: what follows from them ([`super::Network`]).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's lists are open"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use lb_ebpf::abi::Mac;
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, VlanProtocol,
    XdpAttached,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::AsyncSocket as _;
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, new_connection, new_multicast_connection,
};
use tokio::sync::{Notify, mpsc};

use super::{Link, Path, Vlan, Xdp};

/// A neighbour is resolved, or (`None`) no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Interface it is on.
    pub ifindex: u32,
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
}

/// Whether links or routes changed, or more than could be told: ask again for everything. However
/// much the kernel has to tell, this is one flag.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<(AtomicBool, Notify)>);

impl Changes {
    fn note(&self) {
        self.0.0.store(true, Ordering::Release);
        self.0.1.notify_one();
    }

    /// Whether there were any since the last time this was asked.
    pub fn take(&self) -> bool {
        self.0.0.swap(false, Ordering::Acquire)
    }

    /// Waits until there is one.
    pub async fn noted(&self) {
        self.0.1.notified().await;
    }
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
    /// An answer was lost, as netlink may lose it.
    #[error("netlink: no answer")]
    NoAnswer,
}

/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of notifications that may wait for us, as far as the system allows.
const WAITING_MAX: usize = 4 << 20;

/// The connection to the kernel.
#[derive(Clone, Debug)]
pub struct Netlink {
    pub(super) handle: Handle,
}

/// Opens two sockets, so that no flood of notifications costs an answer, and spawns the tasks
/// that read them.
///
/// # Errors
/// No socket can be had.
pub fn connect(neighbours: mpsc::Sender<Neighbour>) -> Result<(Netlink, Changes), Error> {
    let netlink = Netlink::open()?;
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (mut connection, _, mut messages) = new_multicast_connection(&groups)?;
    // Less is had where less is allowed; an overrun is noticed.
    let wider = connection
        .socket_mut()
        .socket_mut()
        .set_rx_buf_sz(WAITING_MAX);
    wider.unwrap_or_else(|error| tracing::debug!(%error, "the netlink buffer stays as it is"));
    tokio::spawn(connection);
    let changes = Changes::default();
    let noted = changes.clone();
    tokio::spawn(async move {
        while let Some((message, _)) = messages.next().await {
            match notice(message) {
                None => {}
                Some(Notice::Changed) => noted.note(),
                // Never waits: what does not fit is asked for anew.
                Some(Notice::Neighbour(neighbour)) if neighbours.try_send(neighbour).is_ok() => {}
                Some(Notice::Neighbour(_)) => noted.note(),
            }
            if neighbours.is_closed() {
                return;
            }
        }
    });
    Ok((netlink, changes))
}

/// Waits for an answer, but not for ever.
pub(super) async fn answer<T>(
    question: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(PATIENCE, question).await;
    Ok(answer.map_err(|_elapsed| Error::NoAnswer)??)
}

impl Netlink {
    /// Opens a socket for questions, and spawns the task that reads it.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn open() -> Result<Self, Error> {
        let (requests, handle, _) = new_connection()?;
        tokio::spawn(requests);
        Ok(Self { handle })
    }

    /// All links by index.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub async fn links(&self) -> Result<BTreeMap<u32, Link>, Error> {
        let messages: Vec<LinkMessage> =
            answer(self.handle.link().get().execute().try_collect()).await?;
        Ok(messages
            .iter()
            .map(|message| (message.header.index, link(message)))
            .collect())
    }

    /// All resolved neighbours.
    ///
    /// # Errors
    /// As [`Self::links`].
    pub async fn neighbours(&self) -> Result<BTreeMap<(u32, IpAddr), Mac>, Error> {
        let request = self.handle.neighbours().get();
        let messages: Vec<NeighbourMessage> = answer(request.execute().try_collect()).await?;
        let resolved = messages.iter().filter_map(|message| {
            let Neighbour {
                ifindex,
                address,
                mac,
            } = neighbour(message)?;
            Some(((ifindex, address), mac?))
        });
        Ok(resolved.collect())
    }

    /// The path to a destination; `None` where no route leads, or the destination is this host.
    ///
    /// # Errors
    /// As [`Self::links`].
    pub async fn path(&self, destination: IpAddr) -> Result<Option<Path>, Error> {
        let request = match destination {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(v4, 32)
                .build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(v6, 128)
                .build(),
        };
        let mut routes = self.handle.route().get(request);
        // One destination, one answer: not the dump that the builder asks for.
        routes.message_mut().header.table = 0;
        let mut answers = Box::pin(routes.execute());
        match answer(answers.try_next()).await {
            Ok(route) => Ok(route.as_ref().and_then(|route| path(route, destination))),
            Err(Error::Request(rtnetlink::Error::NetlinkError(error)))
                if NO_ROUTE.contains(&-error.raw_code()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The gateways of all routes: next hops of whatever is not on a link of this host.
    ///
    /// # Errors
    /// As [`Self::links`].
    pub async fn gateways(&self) -> Result<BTreeSet<Path>, Error> {
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut gateways = BTreeSet::new();
        for request in [v4, v6] {
            let routes = self.handle.route().get(request).execute();
            let routes: Vec<RouteMessage> = answer(routes.try_collect()).await?;
            // The destination only stands for "not the gateway itself".
            let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let paths = routes.iter().filter_map(|route| path(route, nowhere));
            gateways.extend(paths.filter(|path| path.via != nowhere));
        }
        Ok(gateways)
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
        answer(request.execute()).await
    }
}

/// The kernel's words for "there is no route": none, unreachable, prohibited, or swallowed.
const NO_ROUTE: [i32; 4] = [
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::EACCES,
    libc::EINVAL,
];

/// What a notification says.
enum Notice {
    Changed,
    Neighbour(Neighbour),
}

/// A notification as a notice; `None` for what does not matter here.
fn notice(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Notice> {
    match message.payload {
        NetlinkPayload::Overrun(_) => Some(Notice::Changed),
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(_)
            | RouteNetlinkMessage::DelLink(_)
            | RouteNetlinkMessage::NewRoute(_)
            | RouteNetlinkMessage::DelRoute(_),
        ) => Some(Notice::Changed),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) => {
            neighbour(&message).map(Notice::Neighbour)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(message)) => {
            // Unresolved, whatever state it was in.
            neighbour(&message).map(|gone| Notice::Neighbour(Neighbour { mac: None, ..gone }))
        }
        _ => None,
    }
}

/// A neighbour on an Ethernet link.
fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    if ![AddressFamily::Inet, AddressFamily::Inet6].contains(&message.header.family) {
        return None;
    }
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
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
            | NeighbourState::Noarp
    );
    Some(Neighbour {
        ifindex: message.header.ifindex,
        address,
        mac: mac.filter(|_| usable),
    })
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        name: String::new(),
        mac: None,
        mtu: 0,
        is_up: message
            .header
            .flags
            .contains(LinkFlags::Up | LinkFlags::LowerUp),
        xdp: Xdp::None,
        vlan: None,
    };
    let (mut parent, mut info) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Xdp(attributes) => link.xdp = xdp(attributes),
            LinkAttribute::Link(ifindex) => parent = Some(*ifindex),
            LinkAttribute::LinkInfo(found) => info = Some(found),
            _ => {}
        }
    }
    link.vlan = parent
        .zip(info)
        .and_then(|(parent, info)| vlan(parent, info));
    link
}

/// What tells that a link is a VLAN of another one.
fn vlan(parent: u32, info: &[LinkInfo]) -> Option<Vlan> {
    let data = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
        _ => None,
    })?;
    let id = data.iter().find_map(|data| match data {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let other = |data: &InfoVlan| matches!(data, InfoVlan::Protocol(protocol) if *protocol != VlanProtocol::Ieee8021Q);
    Some(Vlan {
        id,
        parent,
        is_dot1q: !data.iter().any(other),
    })
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
        source: None,
        mtu: None,
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::PrefSource(RouteAddress::Inet(v4)) => path.source = Some((*v4).into()),
            RouteAttribute::PrefSource(RouteAddress::Inet6(v6)) => path.source = Some((*v6).into()),
            RouteAttribute::Metrics(metrics) => path.mtu = mtu(metrics),
            RouteAttribute::Oif(ifindex) => path.ifindex = *ifindex,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => {
                path.via = IpAddr::V4(*gateway);
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => {
                path.via = IpAddr::V6(*gateway);
            }
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => path.via = IpAddr::V6(*gateway),
            _ => {}
        }
    }
    (path.ifindex != 0).then_some(path)
}

fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes).ok().map(Mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(protocol: VlanProtocol) -> LinkMessage {
        let data = vec![InfoVlan::Protocol(protocol), InfoVlan::Id(20)];
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName("eth0.20".to_owned()),
            LinkAttribute::Link(2),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(netlink_packet_route::link::InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(data)),
            ]),
        ];
        message
    }

    #[test]
    fn a_vlan_tells_its_number_and_the_link_below() {
        let vlan = |is_dot1q| Vlan {
            id: 20,
            parent: 2,
            is_dot1q,
        };
        assert_eq!(link(&told(VlanProtocol::Ieee8021Q)).vlan, Some(vlan(true)));
        assert_eq!(
            link(&told(VlanProtocol::Ieee8021Ad)).vlan,
            Some(vlan(false))
        );
    }

    #[test]
    fn a_link_to_a_peer_is_no_vlan() {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::Link(2)];
        assert_eq!(link(&message).vlan, None);
    }
}
