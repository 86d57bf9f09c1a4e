//! Who the writer is at a site whose primary is always the same, or is changed by somebody else: the first
//! server of role `primary` that answers and is not `read_only`.
//!
//! Nothing is elected, fenced or promoted here: several sqlproxies look for themselves and see the same as
//! long as one server alone is writable, which is what their administrator, or a tool, sees to. For two
//! primaries that are both writable this is not enough ([`crate::election`] is for those).
//!
//! Not here: lag; the board's readers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::LocalSet;

use crate::{board::State, clock, config::Role, core::asker::Asker, election::Server, plan::Plan};

/// How often servers are asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// A writer that was not seen for so long is none.
const LEASE: Duration = Duration::from_secs(3);

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Steady {
    is_over: Arc<AtomicBool>,
    asked: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

impl Steady {
    /// Begins to look after the servers of a plan.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(plan: &Arc<Plan>) -> std::io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (asked, is_asked) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (plan, over) = (Arc::clone(plan), Arc::clone(&is_over));
        std::thread::Builder::new()
            .name("steady".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, look(&plan, &over, asked)))?;
        let asked = Some(is_asked);
        Ok(Self { is_over, asked })
    }

    /// Waits until each server was asked once.
    pub async fn is_asked(&mut self) {
        if let Some(asked) = self.asked.take() {
            drop(asked.await);
        }
    }
}

async fn look(plan: &Plan, is_over: &AtomicBool, asked: tokio::sync::oneshot::Sender<()>) {
    let Some(login) = plan.users.values().next() else {
        return;
    };
    let servers = plan.servers.iter().zip(&plan.ways);
    let askers = servers
        .map(|(life, way)| Asker::new(Arc::clone(life), Arc::clone(&login.server), way.clone()));
    let mut askers: Vec<Asker> = askers.collect();
    let mut asked = Some(asked);
    let mut said: Vec<Option<bool>> = vec![None; askers.len()];
    while !is_over.load(Relaxed) {
        let questions = askers
            .iter_mut()
            .map(|asker| asker.ask("SELECT @@global.read_only", PATIENCE));
        let answers = all(questions).await;
        for (place, answer) in answers.into_iter().enumerate() {
            let state = answer
                .as_ref()
                .ok()
                .map(|value| value.as_deref() == Some(&b"0"[..]));
            if said[place] != state || asked.is_some() {
                tell(plan, place, &answer);
            }
            said[place] = state;
        }
        write(plan, &said);
        if let Some(asked) = asked.take() {
            // Nobody may wait for it any more.
            asked.send(()).ok();
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// All at once: one that hangs keeps nobody waiting but for the round's end.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *output = Some(done);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

fn tell(plan: &Plan, place: usize, answer: &Result<Option<Vec<u8>>, String>) {
    let name = &plan.servers[place].name;
    match answer {
        Ok(value) => {
            let is_writable = value.as_deref() == Some(b"0");
            tracing::info!(server = name, is_writable, "answers");
        }
        Err(error) => tracing::warn!(server = name, error, "does not answer"),
    }
}

/// What was seen becomes what all threads know.
fn write(plan: &Plan, said: &[Option<bool>]) {
    for (place, said) in (0..).zip(said) {
        let state = State {
            is_up: said.is_some(),
            serves_reads: said.is_some(),
            ..State::default()
        };
        plan.board.set(Server(place), state);
    }
    let until = clock::now() + LEASE;
    let writer = first(said, |place| plan.site.servers[place].role == Role::Primary);
    plan.board.set_writer(writer.map(|place| (place, until)));
}

/// The first that is writable and may be.
fn first(said: &[Option<bool>], is_primary: impl Fn(usize) -> bool) -> Option<Server> {
    let found = (0..said.len()).find(|place| said[*place] == Some(true) && is_primary(*place))?;
    u8::try_from(found).ok().map(Server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_primary_that_is_writable_writes() {
        let all = |_| true;
        assert_eq!(first(&[Some(true), Some(true)], all), Some(Server(0)));
        assert_eq!(first(&[Some(false), Some(true)], all), Some(Server(1)));
        assert_eq!(first(&[None, Some(true)], all), Some(Server(1)));
        assert_eq!(
            first(&[Some(true), Some(true)], |place| place == 1),
            Some(Server(1))
        );
        assert_eq!(first(&[None, Some(false)], all), None);
    }
}
