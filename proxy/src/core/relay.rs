//! A request to a server and its answer back to the client, both ways at once, in bounded memory: each
//! way reads only when it has written what it read.
//!
//! One value that is polled; it allocates nothing, and asks the kernel for bytes only where tokio knows
//! of some. Not here: which server, and what a failure means.

use std::{
    mem::MaybeUninit,
    task::{Context, Poll},
};

use super::{
    Core,
    stream::{Stream, write},
    watch::{Ticks, Watch, ticks},
    work::Work,
};
use crate::{
    config::{Limits, Timeouts, settings::HEADERS_MAX},
    forward::{Additions, add_lines, write_response},
    h1::{
        Refusal, Version,
        body::Framing,
        response::Response,
        scan::{Bounds, Scan},
        transfer::{Coding, Transfer},
    },
};

/// Answers before the answer at most.
const INTERIM_MAX: u8 = 16;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The answer is whole and with the client.
    Done,
    /// The client is gone, or too slow.
    Client,
    /// The client sent no body that can be sent on.
    Refused(Refusal),
    /// The client sent no more of its body.
    Silence,
    /// The server closed or reset the connection.
    Closed,
    /// It did not answer in time.
    Timeout,
    /// Its answer cannot be sent on.
    Malformed(Refusal),
}

/// Where the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Before its head.
    Head,
    /// After it.
    Body,
    /// It is another protocol's turn.
    Tunnel,
    /// All of it is with the client.
    Done,
}

/// What an exchange goes by.
pub(super) struct Terms<'a> {
    pub(super) core: &'a Core,
    pub(super) watch: &'a Watch,
    pub(super) timeouts: &'a Timeouts,
    pub(super) limits: &'a Limits,
    pub(super) additions: &'a Additions,
    /// Lines that the answer gets beside them.
    pub(super) lines: &'a [u8],
}

/// A request on its way to a server, and its answer on the way back.
pub(super) struct Relay<'a> {
    pub(super) terms: Terms<'a>,
    pub(super) client: &'a mut Stream,
    pub(super) server: &'a mut Stream,
    pub(super) work: &'a mut Work,
    state: State,
    /// The server takes no more of the request.
    is_deaf: bool,
    /// Bytes went to the server over this connection.
    has_sent: bool,
    /// Something of the answer was there.
    has_answered: bool,
    interims: u8,
    keep_client: bool,
    keep_server: bool,
    /// Ends of a tunnel that were shut.
    shut: [bool; 2],
    /// The client has nothing more to say.
    has_hung_up: bool,
    has_moved: bool,
}

impl<'a> Relay<'a> {
    pub(super) fn new(
        terms: Terms<'a>,
        (client, server): (&'a mut Stream, &'a mut Stream),
        work: &'a mut Work,
    ) -> Self {
        Self {
            terms,
            client,
            server,
            work,
            state: State::Head,
            is_deaf: false,
            has_sent: false,
            has_answered: false,
            interims: 0,
            keep_client: false,
            keep_server: false,
            shut: [false; 2],
            has_hung_up: false,
            has_moved: true,
        }
    }

    /// Whether the client has part of the answer, so that it cannot have another one.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether nothing went to the server.
    pub(super) fn is_unsent(&self) -> bool {
        !self.has_sent
    }

    /// Whether the client's connection and the server's can be used again, after [`End::Done`].
    pub(super) fn keeps(&self) -> (bool, bool) {
        let is_whole = self.work.up.is_done() && self.state == State::Done && !self.is_deaf;
        (
            self.keep_client && self.work.up.has_all(),
            self.keep_server && is_whole && self.work.server.is_empty(),
        )
    }

