//! One thread that serves: its listeners, its sessions, and the connections to servers that they share.
//!
//! ```text
//!   accept ─► enter ─► session: a command ─► acquire: a connection ─► relay: there and back
//!                                             route, pool, sync
//! ```
//! Nothing here is known to another thread but the plan, servers' lives, faces and counters. Four times a
//! second the thread looks at deadlines and at connections that wait; when the monitors have news, at who
//! waits for a server that died. Not here: what is decided about a statement (`lexer`, `session`), and the
//! protocol (`wire`).

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs::File,
    io::Read as _,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    clock,
    election::Server,
    faces::{Face, Faces},
    plan::Plan,
    session::causal::Position,
    session::prepared::ConnectionId,
    stats::{ServerStats, ThreadStats},
    wire::handshake::Nonce,
};

mod accept;
mod acquire;
pub mod asker;
mod buffer;
mod commands;
mod enter;
mod exchange;
mod kill;
mod link;
mod pool;
mod prepared;
mod reader;
mod relay;
mod route;
mod server;
mod session;
mod sync;
pub mod thread;
mod tls;
mod upload;
mod watch;

use buffer::Store;
use pool::Pool;
use route::Turns;
use watch::{Ticks, Watch, ticks};

/// What all threads know of the process.
#[derive(Debug, Default)]
pub struct Shared {
    /// Connections of clients.
    pub connections: AtomicU32,
    /// The process is to stop.
    pub draining: AtomicBool,
    /// Its sessions.
    pub faces: Faces,
    /// Numbers of connections to servers.
    ids: AtomicU64,
    /// Told when a statement begins to wait for a connection, which others may have and not need.
    wanted: tokio::sync::watch::Sender<()>,
}

/// What a thread has of its own for a plan.
#[derive(Debug)]
struct Local {
    plan: Arc<Plan>,
    /// Connections that wait, by the place of their server.
    pools: Vec<Rc<Pool>>,
    /// What each server surely has.
    reached: Vec<RefCell<Option<Position>>>,
    turns: RefCell<Turns>,
}

impl Local {
    fn new(plan: Arc<Plan>, before: Option<&Self>) -> Self {
        let known: HashMap<SocketAddr, Rc<Pool>> = before
            .map(|before| {
                let pools = before.pools.iter().map(Rc::clone);
                let addresses = before.plan.servers.iter().map(|life| life.address);
                addresses.zip(pools).collect()
            })
            .unwrap_or_default();
        let pools = plan
            .servers
            .iter()
            .map(|life| known.get(&life.address).map(Rc::clone).unwrap_or_default());
        Self {
            pools: pools.collect(),
            reached: plan.servers.iter().map(|_| RefCell::default()).collect(),
            turns: RefCell::default(),
            plan,
        }
    }

    /// The server that takes writes now.
    fn writer(&self) -> Option<usize> {
        let Server(place) = self.plan.board.writer(clock::now())?;
        // It is about to move: who begins something waits for that.
        if self.plan.board.state(Server(place)).is_drained {
            return None;
        }
        Some(usize::from(place)).filter(|place| *place < self.plan.servers.len())
    }

    fn is_up(&self, server: usize) -> bool {
        u8::try_from(server).is_ok_and(|place| self.plan.board.state(Server(place)).is_up)
    }
}

/// One thread's own.
#[derive(Debug)]
struct Core {
    index: usize,
    shared: Arc<Shared>,
    local: RefCell<Rc<Local>>,
    store: RefCell<Store>,
    watches: RefCell<Vec<Rc<Watch>>>,
    tick: Cell<Ticks>,
    random: RefCell<File>,
}

impl Core {
    fn new(index: usize, shared: Arc<Shared>, plan: Arc<Plan>, random: File) -> Rc<Self> {
        Rc::new(Self {
            index,
            shared,
            local: RefCell::new(Rc::new(Local::new(plan, None))),
            store: RefCell::default(),
            watches: RefCell::default(),
            tick: Cell::new(0),
            random: RefCell::new(random),
        })
    }

    /// The plan in force.
    fn local(&self) -> Rc<Local> {
        Rc::clone(&self.local.borrow())
    }

    /// A new plan is in force; statements under way go on by theirs.
    fn set_plan(&self, plan: Arc<Plan>) {
        let next = Local::new(plan, Some(&self.local()));
        self.local.replace(Rc::new(next));
        self.news();
    }

    /// Statements of other threads wait for connections: what nobody uses here is theirs.
    fn make_room(&self) {
        let local = self.local();
        for (pool, life) in local.pools.iter().zip(&local.plan.servers) {
            pool.make_room_for_others(life);
        }
    }

    fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    fn stats<R>(&self, count: impl Fn(&ThreadStats) -> R) -> R {
        count(self.local.borrow().plan.threads.of(self.index))
    }

    fn server_stats(&self, server: usize, count: impl Fn(&ServerStats)) {
        if let Some(life) = self.local.borrow().plan.servers.get(server) {
            count(life.stats.of(self.index));
        }
    }

    /// A number that no connection to a server had.
    fn connection_id(&self) -> ConnectionId {
        ConnectionId(self.shared.ids.fetch_add(1, Relaxed))
    }

    /// Bytes that nobody can guess, without a NUL; and without `$`, which caching_sha2's stored hashes are
    /// cut at.
    fn nonce(&self) -> std::io::Result<Nonce> {
        let mut nonce = Nonce::default();
        self.random.borrow_mut().read_exact(&mut nonce)?;
        for byte in &mut nonce {
            *byte = match *byte & 0x7f {
                0 | b'$' => b'!',
                other => other,
            };
        }
        Ok(nonce)
    }

    /// What a session waits for.
    fn watch(&self, face: &Arc<Face>) -> Rc<Watch> {
        let watch = Rc::new(Watch::new(Some(Arc::clone(face))));
        self.watches.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// Ends sessions that are between two statements.
    fn drain(&self) {
        self.watches.borrow().iter().for_each(|watch| watch.drain());
    }

    /// Ends a session.
    fn kill(&self, id: u32) {
        let watches = self.watches.borrow();
        watches
            .iter()
            .filter(|watch| watch.is_of(id))
            .for_each(|watch| watch.kill());
    }

    /// Ends all sessions.
    fn kill_all(&self) {
        self.watches.borrow().iter().for_each(|watch| watch.kill());
    }

    /// The monitors have something new: who waits for a server that is down need not.
    fn news(&self) {
        let local = self.local();
        for (server, pool) in local.pools.iter().enumerate() {
            if local.is_up(server) {
                continue;
            }
            pool.clear();
            self.watches
                .borrow()
                .iter()
                .for_each(|watch| watch.gone(server));
        }
    }

    /// Looks at what nobody tells: deadlines, connections that wait for too long.
    fn turn(&self) {
        let now = self.tick.get().wrapping_add(1);
        self.tick.set(now);
        self.watches.borrow_mut().retain(|watch| {
            watch.look(now);
            Rc::strong_count(watch) > 1
        });
        if !now.is_multiple_of(4) {
            return;
        }
        let local = self.local();
        let settings = &local.plan.site.settings;
        let (idle, lifetime) = (ticks(settings.server_idle), ticks(settings.server_lifetime));
        let threads = settings.threads();
        for (pool, server) in local.pools.iter().zip(&local.plan.site.servers) {
            let keep = usize::try_from(server.min_connections).unwrap_or(usize::MAX);
            pool.sweep(now, idle, lifetime, keep.div_ceil(threads));
        }
    }
}
