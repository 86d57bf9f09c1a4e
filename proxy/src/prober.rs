//! Asks servers whether they are there, as their upstream's health check says.
//!
//! Not here: when a probe is due and what its result means (health).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use health::{Action, Input, Monitor, Outcome, probe};
use tokio::task::JoinSet;

use crate::{
    clock,
    config::HealthCheck,
    plan::{Plan, millis},
    server::ServerLife,
};

/// The probes of a plan; dropped, they end.
#[derive(Debug, Default)]
pub struct Probers {
    _tasks: JoinSet<()>,
}

impl Probers {
    /// Starts probing the servers of a plan whose upstream has a health check. Verdicts from before
    /// stay until there is a new one.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let mut probers = JoinSet::new();
        for (upstream, servers) in plan.site.upstreams.iter().zip(&plan.upstreams) {
            let Some(check) = &upstream.health else {
                continue;
            };
            let began = plan.began;
            let count = u32::try_from(servers.0.len()).unwrap_or(1);
            for (nth, life) in (0..).zip(&servers.0) {
                // Spread over the interval, so that not all are asked at once.
                let jitter = check.spec.interval * nth / count;
                let name = upstream.name.clone();
                probers.spawn(follow(
                    (Arc::clone(life), began),
                    check.clone(),
                    name,
                    jitter,
                ));
            }
        }
        Self { _tasks: probers }
    }
}

async fn follow(
    (life, began): (Arc<ServerLife>, Instant),
    check: HealthCheck,
    upstream: String,
    jitter: Duration,
) {
    let verdict = life.verdict();
    let mut monitor = Monitor::resume(check.spec, verdict, clock::now(), jitter);
    loop {
        tokio::time::sleep_until(monitor.deadline().into()).await;
        let due = monitor.handle(clock::now(), Input::Timer);
        if !due.contains(&Action::StartProbe) {
            continue;
        }
        let result = probe::run(life.address, &check.probe, check.spec.timeout).await;
        let result = Input::Result(Outcome::from(result));
        for action in monitor.handle(clock::now(), result) {
            if let Action::Changed { from, to, reason } = action {
                let server = life.address;
                tracing::info!(upstream, %server, %from, %to, %reason, "health");
                life.judged(to, millis(began, clock::now()));
            }
        }
    }
}
