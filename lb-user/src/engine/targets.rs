//! The health of every real server: one monitor each, kept over reloads, driven by the engine.
//!
//! Pure but for what the caller does with [`Targets::due`]: it starts the probes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use health::{Action, Failure, Input, Monitor, Outcome, ProbeKind, Verdict};

use crate::config::{HealthCheck, Service};

/// A real server of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    /// The service's name.
    pub service: String,
    /// The real server's address and port.
    pub real: SocketAddr,
}

/// A probe to be started.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Whose result it is.
    pub id: TargetId,
    /// Number of the probe; a result of an older one is stale.
    pub round: u64,
    /// Where to.
    pub address: SocketAddr,
    /// What to ask.
    pub kind: ProbeKind,
    /// How long it may take.
    pub timeout: Duration,
}

/// A verdict changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whose.
    pub id: TargetId,
    /// Until now.
    pub from: Verdict,
    /// From now on.
    pub to: Verdict,
    /// The result that tipped it.
    pub reason: Outcome,
}

/// What is known of a target.
#[derive(Clone, Debug)]
pub struct Target {
    check: HealthCheck,
    address: SocketAddr,
    monitor: Monitor,
    draining: Draining,
    round: u64,
    /// Since when the verdict stands.
    pub since: SystemTime,
}

impl Target {
    /// What its probes say.
    pub fn verdict(&self) -> Verdict {
        self.monitor.verdict()
    }

    /// Whether it has said that it is about to stop, and has not come back since: it is to have no new
    /// flows, and those that it has stay with it, whatever its probes say.
    pub fn is_draining(&self) -> bool {
        self.draining.is_so
    }

    /// The latest result.
    pub fn last(&self) -> Option<Outcome> {
        self.monitor.last()
    }
}

/// What a target says of its end.
#[derive(Clone, Copy, Debug, Default)]
struct Draining {
    is_so: bool,
    /// Results in a row that say the contrary.
    against: u32,
}

impl Draining {
    /// Takes a result: whether it was that the target drains. It takes `fall` of them in a row to be
    /// believed, at once if the target has no flows yet, and `rise` to be forgotten.
    fn hear(&mut self, check: &HealthCheck, outcome: Outcome, verdict: Verdict) -> bool {
        let says = match (outcome, &check.draining) {
            (Outcome::Failed(Failure::Status(status)), Some(draining)) => draining.contains(status),
            (Outcome::Failed(_) | Outcome::Passed, _) => false,
        };
        // Of one that has gone nobody hears that it came back.
        if says == self.is_so || !(says || outcome == Outcome::Passed) {
            self.against = 0;
            return says;
        }
        self.against += 1;
        let enough = match self.is_so {
            true => check.spec.rise.get(),
            false if verdict == Verdict::Up => check.spec.fall.get(),
            false => 1,
        };
        if self.against >= enough {
            *self = Self {
                is_so: says,
                against: 0,
            };
        }
        says
    }
}

/// What a result has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// The verdict.
    pub change: Option<Change>,
    /// Whether it is draining now, where that is new.
    pub draining: Option<bool>,
}

/// The first probes of new targets are this far apart, or closer when there are many.
const APART: Duration = Duration::from_millis(10);

/// All targets.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    targets: BTreeMap<TargetId, Target>,
    rounds: u64,
}

