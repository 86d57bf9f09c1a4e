//! The daemon around the serving threads: it starts them, reads the site file again, looks after servers,
//! answers status and metrics, and stops them so that no client notices.
//!
//! Not here: serving (`core`).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use daemon::{
    http::{Request, Response, UnixSocket, serve},
    notify,
    signals::{Signal, Signals},
};

use crate::{
    cli::Run,
    clock,
    config::{Checked, Listener, LoadError, Settings, SqlSite},
    core::{
        Shared,
        thread::{Listening, Order, Serving, Socket, listen},
    },
    greet::Greet,
    lead::{Lead, Mover, told::Told as Led},
    metrics,
    plan::Plan,
    status::Status,
    steady::Steady,
};

/// How often the end of sessions is looked for while stopping.
const LOOK: Duration = Duration::from_millis(50);
/// How long the first look at the servers may take before the daemon says it is ready.
const FIRST: Duration = Duration::from_secs(3);

/// What those who ask for status are told from.
#[derive(Debug)]
struct Told {
    shared: Arc<Shared>,
    now: Mutex<(Arc<Plan>, Option<String>)>,
    lead: Mutex<Option<(tokio::sync::watch::Receiver<Led>, Mover)>>,
}

/// Who looks after the servers.
#[derive(Debug)]
enum Watching {
    /// With `[sqlproxy.monitor]`: monitors, and the election of the writer.
    Lead(
        Lead,
        #[expect(dead_code, reason = "held for its Drop")] Greet,
    ),
    /// Without: the writer is who is not read-only.
    Steady(Steady),
}

/// The daemon.
struct Control {
    told: Arc<Told>,
    threads: Vec<Serving>,
    host: String,
    /// Where all threads listen.
    open: Vec<Listener>,
    watching: Option<Watching>,
}

/// Serves until told to stop.
///
/// # Errors
/// A site file, an address or a password's file that cannot be used.
pub fn run(options: &Run) -> Result<()> {
    daemon::log::init(options.log_format)?;
    raise_descriptors();
    let checked = SqlSite::load(&options.config)?;
    warn(&checked);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(live(options, &checked))
}

async fn live(options: &Run, checked: &Checked) -> Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let socket = UnixSocket::bind(&options.socket)?;
    let settings = &checked.site.settings;
    let status = tokio::net::TcpListener::bind(settings.status).await;
    let status = status.with_context(|| format!("status at {}", settings.status))?;
    let mut control = Control::start(options, checked).await?;
    let told = Arc::clone(&control.told);
    let answer = move |Request { path, order }: Request| {
        let told = Arc::clone(&told);
        async move {
            match order {
                None => told.answer(&path),
                Some(order) => told.obey(&path, &order.body).await,
            }
        }
    };
    tokio::spawn(serve(socket, answer.clone()));
    tokio::spawn(serve(status, answer));
    tracing::info!(generation = 1, threads = control.threads.len(), "ready");
    notify::ready();
    loop {
        match signals.recv().await {
            Signal::Stop => break,
            Signal::Reload => {
                notify::reloading();
                control.reload(&options.config);
                notify::ready();
            }
        }
    }
    notify::stopping();
    control.drain(&mut signals).await;
    control.end();
    Ok(())
}

impl Control {
    async fn start(options: &Run, checked: &Checked) -> Result<Self> {
        let host = host(options, &checked.site)?;
        let count = checked.site.settings.threads();
        let digest = checked.digest.to_string();
        let mut plan = Plan::first(checked.site.clone(), digest, count, clock::now())?;
        plan.always_moves = options.always_move;
        let plan = Arc::new(plan);
        let shared = Arc::new(Shared::default());
        let (watching, lead) = watch(&plan, &host).await?;
        let mut control = Self {
            told: Arc::new(Told {
                shared: Arc::clone(&shared),
                now: Mutex::new((Arc::clone(&plan), None)),
                lead: Mutex::new(lead),
            }),
            threads: Vec::new(),
            host,
            open: Vec::new(),
            watching: Some(watching),
        };
        let sockets = control.sockets(&plan, count)?;
        for index in 0..count {
            let serving = Serving::start(index, Arc::clone(&shared), Arc::clone(&plan))?;
            control.threads.push(serving);
        }
        control.listen(sockets, &plan);
        Ok(control)
    }

