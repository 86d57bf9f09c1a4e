//! High availability: what this host is in its virtual routers, and the thread that plays it.
//!
//! ```text
//!   engine ── Plan ──► driver ──► vrrp::Router (one an instance)      pure
//!     ▲                  │  ▲          │ actions
//!     └── News ──────────┘  └ adverts  ▼
//!                        sockets, leases of the data plane
//! ```
//!
//! In reading order: [`instance`] what is to be played; [`group`] who goes together; [`announcing`]
//! and [`wire`] what is sent when; [`sockets`] and [`sys`] the edge; [`seat`] one instance at work, and
//! [`driver`] all of them on one thread; [`board`] what it lets others see. Beside the thread, in the engine: [`priority`], [`track`]
//! and [`notify`]; [`verbs`] are the operator's words.
//!
//! The thread is alone with its clock: it allocates nothing, logs nothing and waits for nobody once an
//! instance runs. The engine may be late; the thread must not be. Not here: the protocol
//! ([`vrrp`]), and how a site file becomes a plan (the engine).

mod announcing;
pub mod board;
mod driver;
mod group;

pub mod instance;
pub mod notify;
pub mod priority;
mod seat;
mod sockets;
#[expect(
    unsafe_code,
    reason = "socket options and priorities that nothing safe offers"
)]
mod sys;
pub mod track;
pub mod verbs;
mod wire;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Notify;
use vrrp::{Refusal, State};

use crate::datapath::Leases;

pub use instance::{Instance, Key, Part, Plan};
pub use wire::virtual_mac;

/// How long frames that still come to this host are forwarded after another serves the VIPs.
pub const LINGER: Duration = Duration::from_secs(1);

/// Something worth telling has happened on the thread.
#[derive(Clone, Debug)]
pub enum News {
    /// An instance has changed its state.
    Changed {
        /// Which.
        key: Key,
        /// The state until now.
        from: State,
        /// The state from now on.
        to: State,
        /// Why.
        reason: vrrp::Reason,
        /// Its priority then.
        priority: vrrp::Priority,
    },
    /// Datagrams were not taken; told now and then, counted always.
    Refused {
        /// Interface they came in by.
        ifindex: u32,
        /// Who sent the last of them.
        from: IpAddr,
        /// Why.
        refusal: Refusal,
    },
    /// Adverts were taken that are odd; told now and then, counted always.
    Noticed {
        /// Whose.
        key: Key,
        /// Who sent the last of them.
        from: IpAddr,
        /// What is odd.
        notice: vrrp::Notice,
    },
    /// The kernel does not take what an instance sends; told now and then, counted always.
    NotSent {
        /// Whose.
        key: Key,
        /// The last error.
        errno: i32,
    },
    /// The thread could not have all that it should have.
    Lacking {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// News that may wait, more than a few changes of every instance; what does not fit is lost, and counted by
/// nobody: the board has the state.
const NEWS_MAX: usize = 8192;

/// The thread, from outside.
#[derive(Debug)]
pub struct Ha {
    plans: SyncSender<Plan>,
    wake: Arc<EventFd>,
    news: Receiver<News>,
    noted: Arc<Notify>,
    beat: Arc<driver::Pulse>,
    thread: JoinHandle<io::Result<()>>,
}

impl Ha {
    /// Starts the thread; it plays nothing yet.
    ///
    /// # Errors
    /// No thread, timer or descriptor can be had.
    pub fn start(leases: Leases) -> io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        let (plans, incoming) = sync_channel(1);
        let (outgoing, news) = sync_channel(NEWS_MAX);
        let noted = Arc::new(Notify::new());
        let beat = Arc::new(driver::Pulse::default());
        let outlet = Outlet {
            news: outgoing,
            noted: Arc::clone(&noted),
        };
        let driver = driver::Driver::new(leases, Arc::clone(&beat), outlet)?;
        let woken = Arc::clone(&wake);
        let thread = std::thread::Builder::new()
            .name("vrrp".to_owned())
            .spawn(move || driver.run(&incoming, &woken))?;
        Ok(Self {
            plans,
            wake,
            news,
            noted,
            beat,
            thread,
        })
    }

    /// Has the thread play a plan instead of the one before; whether it was handed over. Else the
    /// thread has not taken the one before yet: try again.
    pub fn play(&self, plan: Plan) -> Result<(), Plan> {
        match self.plans.try_send(plan) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(plan) | TrySendError::Disconnected(plan)) => Err(plan),
        }
    }

    /// Tells the thread that the engine is alive.
    pub fn beat(&self, now: std::time::Instant) {
        self.beat.beat(now);
    }

    /// The next news; none when there are no more for now.
    pub fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Waits until there may be news.
    pub async fn noted(&self) {
        self.noted.notified().await;
    }

    /// Whether the thread has ended, which it never should.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Why it has.
    pub fn into_error(self) -> String {
        match self.thread.join() {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "it panicked".to_owned(),
        }
    }

    fn wake(&self) {
        // It can only be full, and then the thread is woken anyway.
        let _full: Result<_, _> = self.wake.write(1);
    }
}

/// Where news go out: what is full is full, the thread never waits.
#[derive(Debug)]
struct Outlet {
    news: SyncSender<News>,
    noted: Arc<Notify>,
}

impl Outlet {
    fn tell(&self, news: News) {
        // What does not fit is lost: see NEWS_MAX.
        drop(self.news.try_send(news));
        self.noted.notify_one();
    }
}

impl Drop for Outlet {
    /// Also where the thread ends by a panic: the engine is to see it at once.
    fn drop(&mut self) {
        self.noted.notify_one();
    }
}
