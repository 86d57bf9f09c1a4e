//! Answers that the proxy gives by itself.
//!
//! Not here: when it does.

use std::{io::Write as _, sync::Arc};

use crate::{
    config::Maintenance,
    forward::{Delivery, status_line},
    h1::{Refusal, Version, body::Framing, transfer::Transfer},
    template::{Parts, Template},
};

/// An answer of the proxy's own.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) status: u16,
    pub(super) body: Body,
    /// Where the client is sent.
    pub(super) location: Option<Vec<u8>>,
    /// When it may come again, in seconds.
    pub(super) retry_after: Option<u32>,
    /// Whether the client's connection has to close: nobody knows where the next request begins.
    pub(super) closes: bool,
}

/// What stands in it.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The status in words.
    Status,
    /// These words.
    Words(&'static str),
    /// What was refused.
    Refusal(Refusal),
    /// The site file's text.
    Given(Arc<str>),
}

impl Own {
    /// A status, in words.
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            body: Body::Status,
            location: None,
            retry_after: None,
            closes: false,
        }
    }

    /// A request that cannot be understood, or is too much.
    pub(super) fn refusal(refusal: Refusal) -> Self {
        Self {
            body: Body::Refusal(refusal),
            closes: true,
            ..Self::status(refusal.status())
        }
    }

    /// A limit says no.
    pub(super) fn refused(status: u16, retry_after: Option<u32>) -> Self {
        Self {
            retry_after,
            ..Self::status(status)
        }
    }

    /// What the directors ask.
    pub(super) fn health(is_draining: bool) -> Self {
        let (status, words) = match is_draining {
            true => (503, "draining\n"),
            false => (200, "ok\n"),
        };
        Self {
            body: Body::Words(words),
            ..Self::status(status)
        }
    }

    /// Somewhere else.
    pub(super) fn redirect(status: u16, to: &Template, parts: &Parts<'_>) -> Self {
        let mut location = Vec::with_capacity(to.as_str().len() + parts.target.len());
        to.write(parts, &mut location);
        Self {
            location: Some(location),
            ..Self::status(status)
        }
    }

    /// The site file's text.
    pub(super) fn given(status: u16, body: &Arc<str>, retry_after: Option<u32>) -> Self {
        Self {
            body: Body::Given(Arc::clone(body)),
            retry_after,
            ..Self::status(status)
        }
    }

    /// Its servers are being worked on.
    pub(super) fn maintenance(maintenance: &Maintenance) -> Self {
        match &maintenance.page {
            Some(page) => Self::given(503, page, maintenance.retry_after),
            None => Self::refused(503, maintenance.retry_after),
        }
    }

    /// Writes all of it; gives the bytes of its body.
    pub(super) fn write(
        &self,
        (delivery, is_head): (Delivery, bool),
        (date, lines): (&[u8], &[u8]),
        down: &mut Transfer,
    ) -> u64 {
        down.begin();
        let words = reason(self.status);
        let mut room = [0; SHORT];
        let body = self.text(words, &mut room);
        let kind = match body.trim_start().starts_with('<') {
            true => "text/html; charset=utf-8",
            false => "text/plain; charset=utf-8",
        };
        let out = down.head();
        status_line(self.status, words.as_bytes(), out);
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        if !matches!(self.status, 204 | 304) {
            // Writing into memory cannot fail.
            drop(write!(
                out,
                "\r\nContent-Type: {kind}\r\nContent-Length: {}",
                body.len()
            ));
        }
        if let Some(location) = &self.location {
            out.extend_from_slice(b"\r\nLocation: ");
            out.extend_from_slice(location);
        }
        if let Some(seconds) = self.retry_after {
            drop(write!(out, "\r\nRetry-After: {seconds}"));
        }
        if let Some(lines) = lines.strip_suffix(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(lines);
        }
        if self.status == 503 || self.status == 429 {
            out.extend_from_slice(b"\r\nCache-Control: no-store");
        }
        out.extend_from_slice(
            match (delivery.keep_alive && !self.closes, delivery.version) {
                (false, _) => b"\r\nConnection: close\r\n\r\n",
                (true, Version::Http10) => b"\r\nConnection: keep-alive\r\n\r\n",
                (true, Version::Http11 | Version::Http2) => b"\r\n\r\n",
            },
        );
        let has_body = !is_head && !matches!(self.status, 204 | 304);
        if has_body {
            out.extend_from_slice(body.as_bytes());
        }
        down.body(Framing::None, delivery.of(Framing::None).0);
        if has_body { body.len() as u64 } else { 0 }
    }
}

impl Own {
    /// Its body, which is in `room` if it has to be put together.
    fn text<'t>(&'t self, words: &str, room: &'t mut [u8; SHORT]) -> &'t str {
        let mut rest = &mut room[..];
        // All of our own fit.
        let fits = match &self.body {
            Body::Words(words) => return words,
            Body::Given(body) => return body,
            Body::Status => writeln!(rest, "{} {words}", self.status),
            Body::Refusal(refusal) => writeln!(rest, "{} {words}: {refusal}", self.status),
        };
        let left = rest.len();
        let text = &room[..SHORT - left];
        fits.ok()
            .and_then(|()| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

/// Bytes of the longest body that says a status.
const SHORT: usize = 256;

/// The words after a status (RFC 9110 section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}
