//! A listener of one thread: it accepts, and turns away what is too much.
//!
//! Not here: making the socket (`thread`).

use std::{io, rc::Rc, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::net::{TcpListener, UnixListener};

use super::{Core, enter, link::Link};
use crate::{refusal::Refusal, wire::packet::put_message};

/// How long to wait after the system refused a connection (no descriptor left, mostly).
const PAUSE: Duration = Duration::from_millis(100);

/// What listens.
#[derive(Debug)]
pub(super) enum Listener {
    /// At an address.
    Tcp(TcpListener),
    /// At a path, for all threads.
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Link, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Link::Tcp(stream), address.ip().to_string()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Link::Unix(stream), "localhost".to_owned()))
            }
        }
    }
}

/// Accepts until it is dropped.
pub(super) async fn accept(core: Rc<Core>, listener: Rc<Listener>) {
    loop {
        match listener.accept().await {
            Ok((link, host)) => begin(&core, link, host),
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
pub(super) fn begin(core: &Rc<Core>, mut link: Link, host: String) {
    core.stats(|stats| stats.accepted.add(1));
    let most = core.local().plan.site.settings.max_clients;
    let before = core.shared.connections.fetch_add(1, Relaxed);
    if before >= most {
        core.shared.connections.fetch_sub(1, Relaxed);
        core.stats(|stats| stats.turned_away.add(1));
        // What does not go out at once need not go out at all.
        let refusal = Refusal::new(1040, b"08004", "Too many connections");
        let (mut payload, mut out) = (Vec::new(), Vec::new());
        refusal.put(&mut payload);
        put_message(&mut out, 0, &payload);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        drop(link.poll_write(&mut cx, &out));
        return;
    }
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        enter::serve(Rc::clone(&core), link, host).await;
        core.shared.connections.fetch_sub(1, Relaxed);
    });
}
