//! A site file made ready to serve: routes to be found, servers with what is known of them.
//!
//! A reload makes a new plan that keeps what the old one knows of the same servers and counts of the
//! same routes. Shared by all threads and never changed. Not here: what each thread has of its own
//! (`core`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use health::Verdict;

use crate::{
    balance::Candidate,
    config::{Checked, Site, Upstream},
    door::Door,
    forward::Additions,
    persistence,
    policy::{Policy, PolicyError},
    queue::Queue,
    route::Router,
    secrets::Secrets,
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
    /// The lines before them.
    pub queues: Vec<Arc<Queue>>,
    /// For each server of an upstream with persistence, what its answers get to name it.
    pub cookies: Vec<Vec<Box<[u8]>>>,
    /// What is added to heads.
    pub additions: Additions,
    /// The ways into its listeners, in the order of the site.
    pub doors: Vec<Door>,
    /// What it speaks TLS with.
    pub secrets: Secrets,
    /// Its limits.
    pub policy: Policy,
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
    ///
    /// # Errors
    /// There is no memory for a zone of its limits.
    pub fn first(
        checked: &Checked,
        secrets: Secrets,
        threads: usize,
        began: Instant,
    ) -> Result<Self, PolicyError> {
        let stats = Arc::new(PerThread::new(threads));
        Self::build((checked, secrets), threads, (1, began, stats), None)
    }

    /// The plan after this one.
    ///
    /// # Errors
    /// There is no memory for a zone of its limits, or a zone has another key than before.
    pub fn next(
        &self,
        checked: &Checked,
        secrets: Secrets,
        threads: usize,
    ) -> Result<Self, PolicyError> {
        let life = (self.generation + 1, self.began, Arc::clone(&self.threads));
        Self::build((checked, secrets), threads, life, Some(self))
    }

    fn build(
        (checked, secrets): (&Checked, Secrets),
        threads: usize,
        (generation, began, stats): (u64, Instant, Arc<PerThread<ThreadStats>>),
        before: Option<&Self>,
    ) -> Result<Self, PolicyError> {
        let site = checked.site.clone();
        let limits = before.map(|before| (&before.site, &before.policy));
        let doors = before.map(|before| (&before.site, &*before.doors));
        let doors = Door::all(&site, doors)?;
        let policy = Policy::of(&site, limits, threads)?;
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
        Ok(Self {
            generation,
            router: Router::new(&site.routes),
            routes: routes.collect(),
            queues: site
                .upstreams
                .iter()
                .map(|one| queue(one, before))
                .collect(),
            cookies: std::iter::zip(&site.upstreams, &upstreams)
                .map(cookies)
                .collect(),
            upstreams,
            digest: checked.digest.to_string(),
            additions: Additions {
                forwarded: site.settings.forwarded,
                via: site.settings.via.clone(),
                trusted: site.settings.trusted.clone(),
            },
            secrets,
            doors,
            policy,
            threads: stats,
            began,
            site,
        })
    }

    /// Milliseconds of the daemon's life.
    #[must_use]
    pub fn millis(&self, now: Instant) -> u64 {
        millis(self.began, now)
    }
}

/// Milliseconds since a daemon began.
#[must_use]
pub fn millis(began: Instant, now: Instant) -> u64 {
    u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX)
}

fn queue(upstream: &Upstream, before: Option<&Plan>) -> Arc<Queue> {
    let known = before.and_then(|before| {
        let mut upstreams = before.site.upstreams.iter().zip(&before.queues);
        upstreams.find(|(known, _)| known.name == upstream.name)
    });
    known.map_or_else(Arc::default, |(_, queue)| Arc::clone(queue))
}

fn cookies((upstream, servers): (&Upstream, &Servers)) -> Vec<Box<[u8]>> {
    let lives = servers.0.iter().filter_map(|life| {
        let persistence = upstream.persistence.as_ref()?;
        Some(persistence::lines(persistence, life.seed))
    });
    lives.collect()
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
    for (life, server) in lives.iter().zip(&upstream.servers) {
        life.set_max_active(server.max_active);
    }
    if upstream.health.is_none() {
        // What probes said that there are no more.
        lives
            .iter()
            .for_each(|life| life.set_verdict(Verdict::Checking));
    }
    Servers(lives)
}

impl Servers {
    /// What is known of each for a choice. Those in `tried` are not up, nor are those that failed too
    /// often, unless that would be more than half; nor those that have all the requests they may have.
    /// A backup is up while no other server is, whether that has too many requests or not.
    pub fn candidates<'s>(
        &'s self,
        upstream: &'s Upstream,
        tried: &'s [usize],
        now: u64,
    ) -> impl Fn(usize) -> Candidate + 's {
        let is_up = self.up(tried, now);
        let config = &upstream.servers;
        let has_backups = config.iter().any(|server| server.is_backup);
        let serves =
            |place: usize| !config[place].is_backup && config[place].weight > 0 && is_up(place);
        let is_backups_turn = has_backups && !(0..self.0.len()).any(serves);
        move |place| {
            let life = &self.0[place];
            let server = &config[place];
            Candidate {
                weight: started(server.weight, upstream.slow_start, life.back_for(now)),
                is_up: is_up(place)
                    && !life.is_full()
                    && (!has_backups || server.is_backup == is_backups_turn),
                active: life.active(),
                seed: life.seed,
            }
        }
    }

    /// Whether each may serve, busy or not.
    fn up<'s>(&'s self, tried: &'s [usize], now: u64) -> impl Fn(usize) -> bool + 's {
        let ejected = self.0.iter().filter(|life| life.is_ejected(now)).count();
        let is_sound = ejected * 2 <= self.0.len();
        move |place| {
            let life = &self.0[place];
            let is_out = is_sound && ejected > 0 && life.is_ejected(now);
            life.verdict() != Verdict::Down && !is_out && !tried.contains(&place)
        }
    }

    /// The server of this seed, if it may serve: whether it is busy, a backup, or of weight 0 is no
    /// reason to send a client away from it.
    #[must_use]
    pub fn faithful(&self, seed: u64, tried: &[usize], now: u64) -> Option<usize> {
        let place = self.0.iter().position(|life| life.seed == seed)?;
        self.up(tried, now)(place).then_some(place)
    }

    /// Whether some server serves, but may not have any number of requests: if none can be had, waiting
    /// helps. Says nothing of how many it has now, which other threads change.
    #[must_use]
    pub fn is_bounded(&self, upstream: &Upstream, now: u64) -> bool {
        let is_up = self.up(&[], now);
        let mut servers = upstream.servers.iter().enumerate();
        servers.any(|(place, server)| server.weight > 0 && server.max_active > 0 && is_up(place))
    }
}

/// The share of a server that has been back for so many milliseconds: it grows to what the file says.
fn started(weight: u16, slow_start: Duration, back_for: u64) -> u16 {
    let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
    if back_for >= whole || weight == 0 {
        return weight;
    }
    let share = u128::from(weight) * u128::from(back_for) / u128::from(whole);
    u16::try_from(share).unwrap_or(weight).max(1)
}

#[cfg(test)]
mod tests;
