//! TLS over a TCP connection: rustls without buffers of its own, so that a connection that waits holds
//! its keys and little more.
//!
//! Bytes are decrypted where they were read and encrypted into a buffer that is written at once; buffers
//! are the thread's ([`Spare`]), lent while there is something in them. Not here: certificates
//! (`crate::tls`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use rustls::{
    HandshakeKind,
    client::UnbufferedClientConnection,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, UnbufferedStatus},
};
use tokio::{io::AsyncWrite as _, net::TcpStream};

use super::stream::read_tcp;

mod spare;

pub(super) use spare::Spare;
use spare::{Lent, room_for};

/// Pieces shorter than this are put together before they are encrypted: a record costs more than that.
const SMALL: usize = 8 << 10;
/// Bytes of a record at most (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;

/// A side of a TLS connection.
pub(super) enum Session {
    /// Ours, towards a client.
    Server(UnbufferedServerConnection),
    /// Ours, towards a server.
    Client(UnbufferedClientConnection),
}

/// TLS over a TCP connection.
pub(super) struct Tls {
    tcp: TcpStream,
    session: Session,
    spare: Rc<Spare>,
    /// What came, encrypted.
    incoming: Lent,
    /// What was decrypted and found no room.
    plain: Vec<u8>,
    /// What goes out, encrypted.
    outgoing: Lent,
    /// Bytes that are on their way in `outgoing` and were not counted as written yet.
    promised: usize,
    /// The other end has said that nothing more comes.
    is_closed: bool,
    /// We have said it.
    is_shut: bool,
    /// The protocol was broken: rustls is asked nothing more.
    is_broken: bool,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// What a turn of the protocol is for, and what came of it.
struct Turn<'a> {
    /// Where what is read goes; what does not fit goes to `plain`.
    room: &'a mut [u8],
    read: usize,
    plain: &'a mut Vec<u8>,
    /// What is to be sent.
    pieces: &'a [IoSlice<'a>],
    sent: usize,
    /// Say that nothing more comes.
    shut: bool,
    outgoing: &'a mut Lent,
    spare: &'a Spare,
    is_closed: &'a mut bool,
    failure: Option<rustls::Error>,
}

