//! The life of a serving thread: it begins with a plan, is told of new ones and of listeners, and ends when
//! it is told to.
//!
//! Not here: who tells it (`control`).

use std::{fs::File, io, net::SocketAddr, rc::Rc, sync::Arc, thread::JoinHandle as Thread};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UnixListener},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, LocalSet},
    time::MissedTickBehavior,
};

use super::{
    Core, Shared,
    accept::{self, Listener as Open},
    link::Link,
    watch::TICK,
};
use crate::{config::Listener, plan::Plan};

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: u32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Socket {
    /// One of several at an address.
    Tcp(std::net::TcpListener),
    /// The one at a path.
    Unix(std::os::unix::net::UnixListener),
}

/// A socket that listens, and where.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub at: Listener,
    /// The socket; `None`: the thread has it already.
    pub socket: Option<Socket>,
}

/// What a thread is told.
#[derive(Debug)]
pub enum Order {
    /// Serve by this plan from now on.
    Plan(Arc<Plan>),
    /// Listen at these places and no others.
    Listen(Vec<Listening>),
    /// End sessions that are between two statements, and hold nothing on a server.
    Drain,
    /// End.
    End,
}

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
    /// The system has no thread, no epoll or no randomness for it.
    pub fn start(index: usize, shared: Arc<Shared>, plan: Arc<Plan>) -> io::Result<Self> {
        let (orders, inbox) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Events are looked for when there is nothing else to do, or this often.
            .event_interval(64)
            .build()?;
        let random = File::open("/dev/urandom")?;
        let thread = std::thread::Builder::new()
            .name(format!("serve-{index}"))
            .spawn(move || {
                let set = LocalSet::new();
                let core = Core::new(index, shared, plan, random);
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
struct Listens {
    at: Listener,
    listener: Rc<Open>,
    task: JoinHandle<()>,
}

async fn run(core: Rc<Core>, mut inbox: UnboundedReceiver<Order>) {
    let mut open: Vec<Listens> = Vec::new();
    let mut turns = tokio::time::interval(TICK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = core.local().plan.board.news();
    let mut wanted = core.shared.wanted.subscribe();
    loop {
        tokio::select! {
            biased;
            order = inbox.recv() => match order {
                Some(Order::Plan(plan)) => {
                    news = plan.board.news();
                    core.set_plan(plan);
                }
                Some(Order::Listen(wanted)) => set_listeners(&core, &mut open, wanted),
                Some(Order::Drain) => core.drain(),
                Some(Order::End) | None => break,
            },
            Ok(()) = news.changed() => core.news(),
            Ok(()) = wanted.changed() => core.make_room(),
            _ = turns.tick() => core.turn(),
        }
    }
    core.kill_all();
}

fn set_listeners(core: &Rc<Core>, open: &mut Vec<Listens>, wanted: Vec<Listening>) {
    let (kept, gone): (Vec<Listens>, Vec<Listens>) = std::mem::take(open)
        .into_iter()
        .partition(|open| wanted.iter().any(|one| one.at == open.at));
    gone.into_iter().for_each(|gone| close(core, gone));
    *open = kept;
    for Listening { at, socket } in wanted {
        if open.iter().any(|open| open.at == at) {
            continue;
        }
        let listener = match socket {
            Some(Socket::Tcp(socket)) => TcpListener::from_std(socket).map(Open::Tcp),
            Some(Socket::Unix(socket)) => UnixListener::from_std(socket).map(Open::Unix),
            None => continue,
        };
        match listener {
            Ok(listener) => {
                let listener = Rc::new(listener);
                let accepting = accept::accept(Rc::clone(core), Rc::clone(&listener));
                open.push(Listens {
                    at,
                    listener,
                    task: tokio::task::spawn_local(accepting),
                });
            }
            Err(error) => tracing::error!(?at, %error, "cannot listen"),
        }
    }
}

/// Closes a listener, after what the kernel has accepted for it meanwhile is served, too.
fn close(core: &Rc<Core>, open: Listens) {
    let Listens { listener, task, .. } = open;
    let core = Rc::clone(core);
    task.abort();
    tokio::task::spawn_local(async move {
        // It has let go of the listener when it has ended.
        drop(task.await);
        let Some(Open::Tcp(listener)) = Rc::into_inner(listener) else {
            return;
        };
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                accept::begin(&core, Link::Tcp(stream), address.ip().to_string());
            }
        }
    });
}
