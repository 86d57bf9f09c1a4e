//! TLS over a TCP connection: rustls's machine, driven by polls.
//!
//! Not here: who is trusted, and which certificate is shown ([`crate::trust`]).

use std::{
    future::poll_fn,
    io::{self, Read as _, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{ClientConnection, Connection, ServerConnection};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Tls {
    tcp: TcpStream,
    machine: Connection,
    /// Bytes that were taken to be written, and are not all out yet.
    taken: Option<usize>,
}

/// A socket as rustls wants it: what would wait says so.
struct Wire<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl io::Read for Wire<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut into = ReadBuf::new(room);
        match Pin::new(&mut *self.tcp).poll_read(self.cx, &mut into) {
            Poll::Ready(read) => read.map(|()| into.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.tcp).poll_write(self.cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tls {
    /// As a server, to a client whose first bytes may have come already.
    pub(super) async fn accept(
        tcp: TcpStream,
        machine: ServerConnection,
        mut first: &[u8],
    ) -> io::Result<Self> {
        let mut tls = Self::new(tcp, machine.into());
        while !first.is_empty() {
            tls.machine.read_tls(&mut first)?;
            tls.machine
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
        tls.shake().await?;
        Ok(tls)
    }

    /// As a client.
    pub(super) async fn connect(tcp: TcpStream, machine: ClientConnection) -> io::Result<Self> {
        let mut tls = Self::new(tcp, machine.into());
        tls.shake().await?;
        Ok(tls)
    }

    fn new(tcp: TcpStream, machine: Connection) -> Self {
        Self {
            tcp,
            machine,
            taken: None,
        }
    }

    async fn shake(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            while self.machine.is_handshaking() {
                ready!(self.poll_out(cx))?;
                if self.machine.is_handshaking() && ready!(self.poll_in(cx))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            self.poll_out(cx)
        })
        .await
    }

    /// Sends what there is to be sent.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.machine.wants_write() {
            let tcp = &mut self.tcp;
            match self.machine.write_tls(&mut Wire { tcp, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in what has come; 0 at the end of the stream.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let tcp = &mut self.tcp;
        let came = match self.machine.read_tls(&mut Wire { tcp, cx }) {
            Ok(came) => came,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if let Err(error) = self.machine.process_new_packets() {
            // The other end may want to know why.
            drop(self.poll_out(cx));
            return Poll::Ready(Err(io::Error::other(error)));
        }
        Poll::Ready(Ok(came))
    }

    /// Reads what there is; 0 at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.machine.reader().read(room) {
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if ready!(self.poll_in(cx))? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
    }

    /// Ready where there is text to be read, or the stream has ended: what is TLS's own does not count.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let state = self.machine.process_new_packets();
            let state = state.map_err(io::Error::other)?;
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_in(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Writes some. What is said to be written is out.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = match self.taken {
            Some(taken) => taken,
            None => {
                let taken = self.machine.writer().write(bytes)?;
                self.taken = Some(taken);
                taken
            }
        };
        ready!(self.poll_out(cx))?;
        self.taken = None;
        Poll::Ready(Ok(taken))
    }
}