impl Tls {
    /// TLS over this connection; its handshake is still to come.
    /// What is below.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn new(tcp: TcpStream, session: Session, spare: Rc<Spare>) -> Self {
        Self {
            tcp,
            session,
            spare,
            incoming: Lent::default(),
            plain: Vec::new(),
            outgoing: Lent::default(),
            promised: 0,
            is_closed: false,
            is_shut: false,
            is_broken: false,
        }
    }

    /// Comes to an agreement with the other end.
    ///
    /// # Errors
    /// There is none; the other end was told so where it could be.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Err(error) = self.turn(&mut [], &[], false) {
                // The alert: what does not go out at once need not go out at all.
                drop(self.poll_flush(cx));
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_flush(cx))?;
            if !self.is_handshaking() {
                self.rest();
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.session {
            Session::Server(session) => session.is_handshaking(),
            Session::Client(session) => session.is_handshaking(),
        }
    }

    /// Whether HTTP/2 was agreed upon.
    pub(super) fn is_http2(&self) -> bool {
        let protocol = match &self.session {
            Session::Server(session) => session.alpn_protocol(),
            Session::Client(session) => session.alpn_protocol(),
        };
        protocol == Some(b"h2")
    }

    /// Whether it goes on with what an earlier connection agreed upon.
    pub(super) fn is_resumed(&self) -> bool {
        let kind = match &self.session {
            Session::Server(session) => session.handshake_kind(),
            Session::Client(session) => session.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }

    /// Reads what there is; 0 bytes are the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.plain.is_empty() {
                let take = self.plain.len().min(room.len());
                room[..take].copy_from_slice(&self.plain[..take]);
                self.plain.drain(..take);
                return Poll::Ready(Ok(take));
            }
            if !self.incoming.is_empty() {
                let read = self.turn(room, &[], false)?.0;
                if read > 0 {
                    self.rest();
                    return Poll::Ready(Ok(read));
                }
            }
            if self.is_closed {
                self.rest();
                return Poll::Ready(Ok(0));
            }
            // Tickets, keys' updates: they go out when they can, and nobody waits for them.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            if let Poll::Ready(filled) = self.poll_fill(cx) {
                filled?;
                continue;
            }
            self.rest();
            return Poll::Pending;
        }
    }

    /// Writes what there is room for. What waits has to be given again: it is encrypted already.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.promised == 0 {
            self.promised = self.turn(&mut [], pieces, false)?.1;
        }
        ready!(self.poll_flush(cx))?;
        let wrote = std::mem::take(&mut self.promised);
        debug_assert!(
            wrote <= pieces.iter().map(|piece| piece.len()).sum(),
            "what waits was not given again"
        );
        Poll::Ready(Ok(wrote))
    }

    /// Says that nothing more comes.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            self.is_shut = true;
            self.turn(&mut [], &[], true)?;
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Reads encrypted bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = self.incoming.room(&self.spare);
        if room.is_empty() {
            // A message of a handshake longer than any that is meant.
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        match ready!(read_tcp(&mut self.tcp, cx, room))? {
            // An end that anyone could have made is none.
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            bytes => {
                self.incoming.end += bytes;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Writes what is encrypted.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.tcp).poll_write(cx, self.outgoing.fresh()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.outgoing.start += bytes,
            }
        }
        self.outgoing.give(&self.spare);
        Poll::Ready(Ok(()))
    }

    /// Gives back what is not needed now.
    fn rest(&mut self) {
        if self.incoming.is_empty() {
            self.incoming.give(&self.spare);
        }
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
    }

    /// Goes through what came, and encrypts what is to be sent; gives how many bytes were read and sent.
    fn turn(
        &mut self,
        room: &mut [u8],
        pieces: &[IoSlice<'_>],
        shut: bool,
    ) -> io::Result<(usize, usize)> {
        if self.is_broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let reads = !room.is_empty();
        let mut turn = Turn {
            room,
            read: 0,
            plain: &mut self.plain,
            pieces,
            sent: 0,
            shut,
            outgoing: &mut self.outgoing,
            spare: &self.spare,
            is_closed: &mut self.is_closed,
            failure: None,
        };
        loop {
            let bytes = self.incoming.fresh_mut();
            let (done, is_over) = match &mut self.session {
                Session::Server(session) => turn.step(session.process_tls_records(bytes))?,
                Session::Client(session) => turn.step(session.process_tls_records(bytes))?,
            };
            self.incoming.start += done;
            if is_over || (reads && turn.read == turn.room.len()) {
                break;
            }
        }
        match turn.failure {
            Some(error) => {
                self.is_broken = true;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            None => Ok((turn.read, turn.sent)),
        }
    }
}

impl Turn<'_> {
    /// One step; gives how many bytes that came are done with, and whether it was the last.
    fn step<D>(&mut self, status: UnbufferedStatus<'_, '_, D>) -> io::Result<(usize, bool)> {
        let mut done = status.discard;
        let state = match status.state {
            Ok(state) => state,
            // Once more, and no more than that: there may be an alert to be sent.
            Err(error) => {
                let is_over = self.failure.is_some();
                self.failure.get_or_insert(error);
                return Ok((done, is_over));
            }
        };
        let is_over = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(io::Error::other)?;
                    done += record.discard;
                    self.read(record.payload);
                }
                false
            }
            ConnectionState::EncodeTlsData(mut message) => {
                let room = self.outgoing.room(self.spare);
                self.outgoing.end += message.encode(room).map_err(io::Error::other)?;
                // Behind an alert there is nothing, and what broke the protocol must not be read again.
                self.failure.is_some()
            }
            ConnectionState::TransmitTlsData(transmit) => {
                // It is in `outgoing`, before whatever follows.
                transmit.done();
                false
            }
            ConnectionState::PeerClosed => {
                *self.is_closed = true;
                false
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                let budget = room_for(self.outgoing.room(self.spare).len());
                let (outgoing, spare) = (&mut *self.outgoing, self.spare);
                let encrypt = |bytes: &[u8]| {
                    let room = outgoing.room(spare);
                    let made = traffic.encrypt(bytes, room).map_err(io::Error::other)?;
                    outgoing.end += made;
                    Ok(())
                };
                self.sent = send(self.pieces, budget, spare, encrypt)?;
                if self.shut {
                    let room = self.outgoing.room(self.spare);
                    let made = traffic.queue_close_notify(room);
                    self.outgoing.end += made.map_err(io::Error::other)?;
                }
                true
            }
            // Nobody was asked for what comes early.
            ConnectionState::ReadEarlyData(_) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            ConnectionState::BlockedHandshake | ConnectionState::Closed | _ => true,
        };
        Ok((done, is_over))
    }

    fn read(&mut self, bytes: &[u8]) {
        let room = &mut self.room[self.read..];
        // In order: behind what waits already.
        let take = match self.plain.is_empty() {
            true => bytes.len().min(room.len()),
            false => 0,
        };
        room[..take].copy_from_slice(&bytes[..take]);
        self.read += take;
        self.plain.extend_from_slice(&bytes[take..]);
    }
}

/// Encrypts pieces, small ones together, so many bytes at most; gives how many.
fn send(
    pieces: &[IoSlice<'_>],
    mut budget: usize,
    spare: &Spare,
    mut encrypt: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<usize> {
    let mut sent = 0;
    if let [one] = pieces {
        let take = one.len().min(budget);
        if take > 0 {
            encrypt(&one[..take])?;
        }
        return Ok(take);
    }
    let mut record = spare.record();
    record.clear();
    for piece in pieces {
        let piece = &piece[..piece.len().min(budget)];
        budget -= piece.len();
        sent += piece.len();
        let is_large = piece.len() >= SMALL;
        if !record.is_empty() && (is_large || record.len() + piece.len() > RECORD) {
            encrypt(&record)?;
            record.clear();
        }
        match is_large {
            true => encrypt(piece)?,
            false => record.extend_from_slice(piece),
        }
    }
    if !record.is_empty() {
        encrypt(&record)?;
    }
    Ok(sent)
}

impl Drop for Tls {
    /// Says goodbye where that costs no waiting.
    fn drop(&mut self) {
        if !self.is_shut && !self.is_broken && !self.is_handshaking() && self.outgoing.is_empty() {
            self.is_shut = true;
            if self.turn(&mut [], &[], true).is_ok() {
                drop(self.tcp.try_write(self.outgoing.fresh()));
            }
        }
        self.incoming.give(&self.spare);
        self.outgoing.give(&self.spare);
    }
}
