//! The virtual routers of this host: the plan for the protocol thread, what comes back from it, and
//! leaving in order.
//!
//! Not here: how a plan follows from what is known ([`plan`]), the thread ([`crate::ha`]), and how its
//! VIPs get into the maps ([`super::wish`]).

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::signals::{Signal, Signals};
use health::{Outcome, Verdict};
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use vrrp::{Interval, Refusal, State};

use super::{Engine, Event};
use crate::config::TrackTarget;
use crate::config::router::{STOP, handing_over};
use crate::ha::board::RefusedBoard;
use crate::ha::notify::{Notifier, Word};
use crate::ha::track::{Script, Scripts};
use crate::ha::{Ha, Key, News, Part, Plan};
use crate::tables::RouterWish;
use crate::time;

pub(crate) use plan::Shown;

/// A plan that was handed over is handed over again after this time, where it could not be played.
const RETRY: Duration = Duration::from_secs(10);
/// While handing over, this often is looked; and where the thread has not taken the plan yet.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_SOON: Duration = Duration::from_millis(10);
/// What is waited for notify scripts in the end.
const SCRIPTS: Duration = Duration::from_secs(5);

/// There is nothing to hand over.
#[derive(Debug, thiserror::Error)]
#[error("this host takes part in no virtual router: there is nothing to hand over")]
pub struct NoRouters;

/// What the engine keeps of its virtual routers.
#[derive(Default)]
pub(crate) struct Routers {
    ha: Option<Ha>,
    scripts: Scripts,
    notifier: Notifier,
    /// What each router's script was told last.
    told: BTreeMap<Arc<str>, Word>,
    /// What is planned by what is known now.
    now: Planned,
    /// What the maps know of it.
    put: Vec<RouterWish>,
    /// What was handed over last, and when.
    played: Option<(Plan, Instant)>,
    is_leaving: bool,
    /// By an operator's word, until `viaduct rejoin` or a restart.
    is_offered: bool,
}

/// A plan, and what it leans on.
#[derive(Clone, Default)]
pub(super) struct Planned {
    places: plan::Places,
    refused: BTreeMap<u32, Arc<RefusedBoard>>,
    plan: Plan,
    shown: Vec<Shown>,
    wishes: Vec<RouterWish>,
}

impl Routers {
    /// What is planned, to come back to ([`Self::return_to`]) if it comes to nothing.
    pub(super) fn planned(&self) -> Planned {
        self.now.clone()
    }

    /// Goes back to an earlier plan.
    pub(super) fn return_to(&mut self, planned: Planned) {
        self.now = planned;
    }

    /// As the tables want them.
    pub(super) fn wish(&self) -> Vec<RouterWish> {
        self.now.wishes.clone()
    }

    /// The maps hold what was wished for.
    pub(super) fn note_put(&mut self) {
        self.put.clone_from(&self.now.wishes);
    }

    /// What there is to show of each, in the order of the site file.
    pub(crate) fn shown(&self) -> &[Shown] {
        &self.now.shown
    }

    /// What was refused, by interface index.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (u32, Refusal, u64)> {
        let boards = self.now.refused.iter();
        boards.flat_map(|(ifindex, board)| {
            let counts = board.refused();
            counts.map(|(refusal, count)| (*ifindex, refusal, count))
        })
    }

    /// Whether none of them serves, nor is about to hand over.
    fn are_out(&self) -> bool {
        let mut boards = self.now.places.boards.values();
        boards.all(|board| board.state() == State::Initialize)
    }

    /// Whether an instance that should take part does not: its sockets could not be had.
    fn is_stuck(&self) -> bool {
        let mut instances = self.now.plan.instances.iter();
        instances.any(|instance| {
            instance.part == Part::Full && instance.board.state() == State::Initialize
        })
    }

    /// Whether the thread has been told of all that is planned.
    fn are_told(&self) -> bool {
        let played = self.played.as_ref();
        played.is_some_and(|(played, _)| *played == self.now.plan)
    }

    /// Waits until the protocol thread may have something to tell.
    pub(super) async fn noted(&self) {
        match &self.ha {
            Some(ha) => ha.noted().await,
            None => std::future::pending().await,
        }
    }
}

impl Engine {
    /// Sees to it that there is a thread, if the site file has something to play.
    pub(super) fn want_thread(&mut self) -> std::io::Result<()> {
        let site = &self.site.checked.site;
        let has_some = site.routers_of(&self.site.host).next().is_some();
        if self.routers.ha.is_none() && has_some {
            let leases = self.datapath.leases(&self.clock);
            self.routers.ha = Some(Ha::start(leases)?);
        }
        Ok(())
    }

