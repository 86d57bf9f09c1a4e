//! What is common to all of a proxy: the table `[proxy]` without its lists, and `[proxy.log]`,
//! `[proxy.timeouts]`, `[proxy.limits]`.
//!
//! Not here: what they do.

use std::{fmt::Display, net::IpAddr, net::SocketAddr, ops::Range, path::PathBuf, time::Duration};

use daemon::{
    duration::HumanDuration,
    site::{
        Table,
        findings::Findings,
        prefix::{self, Allowed},
    },
};
use toml::Spanned;

use super::{file, size};

/// Where status and metrics are served unless told otherwise.
const STATUS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9145);

/// What is common to all of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where status and metrics are served.
    pub status: SocketAddr,
    /// How many threads serve; `None`: one a processor.
    pub threads: Option<u16>,
    /// A path that every listener answers by itself: 200, or 503 when draining.
    pub health: Option<String>,
    /// Who may say where a request came from.
    pub trusted: Vec<Network>,
    /// Whether `Forwarded` (RFC 7239) is sent beside `X-Forwarded-*`.
    pub forwarded: bool,
    /// The name in `Via`, if that is sent.
    pub via: Option<String>,
    /// The access log, if there is one.
    pub log: Option<Log>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much there may be.
    pub limits: Limits,
}

/// A network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub first: IpAddr,
    /// Its last one.
    pub last: IpAddr,
}

impl Network {
    /// Whether an address is in it. One of IPv4 written as IPv6 is that of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }
}

/// Where requests are written down, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file; `None`: standard output.
    pub file: Option<PathBuf>,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `combined`: as Apache and nginx do.
    #[default]
    Combined,
    /// `json`: one object a line.
    Json,
}

/// How long things may take. All are looked at four times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The head of a request, from its first byte to its last.
    pub head: Duration,
    /// Silence in the middle of a body, of either side.
    pub body: Duration,
    /// A client's connection between two requests.
    pub idle: Duration,
    /// Connecting to a server.
    pub connect: Duration,
    /// A server's answer, from the end of the request to the head.
    pub response: Duration,
    /// A server's connection between two requests.
    pub upstream_idle: Duration,
    /// Silence in a tunnel (WebSocket).
    pub tunnel: Duration,
    /// How long a proxy that is to stop goes on accepting, while its health says that it is draining.
    pub announce: Duration,
    /// How long it then waits for its connections.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(10),
            body: seconds(30),
            idle: seconds(60),
            connect: seconds(3),
            response: seconds(60),
            upstream_idle: seconds(30),
            tunnel: seconds(3600),
            announce: seconds(5),
            drain: seconds(30),
        }
    }
}

/// How much there may be of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head.
    pub head: usize,
    /// Header lines of a head.
    pub headers: usize,
    /// Bytes of a request's target.
    pub target: usize,
    /// Bytes of a request's body; 0: any number.
    pub body: u64,
    /// Connections of clients, over all listeners.
    pub connections: u32,
    /// Idle connections kept to each server, by each thread.
    pub upstream_idle: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16 << 10,
            headers: HEADERS_MAX,
            target: 8 << 10,
            body: 0,
            connections: 10_000,
            upstream_idle: 256,
        }
    }
}

/// Header lines of a head at most, whatever the file says.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a head at most, whatever the file says: it is held in one buffer.
pub const HEAD_MAX: u64 = 24 << 10;

/// Longer than this is a slip of the pen.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Nothing is looked at more often.
const TIME_MIN: Duration = Duration::from_millis(250);

const TRUSTED: Allowed = Allowed {
    example: "10.77.0.0/24",
    v4: 0..=32,
    v6: Some(0..=128),
};

pub(super) fn from_file(table: Table<file::Proxy>, findings: &mut Findings) -> Option<Settings> {
    let Table { value, .. } = table;
    let status = match &value.status {
        Some(text) => socket_address(text, findings),
        None => Some(STATUS),
    };
    let threads_of = value.threads.as_ref();
    let threads = threads_of.map(|count| threads(count, findings));
    let health = value.health.as_ref().map(|path| absolute(path, findings));
    let trusted: Vec<Option<Network>> = value
        .trusted
        .iter()
        .flatten()
        .map(|text| network(text, findings))
        .collect();
    let via = value.via.as_ref().map(|name| findings.name(name, "proxy"));
    let log = value.log.map(|table| log(table, findings));
    let timeouts = value.timeouts.map_or_else(
        || Some(Timeouts::default()),
        |table| timeouts(&table.value, findings),
    );
    let limits = value.limits.map_or_else(
        || Some(Limits::default()),
        |table| limits(&table.value, findings),
    );
    Some(Settings {
        status: status?,
        threads: given(threads)?,
        health: given(health)?,
        trusted: trusted.into_iter().collect::<Option<_>>()?,
        forwarded: value.forwarded.is_some_and(Spanned::into_inner),
        via: given(via)?,
        log: given(log)?,
        timeouts: timeouts?,
        limits: limits?,
    })
}

/// `Some(None)`: not given. `None`: given and wrong.
#[expect(clippy::option_option, reason = "three cases: absent, wrong, right")]
pub(super) fn given<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
        None => Some(None),
    }
}

/// How many threads serve.
pub(super) fn threads(count: &Spanned<i64>, findings: &mut Findings) -> Option<u16> {
    findings
        .number(count, "threads", (1, 256))
        .map(Spanned::into_inner)
}

/// An address and a port.
pub(super) fn socket_address(
    text: &Spanned<String>,
    findings: &mut Findings,
) -> Option<SocketAddr> {
    match text.get_ref().parse() {
        Ok(address) => Some(address),
        Err(_) => findings.refuse(
            text.span(),
            format!("`{}` is not an address and a port", text.get_ref()),
            "write for example \"127.0.0.1:9145\" or \"[::1]:9145\"",
        ),
    }
}

