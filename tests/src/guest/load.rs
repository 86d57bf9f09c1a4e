//! `viaduct-demo load`: a steady stream of requests, bounded in rate, number and time, and a
//! record of every one that failed.
//!
//! It writes a JSON line of progress several times a second and a summary at its end.
//! Not here: a benchmark. The rate is what a test needs, not what the network can bear.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::LocalSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    request::{Connection, FailureKind, Outcome},
    say,
};
use crate::lab::wait::unix_micros;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(50);

/// The command line of `load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// Where to send requests, IP:PORT.
    #[arg(long)]
    target: SocketAddr,
    /// How many make requests at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Requests per second, of all workers together.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Ends after so many requests.
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    /// Ends after so many seconds.
    #[arg(long = "for", value_name = "SECS", default_value_t = 60)]
    seconds: u64,
    /// Many requests on each connection instead of one.
    #[arg(long)]
    keepalive: bool,
    /// What to ask for.
    #[arg(long, default_value = "/")]
    path: String,
}

/// A line of output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// While it runs.
    Progress(Progress),
    /// The last line.
    Summary(Summary),
}

/// How far the load is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Requests answered as they should be.
    pub ok: u64,
    /// Requests that were not.
    pub failed: u64,
}

/// What came of all requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Requests answered as they should be.
    pub ok: u64,
    /// Connections opened.
    pub connections: u64,
    /// Kept connections found closed between two requests; no request failed by it.
    pub lost_connections: u64,
    /// Requests answered, by server.
    pub servers: BTreeMap<String, u64>,
    /// Requests that failed.
    pub failures: Vec<Failure>,
}

/// A request that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// When it was begun, in microseconds since 1970.
    pub begun: u64,
    /// When it had failed, in microseconds since 1970.
    pub failed: u64,
    /// How it failed.
    pub kind: FailureKind,
    /// Who had answered the request before on the same connection; none on a new one.
    pub server: Option<String>,
}

/// What the workers share.
struct Shared {
    args: LoadArgs,
    begun: RefCell<u64>,
    summary: RefCell<Summary>,
}

/// Runs until the count, the time or a SIGTERM ends it; requests under way are finished.
///
/// # Errors
/// When standard output is closed, or signals cannot be had.
pub fn run(args: LoadArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, supervise(args))
}

async fn supervise(args: LoadArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    let end = tokio::time::sleep(Duration::from_secs(args.seconds));
    let shared = Rc::new(Shared {
        args,
        begun: RefCell::default(),
        summary: RefCell::default(),
    });
    let workers: Vec<_> = (0..shared.args.workers)
        .map(|_| tokio::task::spawn_local(work(Rc::clone(&shared), stopped.clone())))
        .collect();
    let all = async {
        for worker in workers {
            worker.await?;
        }
        anyhow::Ok(())
    };
    tokio::pin!(all, end);
    let mut tell = interval(PROGRESS);
    let mut ending = false;
    loop {
        tokio::select! {
            result = &mut all => { result?; break; }
            _ = terminate.recv(), if !ending => ending = true,
            _ = interrupt.recv(), if !ending => ending = true,
            () = &mut end, if !ending => ending = true,
            _ = tell.tick() => say(&Line::Progress(shared.progress()))?,
        }
        stop.send_replace(ending);
    }
    say(&Line::Summary(shared.summary.take()))
}

impl Shared {
    /// Whether one more request may be begun.
    fn begin(&self) -> bool {
        let mut begun = self.begun.borrow_mut();
        *begun += 1;
        *begun <= self.args.count
    }

    fn progress(&self) -> Progress {
        let summary = self.summary.borrow();
        Progress {
            ok: summary.ok,
            failed: summary.failures.len() as u64,
        }
    }
}

async fn work(shared: Rc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut pace = interval(Duration::from_secs(1) * shared.args.workers / shared.args.rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = pace.tick() => {}
        }
        if !shared.begin() {
            return;
        }
        request(&shared, &mut kept).await;
    }
}

/// One request: on the kept connection when there is one, else on a new one.
async fn request(shared: &Shared, kept: &mut Option<Connection>) {
    let args = &shared.args;
    let begun = unix_micros();
    loop {
        let (mut connection, reused) = match kept.take() {
            Some(connection) => (connection, true),
            None => match Connection::open(args.target).await {
                Ok(connection) => {
                    shared.summary.borrow_mut().connections += 1;
                    (connection, false)
                }
                Err(kind) => return shared.failed(begun, kind, None),
            },
        };
        match connection.get(&args.path, args.keepalive).await {
            Outcome::Served(server) => {
                let mut summary = shared.summary.borrow_mut();
                summary.ok += 1;
                *summary.servers.entry(server).or_default() += 1;
                *kept = args.keepalive.then_some(connection);
                return;
            }
            Outcome::NotSent if reused => shared.summary.borrow_mut().lost_connections += 1,
            Outcome::NotSent => return shared.failed(begun, FailureKind::Closed, None),
            Outcome::Failed(kind) => return shared.failed(begun, kind, connection.server),
        }
    }
}

impl Shared {
    fn failed(&self, begun: u64, kind: FailureKind, server: Option<String>) {
        let failure = Failure {
            begun,
            failed: unix_micros(),
            kind,
            server,
        };
        self.summary.borrow_mut().failures.push(failure);
    }
}
