//! The daemon around the serving threads: it starts them, reads the site file again, probes servers,
//! answers status and metrics; how it stops, or has another process take its place, is in [`leave`].
//!
//! Not here: serving (`core`).

mod leave;

use std::time::Duration;
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use daemon::{
    host::{self, Candidates},
    http::{Request, Response, UnixSocket, serve},
    notify,
    signals::{Signal, Signals},
};
use leave::{HandOver, Leave};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use crate::{
    access_log::{Lines, Writer},
    cli::Run,
    clock,
    config::{Checked, LoadError, Settings, Site},
    core::{
        Shared,
        thread::{Listening, Order, Serving, listen},
    },
    handover::{Inheritance, Role, deal},
    metrics,
    plan::Plan,
    prober::Probers,
    secrets::Secrets,
    status::Status,
};

/// How often files with certificates and keys are looked at. What has changed has to rest that long.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);

/// What those who ask for status are told from.
#[derive(Debug)]
struct Told {
    shared: Arc<Shared>,
    now: Mutex<(Arc<Plan>, Option<String>)>,
}

/// The daemon.
struct Control {
    told: Arc<Told>,
    threads: Vec<Serving>,
    /// Where all threads listen.
    open: Vec<SocketAddr>,
    /// Where status is served, and whoever serves it there.
    status: TcpListener,
    answering: Vec<JoinHandle<()>>,
    probers: Probers,
    log: Option<Writer>,
}

/// Sockets that listen, by where: what another process has left.
type Sockets = HashMap<SocketAddr, Vec<TcpListener>>;

/// Serves until told to stop, or until another process has its place.
///
/// # Errors
/// A site file, an address or a log file that cannot be used.
pub fn run(options: &Run) -> anyhow::Result<()> {
    daemon::log::init(options.log_format)?;
    raise_descriptors();
    let checked = load(options)?;
    warn(&checked);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(live(options, &checked))
}

/// The site file as it is for the proxy on this host.
fn load(options: &Run) -> anyhow::Result<Checked> {
    let mut checked = Site::load(&options.config)?;
    let (hostname, addresses) = (host::hostname(), host::addresses());
    let candidates = Candidates {
        named: options.host.as_deref(),
        hostname: hostname.as_deref(),
        addresses: &addresses,
    };
    checked.site.settings = checked.site.settings_of(&candidates)?;
    Ok(checked)
}

async fn live(options: &Run, checked: &Checked) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let mut reopen = signal(SignalKind::user_defined1()).context("signals")?;
    let mut upgrade = signal(SignalKind::user_defined2()).context("signals")?;
    let inheritance = Inheritance::take().context("the process before this one")?;
    // Whoever takes a place over takes its path last: until then the other one serves.
    let socket = match inheritance {
        Some(_) => None,
        None => Some(UnixSocket::bind(&options.socket)?),
    };
    let (mut control, log_thread) = Control::start(options, checked, socket, inheritance)?;
    tracing::info!(generation = 1, threads = control.threads.len(), "ready");
    notify::ready();
    let mut looks = tokio::time::interval(LOOK_AT_FILES);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut handing: Option<HandOver> = None;
    let leave = loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Signal::Stop => break Leave::Stop,
                Signal::Reload => {
                    notify::reloading();
                    control.reload(options);
                    notify::ready();
                }
            },
            _ = looks.tick() => control.plan().secrets.refresh(),
            _ = reopen.recv() => control.log.iter().for_each(Writer::reopen),
            _ = upgrade.recv() => control.begin_hand_over(&mut handing).await,
            outcome = leave::outcome(&mut handing) => match outcome {
                Ok(pid) => break Leave::Succeeded(pid),
                Err(error) => control.not_succeeded(error),
            },
        }
    };
    if let Some(handing) = handing.take() {
        handing.give_up();
    }
    control.leave(leave, &mut signals).await;
    control.end();
    if let Some(thread) = log_thread {
        // It ends when what it has to write is written.
        drop(thread.join());
    }
    Ok(())
}

