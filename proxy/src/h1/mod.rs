//! HTTP/1.1 as bytes (RFC 9112), without sockets: what a message says, where it ends, and how it is
//! written down again.
//!
//! In reading order: [`scan`] finds the end of a head; [`names`] knows the headers that matter to a
//! proxy; [`target`], [`request`] and [`response`] read a head and decide the framing of the body; [`chunked`] and
//! [`body`] find the body's bytes; [`transfer`] turns them into what is sent on.
//!
//! Strict: what two readers could understand differently is refused, not repaired ([`refusal`] says
//! why, and with which status). Names and values are split by httparse; everything about framing is
//! decided here. Not here: sockets, time, routes, and which headers are added on the way (`forward`).

pub mod body;
pub mod chunked;
pub mod names;
pub mod refusal;
pub mod request;
pub mod response;
pub mod scan;
pub mod target;
pub mod trailers;
pub mod transfer;

#[cfg(test)]
mod tests;

pub use refusal::Refusal;

/// The versions spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2: frames, of which `core::frames` makes a message of HTTP/1.1 and back.
    Http2,
}

impl Version {
    fn from_minor(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            Some(_) | None => Self::Http11,
        }
    }

    /// As it stands in `Via` (RFC 9110 section 7.6.3).
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }

    /// As it stands in a message, and in the access log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}
