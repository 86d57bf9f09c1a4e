//! The life of a serving thread: it begins with a plan, is told of new ones and of listeners, and ends
//! when it has no connection left or no time for them.
//!
//! Not here: who tells it (`control`).

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle as Thread,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::{JoinHandle, LocalSet},
    time::MissedTickBehavior,
};

use super::{Core, Shared, accept, watch::TICK};
use crate::{access_log::Lines, plan::Plan};

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: u32 = 4096;

/// A socket that listens, with its place in the site.
#[derive(Debug)]
pub struct Listening {
    /// The listener, by its place in the site.
    pub place: usize,
    /// Where it listens.
    pub address: SocketAddr,
    /// The sockets; none: the thread has them already.
    pub sockets: Vec<std::net::TcpListener>,
}

/// What a thread is told.
#[derive(Debug)]
pub enum Order {
    /// Serve by this plan from now on.
    Plan(Arc<Plan>),
    /// Listen at these places and no others.
    Listen(Vec<Listening>),
    /// Answer with copies of the sockets that listen, for another process.
    Lend(oneshot::Sender<io::Result<Vec<Lent>>>),
    /// Close connections that are between two requests.
    CloseIdle,
    /// End.
    End,
}

/// A socket that listens, and where.
pub type Lent = (SocketAddr, OwnedFd);

/// A serving thread.
#[derive(Debug)]
pub struct Serving {
    orders: UnboundedSender<Order>,
    thread: Thread<()>,
}

/// A socket that listens beside those of other threads (`SO_REUSEPORT`).
///
/// # Errors
/// The address cannot be had.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    // Accepted sockets have it, too: Nagle would hold back the end of an answer.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

impl Serving {
    /// Starts a thread.
    ///
    /// # Errors
    /// The system has no thread or no epoll for it.
    pub fn start(
        index: usize,
        shared: Arc<Shared>,
        plan: Arc<Plan>,
        log: Option<Lines>,
    ) -> io::Result<Self> {
        let (orders, inbox) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Events are looked for when there is nothing else to do, or this often.
            .event_interval(64)
            .build()?;
        let thread = std::thread::Builder::new()
            .name(format!("serve-{index}"))
            .spawn(move || {
                let set = LocalSet::new();
                let core = Core::new(index, shared, plan, log);
                set.block_on(&runtime, run(core, inbox));
            })?;
        Ok(Self { orders, thread })
    }

    /// Tells it something. A thread that has ended hears nothing.
    pub fn tell(&self, order: Order) {
        drop(self.orders.send(order));
    }

    /// Waits for its end.
    pub fn join(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            tracing::error!("a serving thread has panicked");
        }
    }
}

/// A listener with the task that accepts.
struct Open {
    address: SocketAddr,
    place: Rc<Cell<usize>>,
    listener: Rc<TcpListener>,
    task: JoinHandle<()>,
}

impl Open {
    fn lend(&self) -> io::Result<Lent> {
        Ok((self.address, self.listener.as_fd().try_clone_to_owned()?))
    }
}

async fn run(core: Rc<Core>, mut inbox: UnboundedReceiver<Order>) {
    let mut open: Vec<Open> = Vec::new();
    let mut turns = tokio::time::interval(TICK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waiting = Rc::clone(&core);
    let delays = tokio::task::spawn_local(async move { waiting.delays.run().await });
    loop {
        tokio::select! {
            biased;
            order = inbox.recv() => match order {
                Some(Order::Plan(plan)) => core.set_plan(plan),
                Some(Order::Listen(wanted)) => set_listeners(&core, &mut open, wanted),
                Some(Order::Lend(to)) => drop(to.send(open.iter().map(Open::lend).collect())),
                Some(Order::CloseIdle) => core.close_idle(),
                Some(Order::End) | None => break,
            },
            _ = turns.tick() => core.turn(),
        }
    }
    delays.abort();
    core.flush_log();
}

fn set_listeners(core: &Rc<Core>, open: &mut Vec<Open>, wanted: Vec<Listening>) {
    let (kept, gone): (Vec<Open>, Vec<Open>) = std::mem::take(open)
        .into_iter()
        .partition(|open| wanted.iter().any(|one| one.address == open.address));
    gone.into_iter().for_each(|gone| close(core, gone));
    *open = kept;
    for Listening {
        place,
        address,
        sockets,
    } in wanted
    {
        let known = open.iter().filter(|open| open.address == address);
        known.for_each(|open| open.place.set(place));
        for socket in sockets {
            match TcpListener::from_std(socket) {
                Ok(listener) => open.push(begin(core, (address, place), listener)),
                Err(error) => tracing::error!(%address, %error, "cannot listen"),
            }
        }
    }
}

fn begin(core: &Rc<Core>, (address, place): (SocketAddr, usize), listener: TcpListener) -> Open {
    let (listener, place) = (Rc::new(listener), Rc::new(Cell::new(place)));
    let accepting = accept::accept(Rc::clone(core), Rc::clone(&listener), Rc::clone(&place));
    Open {
        address,
        place,
        listener,
        task: tokio::task::spawn_local(accepting),
    }
}

/// Closes a listener, after what the kernel has accepted for it meanwhile is served, too.
fn close(core: &Rc<Core>, open: Open) {
    let Open {
        place,
        listener,
        task,
        ..
    } = open;
    let core = Rc::clone(core);
    task.abort();
    tokio::task::spawn_local(async move {
        // It has let go of the listener when it has ended.
        drop(task.await);
        let listener = Rc::into_inner(listener).map(TcpListener::into_std);
        let Some(Ok(listener)) = listener else {
            return;
        };
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                accept::begin(&core, stream, address, &place);
            }
        }
    });
}
