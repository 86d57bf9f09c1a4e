//! The one loop of the daemon: events in, decisions by pure rooms, changes of the data plane out.
//!
//! ```text
//!  signals ─────────────┐
//!  probes (tasks) ──────┤             targets (health)    tables::build
//!  netlink (task) ──────┼──► Engine ──► wish ──► Tables ──► diff ──► datapath ──► maps
//!  unresolved (task) ───┤                                     ▲
//!  status queries ──────┘                        what the maps hold now
//! ```
//!
//! Nothing else writes maps, so nothing here is locked. Not here: what the decisions are.

mod candidate;
mod reconcile;
mod reload;
mod routers;
mod start;
pub mod targets;
mod watch;
mod wish;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daemon::http::Response;
use daemon::notify;
use daemon::signals::{Signal, Signals};
use health::{Outcome, Verdict};
use lb_ebpf::abi::Unresolved;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{info, warn};

use crate::config::Checked;
use crate::control::Listening;
use crate::datapath::{Clock, Datapath};
use crate::drain::{self, Drained};
use crate::ha::track::Script;
use crate::network::Network;
use crate::network::netlink::{self, Netlink};
use crate::tables::settle::Settling;
use crate::tables::{Memo, Tables};
use crate::time;
use targets::{Change, Probe, TargetId, Targets};

pub use candidate::StartError;
pub use reconcile::ReconcileError;
pub use routers::NoRouters;
pub(crate) use routers::{Routers, Shown};
pub use start::start;
pub(crate) use wish::key;

/// What the engine hears of.
#[derive(Debug)]
pub enum Event {
    /// A probe ended.
    Probed {
        /// Whose.
        id: TargetId,
        /// Which probe.
        round: u64,
        /// How.
        outcome: Outcome,
    },
    /// A neighbour was resolved, or is gone.
    Neighbour(netlink::Neighbour),
    /// A packet missed a next hop.
    Unresolved(Unresolved),
    /// A tracked script's verdict changed.
    Tracked {
        /// Whose.
        script: Arc<Script>,
        /// From now on.
        verdict: Verdict,
        /// The result that tipped it.
        reason: Outcome,
    },
    /// Someone orders a real server to be drained, or no longer.
    Drain {
        /// The order.
        order: drain::Order,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<drain::Answer, drain::Refusal>>,
    },
    /// Someone orders the VIPs to be handed over, or that this host takes part again.
    Resign {
        /// Whether to hand over.
        resign: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<(), NoRouters>>,
    },
    /// Someone asks over HTTP.
    Query {
        /// The path of the request.
        path: String,
        /// Where the answer goes; `None` is a 404.
        answer: oneshot::Sender<Option<Response>>,
    },
}

/// Events that may wait; whoever has one more waits too.
pub const EVENTS_MAX: usize = 1024;
/// Events handled in one go before the loop looks at signals and timers again.
const BATCH: usize = 256;
/// Next hops are made sure of, and slots settled, this often.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// The flow table is swept this often.
const SWEEP: Duration = Duration::from_secs(1);
/// Missing next hops are asked for this often.
const SOLICIT: Duration = Duration::from_secs(1);
/// The network's state is asked for at most this often, however much changes.
const REFRESH: Duration = Duration::from_millis(250);
/// Readiness is told after the first verdicts, or after this time.
const READY_MAX: Duration = Duration::from_secs(3);

/// The interface the program is attached to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// Its index when it was attached.
    pub ifindex: u32,
    /// Why not natively, where it is not.
    pub generic_because: Option<String>,
}

/// The site file in force, and what became of later ones.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Where it is read from.
    pub path: PathBuf,
    /// `--host`, for the next reading.
    pub named: Option<String>,
    /// The file.
    pub checked: Checked,
    /// This host's name in it.
    pub host: String,
    /// How many have been taken, this one included.
    pub generation: u64,
    /// When this one was.
    pub loaded_at: SystemTime,
    /// Why the latest attempt to load another was refused.
    pub last_error: Option<String>,
    /// How many were refused since the start.
    pub refused: u64,
}

/// The protocol thread has ended.
#[derive(Debug, thiserror::Error)]
#[error("the VRRP thread has ended: {0}")]
pub struct ThreadEnded(String);