    fn listeners<'a>(&self, plan: &'a Plan) -> &'a [Listener] {
        plan.site.hosts.get(&self.host).map_or(&[], Vec::as_slice)
    }

    /// The sockets that a plan needs and that are not there yet, for each thread.
    fn sockets(&self, plan: &Plan, threads: usize) -> Result<Vec<Vec<Listening>>> {
        let mut all: Vec<Vec<Listening>> = (0..threads).map(|_| Vec::new()).collect();
        for at in self.listeners(plan) {
            let is_there = self.open.contains(at);
            let path = match at {
                Listener::Unix(path) if !is_there => Some(bind(path)?),
                Listener::Unix(_) | Listener::Tcp(_) => None,
            };
            for sockets in &mut all {
                let socket = match (at, &path) {
                    _ if is_there => None,
                    (Listener::Tcp(address), _) => Some(Socket::Tcp(
                        listen(*address).with_context(|| format!("listener at {address}"))?,
                    )),
                    (Listener::Unix(_), Some(socket)) => Some(Socket::Unix(socket.try_clone()?)),
                    (Listener::Unix(_), None) => None,
                };
                let at = at.clone();
                sockets.push(Listening { at, socket });
            }
        }
        Ok(all)
    }

    fn listen(&mut self, sockets: Vec<Vec<Listening>>, plan: &Plan) {
        for (thread, sockets) in self.threads.iter().zip(sockets) {
            thread.tell(Order::Listen(sockets));
        }
        self.open = self.listeners(plan).to_vec();
    }

    fn reload(&mut self, path: &Path) {
        match self.try_reload(path) {
            Ok(generation) => tracing::info!(generation, "reloaded"),
            Err(error) => {
                let summary = match error.downcast_ref::<LoadError>() {
                    Some(error) => error.summary(),
                    None => format!("{error:#}"),
                };
                tracing::error!("the site file is not taken: {summary}");
                self.told.lock().1 = Some(summary);
            }
        }
    }

    fn try_reload(&mut self, path: &Path) -> Result<u64> {
        let checked = SqlSite::load(path)?;
        warn(&checked);
        let before = Arc::clone(&self.told.lock().0);
        if !checked.site.hosts.contains_key(&self.host) {
            bail!(
                "host {} is no sqlproxy any more: stop the daemon instead",
                self.host
            );
        }
        say_what_waits(&before.site.settings, &checked.site.settings);
        let count = self.threads.len();
        let digest = checked.digest.to_string();
        let plan = Arc::new(before.next(checked.site, digest, count, clock::now())?);
        // Before anything changes: an address that cannot be had refuses the file.
        let sockets = self.sockets(&plan, count)?;
        self.watch_again(&before, &plan)?;
        for thread in &self.threads {
            thread.tell(Order::Plan(Arc::clone(&plan)));
        }
        self.listen(sockets, &plan);
        let generation = plan.generation;
        *self.told.lock() = (plan, None);
        Ok(generation)
    }

    /// Looks after the servers of another plan. Who leads them goes on where nothing of that has changed:
    /// a new beginning is a second without a writer.
    fn watch_again(&mut self, before: &Plan, plan: &Arc<Plan>) -> Result<()> {
        let of = |plan: &Plan| {
            (
                plan.site.servers.clone(),
                plan.site.monitor.clone(),
                plan.site.election.clone(),
            )
        };
        let is_same = of(before) == of(plan) && Arc::ptr_eq(&before.board, &plan.board);
        if is_same && matches!(self.watching, Some(Watching::Lead(..))) {
            return Ok(());
        }
        // The old one holds the address of the election's channel.
        self.watching = None;
        let (watching, lead) = begin_watching(plan, &self.host)?;
        self.watching = Some(watching);
        *self
            .told
            .lead
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = lead;
        Ok(())
    }

    /// Tells the directors, goes on accepting until they have heard it, then waits for the sessions there
    /// are. A second signal ends the waiting.
    async fn drain(&mut self, signals: &mut Signals) {
        let (announce, drain) = {
            let settings = &self.told.lock().0.site.settings;
            (settings.announce, settings.drain)
        };
        self.told.shared.draining.store(true, Relaxed);
        tracing::info!(?announce, "draining");
        tokio::select! {
            () = tokio::time::sleep(announce) => {}
            () = stop_again(signals) => return,
        }
        for thread in &self.threads {
            thread.tell(Order::Listen(Vec::new()));
        }
        tracing::info!("listeners are closed");
        let gone = async {
            while self.told.shared.connections.load(Relaxed) > 0 {
                for thread in &self.threads {
                    thread.tell(Order::Drain);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = gone => tracing::info!("all sessions have ended"),
            () = tokio::time::sleep(drain) => {
                let left = self.told.shared.connections.load(Relaxed);
                tracing::warn!(left, "sessions are broken off");
            }
            () = stop_again(signals) => {}
        }
    }

    fn end(self) {
        for thread in &self.threads {
            thread.tell(Order::End);
        }
        self.threads.into_iter().for_each(Serving::join);
        for at in &self.open {
            if let Listener::Unix(path) = at {
                drop(fs::remove_file(path));
            }
        }
    }
}

type LeadEnds = Option<(tokio::sync::watch::Receiver<Led>, Mover)>;

fn begin_watching(plan: &Arc<Plan>, host: &str) -> Result<(Watching, LeadEnds)> {
    if plan.site.monitor.is_none() {
        return Ok((Watching::Steady(Steady::start(plan)?), None));
    }
    let lead = Lead::start(&plan.site, host, Arc::clone(&plan.board))?;
    let ends = (lead.watch(), lead.mover());
    let greet = Greet::start(plan)?;
    Ok((Watching::Lead(lead, greet), Some(ends)))
}

/// The same, and waits a little until each server was seen once.
async fn watch(plan: &Arc<Plan>, host: &str) -> Result<(Watching, LeadEnds)> {
    let (mut watching, ends) = begin_watching(plan, host)?;
    let seen = async {
        match &mut watching {
            Watching::Lead(lead, _) => {
                lead.is_seen().await;
                Greet::is_heard(plan).await;
            }
            Watching::Steady(steady) => steady.is_asked().await,
        }
    };
    if tokio::time::timeout(FIRST, seen).await.is_err() {
        tracing::warn!("not all servers have answered yet");
    }
    Ok((watching, ends))
}

async fn stop_again(signals: &mut Signals) {
    while signals.recv().await != Signal::Stop {}
}

impl Told {
    /// What is known of the servers by who leads them.
    fn led(&self) -> Option<Led> {
        let lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        lead.as_ref().map(|(led, _)| led.borrow().clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Arc<Plan>, Option<String>)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mover(&self) -> Option<Mover> {
        let lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        lead.as_ref().map(|(_, mover)| mover.clone())
    }

    /// What was ordered through the socket: `/switchover` with a server's name, and `force` before it.
    async fn obey(&self, path: &str, body: &[u8]) -> Option<Response> {
        let mover = self.mover();
        let name = String::from_utf8_lossy(body).trim().to_owned();
        let (name, is_forced) = match name.strip_prefix("force ") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        let Some(mover) = mover.filter(|_| path == "/switchover") else {
            let text = "nobody leads the servers: the site file has no `[sqlproxy.monitor]`\n";
            return (path == "/switchover").then(|| Response::text(text).status(409));
        };
        Some(match mover.switchover(name, is_forced).await {
            Ok(()) => Response::text("begun\n"),
            Err(error) => Response::text(format!("{error}\n")).status(409),
        })
    }

    /// What a path of the status server is answered with.
    fn answer(&self, path: &str) -> Option<Response> {
        let (plan, error) = self.lock().clone();
        match path {
            "/status" => {
                let status = Status::of(&plan, &self.shared, error.as_deref(), self.led());
                Some(match serde_json::to_vec_pretty(&status) {
                    Ok(body) => Response::json(body),
                    Err(error) => Response::text(format!("{error}\n")).status(500),
                })
            }
            "/metrics" => {
                let registry = metrics::registry(plan, Arc::clone(&self.shared));
                Some(daemon::metrics::response(&registry))
            }
            "/health" => Some(match self.shared.draining.load(Relaxed) {
                true => Response::text("draining\n").status(503),
                false => Response::text("ok\n"),
            }),
            _ => None,
        }
    }
}

/// Which host of the site file this is: the one named, else the one of this name, else the only one.
fn host(options: &Run, site: &SqlSite) -> Result<String> {
    let known = || site.hosts.keys().cloned().collect::<Vec<_>>().join(", ");
    if let Some(name) = &options.host {
        if site.hosts.contains_key(name) {
            return Ok(name.clone());
        }
        bail!(
            "host {name} is no sqlproxy in the site file (there are: {})",
            known()
        );
    }
    let own = nix::unistd::gethostname().unwrap_or_default();
    let own = own.to_string_lossy().into_owned();
    if site.hosts.contains_key(&own) {
        return Ok(own);
    }
    let mut names = site.hosts.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => bail!(
            "none of the sqlproxies ({}) is called {own}: say which with `--host`",
            known()
        ),
    }
}

/// A socket at a path; one that nobody listens at is taken over.
fn bind(path: &PathBuf) -> Result<std::os::unix::net::UnixListener> {
    use std::os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    };
    if UnixStream::connect(path).is_err() {
        drop(fs::remove_file(path));
    }
    let bound =
        UnixListener::bind(path).with_context(|| format!("listener at {}", path.display()))?;
    bound.set_nonblocking(true)?;
    // As servers have it: who may connect is decided by passwords.
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
    Ok(bound)
}

fn warn(checked: &Checked) {
    if !checked.warnings.is_empty() {
        tracing::warn!("{}", checked.warnings.summary());
    }
}

/// What a reload does not change.
fn say_what_waits(before: &Settings, after: &Settings) {
    let waits = [
        ("threads", before.threads() != after.threads()),
        ("status", before.status != after.status),
    ];
    for (key, _) in waits.iter().filter(|(_, differs)| *differs) {
        tracing::warn!("`{key}` of [sqlproxy] changes with the next start, not with a reload");
    }
}

/// As many descriptors as the system lets a process have: a client and a server take one each.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
