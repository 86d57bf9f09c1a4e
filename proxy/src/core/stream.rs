//! A stream of bytes with a client or a server at its other end: a TCP connection, TLS over one, or one
//! stream of an HTTP/2 connection.
//!
//! Whoever relays sees no difference: heads are text, bodies bytes, and a piece that could not be written
//! whole is given again. Not here: TLS (`tls`) and frames (`frames`).

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use super::{
    frames::{asked::Asked, asking::Asking},
    tls::Tls,
};
use crate::h1::transfer::Transfer;

/// A stream of bytes.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP and nothing else.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<Tls>),
    /// A client's request over HTTP/2.
    Asked(Box<Asked>),
    /// A request to a server over HTTP/2.
    Asking(Box<Asking>),
}

impl Stream {
    /// Reads what there is; 0 bytes are the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => read_tcp(tcp, cx, room),
            Self::Tls(tls) => tls.poll_read(cx, room),
            Self::Asked(asked) => asked.poll_read(cx, room),
            Self::Asking(asking) => asking.poll_read(cx, room),
        }
    }

    /// Whether it is a stream of HTTP/2: heads are text, and the body behind is as it is, to its end.
    pub(super) fn is_frames(&self) -> bool {
        matches!(self, Self::Asked(_) | Self::Asking(_))
    }

    /// Whether it is known that nothing more can come.
    pub(super) fn is_heard_out(&self) -> bool {
        match self {
            Self::Asked(asked) => asked.is_over(),
            Self::Plain(_) | Self::Tls(_) | Self::Asking(_) => false,
        }
    }

    /// Whether a server has not looked at the request, and says so.
    pub(super) fn was_refused(&self) -> bool {
        match self {
            Self::Asking(asking) => asking.was_refused(),
            Self::Plain(_) | Self::Tls(_) | Self::Asked(_) => false,
        }
    }

    /// Hands over the headers that came behind the body.
    pub(super) fn trailers(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(_) | Self::Tls(_) => {}
            Self::Asked(asked) => asked.trailers(out),
            Self::Asking(asking) => asking.trailers(out),
        }
    }

    /// Writes what there is room for. What waits has to be given again, with no more before it.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => match pieces {
                [one] => Pin::new(tcp).poll_write(cx, one),
                _ => Pin::new(tcp).poll_write_vectored(cx, pieces),
            },
            Self::Tls(tls) => tls.poll_write(cx, pieces),
            // They are written by [`write`].
            Self::Asked(_) | Self::Asking(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Says that nothing more comes.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => tls.poll_shutdown(cx),
            // The end of a body has said it.
            Self::Asked(_) | Self::Asking(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the client has gone, without reading anything; `false` where it has sent something, behind
    /// which nobody sees that.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
            Self::Asked(asked) => return asked.poll_reset(cx).map(|_gone| true),
            Self::Asking(_) => return Poll::Pending,
        };
        let peeked = ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut [0])));
        Poll::Ready(peeked.map_or(true, |bytes| bytes == 0))
    }

    /// The address that the client connected to; `None` for a stream of a connection.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(tcp) => tcp.local_addr().ok(),
            Self::Tls(tls) => tls.tcp().local_addr().ok(),
            Self::Asked(_) | Self::Asking(_) => None,
        }
    }

    /// Whether the other end has neither closed nor said anything: nobody asked it to. Asks the kernel
    /// nothing where it has told nothing.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.poll_read(&mut nobody, &mut [0]).is_pending()
    }
}

/// Reads what there is; 0 bytes are the end.
pub(super) fn read_tcp(
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
    room: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(room);
    ready!(Pin::new(tcp).poll_read(cx, &mut room))?;
    Poll::Ready(Ok(room.filled().len()))
}

/// Writes what is to be written, as much of it as there is room for.
pub(super) fn write(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    transfer: &Transfer,
    buffer: &[u8],
) -> Poll<io::Result<usize>> {
    match stream {
        Stream::Asked(asked) => return asked.poll_write(cx, transfer.frames(buffer)),
        Stream::Asking(asking) => return asking.poll_write(cx, transfer.frames(buffer)),
        Stream::Plain(_) | Stream::Tls(_) => {}
    }
    let (pieces, count) = transfer.pieces(buffer);
    match ready!(stream.poll_write(cx, &pieces[..count]))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        wrote => Poll::Ready(Ok(wrote)),
    }
}