impl Control {
    /// Serves. What can fail is done before anything that clients could notice.
    fn start(
        options: &Run,
        checked: &Checked,
        socket: Option<UnixSocket>,
        inheritance: Option<Inheritance>,
    ) -> anyhow::Result<(Self, Option<std::thread::JoinHandle<()>>)> {
        let settings = &checked.site.settings;
        let count = threads(settings);
        let secrets = Secrets::load(&checked.site, None)?;
        let plan = Arc::new(Plan::first(checked, secrets, count, clock::now())?);
        let shared = Arc::new(Shared::default());
        let (heir, mut left, status) = inherited(inheritance);
        let (log, log_thread) = match &settings.log {
            Some(log) => {
                let name = log.file.as_ref().map(|path| path.display().to_string());
                let opened = Writer::open(log).with_context(|| name.unwrap_or_default())?;
                (Some(opened.0), Some(opened.1))
            }
            None => (None, None),
        };
        let mut control = Self {
            probers: Probers::start(&plan),
            told: Arc::new(Told {
                shared: Arc::clone(&shared),
                now: Mutex::new((Arc::clone(&plan), None)),
            }),
            threads: Vec::new(),
            open: Vec::new(),
            status: status_socket(settings.status, status)?,
            answering: Vec::new(),
            log,
        };
        let sockets = control.sockets(&plan, count, &mut left)?;
        let format = settings.log.as_ref().map(|log| log.format);
        for index in 0..count {
            let lines = control.log.clone().zip(format);
            let lines = lines.map(|(writer, format)| Lines::new(writer, format));
            let serving = Serving::start(index, Arc::clone(&shared), Arc::clone(&plan), lines)?;
            control.threads.push(serving);
        }
        control.tell_status(match socket {
            Some(socket) => socket,
            None => UnixSocket::take_over(&options.socket)?,
        })?;
        control.listen(sockets, &plan);
        if let Some(heir) = heir {
            if let Err(error) = heir.settled() {
                tracing::warn!(%error, "the process before this one cannot be told that this one serves");
            }
        }
        Ok((control, log_thread))
    }

    /// Answers who asks for status, by both ways.
    fn tell_status(&mut self, socket: UnixSocket) -> anyhow::Result<()> {
        let told = Arc::clone(&self.told);
        let answer = move |Request { path, order }: Request| {
            let told = Arc::clone(&told);
            // It takes no orders but signals.
            async move { told.answer(&path).filter(|_| order.is_none()) }
        };
        let status = tokio::net::TcpListener::from_std(self.status.try_clone()?)?;
        self.answering = vec![
            tokio::spawn(serve(socket, answer.clone())),
            tokio::spawn(serve(status, answer)),
        ];
        Ok(())
    }

    /// The sockets that a plan needs and that are not there yet, for each thread. What was left by
    /// another process is taken first, and all of it.
    fn sockets(
        &self,
        plan: &Plan,
        threads: usize,
        left: &mut Sockets,
    ) -> anyhow::Result<Vec<Vec<Listening>>> {
        let mut all: Vec<Vec<Listening>> = (0..threads).map(|_| Vec::new()).collect();
        for (place, listener) in plan.site.listeners.iter().enumerate() {
            let address = listener.address;
            let is_open = self.open.contains(&address);
            let left = deal(left.remove(&address).unwrap_or_default(), threads);
            for (listening, mut sockets) in all.iter_mut().zip(left) {
                if sockets.is_empty() && !is_open {
                    let socket = listen(address);
                    sockets.push(socket.with_context(|| format!("listener at {address}"))?);
                }
                listening.push(Listening {
                    place,
                    address,
                    sockets,
                });
            }
        }
        Ok(all)
    }