    /// Follows the site file in force: what is tracked, and whose script is told of what.
    pub(super) fn follow_routers(&mut self) {
        let site = &self.site.checked.site;
        let routers: Vec<_> = site.routers_of(&self.site.host).collect();
        let tracks = routers
            .iter()
            .flat_map(|(router, _)| site.tracks_of(router));
        let scripts = tracks.filter_map(|track| match &track.what {
            TrackTarget::Script { argv, spec } => Some(Script {
                command: argv.clone(),
                spec: *spec,
            }),
            TrackTarget::Interface(_) | TrackTarget::Service { .. } => None,
        });
        self.routers.scripts.follow(scripts, &self.events);
        let names: BTreeSet<&str> = routers.iter().map(|(router, _)| &*router.name).collect();
        let mut gone: Vec<Arc<str>> = self.routers.told.keys().cloned().collect();
        gone.retain(|name| !names.contains(&**name));
        for name in gone {
            self.routers.told.remove(&name);
            self.routers.notifier.forget(&name);
        }
        self.replan = true;
    }

    /// Works out what the thread is to play. Where VIPs or their places change, the maps come first.
    pub(super) fn plan_routers(&mut self) {
        self.replan = false;
        let addresses = match daemon::host::by_interface() {
            Ok(addresses) => addresses,
            Err(error) => {
                Self::failed("this host's addresses are not known; asking again", &error);
                self.refresh_at = Some(time::now() + super::SOLICIT);
                return;
            }
        };
        let served = self.attached.values().map(|attached| attached.ifindex);
        let served: BTreeSet<u32> = served.collect();
        let facts = plan::Facts {
            site: &self.site.checked.site,
            host: &self.site.host,
            network: &self.network,
            served: &served,
            addresses: &addresses,
            targets: &self.targets,
            scripts: &self.routers.scripts,
            is_ready: self.ready,
            is_leaving: self.routers.is_leaving,
            is_offered: self.routers.is_offered,
        };
        let now = &mut self.routers.now;
        let plan::Planned {
            instances,
            shown,
            wishes,
        } = plan::plan(&facts, &mut now.places);
        let ifindexes: BTreeSet<u32> = instances.iter().map(|at| at.key.ifindex).collect();
        now.refused.retain(|at, _| ifindexes.contains(at));
        for ifindex in ifindexes {
            now.refused.entry(ifindex).or_default();
        }
        for shown in &shown {
            tell_news(shown, &now.shown);
        }
        self.dirty |= wishes != now.wishes;
        now.shown = shown;
        now.wishes = wishes;
        now.plan = Plan {
            instances,
            refused: now.refused.clone(),
        };
    }

    /// Hands the plan over, if it is not what is played; not before the maps know of its routers.
    pub(super) fn play_routers(&mut self, now: Instant) {
        let routers = &mut self.routers;
        let Some(ha) = &routers.ha else {
            return;
        };
        ha.beat(now);
        let is_old = |at: Instant| now.saturating_duration_since(at) >= RETRY;
        let is_again =
            routers.played.as_ref().is_some_and(|(_, at)| is_old(*at)) && routers.is_stuck();
        if routers.put != routers.now.wishes || routers.are_told() && !is_again {
            return;
        }
        // Where the thread has not taken the last one yet, the next round hands over this one.
        if ha.play(routers.now.plan.clone()).is_ok() {
            routers.played = Some((routers.now.plan.clone(), now));
        }
    }

    /// A script that is tracked has another verdict.
    pub(super) fn tracked(&mut self, script: &Script, verdict: Verdict, reason: Outcome) {
        if self.routers.scripts.note(script, verdict) {
            let script = script.command.first().map_or("", String::as_str);
            info!(%script, %verdict, %reason, "tracked script");
            self.replan = true;
        }
    }

    /// Tells what has happened on the thread; an error where it has ended.
    pub(super) fn routers_news(&mut self) -> Result<(), String> {
        let Some(ha) = self.routers.ha.take() else {
            return Ok(());
        };
        while let Some(news) = ha.news() {
            self.tell(news);
        }
        if ha.has_ended() {
            return Err(ha.into_error());
        }
        self.routers.ha = Some(ha);
        Ok(())
    }

