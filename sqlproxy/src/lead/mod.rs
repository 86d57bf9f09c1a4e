//! Leading the servers: monitors watch them, the election names the one that takes writes, and what
//! follows from it is done: promotion, fencing, waiting for a replica or not.
//!
//! ```text
//!   monitors ──Sight──► driver ──► elector (pure)          other voters
//!       ▲                │  │ └────────────────────sealed packets──┘
//!       └──Order (locks)─┘  ├──► board: who the writer is, until when; who reads
//!                           └──► tasks: promote, fence, wait for a replica   (act)
//! ```
//! It runs on a thread of its own, so that no session's work delays a lease. Bounded: one session and
//! one task a server; queues of 64; what does not fit waits, and a probe that waits is one less.
//!
//! In reading order: [`facts`] what servers say, [`book`] what follows from it, [`monitor`], [`act`],
//! [`switchover`], [`driver`] with its `duty` and its `picture`, [`told`]. Not here: statements of clients; votes and leases
//! ([`election`]).

pub mod act;
pub mod book;
pub mod driver;
mod duty;
pub mod facts;
pub mod monitor;
mod picture;
pub mod switchover;
pub mod told;

use std::{fs, io, path::PathBuf, sync::Arc};

use election::{
    Elector, Now, Rules, VoterId,
    channel::{Election, Keeper, KeptError, Link, LinkError, Role, table},
};
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    book::Book,
    driver::{Command, Driver, Ends, Working},
    monitor::Monitor,
    switchover::Unmoved,
    told::Told,
};
use crate::{
    board::Board,
    clock,
    config::{self, SqlSite},
};

/// Of each queue.
const QUEUE: usize = 64;

/// Why servers cannot be led.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// There is no `[sqlproxy.monitor]`.
    #[error("the site file has no `[sqlproxy.monitor]`")]
    NoMonitor,
    /// The password of the monitors' account.
    #[error("{}: {error}; monitors log in with this password", .path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// This host is no voter.
    #[error("host {0} is not listed in `[[election.voter]]` with `role = \"sqlproxy\"`")]
    NoVoter(String),
    /// The channel.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The file of promises.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// No thread.
    #[error("cannot start the thread that leads the servers: {0}")]
    Thread(io::Error),
}

/// The room while it works; it ends when this is dropped.
#[derive(Debug)]
pub struct Lead {
    commands: mpsc::Sender<Command>,
    told: watch::Receiver<Told>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Lead {
    /// Begins, on a thread of its own, for this host of a site; the board has the site's servers.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub fn start(site: &SqlSite, host: &str, board: Arc<Board>) -> Result<Self, LeadError> {
        let settings = site.monitor.clone().ok_or(LeadError::NoMonitor)?;
        let password = fs::read_to_string(&settings.password_file);
        let password = password.map_err(|error| LeadError::Password {
            path: settings.password_file.clone(),
            error,
        })?;
        let election = match &site.election {
            Some(election) => {
                let me = election.voter(host, Role::SqlProxy);
                let me = me.ok_or_else(|| LeadError::NoVoter(host.to_owned()))?;
                Some((election.clone(), me))
            }
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(LeadError::Thread)?;
        let entered = runtime.enter();
        let (commands, ends) = mpsc::channel(QUEUE);
        let (told_to, told) = watch::channel(Told::default());
        let crew = crew(site, &settings, password.trim(), election, board, told_to)?;
        drop(entered);
        let (end, ended) = oneshot::channel();
        let work = move || runtime.block_on(crew.run(ends, ended));
        let thread = std::thread::Builder::new()
            .name("lead".to_owned())
            .spawn(work);
        Ok(Self {
            commands,
            told,
            end: Some(end),
            thread: Some(thread.map_err(LeadError::Thread)?),
        })
    }

    /// What is known, and what was done.
    #[must_use]
    pub fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    /// The same, for who wants to see it change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Told> {
        self.told.clone()
    }

    /// Waits until each server was seen once, in whatever way.
    pub async fn is_seen(&mut self) {
        drop(self.told.wait_for(|told| told.is_full).await);
    }

