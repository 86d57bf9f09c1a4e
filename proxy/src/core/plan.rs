//! What a thread has of its own for each part of a plan: whose turn it is, and connections that wait.
//!
//! Not here: the plan, which all threads share.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use super::pool::Pool;
use crate::{
    balance::Memory,
    budget::Budget,
    clock,
    config::{Upstream, UpstreamTls},
    plan::Plan,
    stats::ThreadStats,
};

/// A plan, and what one thread has for it.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) plan: Arc<Plan>,
    /// Whose turn it is, for each upstream.
    pub(super) memories: Vec<RefCell<Memory>>,
    /// What is left for retries, for each upstream.
    pub(super) budgets: Vec<Cell<Budget>>,
    /// Connections that wait, for each server of each upstream.
    pub(super) pools: Vec<Vec<Rc<Pool>>>,
}

/// All connections that wait, by where they lead: a reload keeps them.
pub(super) type Pools = HashMap<Way, Rc<Pool>>;

/// Where a connection leads, and what is spoken over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    address: SocketAddr,
    http2: bool,
    tls: Option<UpstreamTls>,
}

impl Local {
    /// What a thread needs for this plan; pools that it does not need are forgotten.
    /// `chance` is what its choices are drawn by.
    pub(super) fn new(plan: Arc<Plan>, pools: &mut Pools, chance: u64) -> Self {
        let now = plan.millis(clock::now());
        let mut known = HashSet::new();
        let mut of = |upstream: &Upstream, address: SocketAddr, pools: &mut Pools| {
            let way = Way {
                address,
                http2: upstream.http2,
                tls: upstream.tls.clone(),
            };
            let pool = Rc::clone(pools.entry(way.clone()).or_default());
            known.insert(way);
            pool
        };
        let local = Self {
            memories: plan
                .upstreams
                .iter()
                .map(|_| RefCell::new(Memory::new(chance)))
                .collect(),
            budgets: plan
                .upstreams
                .iter()
                .map(|_| Cell::new(Budget::new(now)))
                .collect(),
            pools: plan
                .upstreams
                .iter()
                .zip(&plan.site.upstreams)
                .map(|(servers, upstream)| {
                    let lives = servers.0.iter();
                    lives
                        .map(|life| of(upstream, life.address, pools))
                        .collect()
                })
                .collect(),
            plan,
        };
        pools.retain(|way, _| known.contains(way));
        local
    }

    /// What this thread counts of itself.
    pub(super) fn stats(&self, thread: usize) -> &ThreadStats {
        self.plan.threads.of(thread)
    }
}
