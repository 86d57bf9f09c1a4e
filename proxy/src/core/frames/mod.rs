//! HTTP/2 (RFC 9113): each of its streams as a stream of bytes like those of HTTP/1.1, so that a request
//! is judged, relayed, counted and logged by the same code.
//!
//! ```text
//!   client ─► serve: a connection ─► asked: a request   ═╗ text of a head, bytes of a body, its end
//!                                                    relay
//!   server ◄─ shared: a connection ◄─ asking: a request ═╝
//! ```
//!
//! Frames, header compression and flow control are the `h2` crate's; what goes by it here: [`text`] is
//! heads as text and back, [`io`] what a connection is read from and written to. Windows open only as
//! bytes are passed on, so memory is bounded by them. Not here: what is done with a request.

use std::io;

use bytes::Bytes;
use h2::SendStream;

pub(super) mod asked;
pub(super) mod asking;
mod io_flow;
pub(super) mod serve;
pub(super) mod shared;
mod text;

/// What a failure of HTTP/2 is for those who know streams of bytes only.
fn failed(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

/// Pieces of a transfer: text, bytes of the body, and what comes behind if they are the last.
type Pieces<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Writes bytes of a body, and its end; gives how many bytes are done with. Waits for the window.
fn poll_body(
    send: &mut SendStream<Bytes>,
    cx: &mut std::task::Context<'_>,
    (text, body, last): Pieces<'_>,
) -> std::task::Poll<io::Result<usize>> {
    use std::task::{Poll, ready};
    let whole = text.len() + body.len();
    let mut room = 0;
    if whole > 0 {
        send.reserve_capacity(whole);
        room = send.capacity();
        if room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(room) => room.map_err(failed)?,
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
    }
    let take = whole.min(room);
    let ends = take == whole && last.is_some();
    let trailers = last.filter(|_| ends).and_then(text::trailers);
    let (first, second) = (text.len().min(take), take.saturating_sub(text.len()));
    let bytes = match (first, second) {
        (0, _) => Bytes::copy_from_slice(&body[..second]),
        (_, 0) => Bytes::copy_from_slice(&text[..first]),
        (_, _) => [&text[..first], &body[..second]].concat().into(),
    };
    if !bytes.is_empty() || (ends && trailers.is_none()) {
        send.send_data(bytes, ends && trailers.is_none())
            .map_err(failed)?;
    }
    if let Some(trailers) = trailers {
        send.send_trailers(trailers).map_err(failed)?;
    }
    Poll::Ready(Ok(take + usize::from(ends)))
}
