//! The head of a request: what it says, and whether it can be understood in one way only.
//!
//! Not here: finding its end (`scan`), and what is sent on (`forward`).

use std::mem::MaybeUninit;

use super::{
    Refusal, Version,
    body::Framing,
    names::{self, Name, Options},
    target::{self, Target},
};
use crate::config::settings::HEADERS_MAX;

/// Room for the headers of a head while it is read.
pub type Slots<'b> = [MaybeUninit<httparse::Header<'b>>; HEADERS_MAX];

/// A request's head. All of it is part of the bytes it was read from.
#[derive(Debug)]
pub struct Request<'b, 'h> {
    /// The method, as it came.
    pub method: &'b [u8],
    /// What is asked for.
    pub target: Target<'b>,
    /// The host that is asked for, with its port if it has one: the target's, else that of `Host`.
    pub host: Option<&'b [u8]>,
    /// The version.
    pub version: Version,
    /// How the body is delimited.
    pub framing: Framing,
    /// What `Connection` says.
    pub options: Options,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects: bool,
    /// Whether the client asks for another protocol that may be spoken through a proxy.
    pub upgrade: bool,
    /// All headers.
    pub headers: &'h [httparse::Header<'b>],
    /// What each of them is.
    pub names: [Name; HEADERS_MAX],
}

/// What the headers said so far.
#[derive(Default)]
struct Found<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    codings: Option<&'b [u8]>,
    options: Options,
    expects: bool,
    upgrade: bool,
}

impl<'b, 'h> Request<'b, 'h> {
    /// Reads a whole head, empty line included; `longest` is the longest target taken, in bytes.
    ///
    /// # Errors
    /// What could be understood in two ways, or not at all.
    pub fn parse(
        head: &'b [u8],
        slots: &'h mut Slots<'b>,
        longest: usize,
    ) -> Result<Self, Refusal> {
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(head, slots)?;
        if !matches!(status, httparse::Status::Complete(end) if end == head.len()) {
            return Err(Refusal::Syntax);
        }
        let version = Version::from_minor(request.version);
        let method = request.method.unwrap_or_default().as_bytes();
        let text = request.path.unwrap_or_default().as_bytes();
        let headers: &'h [httparse::Header<'b>] = request.headers;
        if text.len() > longest {
            return Err(Refusal::TargetTooLong);
        }
        let target = Target::parse(method, text)?;
        let mut names = [Name::Other; HEADERS_MAX];
        let mut found = Found::default();
        for (header, name) in headers.iter().zip(&mut names) {
            *name = Name::of(header.name.as_bytes());
            found.add(*name, header.value)?;
        }
        let framing = framing(version, &found)?;
        Ok(Self {
            method,
            target,
            host: host(version, &target, found.host)?,
            version,
            framing,
            options: found.options,
            expects: found.expects && version == Version::Http11 && framing != Framing::None,
            upgrade: found.upgrade
                && found.options.upgrade
                && version == Version::Http11
                && framing == Framing::None,
            headers,
            names,
        })
    }

    /// Whether the client keeps its connection after the answer (RFC 9112 section 9.3).
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        match self.version {
            _ if self.options.close => false,
            Version::Http11 | Version::Http2 => true,
            Version::Http10 => self.options.keep_alive,
        }
    }

    /// Whether it may be sent twice (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        let known: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        known.contains(&self.method)
    }

    /// The value of the first header that is this.
    #[must_use]
    pub fn value(&self, wanted: Name) -> Option<&'b [u8]> {
        let mut headers = self.headers.iter().zip(&self.names);
        let header = headers.find(|(_, name)| **name == wanted);
        header.map(|(header, _)| header.value)
    }
}

impl<'b> Found<'b> {
    fn add(&mut self, name: Name, value: &'b [u8]) -> Result<(), Refusal> {
        match name {
            Name::Host => once(&mut self.host, value, Refusal::Host)?,
            Name::ContentLength => once(&mut self.length, length(value)?, Refusal::Length)?,
            Name::TransferEncoding => once(&mut self.codings, value, Refusal::Framing)?,
            Name::Connection => self.options.add(value),
            Name::Expect if value.eq_ignore_ascii_case(b"100-continue") => self.expects = true,
            Name::Expect => return Err(Refusal::Expectation),
            Name::Upgrade => self.upgrade = is_upgrade(value),
            Name::Te
            | Name::HopByHop
            | Name::ForwardedFor
            | Name::ForwardedProto
            | Name::ForwardedOther
            | Name::Forwarded
            | Name::RequestId
            | Name::Via
            | Name::UserAgent
            | Name::Referer
            | Name::Date
            | Name::Cookie
            | Name::Other => {}
        }
        Ok(())
    }
}

/// Notes what may stand once only.
pub(super) fn once<T>(found: &mut Option<T>, value: T, refusal: Refusal) -> Result<(), Refusal> {
    match found.replace(value) {
        Some(_) => Err(refusal),
        None => Ok(()),
    }
}

/// A protocol that may be spoken through a proxy. HTTP/2 may not: whoever speaks it through a tunnel
/// goes past every rule for requests.
fn is_upgrade(value: &[u8]) -> bool {
    let own = |protocol: &[u8]| {
        let lower = protocol.to_ascii_lowercase();
        lower.starts_with(b"h2") || lower.starts_with(b"http") || lower.starts_with(b"tls")
    };
    names::list(value).next().is_some() && !names::list(value).any(own)
}

/// A `Content-Length`: digits and nothing else.
pub(super) fn length(value: &[u8]) -> Result<u64, Refusal> {
    // 18 digits always fit.
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Length);
    }
    let digits = value.iter().map(|digit| u64::from(digit - b'0'));
    Ok(digits.fold(0, |sum, digit| sum * 10 + digit))
}

/// `chunked` and nothing else.
pub(super) fn coding(value: &[u8]) -> Result<(), Refusal> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = names::list(value);
    let last = names::list(value).last();
    match (codings.next(), codings.next()) {
        (Some(only), None) if is_chunked(only) => Ok(()),
        (Some(first), Some(_)) if !is_chunked(first) && last.is_some_and(is_chunked) => {
            Err(Refusal::Coding)
        }
        (_, _) => Err(Refusal::Framing),
    }
}

fn framing(version: Version, found: &Found<'_>) -> Result<Framing, Refusal> {
    match (found.codings, found.length) {
        (Some(_), Some(_)) => Err(Refusal::Framing),
        (Some(_), None) if version == Version::Http10 => Err(Refusal::Framing),
        (Some(codings), None) => coding(codings).map(|()| Framing::Chunked),
        (None, Some(0) | None) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
    }
}

/// RFC 9112 section 3.2: HTTP/1.1 has exactly one `Host`; a target's own host must be the same.
fn host<'b>(
    version: Version,
    target: &Target<'b>,
    header: Option<&'b [u8]>,
) -> Result<Option<&'b [u8]>, Refusal> {
    if header.is_none() && version == Version::Http11 {
        return Err(Refusal::Host);
    }
    if header.is_some_and(|host| !target::is_host(host)) {
        return Err(Refusal::Host);
    }
    match (target.authority, header) {
        (Some(own), Some(host)) if !own.eq_ignore_ascii_case(host) => Err(Refusal::Host),
        (Some(own), _) => Ok(Some(own)),
        (None, host) => Ok(host),
    }
}
