//! A client's HTTP/2 connection: each request is served by a task of its own, and the connection ends
//! when it was idle for too long, when the proxy is to stop, or when the client only makes work.
//!
//! Not here: a request (`asked`, `connection`).

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::Request;

use super::{
    asked::{Asked, Ledger},
    io_flow::Io,
    text,
};
use crate::{
    clock,
    core::{
        Core,
        connection::Client,
        stream::Stream,
        watch::{Ticks, Watch, ticks},
        work::{Facts, Work},
    },
    forward::{Delivery, Peer},
    h1::{Refusal, Version},
};

/// Requests at once that a client may have over one connection.
const STREAMS: u32 = 128;
/// Bytes of one request's body that a client may send before they are passed on.
const WINDOW: u32 = 64 << 10;
/// The same of all requests of a connection.
const WINDOW_ALL: u32 = 512 << 10;
/// Bytes of an answer that wait for the connection.
const SEND_BUFFER: usize = 64 << 10;
/// Requests that a client took back before they were looked at.
const RESETS_UNSEEN: usize = 20;
/// Requests that a client may take back before it is looked at how many it makes in all.
const RESETS: u32 = 100;
/// Bytes that nothing comes of, no request and no body either way: pings, settings, empty frames.
const IDLE_BYTES: usize = 1 << 20;
/// How long a connection that is to end may take over it.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// What the preface of HTTP/2 is, as far as it looks like a head (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Whether a connection begins with the preface of HTTP/2.
pub(in crate::core) fn is_preface(work: &Work) -> bool {
    work.client.fresh().starts_with(PREFACE)
}

/// A connection, for its requests.
struct Conn {
    core: Rc<Core>,
    peer: Peer,
    listener: Rc<Cell<usize>>,
    watch: Rc<Watch>,
    ledger: Rc<Ledger>,
}

impl Client {
    /// Serves a client that speaks HTTP/2; `early` is what it has said already.
    pub(in crate::core) async fn serve_frames(self, early: Option<Box<Work>>) {
        let Self {
            core,
            stream,
            mut peer,
            listener,
            watch,
            private: _,
        } = self;
        peer.is_http2 = true;
        peer.at = peer.at.or_else(|| stream.local_address());
        let first = early.map_or_else(Vec::new, |work| {
            let first = work.client.fresh().to_vec();
            core.store.borrow_mut().give(work);
            first
        });
        let ledger = Rc::new(Ledger::default());
        let io = Io::new(stream, first, Rc::clone(&ledger.idle_bytes));
        let conn = Conn {
            core,
            peer,
            listener,
            watch,
            ledger,
        };
        if let Some(connection) = conn.begin(io).await {
            conn.serve(connection).await;
        }
    }
}

