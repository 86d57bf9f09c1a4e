//! One end of a connection: TCP, TLS over it, or a unix socket.
//!
//! Not here: what is said over it.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::tls::Tls;

/// See the module.
#[derive(Debug)]
pub(super) enum Link {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS.
    Tls(Box<Tls>),
    /// None, while TLS begins.
    Nothing,
}

fn nothing() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Link {
    /// From now on it is TLS that `shake` makes of it; only TCP can be.
    pub(super) async fn secure<F>(&mut self, shake: impl FnOnce(TcpStream) -> F) -> io::Result<()>
    where
        F: Future<Output = io::Result<Tls>>,
    {
        match std::mem::replace(self, Self::Nothing) {
            Self::Tcp(stream) => {
                *self = Self::Tls(Box::new(shake(stream).await?));
                Ok(())
            }
            Self::Unix(_) | Self::Tls(_) | Self::Nothing => Err(nothing()),
        }
    }

    /// Reads what there is; 0 at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(room);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut into),
            Self::Tls(tls) => return tls.poll_read(cx, into.initialize_unfilled()),
            Self::Nothing => Poll::Ready(Err(nothing())),
        };
        polled.map_ok(|()| into.filled().len())
    }

    /// Ready where reading would not wait, or might not.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(tls) => tls.poll_readable(cx),
            Self::Nothing => Poll::Ready(Err(nothing())),
        }
    }

    /// Writes some.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => tls.poll_write(cx, bytes),
            Self::Nothing => Poll::Ready(Err(nothing())),
        }
    }

    /// Writes all.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Whether a connection that nobody uses has something to say all the same: that it is closed, or a
    /// last error. Costs no call of the system.
    pub(super) fn has_news(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_readable(&mut cx).is_ready()
    }
}
