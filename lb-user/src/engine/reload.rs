//! Taking a site file: at the start, and again on SIGHUP. A file is in force whole or not at all.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use daemon::notify;
use lb_ebpf::NextHop;
use lb_ebpf::abi::REAL_UP;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::reconcile::ReconcileError;
use super::targets::{TargetId, Targets};
use super::watch::attached;
use super::wish::key;
use super::{Engine, Event, InForce};
use crate::config::{Candidates, Checked, HostError, LoadError, Site};
use crate::control::Listening;
use crate::datapath::{self, Datapath, Mode};
use crate::network::{Network, netlink};
use crate::preflight::{Facts, Want};
use crate::tables::settle::Settling;
use crate::tables::{Memo, Tables};
use crate::{cli, identity, time};

/// Why the daemon does not start, or a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The site file.
    #[error(transparent)]
    Site(#[from] LoadError),
    /// This host in it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What the host lacks.
    #[error("{}", list(.0))]
    Wants(Vec<Want>),
    /// An interface that is not there.
    #[error("interface {name} does not exist; this host has {}", .known.join(", "))]
    NoInterface {
        /// What the site file says.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The data plane.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// The network's state.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The tables.
    #[error(transparent)]
    Full(#[from] crate::tables::Full),
    /// The maps.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The address of the status page.
    #[error(
        "status = \"{address}\" can't be listened on: {source}; \
         write a free address under [director]"
    )]
    Status {
        /// What the site file says.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Two interfaces that share a slot of the table.
    #[error(
        "interfaces {0} and {1} can't be served together: their indices differ by a multiple of 4096; create one of them anew"
    )]
    Collision(String, String),
}

impl StartError {
    /// Whether the site file is what is wrong: the process then ends with EX_USAGE.
    pub const fn is_site(&self) -> bool {
        matches!(self, Self::Site(_) | Self::Host(_))
    }
}

