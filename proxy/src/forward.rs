//! The heads that are sent on: a request's to a server, an answer's to the client.
//!
//! What is for one connection only goes no further (RFC 9110 section 7.6.1); where a request came from
//! is added, and believed only of trusted clients. Not here: reading heads (`h1`), and bodies.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

use crate::{
    config::Network,
    h1::{
        Version,
        body::Framing,
        names::{self, Name, is_named},
        request::Request,
        response::Response,
        transfer::Coding,
    },
    persistence,
};

/// What is added to heads, by the site file.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Whether `Forwarded` is.
    pub forwarded: bool,
    /// The name in `Via`, if that is.
    pub via: Option<String>,
    /// Clients whose word for where a request came from is believed.
    pub trusted: Vec<Network>,
}

/// Who is at the other end of a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address, an IPv4 one never as IPv6.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Where it connected to, if another proxy says so.
    pub at: Option<SocketAddr>,
    /// Whether its word counts.
    pub is_trusted: bool,
    /// Whether it speaks TLS.
    pub is_secure: bool,
    /// Whether it speaks HTTP/2.
    pub is_http2: bool,
    text: [u8; 45],
    length: u8,
}

impl Peer {
    /// The peer at this address.
    #[must_use]
    pub fn new(address: SocketAddr, trusted: &[Network]) -> Self {
        let port = address.port();
        let address = address.ip().to_canonical();
        let mut text = [0; 45];
        let room = text.len();
        let mut rest = &mut text[..];
        // The longest address there is fits.
        let fits = write!(rest, "{address}").is_ok();
        let length = if fits { room - rest.len() } else { 0 };
        Self {
            address,
            port,
            at: None,
            is_secure: false,
            is_http2: false,
            is_trusted: trusted.iter().any(|network| network.contains(address)),
            text,
            length: u8::try_from(length).unwrap_or(0),
        }
    }

    /// The address as text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// What it speaks, as a scheme.
    #[must_use]
    pub fn scheme(&self) -> &'static [u8] {
        if self.is_secure { b"https" } else { b"http" }
    }

    /// Where a request of this peer came from: the peer itself or, if it is a trusted proxy, the last
    /// one in `X-Forwarded-For` that is none.
    #[must_use]
    pub fn client(&self, request: &Request<'_, '_>, trusted: &[Network]) -> IpAddr {
        if !self.is_trusted {
            return self.address;
        }
        let mut client = self.address;
        let headers = request.headers.iter().zip(&request.names).rev();
        let values = headers.filter(|(_, name)| **name == Name::ForwardedFor);
        for element in values.flat_map(|(header, _)| header.value.rsplit(|&b| b == b',')) {
            let Some(address) = address_of(element.trim_ascii()) else {
                break;
            };
            client = address.to_canonical();
            if !trusted.iter().any(|network| network.contains(client)) {
                break;
            }
        }
        client
    }
}

/// An address in `X-Forwarded-For`; some proxies write the port behind it.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let with_port = || text.parse::<SocketAddr>().ok().map(|end| end.ip());
    text.parse().ok().or_else(with_port)
}

/// By what a request is known in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub [u8; 32]);

/// A request on its way to a server.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What came.
    pub request: &'a Request<'a, 'a>,
    /// The target, normalised.
    pub target: &'a [u8],
    /// Whose it is.
    pub peer: &'a Peer,
    /// Its name where it has none yet.
    pub id: RequestId,
    /// The cookie that is between the client and this proxy alone.
    pub own_cookie: Option<&'a str>,
    /// Whether the server is told that the client takes headers behind a body.
    pub tells_te: bool,
}

impl Outgoing<'_> {
    /// Writes the head.
    pub fn write(&self, additions: &Additions, out: &mut Vec<u8>) {
        let Outgoing {
            request, target, ..
        } = self;
        put(out, &[request.method, b" ", target, b" HTTP/1.1\r\n"]);
        // First, as RFC 9110 section 7.2 wants it.
        put(out, &[b"Host: ", request.host.unwrap_or_default(), b"\r\n"]);
        for (header, name) in request.headers.iter().zip(&request.names) {
            if self.goes_on(*name, header.name) {
                match self.own_cookie.filter(|_| *name == Name::Cookie) {
                    Some(own) => persistence::write_without(header.value, own.as_bytes(), out),
                    None => line(out, header),
                }
            }
        }
        match request.framing {
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::Length(_) | Framing::UntilClose => {}
        }
        if request.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        }
        if self.tells_te && request.value(Name::Te).is_some_and(takes_trailers) {
            out.extend_from_slice(b"TE: trailers\r\n");
        }
        self.write_origin(additions, out);
        if let Some(via) = &additions.via {
            put(out, &[b"Via: ", request.version.number().as_bytes()]);
            put(out, &[b" ", via.as_bytes(), b"\r\n"]);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn goes_on(&self, name: Name, text: &str) -> bool {
        let request = self.request;
        match name {
            Name::Host
            | Name::Connection
            | Name::TransferEncoding
            | Name::Te
            | Name::HopByHop
            // Written anew with the peer behind it.
            | Name::ForwardedFor => false,
            Name::Upgrade => request.upgrade,
            Name::Expect => request.expects,
            Name::ContentLength => true,
            Name::ForwardedProto | Name::ForwardedOther | Name::Forwarded | Name::RequestId => {
                self.peer.is_trusted
            }
            Name::Via
            | Name::UserAgent
            | Name::Referer
            | Name::Date
            | Name::Cookie
            | Name::Other => {
                !(request.options.names && is_named(text, request.headers))
            }
        }
    }

    fn write_origin(&self, additions: &Additions, out: &mut Vec<u8>) {
        let Outgoing { request, peer, .. } = self;
        out.extend_from_slice(b"X-Forwarded-For: ");
        let has = |wanted: Name| peer.is_trusted && request.names.contains(&wanted);
        if has(Name::ForwardedFor) {
            let headers = request.headers.iter().zip(&request.names);
            for (header, _) in headers.filter(|(_, name)| **name == Name::ForwardedFor) {
                for element in names::list(header.value) {
                    put(out, &[element, b", "]);
                }
            }
        }
        put(out, &[peer.text(), b"\r\n"]);
        if !has(Name::ForwardedProto) {
            put(out, &[b"X-Forwarded-Proto: ", peer.scheme(), b"\r\n"]);
        }
        let has_host = || {
            let mut headers = request.headers.iter();
            headers.any(|header| header.name.eq_ignore_ascii_case("x-forwarded-host"))
        };
        let is_told = has(Name::ForwardedOther) && has_host();
        if let Some(host) = request.host.filter(|_| !is_told) {
            put(out, &[b"X-Forwarded-Host: ", host, b"\r\n"]);
        }
        if !has(Name::RequestId) {
            put(out, &[b"X-Request-Id: ", &self.id.0, b"\r\n"]);
        }
        if additions.forwarded {
            let (open, close): (&[u8], &[u8]) = match peer.address {
                IpAddr::V4(_) => (b"Forwarded: for=", b""),
                IpAddr::V6(_) => (b"Forwarded: for=\"[", b"]\""),
            };
            put(out, &[open, peer.text(), close]);
            if let Some(host) = request.host {
                put(out, &[b";host=\"", host, b"\""]);
            }
            put(out, &[b";proto=", peer.scheme(), b"\r\n"]);
        }
    }
}

