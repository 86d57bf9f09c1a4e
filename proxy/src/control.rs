//! The daemon around the serving threads: it starts them, reads the site file again, probes servers,
//! answers status and metrics, and stops them so that no client notices.
//!
//! Not here: serving (`core`).

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use daemon::{
    http::{Request, Response, UnixSocket, serve},
    notify,
    signals::{Signal, Signals},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    access_log::{Lines, Writer},
    cli::Run,
    clock,
    config::{Checked, LoadError, Settings, Site},
    core::{
        Shared,
        thread::{Listening, Order, Serving, listen},
    },
    metrics,
    plan::Plan,
    prober::Probers,
    status::Status,
};

/// How often the end of connections is looked for while stopping.
const LOOK: Duration = Duration::from_millis(50);

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
    probers: Probers,
    log: Option<Writer>,
}

/// Serves until told to stop.
///
/// # Errors
/// A site file, an address or a log file that cannot be used.
pub fn run(options: &Run) -> anyhow::Result<()> {
    daemon::log::init(options.log_format)?;
    raise_descriptors();
    let checked = Site::load(&options.config)?;
    warn(&checked);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(live(options, &checked))
}

async fn live(options: &Run, checked: &Checked) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let mut reopen = signal(SignalKind::user_defined1()).context("signals")?;
    let socket = UnixSocket::bind(&options.socket)?;
    let settings = &checked.site.settings;
    let status = tokio::net::TcpListener::bind(settings.status).await;
    let status = status.with_context(|| format!("status at {}", settings.status))?;
    let (mut control, log_thread) = Control::start(checked)?;
    let told = Arc::clone(&control.told);
    let answer = move |Request { path, order }: Request| {
        let told = Arc::clone(&told);
        // It takes no orders but signals.
        async move { told.answer(&path).filter(|_| order.is_none()) }
    };
    tokio::spawn(serve(socket, answer.clone()));
    tokio::spawn(serve(status, answer));
    tracing::info!(generation = 1, threads = control.threads.len(), "ready");
    notify::ready();
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Signal::Stop => break,
                Signal::Reload => {
                    notify::reloading();
                    control.reload(&options.config);
                    notify::ready();
                }
            },
            _ = reopen.recv() => control.log.iter().for_each(Writer::reopen),
        }
    }
    notify::stopping();
    control.drain(&mut signals).await;
    control.end();
    if let Some(thread) = log_thread {
        // It ends when what it has to write is written.
        drop(thread.join());
    }
    Ok(())
}

impl Control {
    fn start(checked: &Checked) -> anyhow::Result<(Self, Option<std::thread::JoinHandle<()>>)> {
        let settings = &checked.site.settings;
        let count = threads(settings);
        let plan = Arc::new(Plan::first(checked, count, clock::now()));
        let shared = Arc::new(Shared::default());
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
            log,
        };
        let sockets = control.sockets(&plan, count)?;
        let format = settings.log.as_ref().map(|log| log.format);
        for index in 0..count {
            let lines = control.log.clone().zip(format);
            let lines = lines.map(|(writer, format)| Lines::new(writer, format));
            let serving = Serving::start(index, Arc::clone(&shared), Arc::clone(&plan), lines)?;
            control.threads.push(serving);
        }
        control.listen(sockets, &plan);
        Ok((control, log_thread))
    }

    /// The sockets that a plan needs and that are not there yet, for each thread.
    fn sockets(&self, plan: &Plan, threads: usize) -> anyhow::Result<Vec<Vec<Listening>>> {
        let one = |place: usize, address: SocketAddr| {
            let socket = match self.open.contains(&address) {
                true => None,
                false => Some(listen(address).with_context(|| format!("listener at {address}"))?),
            };
            anyhow::Ok(Listening {
                place,
                address,
                socket,
            })
        };
        let all = || {
            let listeners = plan.site.listeners.iter().enumerate();
            listeners
                .map(|(place, listener)| one(place, listener.address))
                .collect()
        };
        (0..threads).map(|_| all()).collect()
    }

    fn listen(&mut self, sockets: Vec<Vec<Listening>>, plan: &Plan) {
        for (thread, sockets) in self.threads.iter().zip(sockets) {
            thread.tell(Order::Listen(sockets));
        }
        let listeners = plan.site.listeners.iter();
        self.open = listeners.map(|listener| listener.address).collect();
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

    fn try_reload(&mut self, path: &Path) -> anyhow::Result<u64> {
        let checked = Site::load(path)?;
        warn(&checked);
        let before = Arc::clone(&self.told.lock().0);
        say_what_waits(&before.site.settings, &checked.site.settings);
        let count = self.threads.len();
        let plan = Arc::new(before.next(&checked, count));
        // Before anything changes: an address that cannot be had refuses the file.
        let sockets = self.sockets(&plan, count)?;
        for thread in &self.threads {
            thread.tell(Order::Plan(Arc::clone(&plan)));
        }
        self.listen(sockets, &plan);
        self.probers = Probers::start(&plan);
        let generation = plan.generation;
        *self.told.lock() = (plan, None);
        Ok(generation)
    }

    /// Tells the directors, goes on accepting until they have heard it, then waits for the connections
    /// there are. A second signal ends the waiting.
    async fn drain(&mut self, signals: &mut Signals) {
        let timeouts = self.told.lock().0.site.settings.timeouts;
        self.told.shared.draining.store(true, Relaxed);
        tracing::info!(announce = ?timeouts.announce, "draining");
        tokio::select! {
            () = tokio::time::sleep(timeouts.announce) => {}
            () = stop_again(signals) => return,
        }
        for thread in &self.threads {
            thread.tell(Order::Listen(Vec::new()));
        }
        tracing::info!("listeners are closed");
        let gone = async {
            while self.told.shared.connections.load(Relaxed) > 0 {
                tokio::time::sleep(LOOK).await;
                for thread in &self.threads {
                    thread.tell(Order::CloseIdle);
                }
            }
        };
        tokio::select! {
            () = gone => tracing::info!("all connections have ended"),
            () = tokio::time::sleep(timeouts.drain) => {
                let left = self.told.shared.connections.load(Relaxed);
                tracing::warn!(left, "connections are broken off");
            }
            () = stop_again(signals) => {}
        }
    }

    fn end(self) {
        for thread in &self.threads {
            thread.tell(Order::End);
        }
        self.threads.into_iter().for_each(Serving::join);
    }
}

async fn stop_again(signals: &mut Signals) {
    while signals.recv().await != Signal::Stop {}
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
            "/health" => Some(match self.shared.draining.load(Relaxed) {
                true => Response::text("draining\n").status(503),
                false => Response::text("ok\n"),
            }),
            _ => None,
        }
    }
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
