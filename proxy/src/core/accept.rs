//! A listener of one thread: it accepts, and turns away what is too much.
//!
//! Not here: making the socket (`thread`).

use std::{
    cell::Cell, io, net::SocketAddr, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

use super::{Core, connection::Client, greet, plan::Local, preamble::Arrival, stream::Stream};
use crate::door::{Inside, TurnedAway};

/// How long to wait after the system refused a connection (no descriptor left, mostly).
const PAUSE: Duration = Duration::from_millis(100);

/// What a client hears where there are too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
    Retry-After: 1\r\nConnection: close\r\n\r\n";

/// Accepts until it is dropped.
pub(super) async fn accept(core: Rc<Core>, listener: Rc<TcpListener>, place: Rc<Cell<usize>>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => begin(&core, stream, address, &place),
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The client was gone before it was served (accept(2)).
fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Serves a connection in a task of its own.
pub(super) fn begin(
    core: &Rc<Core>,
    stream: TcpStream,
    address: SocketAddr,
    place: &Rc<Cell<usize>>,
) {
    let local = core.local();
    let stats = local.stats(core.index);
    stats.accepted.add(1);
    let before = core.shared.connections.fetch_add(1, Relaxed);
    if before >= local.plan.site.settings.limits.connections {
        core.shared.connections.fetch_sub(1, Relaxed);
        stats.turned_away.add(1);
        stats.closed.add(1);
        // What does not go out at once need not go out at all. To a client of TLS it says nothing.
        drop(stream.try_write(TOO_MANY));
        return;
    }
    let core = Rc::clone(core);
    let place = Rc::clone(place);
    tokio::task::spawn_local(async move {
        serve(&core, stream, address, &place).await;
        core.shared.connections.fetch_sub(1, Relaxed);
        core.local().stats(core.index).closed.add(1);
    });
}

/// Serves a connection to its end. What other proxies say first stands before everything else.
async fn serve(
    core: &Rc<Core>,
    mut stream: TcpStream,
    address: SocketAddr,
    place: &Rc<Cell<usize>>,
) {
    let arrival = match core.expects_preamble(place.get(), address.ip()) {
        true => core.arrive(&mut stream, address).await,
        false => Some(Arrival {
            from: address,
            at: None,
        }),
    };
    let Some(arrival) = arrival else {
        return;
    };
    let Some(stream) = greet::stream(core, stream, place) else {
        return;
    };
    let client = Client::new(core, stream, &arrival, place);
    let local = core.local();
    let Some(_inside) = enter(core, &local, &client, place.get()) else {
        return;
    };
    drop(local);
    client.serve().await;
}

/// Lets a client in at its listener; where there are too many, it is told or just closed.
fn enter(core: &Core, local: &Local, client: &Client, place: usize) -> Option<Option<Inside>> {
    let known = Some(client.peer.address).filter(|_| !client.peer.is_trusted);
    // Between a plan and its listeners, places are those of the plan before: there may be no such door.
    let door = local.plan.doors.get(place);
    let entered = door
        .zip(local.plan.site.listeners.get(place))
        .map(|(door, listener)| door.enter(listener, known))
        .transpose();
    let stats = local.stats(core.index);
    match entered {
        Ok(inside) => return Some(inside),
        Err(TurnedAway::Listener) => {
            stats.turned_away_listener.add(1);
            if let Stream::Plain(tcp) = &client.stream {
                drop(tcp.try_write(TOO_MANY));
            }
        }
        // It is closed without a word: a client with so many would not read it.
        Err(TurnedAway::Client) => stats.turned_away_client.add(1),
    }
    None
}