    fn listen(&mut self, sockets: Vec<Vec<Listening>>, plan: &Plan) {
        for (thread, sockets) in self.threads.iter().zip(sockets) {
            thread.tell(Order::Listen(sockets));
        }
        let listeners = plan.site.listeners.iter();
        self.open = listeners.map(|listener| listener.address).collect();
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.told.lock().0)
    }

    fn reload(&mut self, options: &Run) {
        match self.try_reload(options) {
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

    fn try_reload(&mut self, options: &Run) -> anyhow::Result<u64> {
        let checked = load(options)?;
        warn(&checked);
        let before = Arc::clone(&self.told.lock().0);
        say_what_waits(&before.site.settings, &checked.site.settings);
        let count = self.threads.len();
        let secrets = Secrets::load(&checked.site, Some(&before.secrets))?;
        let plan = Arc::new(before.next(&checked, secrets, count)?);
        // Before anything changes: an address that cannot be had refuses the file.
        let sockets = self.sockets(&plan, count, &mut Sockets::new())?;
        for thread in &self.threads {
            thread.tell(Order::Plan(Arc::clone(&plan)));
        }
        self.listen(sockets, &plan);
        self.probers = Probers::start(&plan);
        let generation = plan.generation;
        *self.told.lock() = (plan, None);
        Ok(generation)
    }

    fn end(self) {
        for thread in &self.threads {
            thread.tell(Order::End);
        }
        self.threads.into_iter().for_each(Serving::join);
    }
}

impl Told {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Arc<Plan>, Option<String>)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a path of the status server is answered with.
    fn answer(&self, path: &str) -> Option<Response> {
        let (plan, error) = self.lock().clone();
        match path {
            "/status" => {
                let status = Status::of(&plan, &self.shared, error.as_deref());
                Some(match serde_json::to_vec_pretty(&status) {
                    Ok(body) => Response::json(body),
                    Err(error) => Response::text(format!("{error}\n")).status(500),
                })
            }
            "/metrics" => {
                let registry = metrics::registry(plan, Arc::clone(&self.shared));
                Some(daemon::metrics::response(&registry))
            }
            "/health" => Some(match self.shared.is_leaving() {
                true => Response::text("draining\n").status(503),
                false => Response::text("ok\n"),
            }),
            _ => None,
        }
    }
}

/// What another process left: itself, its listeners, and where it served status.
fn inherited(
    inheritance: Option<Inheritance>,
) -> (
    Option<Inheritance>,
    Sockets,
    Option<(SocketAddr, TcpListener)>,
) {
    let (mut left, mut status) = (Sockets::new(), None);
    let heir = inheritance.map(|mut inheritance| {
        for one in inheritance.sockets.drain(..) {
            let socket = TcpListener::from(one.socket);
            match one.role {
                Role::Listener => left.entry(one.address).or_default().push(socket),
                Role::Status => status = Some((one.address, socket)),
            }
        }
        inheritance
    });
    (heir, left, status)
}

/// Where status is served: the socket that was left, if it is there.
fn status_socket(
    address: SocketAddr,
    left: Option<(SocketAddr, TcpListener)>,
) -> anyhow::Result<TcpListener> {
    if let Some((_, socket)) = left.filter(|(place, _)| *place == address) {
        return Ok(socket);
    }
    let socket = TcpListener::bind(address).with_context(|| format!("status at {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn threads(settings: &Settings) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    settings.threads.map_or(processors, usize::from)
}

fn warn(checked: &Checked) {
    if !checked.warnings.is_empty() {
        tracing::warn!("{}", checked.warnings.summary());
    }
}

/// What a reload does not change.
fn say_what_waits(before: &Settings, after: &Settings) {
    let waits = [
        ("threads", threads(before) != threads(after)),
        ("status", before.status != after.status),
        ("log", before.log != after.log),
    ];
    for (key, _) in waits.iter().filter(|(_, differs)| *differs) {
        tracing::warn!("`{key}` of [proxy] changes with the next start, not with a reload");
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