/// A path that a request's target may be.
pub(super) fn absolute(text: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let path = text.get_ref();
    let is_plain = |c: char| c.is_ascii_graphic() && !"?#\"<>`\\".contains(c);
    if !path.starts_with('/') {
        return findings.refuse(
            text.span(),
            format!("path `{path}` does not start with `/`"),
            format!("write \"/{path}\""),
        );
    }
    if let Some(odd) = path.chars().find(|&c| !is_plain(c)) {
        return findings.refuse(
            text.span(),
            format!("path `{path}` has the character {odd:?}, which no path has"),
            "write the path as it is in a request, percent-encoded and without a query",
        );
    }
    Some(path.clone())
}

/// What names of headers and cookies are made of (RFC 9110 section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_one)
}

pub(super) fn network(text: &Spanned<String>, findings: &mut Findings) -> Option<Network> {
    if let Ok(address) = text.get_ref().parse() {
        return Some(Network {
            first: address,
            last: address,
        });
    }
    let (first, length) = prefix::read(text, &TRUSTED, findings)?;
    Some(Network {
        first,
        last: prefix::last(first, length),
    })
}

fn log(table: Table<file::Log>, findings: &mut Findings) -> Option<Log> {
    const FORMATS: &[(&str, LogFormat)] =
        &[("combined", LogFormat::Combined), ("json", LogFormat::Json)];
    let format = match &table.value.format {
        Some(word) => findings
            .word(word, "log format", FORMATS, &["syslog"])
            .map(Spanned::into_inner),
        None => Some(LogFormat::default()),
    };
    let file = findings.required(
        table.value.file,
        &table.span,
        "file",
        "\"/var/log/viaduct/access.log\"` or `file = \"stdout\"",
    )?;
    let file = match file.get_ref().as_str() {
        "stdout" => None,
        path if path.starts_with('/') => Some(PathBuf::from(path)),
        path => {
            let message = format!("`{path}` is not an absolute path");
            return findings.refuse(file.span(), message, "begin with `/`, or write \"stdout\"");
        }
    };
    Some(Log {
        file,
        format: format?,
    })
}

fn timeouts(table: &file::Timeouts, findings: &mut Findings) -> Option<Timeouts> {
    let default = Timeouts::default();
    let mut one = |value: &Option<Spanned<HumanDuration>>, what, default| {
        time(value.as_ref(), what, default, findings)
    };
    let head = one(&table.head, "head", default.head);
    let body = one(&table.body, "body", default.body);
    let idle = one(&table.idle, "idle", default.idle);
    let connect = one(&table.connect, "connect", default.connect);
    let response = one(&table.response, "response", default.response);
    let upstream_idle = one(&table.upstream_idle, "upstream_idle", default.upstream_idle);
    let tunnel = one(&table.tunnel, "tunnel", default.tunnel);
    let announce = one(&table.announce, "announce", default.announce);
    let drain = one(&table.drain, "drain", default.drain);
    Some(Timeouts {
        head: head?,
        body: body?,
        idle: idle?,
        connect: connect?,
        response: response?,
        upstream_idle: upstream_idle?,
        tunnel: tunnel?,
        announce: announce?,
        drain: drain?,
    })
}

fn limits(table: &file::Limits, findings: &mut Findings) -> Option<Limits> {
    let default = Limits::default();
    let wide = |bytes: usize| bytes as u64;
    let head = size::read(
        table.head.as_ref(),
        "head",
        wide(default.head),
        (1 << 10, HEAD_MAX),
        findings,
    );
    let target = size::read(
        table.target.as_ref(),
        "target",
        wide(default.target),
        (256, HEAD_MAX),
        findings,
    );
    let body = (0, u64::MAX >> 1);
    let body = size::read(table.body.as_ref(), "body", default.body, body, findings);
    let headers = number(
        table.headers.as_ref(),
        "headers",
        default.headers,
        (1, HEADERS_MAX),
        findings,
    );
    let connections = number(
        table.connections.as_ref(),
        "connections",
        default.connections,
        (1, 1_000_000),
        findings,
    );
    let upstream_idle = number(
        table.upstream_idle.as_ref(),
        "upstream_idle",
        default.upstream_idle,
        (0, 65_536),
        findings,
    );
    Some(Limits {
        head: usize::try_from(head?).ok()?,
        headers: headers?,
        target: usize::try_from(target?).ok()?,
        body: body?,
        connections: connections?,
        upstream_idle: upstream_idle?,
    })
}

/// A whole number within a range, by what it is called.
pub(super) fn number<T>(
    value: Option<&Spanned<i64>>,
    what: &str,
    default: T,
    range: (T, T),
    findings: &mut Findings,
) -> Option<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    let Some(value) = value else {
        return Some(default);
    };
    findings.number(value, what, range).map(Spanned::into_inner)
}

/// A time within a range, by what it is called.
pub(super) fn time(
    value: Option<&Spanned<HumanDuration>>,
    what: &str,
    default: Duration,
    findings: &mut Findings,
) -> Option<Duration> {
    let Some(value) = value else {
        return Some(default);
    };
    let time = value.get_ref().0;
    if time < TIME_MIN || time > TIME_MAX {
        let message = format!("{what} {} is out of range", value.get_ref());
        return refuse_time(value.span(), message, findings);
    }
    Some(time)
}

fn refuse_time(span: Range<usize>, message: String, findings: &mut Findings) -> Option<Duration> {
    findings.refuse(span, message, "write \"250ms\" to \"7days\"")
}
