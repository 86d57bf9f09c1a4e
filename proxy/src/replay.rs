//! What becomes of a stream of messages, without sockets: the engine's own steps (`h1`, `forward`) one
//! after the other, for tables of cases and for fuzzing.
//!
//! Beside them stands a reader of its own, which knows nothing of ours and takes what is sent on apart
//! again: whoever is behind the proxy must find the same messages in it. Not here: routes and servers.

use std::mem::MaybeUninit;

use crate::{
    config::settings::{HEADERS_MAX, Limits},
    forward::{Additions, Delivery, Outgoing, Peer, RequestId, write_response},
    h1::{
        Refusal, Version,
        body::Framing,
        request::Request,
        response::Response,
        scan::{Bounds, Scan, empty_lines},
        transfer::{Coding, Transfer},
    },
};

/// What became of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Messages that were sent on whole.
    pub messages: Vec<Message>,
    /// Why the next one was not.
    pub refusal: Option<Refusal>,
    /// Nothing is left over.
    pub is_whole: bool,
}

/// A message as it was sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its head, empty line included.
    pub head: Vec<u8>,
    /// Its body, without any coding.
    pub body: Vec<u8>,
    /// What came after the body.
    pub trailers: Vec<u8>,
}

/// A stream on its way.
struct Replay {
    fresh: Vec<u8>,
    scan: Scan,
    transfer: Transfer,
    in_body: bool,
    sent: Vec<u8>,
    result: Replayed,
}

/// The requests of a stream whose reads end at `cuts`, to a server.
#[must_use]
pub fn requests(stream: &[u8], cuts: &[usize]) -> Replayed {
    replay(stream, cuts, request_head)
}

/// The answer in a stream whose reads end at `cuts`, to a client; the stream ends where the server
/// closes.
#[must_use]
pub fn response(stream: &[u8], cuts: &[usize], delivery: Delivery, to_head: bool) -> Replayed {
    replay(stream, cuts, |head, transfer| {
        response_head(head, transfer, delivery, to_head)
    })
}

fn replay(
    stream: &[u8],
    cuts: &[usize],
    head: impl Fn(&[u8], &mut Transfer) -> Result<(), Refusal>,
) -> Replayed {
    let mut replay = Replay {
        fresh: Vec::new(),
        scan: Scan::default(),
        transfer: Transfer::default(),
        in_body: false,
        sent: Vec::new(),
        result: Replayed::default(),
    };
    let mut rest = stream;
    for cut in cuts.iter().copied().chain([stream.len()]) {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        replay.fresh.extend_from_slice(piece);
        if let Err(refusal) = replay.go_on(&head) {
            replay.result.refusal = Some(refusal);
            return replay.result;
        }
    }
    if replay.in_body && replay.transfer.close().is_ok() {
        replay.flush();
        replay.finish();
    }
    replay.result.is_whole = !replay.in_body && replay.fresh.is_empty();
    replay.result
}

impl Replay {
    fn go_on(
        &mut self,
        head: &impl Fn(&[u8], &mut Transfer) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        loop {
            if !self.in_body {
                let skip = empty_lines(&self.fresh);
                if skip > 0 {
                    self.scan = Scan::default();
                    drop(self.fresh.drain(..skip));
                }
                let limits = Limits::default();
                let bounds = Bounds {
                    bytes: limits.head,
                    headers: limits.headers,
                };
                let Some(end) = self.scan.end(&self.fresh, &bounds)? else {
                    return Ok(());
                };
                self.transfer.begin();
                head(&self.fresh[..end], &mut self.transfer)?;
                drop(self.fresh.drain(..end));
                self.scan = Scan::default();
                self.in_body = true;
            }
            let window = (0, self.fresh.len());
            let done = self.transfer.feed(&mut self.fresh, window)?;
            self.flush();
            drop(self.fresh.drain(..done));
            if !self.transfer.has_all() {
                return Ok(());
            }
            self.finish();
        }
    }

    fn flush(&mut self) {
        let (pieces, count) = self.transfer.pieces(&self.fresh);
        let before = self.sent.len();
        for piece in &pieces[..count] {
            self.sent.extend_from_slice(piece);
        }
        self.transfer.wrote(self.sent.len() - before);
    }

    fn finish(&mut self) {
        self.in_body = false;
        let sent = std::mem::take(&mut self.sent);
        self.result.messages.push(apart(&sent));
    }
}

fn request_head(head: &[u8], transfer: &mut Transfer) -> Result<(), Refusal> {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = Request::parse(head, &mut slots, Limits::default().target)?;
    let mut target = Vec::new();
    match request.target.is_odd {
        true => drop(request.target.normalise(&mut target)?),
        false => target.extend_from_slice(request.target.text),
    }
    let outgoing = Outgoing {
        request: &request,
        target: &target,
        peer: &Peer::new(([192, 0, 2, 1], 50_000).into(), &[]),
        id: RequestId([b'0'; 32]),
        own_cookie: None,
        tells_te: false,
    };
    outgoing.write(&Additions::default(), transfer.head());
    let coding = match request.framing {
        Framing::Chunked => Coding::Chunked,
        Framing::None | Framing::Length(_) | Framing::UntilClose => Coding::Plain,
    };
    transfer.body(request.framing, coding);
    Ok(())
}

fn response_head(
    head: &[u8],
    transfer: &mut Transfer,
    delivery: Delivery,
    to_head: bool,
) -> Result<(), Refusal> {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let response = Response::parse(head, &mut slots, to_head)?;
    let additions = Additions::default();
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let (coding, _) = write_response(
        &response,
        delivery,
        (&additions, date, b""),
        transfer.head(),
    );
    transfer.body(response.framing, coding);
    Ok(())
}

/// Takes a message apart as a simple program would: the head ends at the first empty line, a body in
/// chunks if the head says so, else the rest.
fn apart(sent: &[u8]) -> Message {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = sent.split_at(end.map_or(sent.len(), |end| end + 4));
    let lower = head.to_ascii_lowercase();
    let needle = b"\r\ntransfer-encoding: chunked\r\n";
    let is_chunked = lower.windows(needle.len()).any(|some| some == needle);
    let mut message = Message {
        head: head.to_vec(),
        body: Vec::new(),
        trailers: Vec::new(),
    };
    if !is_chunked {
        message.body.extend_from_slice(rest);
        return message;
    }
    let mut rest = rest;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).unwrap_or_default();
        let size = usize::from_str_radix(size, 16).unwrap_or(usize::MAX);
        rest = &rest[at + 2..];
        if size == 0 {
            message.trailers.extend_from_slice(rest);
            break;
        }
        let Some(chunk) = rest.get(..size) else {
            // A broken chunk: told by a body that cannot be.
            message.body = b"(a chunk that is none)".to_vec();
            break;
        };
        message.body.extend_from_slice(chunk);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    message
}

/// An answer for a client of HTTP/1.1 that keeps its connection.
pub const KEEPS: Delivery = Delivery {
    version: Version::Http11,
    keep_alive: true,
};
