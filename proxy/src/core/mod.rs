//! One thread that serves: its listeners, its connections, and what they share without locks.
//!
//! ```text
//!   accept ─► connection: head ─► judge ─┬─► answer                    watch, work, pool:
//!                                        └─► forward ─► relay          what connections share
//! ```
//!
//! Nothing here is known to another thread but the plan, the servers' lives and the counters. Four times
//! a second the thread looks at deadlines, connections that wait, and the log. Not here: what is decided
//! about a request (`route`, `balance`, `policy`), and HTTP (`h1`).

use std::{
    cell::{Cell, RefCell},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    access_log::{Entry, Lines},
    clock,
    config::LogFormat,
    date::Date,
    forward::{Peer, RequestId},
    plan::Plan,
    stats::RouteStats,
};

mod accept;
mod admit;
mod answer;
mod connect;
mod connection;
mod delay;
mod forward;
mod frames;
mod greet;
mod judge;
mod plan;
mod pool;
mod preamble;
mod relay;
mod stream;
pub mod thread;
mod tls;
mod waiting;
mod watch;
mod work;

use delay::Delays;
use plan::{Local, Pools};
use tls::Spare;
use watch::{Ticks, Watch};
use work::{Store, Work};

/// What all threads know of the process.
#[derive(Debug, Default)]
pub struct Shared {
    /// Connections of clients.
    pub connections: AtomicU32,
    /// The process is to stop.
    pub draining: AtomicBool,
    /// Another process has its listeners: nobody need be told that it stops.
    pub succeeded: AtomicBool,
}

impl Shared {
    /// Whether those who ask for health are to hear that it stops.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.draining.load(Relaxed) && !self.succeeded.load(Relaxed)
    }
}

/// The length of a date in an answer.
const DATE: usize = 29;

/// One thread's own.
#[derive(Debug)]
struct Core {
    index: usize,
    shared: Arc<Shared>,
    local: RefCell<Rc<Local>>,
    pools: RefCell<Pools>,
    store: RefCell<Store>,
    /// Buffers of TLS connections.
    spare: Rc<Spare>,
    watches: RefCell<Vec<Rc<Watch>>>,
    delays: Delays,
    tick: Cell<Ticks>,
    date: Cell<[u8; DATE]>,
    log: RefCell<Option<Lines>>,
    log_time: RefCell<String>,
    /// When it was last said that a server cannot be spoken to.
    said: Cell<Ticks>,
    /// What request ids are made from.
    ids: Cell<[u64; 2]>,
}

impl Core {
    fn new(index: usize, shared: Arc<Shared>, plan: Arc<Plan>, log: Option<Lines>) -> Rc<Self> {
        let mut pools = Pools::default();
        let local = Rc::new(Local::new(plan, &mut pools, random()));
        let core = Self {
            index,
            shared,
            local: RefCell::new(local),
            pools: RefCell::new(pools),
            store: RefCell::default(),
            spare: Rc::default(),
            watches: RefCell::default(),
            delays: Delays::default(),
            tick: Cell::new(0),
            date: Cell::new([b' '; DATE]),
            log: RefCell::new(log),
            log_time: RefCell::default(),
            said: Cell::new(Ticks::MAX / 2),
            ids: Cell::new([random(), random()]),
        };
        core.set_date();
        Rc::new(core)
    }

    /// The plan in force.
    fn local(&self) -> Rc<Local> {
        Rc::clone(&self.local.borrow())
    }

    /// A new plan is in force; requests under way go on by theirs.
    fn set_plan(&self, plan: Arc<Plan>) {
        let local = Local::new(plan, &mut self.pools.borrow_mut(), random());
        self.local.replace(Rc::new(local));
    }

    fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    /// A deadline for a new connection.
    fn watch(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch::default());
        self.watches.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// Closes connections that are between two requests.
    fn close_idle(&self) {
        let watches = self.watches.borrow();
        watches.iter().for_each(|watch| watch.end_idle());
    }

