//! How a client's connection begins: a TLS handshake where its listener speaks TLS.
//!
//! Not here: TLS itself (`tls`), and what is before it on the wire (`accept`).

use std::{cell::Cell, future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use rustls::server::UnbufferedServerConnection;
use tokio::net::TcpStream;

use super::{
    Core,
    connection::Client,
    stream::Stream,
    tls::{Session, Tls},
    watch::ticks,
};
use crate::stats::NoHandshake;

/// The stream over a connection that a listener has accepted; `None` where there can be none.
pub(super) fn stream(core: &Core, tcp: TcpStream, listener: &Cell<usize>) -> Option<Stream> {
    let local = core.local();
    let secrets = local.plan.secrets.listeners.get(listener.get());
    let Some(secrets) = secrets.and_then(Option::as_ref) else {
        return Some(Stream::Plain(tcp));
    };
    match UnbufferedServerConnection::new(Arc::clone(&secrets.config)) {
        Ok(session) => {
            let session = Session::Server(session);
            let tls = Tls::new(tcp, session, Rc::clone(&core.spare));
            Some(Stream::Tls(Box::new(tls)))
        }
        Err(error) => {
            tracing::error!(%error, "no TLS for a client");
            None
        }
    }
}

impl Client {
    /// Comes to an agreement with the client; says whether there is one.
    pub(super) async fn greet(&mut self) -> bool {
        let Stream::Tls(tls) = &mut self.stream else {
            return true;
        };
        let local = self.core.local();
        let time = local.plan.site.settings.timeouts.head;
        self.watch.until(self.core.tick.get() + ticks(time));
        let agreed = poll_fn(|cx| {
            if self.watch.is_over() {
                return Poll::Ready(Err(NoHandshake::Late));
            }
            match tls.poll_handshake(cx) {
                Poll::Ready(agreed) => Poll::Ready(agreed.map_err(|error| {
                    tracing::debug!(client = %self.peer.address, %error, "no TLS handshake");
                    NoHandshake::of(&error)
                })),
                Poll::Pending => {
                    self.watch.park(cx);
                    Poll::Pending
                }
            }
        });
        let agreed = agreed.await;
        let counts = &self.core.local();
        let counts = &counts.stats(self.core.index).handshakes;
        match agreed {
            Ok(()) if tls.is_resumed() => counts.resumed.add(1),
            Ok(()) => counts.full.add(1),
            Err(why) => counts.failed[why as usize].add(1),
        }
        self.peer.is_secure = true;
        agreed.is_ok()
    }
}
