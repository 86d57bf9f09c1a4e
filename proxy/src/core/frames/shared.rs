//! HTTP/2 connections to one server, each for many requests at once; each thread has its own.
//!
//! Not here: opening them (`connect`), and one request (`asking`).

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Waker},
};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Scheme;
use tokio::sync::{Mutex, MutexGuard};

use super::{asking::Asking, io_flow::Io};
use crate::core::{stream::Stream, watch::Ticks};

/// Requests at once over one connection at most, even where the server takes more.
const REQUESTS_MAX: usize = 100;
/// Bytes of one answer that the server may send before they are passed on.
const WINDOW: u32 = 128 << 10;
/// The same of all answers of a connection.
const WINDOW_ALL: u32 = 2 << 20;
/// Bytes of a request's body that wait for the connection.
const SEND_BUFFER: usize = 64 << 10;

/// HTTP/2 connections to one server.
#[derive(Debug, Default)]
pub(in crate::core) struct Shared {
    open: RefCell<Vec<Open>>,
    /// Whoever opens one has it, so that a hundred requests do not open a hundred.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Bytes>,
    active: Rc<Cell<usize>>,
    /// Since when nothing is asked over it.
    since: Ticks,
    is_secure: bool,
}

/// A request over a connection, as long as this is there.
#[derive(Debug)]
pub(super) struct Lease(Rc<Cell<usize>>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Open {
    /// Whether the server still takes requests over it.
    fn is_good(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        !matches!(
            self.sender.poll_ready(&mut nobody),
            std::task::Poll::Ready(Err(_))
        )
    }

    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(REQUESTS_MAX);
        self.active.get() < most
    }
}

impl Shared {
    /// Waits until nobody else opens a connection.
    pub(in crate::core) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A request over a connection that has room for it.
    pub(in crate::core) fn ask(&self) -> Option<Stream> {
        let mut open = self.open.borrow_mut();
        open.retain_mut(Open::is_good);
        let open = open.iter().find(|open| open.has_room())?;
        open.active.set(open.active.get() + 1);
        let lease = Lease(Rc::clone(&open.active));
        let scheme = match open.is_secure {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        };
        let asking = Asking::new(open.sender.clone(), scheme, lease);
        Some(Stream::Asking(Box::new(asking)))
    }

    /// Speaks HTTP/2 over a new connection from now on.
    ///
    /// # Errors
    /// It is gone already.
    pub(in crate::core) async fn add(
        &self,
        stream: Stream,
        header_list: u32,
        now: Ticks,
    ) -> io::Result<()> {
        let is_secure = matches!(stream, Stream::Tls(_));
        let io = Io::new(stream, Vec::new(), Rc::default());
        let made = Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_ALL)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(header_list)
            .handshake(io)
            .await;
        let (sender, connection) = made.map_err(super::failed)?;
        tokio::task::spawn_local(async move {
            // It ends with the connection, or when nobody can ask any more.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a server has ended");
            }
        });
        self.open.borrow_mut().push(Open {
            sender,
            active: Rc::default(),
            since: now,
            is_secure,
        });
        Ok(())
    }

    /// Closes those that the server has closed, and those that nobody has used for longer than `most`.
    pub(in crate::core) fn sweep(&self, now: Ticks, most: Ticks) {
        self.open.borrow_mut().retain_mut(|open| {
            if open.active.get() > 0 {
                open.since = now;
            }
            now.saturating_sub(open.since) < most && open.is_good()
        });
    }
}