    /// Who moves the writer.
    #[must_use]
    pub fn mover(&self) -> Mover {
        Mover(self.commands.clone())
    }
}

/// See [`Lead::mover`].
#[derive(Clone, Debug)]
pub struct Mover(mpsc::Sender<Command>);

impl Mover {
    /// Begins to move the writer to the server of this name; [`Told`] has the end. By force, where there is no writer: names the one
    /// to be taken, though it lacks something.
    ///
    /// # Errors
    /// Why the writer is where it was.
    pub async fn switchover(&self, name: &str, is_forced: bool) -> Result<(), Unmoved> {
        let (answer, moved) = oneshot::channel();
        let command = Command::Switchover(name.to_owned(), is_forced, answer);
        self.0
            .send(command)
            .await
            .map_err(|_gone| Unmoved::Ending)?;
        moved.await.map_err(|_gone| Unmoved::Ending)?
    }
}

/// Ends the thread, and with it the monitors' sessions and their locks.
impl Drop for Lead {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The loop and its monitors, before they run.
struct Crew {
    driver: Driver,
    sights: mpsc::Receiver<monitor::Sight>,
    monitors: Vec<(Monitor, mpsc::Receiver<monitor::Order>)>,
    tell: mpsc::Sender<monitor::Sight>,
}

impl Crew {
    async fn run(self, commands: mpsc::Receiver<Command>, end: oneshot::Receiver<()>) {
        let Self {
            driver,
            sights,
            monitors,
            tell,
        } = self;
        tracing::info!(voter = driver.voter().0, "leads the servers");
        for (monitor, orders) in monitors {
            tokio::spawn(monitor.run(tell.clone(), orders));
        }
        drop(tell);
        let ends = Ends {
            sights,
            commands,
            end,
        };
        driver.run(ends).await;
    }
}

fn crew(
    site: &SqlSite,
    settings: &config::Monitor,
    password: &str,
    election: Option<(Election, VoterId)>,
    board: Arc<Board>,
    told: watch::Sender<Told>,
) -> Result<Crew, LeadError> {
    let rules = election
        .as_ref()
        .map_or_else(Rules::default, |(election, _)| election.rules);
    let kept = match &election {
        Some((election, _)) => election.kept(Role::SqlProxy),
        None => table::kept_in(&settings.state, Role::SqlProxy),
    };
    let keeper = Keeper::open(&kept)?;
    let (link, me, voters) = match &election {
        Some((election, me)) => {
            let voters = u8::try_from(election.voters.len()).unwrap_or(u8::MAX);
            (Some(Link::open(election, *me)?), *me, voters)
        }
        None => (None, VoterId(0), 1),
    };
    let all = site.servers.iter().enumerate();
    let primaries: Vec<usize> = all
        .filter(|(_, server)| server.role == config::Role::Primary)
        .map(|(place, _)| place)
        .collect();
    let electable = u8::try_from(primaries.len()).unwrap_or(u8::MAX);
    let elector = Elector::new(me, voters, electable, rules, keeper.kept(), Now::ZERO);
    let opts = site
        .servers
        .iter()
        .map(|server| Monitor::opts(server, &settings.user, password));
    let opts: Vec<_> = opts.collect();
    let (tell, sights) = mpsc::channel(QUEUE);
    let (mut monitors, mut orders) = (Vec::new(), Vec::new());
    for (place, (server, opts)) in site.servers.iter().zip(&opts).enumerate() {
        let (order, ordered) = mpsc::channel(QUEUE);
        orders.push(order);
        monitors.push((Monitor::new(place, server, opts.clone(), settings), ordered));
    }
    let max_lag = site.settings.max_lag;
    let book = Book::new(site.servers.len(), rules.patience, settings.settle, max_lag);
    let driver = Driver {
        elector,
        me,
        keeper,
        link,
        board,
        book,
        servers: site.servers.clone(),
        opts,
        primaries,
        orders,
        semi_sync: settings.semi_sync,
        origin: clock::now(),
        told,
        state: Working::default(),
    };
    Ok(Crew {
        driver,
        sights,
        monitors,
        tell,
    })
}
