//! A client's request over HTTP/2, as a stream of bytes.
//!
//! What is read is its body, to its end; what is written an answer's head as text, and its body. Not here:
//! the connection (`serve`).

use std::{
    cell::Cell,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::HeaderMap;

use super::{Pieces, failed, poll_body, text};

/// What the streams of a client's connection tell it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Bytes that were read since something came of them: a request, or some of a body either way.
    pub(super) idle_bytes: Rc<Cell<usize>>,
    /// Requests.
    pub(super) requests: Cell<u32>,
    /// Those that the client took back.
    pub(super) resets: Cell<u32>,
    /// Those that are served now.
    pub(super) active: Cell<u32>,
    /// No more are wanted: the client was told.
    pub(super) is_ending: Cell<bool>,
}

/// A client's request.
#[derive(Debug)]
pub(in crate::core) struct Asked {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    /// What came and was not read yet.
    chunk: Bytes,
    /// The body has ended.
    is_over: bool,
    trailers: Option<HeaderMap>,
    ledger: Rc<Ledger>,
}

impl Asked {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>, ledger: Rc<Ledger>) -> Self {
        Self {
            is_over: body.is_end_stream(),
            body,
            respond,
            send: None,
            chunk: Bytes::new(),
            trailers: None,
            ledger,
        }
    }

    /// Whether the body was read to its end.
    pub(in crate::core) fn is_over(&self) -> bool {
        self.is_over && self.chunk.is_empty()
    }

    /// Reads what there is of the body; 0 bytes are its end. After that there is only to be heard that the
    /// client does not want the answer any more.
    pub(in crate::core) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.chunk.is_empty() {
                let take = self.chunk.len().min(room.len());
                room[..take].copy_from_slice(&self.chunk[..take]);
                self.chunk.advance(take);
                self.ledger.idle_bytes.set(0);
                // What is read is passed on before more is.
                let flow = self.body.flow_control();
                flow.release_capacity(take).map_err(failed)?;
                return Poll::Ready(Ok(take));
            }
            if self.is_over {
                return self.poll_reset(cx);
            }
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                None => {
                    self.trailers = match ready!(self.body.poll_trailers(cx)) {
                        Ok(trailers) => trailers,
                        Err(error) => return Poll::Ready(Err(self.broken(error))),
                    };
                    self.is_over = true;
                    return Poll::Ready(Ok(0));
                }
            }
        }
    }

    /// Ready when the client does not want the answer any more.
    pub(in crate::core) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let reset = match &mut self.send {
            Some(send) => ready!(send.poll_reset(cx)),
            None => ready!(self.respond.poll_reset(cx)),
        };
        match reset {
            Ok(reason) => Poll::Ready(Err(self.broken(reason.into()))),
            Err(error) => Poll::Ready(Err(self.broken(error))),
        }
    }

    fn broken(&self, error: h2::Error) -> io::Error {
        let resets = &self.ledger.resets;
        resets.set(resets.get() + 1);
        failed(error)
    }

    /// Hands over the headers that came behind the body.
    pub(in crate::core) fn trailers(&mut self, out: &mut Vec<u8>) {
        if let Some(trailers) = self.trailers.take() {
            text::write_trailers(&trailers, out);
        }
    }

    /// Writes what the client's window has room for.
    pub(in crate::core) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        (text, body, last): Pieces<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut head = 0;
        if self.send.is_none() {
            let Some((end, response)) = text::response(text) else {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            if response.status().is_informational() {
                let sent = self.respond.send_informational(response);
                return Poll::Ready(sent.map(|()| end).map_err(failed));
            }
            let has_trailers = last.is_some_and(|trailers| !trailers.is_empty());
            let is_all = end == text.len() && body.is_empty() && last.is_some() && !has_trailers;
            let sent = self.respond.send_response(response, is_all);
            self.send = Some(sent.map_err(failed)?);
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
            Poll::Ready(wrote) => {
                self.ledger.idle_bytes.set(0);
                Poll::Ready(wrote.map(|wrote| head + wrote))
            }
        }
    }
}