    fn tell(&mut self, news: News) {
        match news {
            News::Changed {
                key,
                from,
                to,
                reason,
                priority,
            } => {
                info!(router = %key, %from, %to, %reason, %priority, "virtual router");
                let nobody_came = from == State::Resigning && reason != vrrp::Reason::Succeeded;
                if nobody_came && self.routers.is_offered {
                    warn!(router = %key, "no other director takes over: going on");
                    self.routers.is_offered = false;
                    self.replan = true;
                }
                self.notify(&key, to, priority.get());
            }
            News::Refused {
                ifindex,
                from,
                refusal,
            } => {
                let interface = self.interface_name(ifindex);
                warn!(%interface, %from, reason = %refusal, "VRRP datagram not taken");
            }
            News::Noticed { key, from, notice } => {
                warn!(router = %key, %from, odd = notice.label(), "VRRP advert differs from ours");
            }
            News::NotSent { key, errno } => {
                let error = nix::errno::Errno::from_raw(errno);
                warn!(router = %key, %error, "VRRP advert not sent");
            }
            News::Lacking { what, why } => {
                warn!(%what, error = %why, "the VRRP thread does without");
            }
        }
    }

    fn interface_name(&self, ifindex: u32) -> String {
        let link = self.network.links.get(&ifindex);
        link.map_or_else(|| ifindex.to_string(), |link| link.name.clone())
    }

    /// Has the router's script told, unless the other family's change has told the same.
    fn notify(&mut self, key: &Key, to: State, priority: u8) {
        let word = match to {
            State::Active => Word::Master,
            State::Backup => Word::Backup,
            State::Initialize if self.routers.is_leaving => Word::Stop,
            State::Initialize => Word::Fault,
            // It serves as before.
            State::Resigning => return,
        };
        if self.routers.told.insert(Arc::clone(&key.router), word) == Some(word) {
            return;
        }
        let mut routers = self.site.checked.site.virtual_routers.iter();
        let router = routers.find(|router| *router.name == *key.router);
        if let Some(script) = router.and_then(|router| router.notify.clone()) {
            self.routers
                .notifier
                .notify(script, &key.router, word, priority);
        }
    }

    /// Hands the VIPs over to another director, or takes part again: an operator's word.
    pub(super) fn resign(&mut self, resign: bool) -> Result<(), NoRouters> {
        if self.routers.shown().is_empty() {
            return Err(NoRouters);
        }
        if self.routers.is_offered != resign {
            info!(resign, "virtual routers, by order");
        }
        self.routers.is_offered = resign;
        self.replan = true;
        Ok(())
    }

    /// Hands all VIPs over to other directors: until they serve, or it is plain that there are none. A
    /// second signal to stop is not waited for.
    pub(super) async fn leave_routers(
        &mut self,
        inbox: &mut mpsc::Receiver<Event>,
        signals: &mut Signals,
    ) {
        if self.routers.ha.is_none() {
            return;
        }
        self.routers.is_leaving = true;
        self.plan_routers();
        let intervals = self.routers.now.plan.instances.iter();
        let longest = intervals.map(|at| at.params.interval()).max();
        let patience = handing_over(longest.unwrap_or(Interval::MIN).period());
        let until = time::now() + patience.min(STOP);
        loop {
            let now = time::now();
            self.play_routers(now);
            // In this order: whoever is out has been told of before.
            let are_out = self.routers.are_told() && self.routers.are_out();
            if let Err(error) = self.routers_news() {
                error!(%error, "the VRRP thread has ended; VIPs are served until their leases end");
                break;
            }
            if are_out {
                break;
            }
            if now >= until {
                warn!("not all VIPs were handed over in time");
                break;
            }
            let look = if self.routers.are_told() {
                LOOK
            } else {
                LOOK_SOON
            };
            tokio::select! {
                biased;
                signal = signals.recv() => if signal == Signal::Stop {
                    break;
                },
                Some(event) = inbox.recv() => self.event(event).await,
                () = self.routers.noted() => {}
                () = tokio::time::sleep_until(until.min(now + look).into()) => {}
            }
        }
        std::mem::take(&mut self.routers.notifier)
            .finish(SCRIPTS)
            .await;
    }
}

/// Logs what is new about what keeps it from taking part.
fn tell_news(now: &Shown, before: &[Shown]) {
    let is_same = |other: &&Shown| other.router == now.router && other.family == now.family;
    let before = before.iter().find(is_same);
    let before_fault = before.and_then(|before| before.fault.as_ref());
    let router = &now.router;
    match (&now.fault, before_fault) {
        (Some(fault), before) if before != Some(fault) => {
            warn!(%router, %fault, "virtual router takes no part");
        }
        (None, Some(_)) => info!(%router, "virtual router takes part again"),
        _ => {}
    }
    let before_failing = before.map(|before| &before.failing[..]).unwrap_or_default();
    if now.failing != before_failing {
        let failing = now.failing.join(", ");
        let failing = if failing.is_empty() {
            "nothing"
        } else {
            &failing
        };
        info!(%router, %failing, "virtual router's tracking");
    }
}
