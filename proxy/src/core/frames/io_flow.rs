//! What an HTTP/2 connection is read from and written to: a stream, and bytes of it that were read
//! before anybody knew that it is one.
//!
//! Not here: what the bytes are.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::stream::Stream;

/// A stream, with what was read of it already.
#[derive(Debug)]
pub(super) struct Io {
    stream: Stream,
    early: Vec<u8>,
    /// Counts bytes that are read.
    read: Rc<Cell<usize>>,
}

impl Io {
    pub(super) fn new(stream: Stream, early: Vec<u8>, read: Rc<Cell<usize>>) -> Self {
        Self {
            stream,
            early,
            read,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            let take = this.early.len().min(buffer.remaining());
            buffer.put_slice(&this.early[..take]);
            this.early.drain(..take);
            if this.early.is_empty() {
                this.early = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match &mut this.stream {
            Stream::Plain(tcp) => ready!(Pin::new(tcp).poll_read(cx, buffer))?,
            stream @ (Stream::Tls(_) | Stream::Asked(_) | Stream::Asking(_)) => {
                let read = ready!(stream.poll_read(cx, buffer.initialize_unfilled()))?;
                buffer.advance(read);
            }
        }
        let read = buffer.filled().len() - before;
        this.read.set(this.read.get().saturating_add(read));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is with the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_shutdown(cx)
    }
}
