//! What servers say of themselves in their greeting, which clients are told before any of their sessions
//! needs a server: asked for until each has been heard once.
//!
//! Not here: who is up, and who writes ([`crate::lead`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::LocalSet;

use crate::{core::asker::Asker, plan::Plan};

/// From round to round.
const PAUSE: Duration = Duration::from_millis(200);
/// For one server.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks until all have answered, or it is dropped.
#[derive(Debug)]
pub struct Greet(Arc<AtomicBool>);

impl Drop for Greet {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Greet {
    /// Begins, on a thread that ends by itself.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(plan: &Arc<Plan>) -> std::io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (plan, over) = (Arc::clone(plan), Arc::clone(&is_over));
        std::thread::Builder::new()
            .name("greet".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, ask(&plan, &over)))?;
        Ok(Self(is_over))
    }

    /// Waits until one of the servers was heard.
    pub async fn is_heard(plan: &Plan) {
        while plan.servers.iter().all(|life| life.about().is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn ask(plan: &Plan, is_over: &AtomicBool) {
    let Some(login) = plan.users.values().next() else {
        return;
    };
    while !is_over.load(Relaxed) {
        let servers = plan.servers.iter().zip(&plan.ways);
        let unheard: Vec<_> = servers.filter(|(life, _)| life.about().is_none()).collect();
        if unheard.is_empty() {
            return;
        }
        for (life, way) in unheard {
            let account = Arc::clone(&login.server);
            let mut asker = Asker::new(Arc::clone(life), account, way.clone());
            drop(asker.ask("DO 1", PATIENCE).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