fn list(wants: &[Want]) -> String {
    wants
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Reads a site file and finds this host in it; `told` where the host was named.
fn read(path: &Path, named: Option<&str>, facts: &Facts) -> Result<(Checked, String), StartError> {
    let checked = Site::load(path)?;
    let hostname = identity::hostname();
    let candidates = Candidates {
        named,
        hostname: hostname.as_deref(),
        addresses: &facts.addresses,
    };
    let host = checked.site.own_director(&candidates)?.0.to_owned();
    let wants = facts.wants(&checked.site);
    if !wants.is_empty() {
        return Err(StartError::Wants(wants));
    }
    Ok((checked, host))
}

/// Says what is not wrong enough to refuse the file.
fn warn_of(checked: &Checked, facts: &Facts) {
    for diagnostic in checked.warnings.diagnostics() {
        warn!(help = diagnostic.help.as_deref(), "{}", diagnostic.message);
    }
    for vip in facts.unanswered(&checked.site) {
        warn!(
            %vip,
            "no interface of this host has this VIP, so nobody answers ARP for it: \
             add it with `ip address add {vip}/32 dev INTERFACE`"
        );
    }
}

/// The interfaces that the site file wants served on this host, by name.
fn interfaces(
    site: &Site,
    host: &str,
    network: &Network,
) -> Result<BTreeMap<String, u32>, StartError> {
    let director = site.hosts.get(host).and_then(|host| host.director.as_ref());
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for name in director
        .into_iter()
        .flat_map(|director| &director.interfaces)
    {
        let Some((ifindex, _)) = network.link(name) else {
            let known = network
                .links
                .values()
                .map(|link| link.name.clone())
                .collect();
            return Err(StartError::NoInterface {
                name: name.clone(),
                known,
            });
        };
        let same_slot = |other: &u32| {
            *other % lb_ebpf::abi::INTERFACE_SLOTS == ifindex % lb_ebpf::abi::INTERFACE_SLOTS
        };
        if let Some((other, _)) = found.iter().find(|(_, other)| same_slot(other)) {
            return Err(StartError::Collision(other.clone(), name.clone()));
        }
        found.insert(name.clone(), ifindex);
    }
    Ok(found)
}

/// Opens the data plane and takes the site file: what can go wrong goes wrong here, before
/// anything that forwards is touched.
///
/// # Errors
/// See [`StartError`]. What an earlier daemon left forwarding goes on; where there was nothing,
/// nothing is left.
pub async fn start(options: &cli::Run, events: mpsc::Sender<Event>) -> Result<Engine, StartError> {
    let facts = Facts::gather();
    let (checked, host) = read(&options.config, options.host.as_deref(), &facts)?;
    let netlink = netlink_events(&events)?;
    let mut network = Network::default();
    network.links = netlink.links().await?;
    let wanted = interfaces(&checked.site, &host, &network)?;
    let mut datapath = Datapath::open(&options.pin_dir)?;
    let took_over = !datapath.attached()?.is_empty();
    let clock = datapath.clock()?;
    let started = time::now();
    let loaded = datapath.tables()?;
    unresolved_events(&mut datapath, &events);
    remember_hops(&mut network, &loaded);
    let mut engine = Engine {
        site: InForce {
            path: options.config.clone(),
            named: options.host.clone(),
            checked,
            host,
            generation: 1,
            loaded_at: time::wall(),
            last_error: None,
            refused: 0,
        },
        targets: Targets::default(),
        network,
        loaded,
        settling: Settling::default(),
        memo: Memo::default(),
        attached: BTreeMap::new(),
        status: None,
        datapath,
        netlink,
        clock,
        started,
        events,
        dirty: true,
        topology_changed: false,
        solicited: BTreeMap::new(),
        next_solicit: started,
        next_housekeeping: started + super::HOUSEKEEPING,
        decided: false,
        ready: false,
    };
    warn_of(&engine.site.checked, &facts);
    engine
        .network
        .set_neighbours(engine.netlink.neighbours().await?);
    if let Err(error) = engine.put_in_force(&wanted).await {
        if !took_over {
            engine.datapath.undo()?;
        }
        return Err(error);
    }
    Ok(engine)
}

impl Engine {
    /// Reads the site file again. One that can't be taken changes nothing.
    pub(super) async fn reload(&mut self) {
        notify::reloading();
        match self.take().await {
            Ok(()) => {
                self.site.last_error = None;
                info!(generation = self.site.generation, "site file taken");
            }
            Err(error) => {
                self.site.refused += 1;
                let text = if let StartError::Site(site) = &error {
                    site.summary()
                } else {
                    error.to_string()
                };
                error!(error = %text, "site file refused; the one in force stays");
                self.site.last_error = Some(text);
            }
        }
        notify::ready();
    }

    async fn take(&mut self) -> Result<(), StartError> {
        let facts = Facts::gather();
        let (checked, host) = read(&self.site.path, self.site.named.as_deref(), &facts)?;
        self.network.links = self.netlink.links().await?;
        let wanted = interfaces(&checked.site, &host, &self.network)?;
        let before = std::mem::replace(&mut self.site.checked, checked);
        let host_before = std::mem::replace(&mut self.site.host, host);
        let (targets, network) = (self.targets.clone(), self.network.clone());
        if let Err(error) = self.put_in_force(&wanted).await {
            self.site.checked = before;
            self.site.host = host_before;
            self.targets = targets;
            self.network = network;
            self.dirty = true;
            return Err(error);
        }
        warn_of(&self.site.checked, &facts);
        self.site.generation += 1;
        self.site.loaded_at = time::wall();
        Ok(())
    }

    /// Puts the file that `self.site` names into force: first what can be refused, then the maps.
    async fn put_in_force(&mut self, wanted: &BTreeMap<String, u32>) -> Result<(), StartError> {
        self.follow_targets();
        self.refresh_paths().await;
        // To see whether it fits; the interfaces come later.
        drop(self.wanted()?);
        let status = self.listen().await?;
        self.take_interfaces(wanted)?;
        // Whether natively or not is known now, and no notification tells it.
        self.network.links = self.netlink.links().await?;
        self.put(time::now())?;
        if let Some(status) = status {
            self.status = Some(status);
        }
        Ok(())
    }

    /// Listens where the site file wants status served, unless that is where it is served already.
    async fn listen(&self) -> Result<Option<Listening>, StartError> {
        let address = self.site.checked.site.director.status;
        if self
            .status
            .as_ref()
            .is_some_and(|listening| listening.address() == address)
        {
            return Ok(None);
        }
        let listening = Listening::tcp(address, self.events.clone()).await;
        listening
            .map(Some)
            .map_err(|source| StartError::Status { address, source })
    }

    /// Probes the real servers of the site file in force; what an earlier daemon found up is
    /// taken to be up until probes say otherwise.
    fn follow_targets(&mut self) {
        let site = &self.site.checked.site;
        let loaded = &self.loaded;
        let was_up = |id: &TargetId| {
            let service = site
                .services
                .iter()
                .find(|service| service.name == id.service);
            let service = service.and_then(|service| loaded.services.get(&key(service)));
            service.is_some_and(|service| {
                loaded.reals.values().any(|real| {
                    real.service == service.id
                        && SocketAddr::new(IpAddr::from(real.address), real.port.get()) == id.real
                        && real.flags & REAL_UP != 0
                })
            })
        };
        self.targets
            .follow(&site.services, was_up, time::now(), time::wall());
    }

    /// Attaches to the interfaces wanted and detaches from the others. On failure those that were
    /// served before are served as before.
    fn take_interfaces(&mut self, wanted: &BTreeMap<String, u32>) -> Result<(), StartError> {
        let mut fresh: Vec<&str> = Vec::new();
        let pinned = self.datapath.attached()?;
        for (name, ifindex) in wanted {
            if self.attached.contains_key(name) {
                continue;
            }
            match self.datapath.attach(name, *ifindex) {
                Ok(mode) => {
                    log_attached(name, *ifindex, &mode);
                    self.attached.insert(name.clone(), attached(*ifindex, mode));
                    if !pinned.contains(name) {
                        fresh.push(name);
                    }
                }
                Err(error) => {
                    for name in fresh {
                        self.leave(name);
                    }
                    return Err(error.into());
                }
            }
        }
        for name in self.datapath.attached()? {
            if !wanted.contains_key(&name) {
                self.leave(&name);
            }
        }
        Ok(())
    }

    fn leave(&mut self, name: &str) {
        self.attached.remove(name);
        match self.datapath.detach(name) {
            Ok(()) => info!(interface = %name, "interface is no longer served"),
            Err(error) => Self::failed("interface can't be left", &error),
        }
    }
}

fn log_attached(interface: &str, ifindex: u32, mode: &Mode) {
    match mode {
        Mode::Native => info!(%interface, ifindex, mode = "native", "attached"),
        Mode::TakenOver => info!(%interface, ifindex, "program replaced in place"),
        Mode::Generic { because } => {
            warn!(%interface, ifindex, mode = "generic", %because, "attached, slower than natively");
        }
    }
}

/// Takes over the next hops that the maps hold.
fn remember_hops(network: &mut Network, loaded: &Tables) {
    for real in loaded
        .reals
        .values()
        .filter(|real| real.flags & REAL_UP != 0)
    {
        let hop = NextHop {
            ifindex: real.ifindex,
            destination: real.next_hop,
            source: real.source,
        };
        network.remember(IpAddr::from(real.address), hop);
    }
}

/// Connects to the kernel; its notifications become engine events.
fn netlink_events(events: &mpsc::Sender<Event>) -> Result<netlink::Netlink, StartError> {
    let (sender, receiver) = mpsc::channel(super::EVENTS_MAX);
    let netlink = netlink::connect(sender)?;
    tokio::spawn(forward(receiver, events.clone(), Event::Network));
    Ok(netlink)
}

/// What the program reports as unresolved becomes engine events.
fn unresolved_events(datapath: &mut Datapath, events: &mpsc::Sender<Event>) {
    let Some(buffer) = datapath.maps().take_unresolved() else {
        return;
    };
    let (sender, receiver) = mpsc::channel(super::EVENTS_MAX);
    tokio::spawn(forward(receiver, events.clone(), Event::Unresolved));
    if let Err(error) = datapath::unresolved::follow(buffer, sender) {
        warn!(%error, "clients that can't be resolved are not heard of");
    }
}

/// Hands events on to the engine, until either end is gone.
async fn forward<T>(
    mut from: mpsc::Receiver<T>,
    to: mpsc::Sender<Event>,
    wrap: impl Fn(T) -> Event,
) {
    while let Some(event) = from.recv().await {
        if to.send(wrap(event)).await.is_err() {
            return;
        }
    }
}
