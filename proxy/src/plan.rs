//! A site file made ready to serve: routes to be found, servers with what is known of them.
//!
//! A reload makes a new plan that keeps what the old one knows of the same servers and counts of the
//! same routes. Shared by all threads and never changed. Not here: what each thread has of its own
//! (`core`).

use std::{sync::Arc, time::Instant};

use health::Verdict;

use crate::{
    balance::Candidate,
    config::{Checked, Site, Upstream},
    forward::Additions,
    policy::Policy,
    route::Router,
    server::ServerLife,
    stats::{PerThread, RouteStats, ThreadStats},
};

/// A site file made ready to serve.
#[derive(Debug)]
pub struct Plan {
    /// How many site files were taken since the start, this one included.
    pub generation: u64,
    /// What the file says.
    pub site: Site,
    /// What it is known by among peers.
    pub digest: String,
    /// Its routes, to be found.
    pub router: Router,
    /// What is counted of each route, in the order of the site.
    pub routes: Vec<Arc<PerThread<RouteStats>>>,
    /// Its upstreams, in the order of the site.
    pub upstreams: Vec<Servers>,
    /// What is added to heads.
    pub additions: Additions,
    /// Its limits.
    pub policy: Arc<Policy>,
    /// What threads count of themselves.
    pub threads: Arc<PerThread<ThreadStats>>,
    /// When the daemon began.
    pub began: Instant,
}

/// The servers of an upstream, in the order of the site.
#[derive(Debug)]
pub struct Servers(pub Vec<Arc<ServerLife>>);

impl Plan {
    /// The first plan of a daemon.
    #[must_use]
    pub fn first(checked: &Checked, threads: usize, began: Instant) -> Self {
        let stats = Arc::new(PerThread::new(threads));
        Self::build(checked, threads, (1, began, stats), None)
    }

    /// The plan after this one.
    #[must_use]
    pub fn next(&self, checked: &Checked, threads: usize) -> Self {
        let life = (self.generation + 1, self.began, Arc::clone(&self.threads));
        Self::build(checked, threads, life, Some(self))
    }

    fn build(
        checked: &Checked,
        threads: usize,
        (generation, began, stats): (u64, Instant, Arc<PerThread<ThreadStats>>),
        before: Option<&Self>,
    ) -> Self {
        let site = checked.site.clone();
        let upstreams = site
            .upstreams
            .iter()
            .map(|upstream| servers(upstream, before, threads))
            .collect();
        let routes = site.routes.iter().map(|route| {
            let known = before.and_then(|before| {
                let mut names = before.site.routes.iter().zip(&before.routes);
                names.find(|(known, _)| known.name == route.name)
            });
            known.map_or_else(
                || Arc::new(PerThread::new(threads)),
                |(_, known)| Arc::clone(known),
            )
        });
        Self {
            generation,
            router: Router::new(&site.routes),
            routes: routes.collect(),
            upstreams,
            digest: checked.digest.to_string(),
            additions: Additions {
                forwarded: site.settings.forwarded,
                via: site.settings.via.clone(),
                trusted: site.settings.trusted.clone(),
            },
            policy: Policy::of(&site, before.map(|before| &before.policy)),
            threads: stats,
            began,
            site,
        }
    }

    /// Milliseconds of the daemon's life.
    #[must_use]
    pub fn millis(&self, now: Instant) -> u64 {
        u64::try_from((now - self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

fn servers(upstream: &Upstream, before: Option<&Plan>, threads: usize) -> Servers {
    let known = before.and_then(|before| {
        let mut upstreams = before.site.upstreams.iter().zip(&before.upstreams);
        upstreams.find(|(known, _)| known.name == upstream.name)
    });
    let life = |address| {
        let mut known = known.iter().flat_map(|(_, servers)| &servers.0);
        match known.find(|life| life.address == address) {
            Some(life) => Arc::clone(life),
            None => Arc::new(ServerLife::new(address, threads)),
        }
    };
    let lives: Vec<Arc<ServerLife>> = upstream
        .servers
        .iter()
        .map(|server| life(server.address))
        .collect();
    if upstream.health.is_none() {
        // What probes said that there are no more.
        lives
            .iter()
            .for_each(|life| life.set_verdict(Verdict::Checking));
    }
    Servers(lives)
}

impl Servers {
    /// What is known of each for a choice: those in `tried` are not up, nor are those that failed too
    /// often, unless that would be more than half.
    pub fn candidates<'s>(
        &'s self,
        upstream: &'s Upstream,
        tried: &'s [usize],
        now: u64,
    ) -> impl Fn(usize) -> Candidate + 's {
        let ejected = self.0.iter().filter(|life| life.is_ejected(now)).count();
        let is_sound = ejected * 2 <= self.0.len();
        move |place| {
            let life = &self.0[place];
            let is_out = is_sound && ejected > 0 && life.is_ejected(now);
            Candidate {
                weight: upstream.servers[place].weight,
                is_up: life.verdict() != Verdict::Down && !is_out && !tried.contains(&place),
                active: life.active(),
            }
        }
    }
}