impl Targets {
    /// Follows the site file: new real servers are probed, others no longer, and those that stay
    /// keep their verdict. `was_up` tells which new ones an earlier daemon had found up.
    pub fn follow(
        &mut self,
        services: &[Service],
        was_up: impl Fn(&TargetId) -> bool,
        now: Instant,
        wall: SystemTime,
    ) {
        let mut before = std::mem::take(&mut self.targets);
        let checked: usize = services
            .iter()
            .filter(|s| s.health.is_some())
            .map(|s| s.servers().len())
            .sum();
        let mut fresh = 0;
        for service in services {
            let Some(check) = &service.health else {
                continue;
            };
            for real in service.servers().iter() {
                let id = TargetId {
                    service: service.name.clone(),
                    real: real.endpoint(),
                };
                // A site file of which it is not known where to probe is refused.
                let Some(port) = check.port.or(real.port) else {
                    continue;
                };
                let address = SocketAddr::new(real.address, port);
                let old = before.remove(&id);
                let target = match old {
                    Some(old) if old.check == *check && old.address == address => old,
                    old => {
                        let verdict = match &old {
                            Some(old) => old.verdict(),
                            None if was_up(&id) => Verdict::Up,
                            None => Verdict::Checking,
                        };
                        let jitter = jitter(fresh, checked, check.spec.interval);
                        fresh += 1;
                        Target {
                            check: check.clone(),
                            address,
                            monitor: Monitor::resume(check.spec, verdict, now, jitter),
                            draining: old.as_ref().map(|old| old.draining).unwrap_or_default(),
                            round: 0,
                            since: old.map_or(wall, |old| old.since),
                        }
                    }
                };
                self.targets.insert(id, target);
            }
        }
    }

    /// The target of a real server; `None` where its service has no health check.
    pub fn get(&self, service: &str, real: SocketAddr) -> Option<&Target> {
        self.targets.get(&TargetId {
            service: service.to_owned(),
            real,
        })
    }

    /// Whether some target has no verdict yet.
    pub fn any_checking(&self) -> bool {
        self.targets
            .values()
            .any(|target| target.verdict() == Verdict::Checking)
    }

    /// When [`Self::due`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        self.targets
            .values()
            .map(|target| target.monitor.deadline())
            .min()
    }

    /// Probes to start now, and verdicts that changed because a result never came.
    pub fn due(&mut self, now: Instant, wall: SystemTime) -> (Vec<Probe>, Vec<Change>) {
        let (mut probes, mut changes) = (Vec::new(), Vec::new());
        let rounds = &mut self.rounds;
        for (id, target) in &mut self.targets {
            if target.monitor.deadline() > now {
                continue;
            }
            for action in target.monitor.handle(now, Input::Timer) {
                match action {
                    Action::StartProbe => {
                        *rounds += 1;
                        target.round = *rounds;
                        probes.push(Probe {
                            id: id.clone(),
                            round: target.round,
                            address: target.address,
                            kind: target.check.probe.clone(),
                            timeout: target.check.spec.timeout,
                        });
                    }
                    Action::Changed { from, to, reason } => {
                        target.since = wall;
                        changes.push(Change {
                            id: id.clone(),
                            from,
                            to,
                            reason,
                        });
                    }
                }
            }
        }
        (probes, changes)
    }

    /// Takes the result of a probe; what it changed.
    pub fn result(
        &mut self,
        id: &TargetId,
        round: u64,
        outcome: Outcome,
        now: Instant,
        wall: SystemTime,
    ) -> Heard {
        let target = self.targets.get_mut(id);
        let Some(target) = target.filter(|target| target.round == round) else {
            return Heard::default();
        };
        let before = target.is_draining();
        let verdict = target.verdict();
        // Who says so is alive.
        let outcome = match target.draining.hear(&target.check, outcome, verdict) {
            true => Outcome::Passed,
            false => outcome,
        };
        let actions = target.monitor.handle(now, Input::Result(outcome));
        let change = actions.into_iter().find_map(|action| match action {
            Action::Changed { from, to, reason } => Some(Change {
                id: id.clone(),
                from,
                to,
                reason,
            }),
            Action::StartProbe => None,
        });
        if change.is_some() {
            target.since = wall;
        }
        Heard {
            change,
            draining: Some(target.is_draining()).filter(|now| *now != before),
        }
    }
}

/// When the first probe of the `at`th new target starts.
fn jitter(at: u32, all: usize, interval: Duration) -> Duration {
    let all = u32::try_from(all.max(1)).unwrap_or(u32::MAX);
    (interval / all).min(APART) * at
}

#[cfg(test)]
mod tests;
