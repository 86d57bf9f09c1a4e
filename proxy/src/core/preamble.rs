//! PROXY headers on sockets: read before anything else of a client's connection, and sent before
//! anything else to a server.
//!
//! A connection to a server that wants one speaks for one client: it stays with that client's connection
//! and with nobody else. Not here: the bytes (`preamble`).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{Core, connection::Client, stream::Stream};
use crate::{
    config::Network,
    forward::Peer,
    preamble::{Ends, Read, Version, Wrong, read, write},
};

/// A connection to a server that speaks for one client.
pub(super) struct Private {
    server: SocketAddr,
    client: IpAddr,
    stream: Stream,
}

impl Core {
    /// Whether a connection from this address begins with a PROXY header, by its listener.
    pub(super) fn expects_preamble(&self, listener: usize, from: IpAddr) -> bool {
        let local = self.local();
        let listener = local.plan.site.listeners.get(listener);
        listener.is_some_and(|listener| {
            let mut senders = listener.proxy_protocol.iter();
            senders.any(|network| network.contains(from))
        })
    }

    /// Who is at the other end, as the header says that a connection begins with; nobody where there is
    /// none that can be understood: the connection is closed then, without a word.
    pub(super) async fn arrive(&self, stream: &mut TcpStream, from: SocketAddr) -> Option<Arrival> {
        let time = self.local().plan.site.settings.timeouts.head;
        match within(time, stream).await {
            Ok(None) => Some(Arrival { from, at: None }),
            Ok(Some(ends)) => Some(Arrival {
                from: ends.source,
                at: Some(ends.destination),
            }),
            Err(wrong) => {
                let local = self.local();
                local.stats(self.index).preambles_refused[wrong as usize].add(1);
                tracing::debug!(%from, "{wrong}");
                None
            }
        }
    }
}

/// Whose a connection is.
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    /// Where it came to, if that is not the address of the socket.
    pub(super) at: Option<SocketAddr>,
}

async fn within(time: Duration, stream: &mut TcpStream) -> Result<Option<Ends>, Wrong> {
    let read = tokio::time::timeout(time, take(stream));
    read.await.unwrap_or(Err(Wrong::Unfinished))
}

/// Takes a header off a stream, and not a byte more.
async fn take(stream: &mut TcpStream) -> Result<Option<Ends>, Wrong> {
    let mut bytes = Vec::new();
    loop {
        let more = match read(&bytes)? {
            Read::Whole(ends) => return Ok(ends),
            Read::Needs(more) => more,
        };
        let have = bytes.len();
        bytes.resize(have + more, 0);
        let got = stream.read(&mut bytes[have..]).await.unwrap_or(0);
        if got == 0 {
            return Err(Wrong::Unfinished);
        }
        bytes.truncate(have + got);
    }
}

impl Client {
    /// The connection to this server that speaks for this client already.
    pub(super) fn take_private(&mut self, server: SocketAddr, client: IpAddr) -> Option<Stream> {
        let private = self.private.take()?;
        let Private {
            server: known,
            client: whose,
            mut stream,
        } = *private;
        (known == server && whose == client && stream.is_quiet()).then_some(stream)
    }

    /// Keeps it for the next request.
    pub(super) fn keep_private(&mut self, server: SocketAddr, client: IpAddr, stream: Stream) {
        self.private = Some(Box::new(Private {
            server,
            client,
            stream,
        }));
    }

    /// Tells a server whom a new connection speaks for; says whether it could.
    pub(super) fn announce(&self, version: Version, client: IpAddr, server: &TcpStream) -> bool {
        let Some(destination) = self.peer.at.or_else(|| self.stream.local_address()) else {
            return false;
        };
        // Of a client that another proxy names, nobody knows the port.
        let port = if client == self.peer.address {
            self.peer.port
        } else {
            0
        };
        let ends = Ends {
            source: SocketAddr::new(client, port),
            destination,
        };
        let mut bytes = Vec::new();
        write(version, Some(ends), &mut bytes);
        // The first bytes of a connection always fit into its buffer.
        server
            .try_write(&bytes)
            .is_ok_and(|written| written == bytes.len())
    }
}

impl Arrival {
    /// The peer of the connection.
    pub(super) fn peer(&self, trusted: &[Network]) -> Peer {
        let mut peer = Peer::new(self.from, trusted);
        peer.at = self.at;
        peer
    }
}