    /// Looks at what nobody tells: deadlines, old connections, the date.
    fn turn(&self) {
        let now = self.tick.get().wrapping_add(1);
        self.tick.set(now);
        self.watches.borrow_mut().retain(|watch| {
            watch.look(now);
            Rc::strong_count(watch) > 1
        });
        self.set_date();
        self.flush_log();
        let is_second = now.is_multiple_of(4);
        if is_second {
            let most = watch::ticks(self.local().plan.site.settings.timeouts.upstream_idle);
            self.pools
                .borrow()
                .values()
                .for_each(|pool| pool.sweep(now, most));
        }
        if now.is_multiple_of(40) {
            self.store.borrow_mut().shrink();
            self.spare.shrink();
        }
    }

    fn set_date(&self) {
        let date = Date::of(clock::wall().0);
        let mut text = [b' '; DATE];
        let fresh = date.http();
        if fresh.len() == DATE {
            text.copy_from_slice(fresh.as_bytes());
        }
        self.date.set(text);
        let format = self.log.borrow().as_ref().map(Lines::format);
        self.log_time.replace(match format {
            Some(LogFormat::Combined) => date.combined(),
            Some(LogFormat::Json) => date.iso(),
            None => String::new(),
        });
    }

    fn flush_log(&self) {
        if let Some(log) = &mut *self.log.borrow_mut() {
            let lost = log.flush();
            self.local().stats(self.index).log_lost.add(lost);
        }
    }

    /// A name for a request that no other has: 128 bits, of which the start was drawn by chance.
    fn next_id(&self) -> RequestId {
        let [a, b] = self.ids.get();
        self.ids.set([a.wrapping_add(1), b]);
        let mut text = [0; 32];
        let words = [mixed(a ^ b), mixed(b.wrapping_add(a.rotate_left(32)))];
        let nibbles = words
            .iter()
            .flat_map(|word| (0..16).rev().map(move |at| word >> (at * 4) & 15));
        for (digit, nibble) in text.iter_mut().zip(nibbles) {
            *digit = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
        }
        RequestId(text)
    }

    fn route_stats(&self, local: &Local, work: &Work, count: impl Fn(&RouteStats)) {
        if let Some(route) = work.facts.route {
            count(local.plan.routes[route].of(self.index));
        }
    }

    /// A request is over.
    fn count(&self, local: &Local, work: &Work, peer: &Peer) {
        let facts = &work.facts;
        let took = clock::now() - facts.began;
        self.route_stats(local, work, |route| {
            let class = usize::from(facts.status / 100).wrapping_sub(1);
            if let Some(answers) = route.answers.get(class) {
                answers.add(1);
            }
            route.bytes_in.add(work.up.bytes());
            route.bytes_out.add(facts.sent);
            route.latency.add(took);
        });
        self.write_log(local, work, peer, took);
    }

    fn write_log(&self, local: &Local, work: &Work, peer: &Peer, took: Duration) {
        let mut log = self.log.borrow_mut();
        let Some(log) = &mut *log else {
            return;
        };
        let facts = &work.facts;
        let bytes = &work.client.bytes;
        let is_read = facts.route.is_some() || !facts.client.is_unspecified();
        let time = self.log_time.borrow();
        let lost = log.add(&Entry {
            client: if is_read { facts.client } else { peer.address },
            time: &time,
            method: facts.method.in_buffer(bytes),
            target: facts.text.in_buffer(bytes),
            version: facts.delivery.version.text(),
            host: facts.host.in_buffer(bytes),
            // As nginx has it for a client that did not wait for an answer.
            status: if facts.status == 0 { 499 } else { facts.status },
            sent: facts.sent,
            referer: facts.referer.in_buffer(bytes),
            agent: facts.agent.in_buffer(bytes),
            took,
            route: facts
                .route
                .map_or("", |route| &local.plan.site.routes[route].name),
            server: facts.server,
            retries: facts.retries,
            id: match facts.named.in_buffer(bytes) {
                [] => &facts.id.0,
                named => named,
            },
            limit: work.held.mark.map(|mark| {
                let zone = &local.plan.site.zones[mark.zone];
                (mark.word.text(), &*zone.name)
            }),
        });
        local.stats(self.index).log_lost.add(lost);
    }
}

/// A number that nobody knows beforehand.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A number that does not show the one it was made from (SplitMix64's last step).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