impl Conn {
    /// Exchanges prefaces.
    async fn begin(&self, io: Io) -> Option<Connection<Io, Bytes>> {
        let local = self.core.local();
        let settings = &local.plan.site.settings;
        let header_list = u32::try_from(settings.limits.head).unwrap_or(u32::MAX);
        self.until(ticks(settings.timeouts.head));
        let mut handshake = Builder::new()
            .max_concurrent_streams(STREAMS)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_ALL)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(header_list)
            .max_pending_accept_reset_streams(RESETS_UNSEEN)
            .handshake(io);
        let made = poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(None);
            }
            self.watch.park(cx);
            std::pin::Pin::new(&mut handshake).poll(cx).map(Result::ok)
        });
        made.await
    }

    fn until(&self, time: Ticks) {
        self.watch.again();
        self.watch.until(self.core.tick.get().saturating_add(time));
    }

    async fn serve(&self, mut connection: Connection<Io, Bytes>) {
        self.until(self.patience());
        // Told to end while it has nothing to do, and also while it has: it finishes that first.
        self.watch.set_idle(true);
        while let Some((request, respond)) = poll_fn(|cx| self.poll(cx, &mut connection)).await {
            self.ask(request, respond);
            if self.core.is_draining() && !self.ledger.is_ending.get() {
                self.end(|| connection.graceful_shutdown());
            }
        }
    }

    /// Tells the client that no more requests are wanted.
    fn end(&self, tell: impl FnOnce()) {
        self.ledger.is_ending.set(true);
        self.watch.set_idle(false);
        tell();
        // Requests have deadlines of their own.
        if self.ledger.active.get() == 0 {
            self.until(self.patience());
        } else {
            self.watch.until(Ticks::MAX);
        }
    }

    /// How long it may have nothing to do.
    fn patience(&self) -> Ticks {
        patience(&self.core, &self.ledger)
    }

    /// The next request; `None` at the end.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        connection: &mut Connection<Io, Bytes>,
    ) -> Poll<Option<(Request<RecvStream>, SendResponse<Bytes>)>> {
        let is_ending = self.ledger.is_ending.get();
        if self.watch.is_over() {
            self.watch.again();
            if is_ending {
                return Poll::Ready(None);
            }
            self.end(|| connection.graceful_shutdown());
        }
        if self.is_flood() && !is_ending {
            let local = self.core.local();
            local.stats(self.core.index).floods.add(1);
            tracing::debug!(client = %self.peer.address, "HTTP/2 frames that nothing comes of");
            self.end(|| connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM));
            self.until(ticks(LINGER));
        }
        self.watch.park(cx);
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok(next))) => Poll::Ready(Some(next)),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(client = %self.peer.address, %error, "HTTP/2 comes to an end");
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_flood(&self) -> bool {
        let (resets, requests) = (self.ledger.resets.get(), self.ledger.requests.get());
        self.ledger.idle_bytes.get() > IDLE_BYTES || (resets > RESETS && resets > requests / 2)
    }

    /// Has a task serve a request.
    fn ask(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let ledger = &self.ledger;
        ledger.idle_bytes.set(0);
        ledger.requests.set(ledger.requests.get().saturating_add(1));
        ledger.active.set(ledger.active.get() + 1);
        self.watch.until(Ticks::MAX);
        let (head, body) = request.into_parts();
        let mut work = self.core.store.borrow_mut().work(clock::now());
        work.facts = Facts::new(clock::now());
        // Also where its head turns out to be none.
        work.facts.delivery = Delivery {
            version: Version::Http2,
            keep_alive: true,
        };
        let has_body = !body.is_end_stream();
        let end = text::write_request(&head, has_body, work.client.room());
        drop(head);
        let end = end.ok_or(Refusal::HeadTooLarge);
        work.client.end += end.unwrap_or(0);
        let asked = Asked::new(body, respond, Rc::clone(ledger));
        let client = Client {
            core: Rc::clone(&self.core),
            stream: Stream::Asked(Box::new(asked)),
            peer: self.peer,
            listener: Rc::clone(&self.listener),
            watch: self.core.watch(),
            private: None,
        };
        let asks = Asks {
            ledger: Rc::clone(ledger),
            watch: Rc::clone(&self.watch),
            core: Rc::clone(&self.core),
        };
        tokio::task::spawn_local(async move {
            client.serve_one(work, end).await;
            drop(asks);
        });
    }
}

/// A request that is served, as long as this is there.
struct Asks {
    ledger: Rc<Ledger>,
    watch: Rc<Watch>,
    core: Rc<Core>,
}

impl Drop for Asks {
    fn drop(&mut self) {
        let active = self.ledger.active.get().saturating_sub(1);
        self.ledger.active.set(active);
        if active == 0 {
            let time = patience(&self.core, &self.ledger);
            self.watch.until(self.core.tick.get().saturating_add(time));
        }
    }
}

/// How long a connection may have nothing to do.
fn patience(core: &Core, ledger: &Ledger) -> Ticks {
    ticks(match ledger.is_ending.get() {
        true => LINGER,
        false => core.local().plan.site.settings.timeouts.idle,
    })
}
