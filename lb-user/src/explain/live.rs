//! What a question is answered by: the pinned maps, the kernel's tick and routes, the daemon's names.
//!
//! Nothing is changed anywhere. Not here: the answer ([`super::reasoning`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lb_ebpf::Route;
use lb_ebpf::abi::{Addr, SERVED};

use super::question::{Protocol, Question};
use super::{Explanation, Moment, explain};
use crate::cli::{PINS, SOCKET};
use crate::datapath::{self, Maps};
use crate::network::Network;
use crate::network::netlink::Netlink;
use crate::status::Status;
use crate::tables::lookups::LiveMaps;
use crate::time;

/// `viaduct explain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Who sends: an address and port, IPv6 in brackets.
    #[arg(value_name = "CLIENT:PORT")]
    client: SocketAddr,
    /// Where it goes.
    #[arg(value_name = "VIP:PORT")]
    vip: SocketAddr,
    /// tcp or udp.
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// The packet opens a connection; without it, it is one of a connection that is under way.
    #[arg(long)]
    syn: bool,
    /// Where the data plane is pinned.
    #[arg(long, value_name = "DIR", default_value = PINS)]
    pin_dir: PathBuf,
    /// The daemon's socket, to know the services' names by; needed for nothing else.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// What the command line asks.
    ///
    /// # Errors
    /// There is no such packet.
    pub fn question(&self) -> Result<Question, super::question::Wrong> {
        Question {
            client: self.client,
            vip: self.vip,
            protocol: self.protocol,
            syn: self.syn,
        }
        .checked()
    }
}

/// Answers by the maps as they are now.
///
/// # Errors
/// No data plane of our version is pinned there, or it can't be read.
pub async fn answer(question: &Question, options: &Options) -> anyhow::Result<Explanation> {
    let pins = &options.pin_dir;
    let opened = Maps::open_pinned(pins)
        .with_context(|| format!("{}: no data plane to ask", pins.display()))?;
    let clock = datapath::clock_beside(pins)?;
    let measured = time::now();
    let mut maps = opened.copied()?;
    let mut moment = Moment {
        now: clock.tick(time::now().saturating_duration_since(measured)),
        hz: clock.hz,
        status: names(&options.socket).await,
        ..Moment::default()
    };
    look_around(question, &mut maps, &mut moment).await?;
    Ok(explain(question, &maps, &moment))
}

/// The interface that the client is behind, and the way to where the packet goes in case it is a
/// reply.
async fn look_around(
    question: &Question,
    maps: &mut LiveMaps,
    moment: &mut Moment,
) -> anyhow::Result<()> {
    let netlink = Netlink::open()?;
    let mut network = Network::default();
    network.links = netlink.links().await?;
    network.set_neighbours(netlink.neighbours().await?);
    let (client, to) = (question.client.ip(), question.vip.ip());
    let back = netlink.path(client).await?;
    let served: Vec<u32> = maps
        .tables
        .interfaces
        .values()
        .filter(|interface| interface.flags & SERVED != 0)
        .map(|interface| interface.ifindex)
        .collect();
    let behind = back.map(|path| path.ifindex);
    let ingress = behind.filter(|ifindex| served.contains(ifindex));
    moment.ingress = ingress.or_else(|| served.first().copied()).unwrap_or(0);
    moment.interfaces = network
        .links
        .iter()
        .map(|(ifindex, link)| (*ifindex, link.name.clone()))
        .collect();
    maps.routes = route(&netlink, network, to).await?;
    Ok(())
}

/// The kernel's route to an address, as packets are told it.
async fn route(
    netlink: &Netlink,
    mut network: Network,
    to: IpAddr,
) -> anyhow::Result<BTreeMap<Addr, Route>> {
    let Some(path) = netlink.path(to).await? else {
        return Ok(BTreeMap::new());
    };
    network.set_paths(BTreeMap::from([(to, path)]));
    let route = network.next_hop(to).map_or(Route::Unresolved, Route::Via);
    Ok(BTreeMap::from([(Addr::from(to), route)]))
}

/// What the daemon says, if it is there: the maps hold no names.
async fn names(socket: &Path) -> Option<Status> {
    let reply = daemon::http::get(socket, "/status").await.ok()?;
    serde_json::from_str(&reply.body).ok()
}