    /// Goes on as far as it can.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.terms.watch.is_over() {
            return Poll::Ready(self.late());
        }
        loop {
            let state = self.state;
            let up = if self.is_deaf { None } else { self.poll_up(cx) };
            if let Some(end) = up.or_else(|| self.poll_down(cx)) {
                return Poll::Ready(end);
            }
            if self.state == State::Done {
                return Poll::Ready(End::Done);
            }
            // What is new may be something to do for the other way.
            if self.state == state {
                break;
            }
        }
        if self.has_moved {
            self.has_moved = false;
            self.terms.watch.until(self.deadline());
        }
        self.terms.watch.park(cx);
        Poll::Pending
    }

    fn deadline(&self) -> Ticks {
        let timeouts = self.terms.timeouts;
        let time = match self.state {
            State::Head if self.work.up.is_done() || self.is_deaf => timeouts.response,
            State::Head | State::Body | State::Done => timeouts.body,
            State::Tunnel => timeouts.tunnel,
        };
        self.terms.core.tick.get() + ticks(time)
    }

    /// Whose fault it is that time is over.
    fn late(&self) -> End {
        match self.state {
            State::Head if self.work.up.is_done() || self.is_deaf => End::Timeout,
            State::Head if self.work.up.is_flushed() => End::Silence,
            State::Head => End::Timeout,
            State::Body if self.work.down.is_flushed() => End::Closed,
            State::Body | State::Tunnel | State::Done => End::Client,
        }
    }

    /// The request's way.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Option<End> {
        loop {
            let work = &mut *self.work;
            if !work.up.is_flushed() {
                match write(self.server, cx, &work.up, &work.client.bytes) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(bytes)) => {
                        work.up.wrote(bytes);
                        self.has_sent = true;
                        self.has_moved = true;
                    }
                    // The answer may be there already, and say why.
                    Poll::Ready(Err(_)) => {
                        self.is_deaf = true;
                        return None;
                    }
                }
                continue;
            }
            if work.up.has_all() {
                return match self.state {
                    State::Tunnel => self.shut(cx, 0),
                    State::Head | State::Body | State::Done => self.overhear(cx),
                };
            }
            match self.client.poll_read(cx, work.client.room()) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0)) if close(&mut work.up, self.client).is_ok() => {}
                Poll::Ready(Ok(0) | Err(_)) => return Some(End::Client),
                Poll::Ready(Ok(bytes)) => {
                    self.has_moved = true;
                    work.client.end += bytes;
                    if let Err(refusal) = self.feed_up() {
                        return Some(End::Refused(refusal));
                    }
                }
            }
        }
    }

    /// Listens to a client that only waits. Its next requests go behind this one in the buffer, as far as
    /// there is room. An end of stream says that there are none, and not that it does not wait; a reset says
    /// that it is gone, and nobody needs the answer.
    fn overhear(&mut self, cx: &mut Context<'_>) -> Option<End> {
        while !self.has_hung_up {
            let room = self.work.client.room();
            if room.is_empty() {
                break;
            }
            match self.client.poll_read(cx, room) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.has_hung_up = true,
                Poll::Ready(Ok(bytes)) => self.work.client.end += bytes,
                Poll::Ready(Err(_)) => return Some(End::Client),
            }
        }
        None
    }

    /// Takes what there is of the request's body.
    fn feed_up(&mut self) -> Result<(), Refusal> {
        let work = &mut *self.work;
        let client = &mut work.client;
        let window = (client.start, client.end);
        client.start += work.up.feed(&mut client.bytes, window)?;
        let most = self.terms.limits.body;
        match self.state != State::Tunnel && most > 0 && work.up.bytes() > most {
            true => Err(Refusal::BodyTooLarge),
            false => Ok(()),
        }
    }

    /// The answer's way.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Option<End> {
        loop {
            let work = &mut *self.work;
            if !work.down.is_flushed() {
                match write(self.client, cx, &work.down, &work.server.bytes) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(bytes)) => {
                        work.down.wrote(bytes);
                        self.has_moved = true;
                    }
                    Poll::Ready(Err(_)) => return Some(End::Client),
                }
                continue;
            }
            if self.state != State::Head && work.down.has_all() {
                return self.finish_down(cx);
            }
            if self.state == State::Head && !work.server.is_empty() {
                match self.head() {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(refusal) => return Some(End::Malformed(refusal)),
                }
            }
            match self.read_server(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Some(end),
            }
        }
    }

    fn finish_down(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.state == State::Tunnel {
            if let Some(end) = self.shut(cx, 1) {
                return Some(end);
            }
            if self.shut != [true; 2] {
                return None;
            }
        }
        self.state = State::Done;
        None
    }

    /// Reads some of the answer. A buffer is there only while something is in it.
    fn read_server(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let work = &mut *self.work;
        let mut store = self.terms.core.store.borrow_mut();
        store.lend_buffer(&mut work.server);
        match self.server.poll_read(cx, work.server.room()) {
            Poll::Pending => {
                if work.server.is_empty() {
                    store.take_buffer(&mut work.server);
                }
                Poll::Pending
            }
            Poll::Ready(Ok(0) | Err(_)) if self.state == State::Head => {
                Poll::Ready(Err(End::Closed))
            }
            Poll::Ready(Ok(0)) if close(&mut work.down, self.server).is_ok() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(End::Closed)),
            Poll::Ready(Ok(bytes)) => {
                self.has_moved = true;
                self.has_answered |= self.state != State::Head;
                work.server.end += bytes;
                match self.state {
                    State::Head => Poll::Ready(Ok(())),
                    State::Body | State::Tunnel | State::Done => {
                        Poll::Ready(self.feed_down().map_err(End::Malformed))
                    }
                }
            }
        }
    }

    fn feed_down(&mut self) -> Result<(), Refusal> {
        let Work { server, down, .. } = &mut *self.work;
        let window = (server.start, server.end);
        server.start += down.feed(&mut server.bytes, window)?;
        Ok(())
    }

    /// Reads a head of the answer, if all of it is there; says whether it was.
    fn head(&mut self) -> Result<bool, Refusal> {
        let bounds = Bounds {
            bytes: self.terms.limits.head,
            headers: self.terms.limits.headers,
        };
        let Work {
            server,
            down,
            facts,
            held,
            ..
        } = &mut *self.work;
        let bytes = &server.bytes[server.start..server.end];
        let Some(end) = server.scan.end(bytes, &bounds)? else {
            return Ok(false);
        };
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let response = Response::parse(&bytes[..end], &mut slots, facts.is_head)?;
        server.scan = Scan::default();
        let is_interim = response.is_interim();
        let date = self.terms.core.date.get();
        down.begin();
        if is_interim && facts.delivery.version == Version::Http10 {
            // RFC 9110 section 15.2: HTTP/1.0 has no such answers.
        } else {
            let additions = (self.terms.additions, &date[..], &*held.lines);
            let way = write_response(&response, facts.delivery, additions, down.head());
            if !is_interim {
                add_lines(down.head(), self.terms.lines);
            }
            // Out of frames a body comes as it is, until there is no more.
            let framing = match response.framing {
                Framing::Length(_) | Framing::Chunked if self.server.is_frames() => {
                    Framing::UntilClose
                }
                Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                    response.framing
                }
            };
            down.body(framing, way.0);
            self.keep_client = way.1;
        }
        self.has_answered |= facts.delivery.version >= Version::Http11 || !is_interim;
        let (status, keep_server) = (response.status, response.keeps_alive());
        server.start += end;
        if is_interim {
            down.body(Framing::None, Coding::Plain);
            self.interims += 1;
            return match self.interims > INTERIM_MAX {
                true => Err(Refusal::TooManyHeaders),
                false => Ok(true),
            };
        }
        facts.status = status;
        self.keep_server = keep_server;
        if status == 101 {
            self.switch()?;
        } else {
            self.state = State::Body;
        }
        self.feed_down()?;
        Ok(true)
    }

    /// Both sides speak another protocol from now on.
    fn switch(&mut self) -> Result<(), Refusal> {
        if !self.work.facts.upgrade {
            return Err(Refusal::Syntax);
        }
        self.state = State::Tunnel;
        (self.keep_client, self.keep_server) = (false, false);
        self.work.down.body(Framing::UntilClose, Coding::Plain);
        self.work.up.body(Framing::UntilClose, Coding::Plain);
        self.feed_up()
    }

    /// Passes on that one side of a tunnel has nothing more to say.
    fn shut(&mut self, cx: &mut Context<'_>, side: usize) -> Option<End> {
        if self.state == State::Tunnel && !self.shut[side] {
            let stream = if side == 0 {
                &mut *self.server
            } else {
                &mut *self.client
            };
            // An error says that nobody listens any more: as good as shut.
            if stream.poll_shutdown(cx).is_ready() {
                self.shut[side] = true;
            }
        }
        None
    }
}

/// One side has nothing more to say but what it had kept for the end.
fn close(transfer: &mut Transfer, from: &mut Stream) -> Result<(), Refusal> {
    from.trailers(transfer.trailers());
    transfer.close()
}
