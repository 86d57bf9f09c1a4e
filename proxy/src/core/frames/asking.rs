//! A request to a server over HTTP/2, as a stream of bytes.
//!
//! What is written is a request's head as text, and its body; what is read an answer's head as text, and
//! its body to its end. Not here: the connection (`shared`).

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Method, uri::Scheme};

use super::{Pieces, failed, poll_body, shared::Lease, text};

/// A request to a server.
#[derive(Debug)]
pub(in crate::core) struct Asking {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    is_head: bool,
    send: Option<SendStream<Bytes>>,
    answer: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// Text of a head that was not read yet.
    head: Bytes,
    /// Bytes of the body that were not read yet.
    chunk: Bytes,
    trailers: Option<HeaderMap>,
    /// The server has not looked at the request, and says so.
    was_refused: bool,
    /// The request could not be sent.
    is_dead: bool,
    _lease: Lease,
}

impl Asking {
    pub(super) fn new(sender: SendRequest<Bytes>, scheme: Scheme, lease: Lease) -> Self {
        Self {
            sender,
            scheme,
            is_head: false,
            send: None,
            answer: None,
            body: None,
            head: Bytes::new(),
            chunk: Bytes::new(),
            trailers: None,
            was_refused: false,
            is_dead: false,
            _lease: lease,
        }
    }

    /// Whether the server has not looked at the request: it can be sent again, whatever it is (RFC 9113
    /// section 8.7).
    pub(in crate::core) fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// Writes what the server's window has room for.
    pub(in crate::core) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        (text, body, last): Pieces<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut head = 0;
        if self.send.is_none() {
            if let Err(error) = ready!(self.sender.poll_ready(cx)) {
                (self.was_refused, self.is_dead) = (true, true);
                return Poll::Ready(Err(failed(error)));
            }
            let Some((end, request)) = text::request(text, &self.scheme) else {
                self.is_dead = true;
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            let has_trailers = last.is_some_and(|trailers| !trailers.is_empty());
            let is_all = end == text.len() && body.is_empty() && last.is_some() && !has_trailers;
            self.is_head = request.method() == Method::HEAD;
            let sent = self.sender.send_request(request, is_all);
            let (answer, send) = sent.map_err(|error| {
                self.is_dead = true;
                self.broken(error)
            })?;
            (self.answer, self.send) = (Some(answer), Some(send));
            if is_all {
                return Poll::Ready(Ok(end + 1));
            }
            head = end;
        }
        let Some(send) = &mut self.send else {
            return Poll::Pending;
        };
        let text = &text[head..];
        if text.is_empty() && body.is_empty() && last.is_none() {
            return Poll::Ready(Ok(head));
        }
        match poll_body(send, cx, (text, body, last)) {
            // The head is out.
            Poll::Pending if head > 0 => Poll::Ready(Ok(head)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(wrote) => Poll::Ready(wrote.map(|wrote| head + wrote)),
        }
    }

    /// Reads what there is of the answer; 0 bytes are its end.
    pub(in crate::core) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.head.is_empty() {
                return Poll::Ready(Ok(take(&mut self.head, room)));
            }
            if !self.chunk.is_empty() {
                let taken = take(&mut self.chunk, room);
                if let Some(body) = &mut self.body {
                    // What is read is passed on before more is.
                    body.flow_control()
                        .release_capacity(taken)
                        .map_err(failed)?;
                }
                return Poll::Ready(Ok(taken));
            }
            if self.body.is_none() {
                ready!(self.poll_head(cx))?;
                continue;
            }
            let Some(body) = &mut self.body else {
                return Poll::Pending;
            };
            match ready!(body.poll_data(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                None => {
                    let trailers = ready!(body.poll_trailers(cx));
                    self.trailers = trailers.map_err(|error| self.broken(error))?;
                    return Poll::Ready(Ok(0));
                }
            }
        }
    }

    /// The next head of the answer. Before the request is out there is none.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(answer) = &mut self.answer else {
            return match self.is_dead {
                true => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
                false => Poll::Pending,
            };
        };
        let mut text = Vec::new();
        match answer.poll_informational(cx) {
            Poll::Ready(Some(Ok(interim))) => {
                text::write_response(&interim.into_parts().0, true, &mut text);
                self.head = text.into();
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.broken(error))),
            Poll::Ready(None) | Poll::Pending => {}
        }
        let (head, body) = match ready!(Pin::new(answer).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(Err(self.broken(error))),
        };
        let is_empty = body.is_end_stream() && !self.is_head;
        text::write_response(&head, is_empty, &mut text);
        self.head = text.into();
        self.body = Some(body);
        Poll::Ready(Ok(()))
    }

    fn broken(&mut self, error: h2::Error) -> io::Error {
        let is_refused = error.reason() == Some(Reason::REFUSED_STREAM);
        // Streams behind the last one that a GOAWAY names were not looked at (RFC 9113 section 6.8); h2
        // fails those only where the reason is none.
        let is_late = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        self.was_refused |= error.is_remote() && (is_refused || is_late);
        failed(error)
    }

    /// Hands over the headers that came behind the body.
    pub(in crate::core) fn trailers(&mut self, out: &mut Vec<u8>) {
        if let Some(trailers) = self.trailers.take() {
            text::write_trailers(&trailers, out);
        }
    }
}

fn take(from: &mut Bytes, room: &mut [u8]) -> usize {
    let take = from.len().min(room.len());
    room[..take].copy_from_slice(&from[..take]);
    from.advance(take);
    take
}