/// Whether `trailers` is what a `TE` says (RFC 9110 section 10.1.4).
fn takes_trailers(value: &[u8]) -> bool {
    names::list(value).any(|element| element.eq_ignore_ascii_case(b"trailers"))
}

/// How an answer goes to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What the client speaks.
    pub version: Version,
    /// Whether its connection stays.
    pub keep_alive: bool,
}

impl Delivery {
    /// How a body goes to this client, and whether its connection can stay then.
    #[must_use]
    pub fn of(self, framing: Framing) -> (Coding, bool) {
        match (framing, self.version) {
            (Framing::None | Framing::Length(_), Version::Http10 | Version::Http11) => {
                (Coding::Plain, self.keep_alive)
            }
            (Framing::Chunked | Framing::UntilClose, Version::Http11) => {
                (Coding::Chunked, self.keep_alive)
            }
            (_, Version::Http2) => (Coding::Frames, self.keep_alive),
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => (Coding::Plain, false),
        }
    }
}

/// Writes the head of an answer; gives how its body goes on, and whether the client's connection stays.
/// `date` is the value of `Date` where the answer has none; `lines` are header lines that it gets besides.
pub fn write_response(
    response: &Response<'_, '_>,
    delivery: Delivery,
    (additions, date, lines): (&Additions, &[u8], &[u8]),
    out: &mut Vec<u8>,
) -> (Coding, bool) {
    let (coding, keep_alive) = delivery.of(response.framing);
    let is_switch = response.status == 101;
    status_line(response.status, response.reason, out);
    for (header, name) in response.headers.iter().zip(&response.names) {
        let goes_on = match name {
            Name::Connection | Name::TransferEncoding | Name::Te | Name::HopByHop => false,
            Name::Upgrade => is_switch,
            // RFC 9110 section 8.6: not with 1xx and 204.
            Name::ContentLength => !matches!(response.status, 100..=199 | 204),
            Name::Host
            | Name::Expect
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
            | Name::Other => !(response.options.names && is_named(header.name, response.headers)),
        };
        if goes_on {
            line(out, header);
        }
    }
    if coding == Coding::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !response.is_interim() {
        if !response.has_date {
            put(out, &[b"Date: ", date, b"\r\n"]);
        }
        out.extend_from_slice(lines);
        out.extend_from_slice(match (is_switch, keep_alive, delivery.version) {
            (true, _, _) => b"Connection: upgrade\r\n",
            (false, false, _) => b"Connection: close\r\n",
            (false, true, Version::Http10) => b"Connection: keep-alive\r\n",
            (false, true, Version::Http11 | Version::Http2) => b"",
        });
    }
    if let Some(via) = &additions.via {
        put(out, &[b"Via: ", response.version.number().as_bytes()]);
        put(out, &[b" ", via.as_bytes(), b"\r\n"]);
    }
    out.extend_from_slice(b"\r\n");
    (coding, keep_alive)
}

/// Adds whole lines to a head that is written already.
pub fn add_lines(head: &mut Vec<u8>, lines: &[u8]) {
    if !lines.is_empty() {
        // Before the empty line.
        head.truncate(head.len().saturating_sub(2));
        put(head, &[lines, b"\r\n"]);
    }
}

/// The first line of an answer.
pub fn status_line(status: u16, reason: &[u8], out: &mut Vec<u8>) {
    let digit = |place: u16| b'0' + u8::try_from(status / place % 10).unwrap_or(0);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    put(out, &[reason, b"\r\n"]);
}

fn line(out: &mut Vec<u8>, header: &httparse::Header<'_>) {
    put(out, &[header.name.as_bytes(), b": ", header.value, b"\r\n"]);
}

fn put(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests;
