//! What a thread has of its own for each part of a plan: whose turn it is, and connections that wait.
//!
//! Not here: the plan, which all threads share.

use std::{cell::RefCell, collections::HashMap, net::SocketAddr, rc::Rc, sync::Arc};

use super::pool::Pool;
use crate::{balance::Memory, plan::Plan, stats::ThreadStats};

/// A plan, and what one thread has for it.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) plan: Arc<Plan>,
    /// Whose turn it is, for each upstream.
    pub(super) memories: Vec<RefCell<Memory>>,
    /// Connections that wait, for each server of each upstream.
    pub(super) pools: Vec<Vec<Rc<Pool>>>,
}

/// All connections that wait, by where they lead: a reload keeps them.
pub(super) type Pools = HashMap<SocketAddr, Rc<Pool>>;

impl Local {
    /// What a thread needs for this plan; pools that it does not need are forgotten.
    pub(super) fn new(plan: Arc<Plan>, pools: &mut Pools) -> Self {
        let of =
            |address: SocketAddr, pools: &mut Pools| Rc::clone(pools.entry(address).or_default());
        let local = Self {
            memories: plan.upstreams.iter().map(|_| RefCell::default()).collect(),
            pools: plan
                .upstreams
                .iter()
                .map(|servers| {
                    servers
                        .0
                        .iter()
                        .map(|life| of(life.address, pools))
                        .collect()
                })
                .collect(),
            plan,
        };
        let known = |address: &SocketAddr| {
            let mut lives = local.plan.upstreams.iter().flat_map(|servers| &servers.0);
            lives.any(|life| life.address == *address)
        };
        pools.retain(|address, _| known(address));
        local
    }

    /// What this thread counts of itself.
    pub(super) fn stats(&self, thread: usize) -> &ThreadStats {
        self.plan.threads.of(thread)
    }
}
