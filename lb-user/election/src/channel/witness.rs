//! A director as a voter: it probes the servers, keeps its promises in a file, and answers.
//!
//! A server that does not answer within a third of the patience is silent; the connection is given up
//! then, and made anew. Bounded: one connection a server, one packet at a time.
//!
//! Not here: asking; a witness is never asked who the writer is.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    kept::{Keeper, KeptError},
    pulse::{self, Pulse},
    socket::{Link, LinkError},
    table::{Election, Role},
};
use crate::{Message, Now, Server, View, Voter, VoterId};

/// From probe to probe.
const INTERVAL: Duration = Duration::from_millis(100);

/// Why there is no witness.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Its channel.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Its promises.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The account to probe with.
    #[error("{}: {error}; witnesses probe the SQL servers with this password", .path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: std::io::Error,
    },
    /// No account.
    #[error("`[election]` has no `user` to probe the SQL servers with")]
    Account,
}

/// A witness that is ready to run.
#[derive(Debug)]
pub struct Witness {
    link: Link,
    keeper: Keeper,
    voter: Voter,
    probes: Vec<(Server, Pulse)>,
    timeout: Duration,
    origin: Instant,
}

impl Witness {
    /// Opens all it needs, on a tokio runtime with time and io.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub fn open(election: &Election, me: VoterId) -> Result<Self, WitnessError> {
        let (user, file) = election.account.as_ref().ok_or(WitnessError::Account)?;
        let password = std::fs::read_to_string(file).map_err(|error| WitnessError::Password {
            path: file.clone(),
            error,
        })?;
        let pulse = |at| Pulse::new(pulse::opts(at, user, password.trim()));
        let servers = (0_u8..).map(Server).zip(&election.servers);
        let keeper = Keeper::open(&election.kept(Role::Director))?;
        Ok(Self {
            link: Link::open(election, me)?,
            voter: Voter::new(election.rules, keeper.kept(), Now::ZERO),
            keeper,
            probes: servers.map(|(server, at)| (server, pulse(*at))).collect(),
            timeout: election.rules.patience / 3,
            origin: now(),
        })
    }

    /// Watches and answers, until the future is dropped.
    pub async fn run(mut self) {
        let (tell, mut told) = mpsc::channel(64);
        let mut tasks = tokio::task::JoinSet::new();
        for (server, pulse) in std::mem::take(&mut self.probes) {
            tasks.spawn(watch(server, pulse, self.timeout, tell.clone()));
        }
        loop {
            tokio::select! {
                (from, message) = self.link.receive() => self.answer(from, message),
                Some((server, view)) = told.recv() => self.seen(server, view),
            }
        }
    }

    fn now(&self) -> Now {
        now() - self.origin
    }

    fn seen(&mut self, server: Server, view: View) {
        let before = self.voter.view(server);
        let kind = std::mem::discriminant(&view);
        if kind != std::mem::discriminant(&before) {
            tracing::info!(
                server = server.0,
                ?view,
                "SQL server, as this witness sees it"
            );
        }
        let now = self.now();
        self.voter.seen(now, server, view);
    }

    fn answer(&mut self, from: VoterId, message: Message) {
        let Message::Request(request) = message else {
            return;
        };
        let now = self.now();
        let reply = self.voter.asked(now, request);
        let before = self.keeper.kept();
        if let Err(error) = self.keeper.keep(self.voter.kept()) {
            tracing::error!("no vote: {error}");
            return;
        }
        let (epoch, writer) = self.voter.decided();
        if before.decided.0 != epoch {
            tracing::info!(epoch = epoch.0, writer = writer.0, "SQL writer elected");
        }
        if let Some(reply) = reply {
            self.link.send(from, Message::Reply(reply));
        }
    }
}

async fn watch(
    server: Server,
    mut pulse: Pulse,
    timeout: Duration,
    tell: mpsc::Sender<(Server, View)>,
) {
    let mut told = String::new();
    let mut before = View::Silent;
    loop {
        let (view, error) = pulse.beat(timeout).await;
        // Once for each new reason: a wrong password looks like silence.
        let why = error.map(|error| error.to_string()).unwrap_or_default();
        if !why.is_empty() && why != told {
            tracing::warn!(server = server.0, "probe of a SQL server: {why}");
        }
        told = why;
        if tell.send((server, view)).await.is_err() {
            return;
        }
        // What was up and was reset is asked again at once: is it only the connection?
        let is_sudden = view == View::Reset && matches!(before, View::Up { .. });
        if !is_sudden {
            tokio::time::sleep(INTERVAL).await;
        }
        before = view;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a witness is its own driver: here is its clock"
)]
fn now() -> Instant {
    Instant::now()
}
