//! A listener of one thread: it accepts, and turns away what is too much.
//!
//! Not here: making the socket (`thread`).

use std::{
    cell::Cell, io, net::SocketAddr, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

use super::{Core, connection::Client};

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
        // What does not go out at once need not go out at all.
        drop(stream.try_write(TOO_MANY));
        return;
    }
    let client = Client::new(core, stream, address, place);
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        client.serve().await;
        core.shared.connections.fetch_sub(1, Relaxed);
        core.local().stats(core.index).closed.add(1);
    });
}