/// The daemon's state. See the module's picture.
pub struct Engine {
    pub(crate) site: InForce,
    pub(crate) targets: Targets,
    pub(crate) drained: Drained,
    pub(crate) network: Network,
    pub(crate) loaded: Tables,
    pub(crate) settling: Settling,
    memo: Memo,
    status: Option<Listening>,
    pub(crate) attached: BTreeMap<String, Attached>,
    pub(crate) datapath: Datapath,
    netlink: Netlink,
    clock: Clock,
    started: Instant,
    events: mpsc::Sender<Event>,
    pub(crate) routers: Routers,
    /// What the virtual routers depend on has changed.
    replan: bool,
    dirty: bool,
    changes: netlink::Changes,
    refreshed: Instant,
    refresh_at: Option<Instant>,
    retry_at: Option<Instant>,
    /// Why the maps are not as they should be, when they are not.
    pub(crate) problem: Option<String>,
    probes: Arc<Semaphore>,
    solicited: BTreeMap<IpAddr, Instant>,
    next_solicit: Instant,
    next_housekeeping: Instant,
    next_sweep: Instant,
    /// Entries of the flow table in use, by the last sweep.
    pub(crate) flow_entries: u32,
    decided: bool,
    ready: bool,
}

impl Engine {
    /// Runs until told to stop. The data plane goes on afterwards; virtual routers are handed over.
    ///
    /// # Errors
    /// The protocol thread has ended, which it never should; VIPs are served until their leases end.
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Event>,
        mut signals: Signals,
    ) -> Result<(), ThreadEnded> {
        let mut reload = false;
        loop {
            self.routers_news().map_err(ThreadEnded)?;
            if stopped(&mut signals, &mut reload, self.step()).await {
                break;
            }
            if std::mem::take(&mut reload) {
                if stopped(&mut signals, &mut reload, self.reload()).await {
                    break;
                }
                continue;
            }
            tokio::select! {
                biased;
                signal = signals.recv() => match signal {
                    Signal::Stop => break,
                    Signal::Reload => reload = true,
                },
                Some(event) = inbox.recv() => self.event(event).await,
                () = self.changes.noted() => {}
                () = self.routers.noted() => {}
                () = tokio::time::sleep_until(self.deadline().into()) => {}
            }
            // Results that are in are looked at before any probe is given up; those that are
            // about to come get their chance.
            tokio::task::yield_now().await;
            for _ in 0..BATCH {
                let Ok(event) = inbox.try_recv() else { break };
                self.event(event).await;
            }
        }
        notify::stopping();
        self.leave_routers(&mut inbox, &mut signals).await;
        info!("stopping; the data plane goes on forwarding until `viaduct-lb detach`");
        Ok(())
    }

    /// Does what is due.
    async fn step(&mut self) {
        let now = time::now();
        if self.changes.take() {
            let soon = now.max(self.refreshed + REFRESH);
            self.refresh_at = Some(self.refresh_at.map_or(soon, |at| at.min(soon)));
        }
        if self.refresh_at.is_some_and(|at| now >= at) {
            self.refresh_at = None;
            self.refreshed = now;
            if let Err(error) = self.refresh().await {
                Self::failed("the network's state is not known; asking again", &error);
                self.refresh_at = Some(now + SOLICIT);
            }
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            self.dirty = true;
        }
        self.probe(now);
        if now >= self.next_solicit {
            self.next_solicit = now + SOLICIT;
            self.solicit_missing().await;
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
        }
        if now >= self.next_housekeeping {
            self.next_housekeeping = now + HOUSEKEEPING;
            self.keep_house(now).await;
        }
        // The first verdicts come in together: one ring for all of them, instead of one for each
        // with a history of the moments before.
        self.decided |= !self.targets.any_checking() || now >= self.first_verdicts_by();
        if self.replan {
            self.plan_routers();
        }
        if self.dirty && self.decided {
            self.reconcile(now);
        }
        self.tell_readiness();
        if self.replan {
            self.plan_routers();
        }
        self.play_routers(now);
    }

    /// When [`Self::step`] has something to do next.
    fn deadline(&self) -> Instant {
        let periodic = self.next_solicit.min(self.next_housekeeping);
        let mut deadline = periodic.min(self.next_sweep);
        if let Some(probes) = self.targets.deadline() {
            deadline = deadline.min(probes);
        }
        if !self.decided {
            deadline = deadline.min(self.first_verdicts_by());
        }
        for at in [self.refresh_at, self.retry_at].into_iter().flatten() {
            deadline = deadline.min(at);
        }
        deadline
    }

    fn first_verdicts_by(&self) -> Instant {
        self.started + READY_MAX
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Probed { id, round, outcome } => {
                let heard = self
                    .targets
                    .result(&id, round, outcome, time::now(), time::wall());
                heard.change.iter().for_each(|change| self.changed(change));
                if let Some(draining) = heard.draining {
                    info!(service = %id.service, real = %id.real, draining, "as the real server says");
                    self.dirty = true;
                }
            }
            Event::Neighbour(netlink::Neighbour {
                ifindex,
                address,
                mac,
            }) => match mac {
                Some(mac) => self.dirty |= self.network.resolved(ifindex, address, mac),
                // Its last address is used on.
                None => self.network.unresolved(ifindex, address),
            },
            Event::Tracked {
                script,
                verdict,
                reason,
            } => self.tracked(&script, verdict, reason),
            Event::Unresolved(event) => self.resolve_client(event).await,
            Event::Drain { order, answer } => {
                // Whoever ordered may be gone by now.
                drop(answer.send(self.drain(&order)));
            }
            Event::Resign { resign, answer } => drop(answer.send(self.resign(resign))),
            Event::Query { path, answer } => {
                let response = crate::status::answer(self, &path);
                // Whoever asked may be gone by now.
                drop(answer.send(response));
            }
        }
    }

    /// Starts the probes that are due.
    fn probe(&mut self, now: Instant) {
        let (probes, changes) = self.targets.due(now, time::wall());
        for change in &changes {
            self.changed(change);
        }
        for Probe {
            id,
            round,
            address,
            kind,
            timeout,
        } in probes
        {
            let (events, room) = (self.events.clone(), Arc::clone(&self.probes));
            tokio::spawn(async move {
                // Never closed, so never an error.
                let _permit = room.acquire().await;
                let outcome = health::probe::run(address, &kind, timeout).await.into();
                // Without an engine nobody wants the result.
                drop(events.send(Event::Probed { id, round, outcome }).await);
            });
        }
    }

    /// A verdict changed: the ring follows in this same step.
    fn changed(&mut self, change: &Change) {
        let Change {
            id: TargetId { service, real },
            from,
            to,
            reason,
        } = change;
        info!(%service, %real, %from, %to, %reason, "real server");
        self.dirty = true;
        self.replan = true;
    }

    /// Drains a real server, or no longer. The maps follow before it is answered, once there are some.
    fn drain(&mut self, order: &drain::Order) -> Result<drain::Answer, drain::Refusal> {
        let services = &self.site.checked.site.services;
        let (service, real) = drain::order::find(services, order)?;
        let service = service.clone();
        let changed = self
            .drained
            .set(drain::order::id(&service, &real), order.drain);
        if changed {
            let (name, what) = (&service.name, real.endpoint());
            info!(service = %name, real = %what, drained = order.drain, "real server");
            self.dirty = true;
            if self.decided {
                self.reconcile(time::now());
            }
        }
        Ok(drain::Answer {
            address: real.address,
            port: real.port,
            changed,
            serving: self.serving(&service),
            problem: self.problem.clone(),
        })
    }

    fn tell_readiness(&mut self) {
        if self.ready || self.dirty || !self.decided || self.problem.is_some() {
            return;
        }
        self.ready = true;
        self.replan = true;
        let host = &self.site.host;
        let services = self.site.checked.site.services.len();
        info!(%host, services, generation = self.site.generation, "ready");
        notify::ready();
    }

    /// The low half of the kernel's tick.
    pub(crate) fn tick(&self, now: Instant) -> u32 {
        self.clock.now(now.saturating_duration_since(self.started))
    }

    /// Logs a failure of the edge; the next event tries again.
    fn failed(what: &str, error: &dyn std::fmt::Display) {
        warn!(%error, "{what}");
    }
}

/// Does some work unless told to stop meanwhile; whether it was. A reload that is asked for
/// meanwhile is noted.
async fn stopped(signals: &mut Signals, reload: &mut bool, work: impl Future<Output = ()>) -> bool {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            signal = signals.recv() => match signal {
                Signal::Stop => return true,
                Signal::Reload => *reload = true,
            },
            () = &mut work => return false,
        }
    }
}
