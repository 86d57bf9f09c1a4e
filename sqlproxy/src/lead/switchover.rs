//! A planned move of the writer, without a failed statement.
//!
//! ```text
//!   hold      a lock on the writer that every proxy's monitor sees: nobody begins anything new there
//!   quiesce   what is under way ends, in bounded time; read_only
//!   catch up  the other has everything
//!   move      voters let the leases end and elect it; it is promoted as after any election
//! ```
//! Whatever fails before the last step is undone: the writer writes again. Not here: the election.

use std::time::Duration;

use mysql_async::Opts;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    act::{self, ActError},
    told::Told,
};

/// For monitors of all proxies to see that the writer is held.
const SEEN: Duration = Duration::from_millis(400);
/// For the other to apply what is left.
const CATCH_UP: Duration = Duration::from_secs(5);
/// For the election, and the promotion behind it.
const ELECT: Duration = Duration::from_secs(6);

/// What the driver does for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold the writer; nobody promotes it again meanwhile.
    Hold,
    /// Elect the server at this place.
    Elect(usize),
    /// It is over: release what is held. Why it failed, if it did.
    Over(String),
}

/// Why the writer did not move; it is where it was.
#[derive(Debug, thiserror::Error)]
pub enum Unmoved {
    /// No such server.
    #[error("no server is called `{0}`")]
    Unknown(String),
    /// It is a replica.
    #[error("`{0}` is not of role `primary`")]
    Replica(String),
    /// It is there already.
    #[error("`{0}` is the writer")]
    Already(String),
    /// There is nothing to move from.
    #[error("there is no writer to move: see `status`, or use --force to name one")]
    NoWriter,
    /// It lacks something, or is not well.
    #[error("`{name}` cannot take over: {why}")]
    Unfit {
        /// The server.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody moves it already.
    #[error("a move is under way")]
    Busy,
    /// A step failed; it was undone.
    #[error("{what}: {error}")]
    Step {
        /// The step.
        what: &'static str,
        /// Why.
        error: ActError,
    },
    /// The voters did not agree.
    #[error("the voters did not elect it within {ELECT:?}: a majority of them has to answer")]
    NotElected,
    /// The process ends.
    #[error("the proxy is ending")]
    Ending,
}

/// The two ends of a move.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where the writer is.
    pub from: usize,
    /// How that is reached.
    pub from_opts: Opts,
    /// Where it goes.
    pub to: usize,
}

/// Whether it may begin.
///
/// # Errors
/// Why not.
pub fn check(
    told: &Told,
    name: &str,
    is_primary: impl Fn(usize) -> bool,
) -> Result<(usize, usize), Unmoved> {
    let to = told.servers.iter().position(|server| server.name == name);
    let to = to.ok_or_else(|| Unmoved::Unknown(name.to_owned()))?;
    if !is_primary(to) {
        return Err(Unmoved::Replica(name.to_owned()));
    }
    let from = told.writes.ok_or(Unmoved::NoWriter)?;
    if from == to {
        return Err(Unmoved::Already(name.to_owned()));
    }
    let server = &told.servers[to];
    let unfit = |why: String| Unmoved::Unfit {
        name: name.to_owned(),
        why,
    };
    let Some(facts) = &server.facts else {
        return Err(unfit(format!("it is {}", server.seen)));
    };
    if !server.stranded.is_empty() {
        let list = server.stranded.join(", ");
        return Err(unfit(format!("it has transactions of its own: {list}")));
    }
    if !facts.is_attached() {
        let why = match server.replication_error.as_str() {
            "" => "it does not replicate the writer",
            error => error,
        };
        return Err(unfit(why.to_owned()));
    }
    Ok((from, to))
}

/// Does it, and tells the driver how it ended.
pub async fn run(route: Route, steps: mpsc::Sender<Step>, mut told: watch::Receiver<Told>) {
    let moved = attempt(&route, &steps, &mut told).await;
    let mut why = String::new();
    if let Err(error) = moved {
        why = error.to_string();
        tracing::warn!(why, "the writer stays");
        if let Err(error) = act::unquiesce(route.from_opts.clone()).await {
            tracing::warn!(%error, "cannot end read_only: the next probe will have it done");
        }
    }
    drop(steps.send(Step::Over(why)).await);
}

async fn attempt(
    route: &Route,
    steps: &mpsc::Sender<Step>,
    told: &mut watch::Receiver<Told>,
) -> Result<(), Unmoved> {
    let step = |step| async move { steps.send(step).await.map_err(|_gone| Unmoved::Ending) };
    step(Step::Hold).await?;
    sleep(SEEN).await;
    let quiet = act::quiesce(route.from_opts.clone()).await;
    quiet.map_err(|error| Unmoved::Step {
        what: "holding the writer",
        error,
    })?;
    // What it has now is all there will be; the next look has it.
    sleep(SEEN / 2).await;
    let has_all = |told: &Told| {
        let facts = |place: usize| {
            told.servers
                .get(place)
                .and_then(|server| server.facts.as_ref())
        };
        let (from, to) = (facts(route.from), facts(route.to));
        from.zip(to).is_some_and(|(from, to)| {
            from.is_read_only && to.executed.contains(&from.executed) && to.is_attached()
        })
    };
    let caught = timeout(CATCH_UP, told.wait_for(has_all)).await;
    let has_caught = matches!(caught, Ok(Ok(_)));
    drop(caught);
    let late = ActError::Late("applying what is left", CATCH_UP);
    if !has_caught {
        return Err(Unmoved::Step {
            what: "catching up",
            error: late,
        });
    }
    step(Step::Elect(route.to)).await?;
    let elected = timeout(ELECT, told.wait_for(|told| told.writes == Some(route.to))).await;
    match elected.map(|told| told.is_ok()) {
        Ok(true) => return Ok(()),
        Ok(false) => return Err(Unmoved::Ending),
        Err(_) => {}
    }
    // Elected, and its promotion goes on: nothing is to be undone.
    let is_elected = told.borrow().term.is_some_and(|term| term.2 == route.to);
    if is_elected {
        Ok(())
    } else {
        Err(Unmoved::NotElected)
    }
}
