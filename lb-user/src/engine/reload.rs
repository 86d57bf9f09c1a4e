//! Taking a site file: at the start, and again on SIGHUP. A file is in force whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use daemon::notify;
use lb_ebpf::NextHop;
use lb_ebpf::abi::REAL_UP;
use tokio::sync::{Semaphore, mpsc};
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

/// Interfaces by name, with their indices.
type Interfaces = BTreeMap<String, u32>;

/// The interfaces that the site file wants served on this host, by name.
fn interfaces(site: &Site, host: &str, network: &Network) -> Result<Interfaces, StartError> {
    let director = site.hosts.get(host).and_then(|host| host.director.as_ref());
    let mut found = Interfaces::new();
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
    let (netlink, changes) = netlink_events(&events)?;
    let mut network = Network::default();
    network.links = netlink.links().await?;
    let wanted = interfaces(&checked.site, &host, &network)?;
    let mut datapath = Datapath::open(&options.pin_dir)?;
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
        changes,
        refreshed: started,
        refresh_at: None,
        retry_at: None,
        problem: None,
        probes: probe_room(),
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
    engine.put_in_force(&wanted).await?;
    // Flows of services that a crash removed without their flows.
    engine.forget_flows();
    engine.datapath.keep();
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
    async fn put_in_force(&mut self, wanted: &Interfaces) -> Result<(), StartError> {
        self.follow_targets();
        self.network.own = identity::addresses().into_iter().collect();
        self.refresh_paths().await?;
        self.warn_of_sources();
        // To see whether it fits; the interfaces come later.
        drop(self.wanted()?);
        let status = self.listen().await?;
        let fresh = self.take_interfaces(wanted)?;
        // Whether natively or not is known now, and no notification tells it.
        match self.netlink.links().await {
            Ok(links) => self.network.links = links,
            Err(error) => Self::failed("links are not known", &error),
        }
        if let Err(error) = self.put(time::now()) {
            fresh.iter().for_each(|name| self.leave(name));
            return Err(error.into());
        }
        self.leave_others(wanted);
        if let Some(status) = status {
            self.status = Some(status);
        }
        Ok(())
    }

    /// Says so where this host's own packets to a real server would come from a VIP: its answers
    /// would go to whoever holds that, which in direct routing is the real server itself.
    fn warn_of_sources(&self) {
        let services = &self.site.checked.site.services;
        for real in services.iter().flat_map(|service| &service.reals) {
            let source = self.network.path(real.address).and_then(|path| path.source);
            if let Some(vip) = source.filter(|source| services.iter().any(|s| s.vip == *source)) {
                warn!(
                    real = %real.address,
                    %vip,
                    "probes would come from the VIP: give it to the interface as an address that \
                     nothing starts from, `ip address change {vip} dev INTERFACE preferred_lft 0`"
                );
            }
        }
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
        let names: BTreeMap<u32, &str> = site
            .services
            .iter()
            .filter_map(|service| {
                Some((self.loaded.services.get(&key(service))?.id, &*service.name))
            })
            .collect();
        let was_up: BTreeSet<TargetId> = self
            .loaded
            .reals
            .values()
            .filter(|real| real.flags & REAL_UP != 0)
            .filter_map(|real| {
                let service = (*names.get(&real.service)?).to_owned();
                let real = SocketAddr::new(IpAddr::from(real.address), real.port.get());
                Some(TargetId { service, real })
            })
            .collect();
        let was_up = |id: &TargetId| was_up.contains(id);
        self.targets
            .follow(&site.services, was_up, time::now(), time::wall());
    }

    /// Attaches to the interfaces wanted; those that had no link before are told. On failure
    /// these are left again.
    fn take_interfaces(&mut self, wanted: &Interfaces) -> Result<Vec<String>, StartError> {
        let mut fresh: Vec<String> = Vec::new();
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
                        fresh.push(name.clone());
                    }
                }
                Err(error) => {
                    fresh.iter().for_each(|name| self.leave(name));
                    return Err(error.into());
                }
            }
        }
        Ok(fresh)
    }

    /// Detaches from every interface that is not wanted.
    fn leave_others(&mut self, wanted: &Interfaces) {
        match self.datapath.attached() {
            Ok(attached) => {
                let others = attached.iter().filter(|name| !wanted.contains_key(*name));
                others.for_each(|name| self.leave(name));
            }
            Err(error) => Self::failed("interfaces that are not served any more stay", &error),
        }
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

/// Connects to the kernel; its notifications about neighbours become engine events.
fn netlink_events(
    events: &mpsc::Sender<Event>,
) -> Result<(netlink::Netlink, netlink::Changes), StartError> {
    let (sender, receiver) = mpsc::channel(super::EVENTS_MAX);
    let connected = netlink::connect(sender)?;
    tokio::spawn(forward(receiver, events.clone(), Event::Neighbour));
    Ok(connected)
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

/// File descriptors that are not for probes.
const DESCRIPTORS_KEPT: u64 = 256;

/// Room for probes in flight: what file descriptors this process may have, as many as the system
/// lets it. Probes beyond wait, and a probe that waited too long says nothing of its target.
fn probe_room() -> Arc<Semaphore> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    let limit = limit
        .unwrap_or(1024)
        .saturating_sub(DESCRIPTORS_KEPT)
        .max(64);
    let limit = usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
}
