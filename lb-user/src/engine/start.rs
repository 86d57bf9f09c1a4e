//! The start of the engine: opens the data plane, connects to the kernel, takes the site file.
//!
//! Not here: what becomes of the file ([`super::reload`]), and the loop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_ebpf::NextHop;
use lb_ebpf::abi::{REAL_DRAINED, REAL_UP};
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use super::candidate::{StartError, interfaces, read, warn_of};
use super::targets::Targets;
use super::{Engine, Event, InForce, Routers};
use crate::datapath::{self, Datapath};
use crate::drain::Drained;
use crate::network::{Network, netlink};
use crate::preflight::Facts;
use crate::tables::settle::Settling;
use crate::tables::{Memo, Tables};
use crate::{cli, time, witness};

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
        drained: Drained::default(),
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
        routers: Routers::default(),
        replan: true,
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
        next_sweep: started + super::SWEEP,
        flow_entries: 0,
        decided: false,
        ready: false,
    };
    warn_of(&engine.site.checked, &engine.site.host, &facts);
    engine
        .network
        .set_neighbours(engine.netlink.neighbours().await?);
    let drained = engine.known(REAL_DRAINED);
    engine.drained.take_over(drained.into_iter());
    engine.put_in_force(&wanted).await?;
    witness::start(
        engine.site.checked.site.election.as_ref(),
        &engine.site.host,
    );
    // Flows of real servers that a crash removed without their flows.
    engine.forget_flows();
    engine.datapath.keep()?;
    Ok(engine)
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
            vlan: real.vlan,
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
