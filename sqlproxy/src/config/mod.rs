//! The site file's tables that sqlproxies read, as values that hold only what can be served.
//!
//! In reading order: `file` mirrors the file key by key; the domain is [`Settings`], its [`server`]s
//! and [`user`]s, each built from its part of the file with every mistake noted in `findings`.
//! [`SqlSite::parse`] runs it all.
//!
//! ```text
//! Mycat              here
//! balance = 0        readers = "writer"
//! balance = 1        readers = "others"    (the default)
//! balance = 2        readers = "all"
//! balance = 3        readers = "replicas"
//! slaveThreshold     max_lag, whatever the switchType
//! maxCon, minCon     max_connections, min_connections of a server
//! ```
//! Not here: TOML and its errors, carets (daemon); the tables of the other daemons, which are known by
//! name only; TLS and rules, which this version has no keys for; `[election]`, which directors read too
//! ([`election::channel::table`]).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::{
    diagnostic::{Diagnostic, Report},
    site::{self, Table},
    source::SourceFile,
};
use toml::Spanned;

use crate::session::Causal;

mod file;
mod findings;
pub mod monitor;
pub mod server;
pub mod user;

pub use daemon::site::LoadError;
use findings::{Findings, OrDefault as _};
pub use monitor::Monitor;
pub use server::{Role, Server};
pub use user::User;

/// Who answers reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The writer alone.
    Writer,
    /// All but the writer; the writer where none of them is up.
    Others,
    /// All.
    All,
    /// Those of role `replica`; the writer where none of them is up.
    Replicas,
}

/// How one of several readers is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest connections in use, by weight.
    LeastConnections,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// An address and port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// What is common to all sqlproxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where status and metrics are served.
    pub status: SocketAddr,
    /// What sessions may rely on.
    pub causal: Causal,
    /// How long a replica may be waited for.
    pub causal_timeout: Duration,
    /// Who answers reads.
    pub readers: Readers,
    /// And who of them.
    pub balance: Balance,
    /// A replica that is further behind is left out.
    pub max_lag: Duration,
    /// Client connections at most.
    pub max_clients: u32,
    /// Sessions that may wait for a connection.
    pub queue: u32,
    /// And how long.
    pub queue_timeout: Duration,
    /// How long a statement waits for a server that takes writes.
    pub writer_timeout: Duration,
    /// How long a server may take to let the proxy in.
    pub connect_timeout: Duration,
    /// A connection to a server that nobody used for so long is closed.
    pub server_idle: Duration,
    /// And one that is so old, when nobody uses it.
    pub server_lifetime: Duration,
    /// How long the proxy goes on accepting after it was told to stop.
    pub announce: Duration,
    /// And how long it waits for sessions to end then.
    pub drain: Duration,
    /// Threads that serve; as many as there are processors where it is not said.
    pub threads: Option<u16>,
    /// The certificate that clients are shown, and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Settings {
    /// How many threads serve.
    #[must_use]
    pub fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.map_or_else(processors, usize::from)
    }
}

/// What a site file says to sqlproxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlSite {
    /// What is common to all.
    pub settings: Settings,
    /// The hosts that run one, and where clients come in there.
    pub hosts: BTreeMap<String, Vec<Listener>>,
    /// The servers, in the order of the file: the first primary is the first writer.
    pub servers: Vec<Server>,
    /// The users.
    pub users: Vec<User>,
    /// How servers are watched; without it there is no writer.
    pub monitor: Option<Monitor>,
    /// With whom the writer is agreed; without it this sqlproxy is the only one.
    pub election: Option<election::channel::Election>,
}

/// A site file that can be used.
pub type Checked = site::Checked<SqlSite>;

impl SqlSite {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, has mistakes, or says nothing to sqlproxies.
    pub fn load(path: &Path) -> Result<Checked, LoadError> {
        Checked::load(path, |source| {
            Checked::parse(source, |file: file::File, findings| {
                let is_excused = findings.is_excused(&(0..0), "sqlproxy");
                let site = from_file(file, findings);
                if site.is_none() && !findings.has_errors() && !is_excused {
                    let help = "add the table `[sqlproxy]` with its servers and users";
                    let diagnostic = Diagnostic::error(0..0, "nothing for a sqlproxy");
                    findings.push(diagnostic.help(help));
                }
                site
            })
        })
    }

    /// Checks a text; its name is what messages call it. `None` where it has no `[sqlproxy]`.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn parse(source: SourceFile) -> Result<Option<Self>, Report> {
        let decoded = site::decode::<file::File>(source.text());
        let mut findings = Findings::new(decoded.diagnostics, decoded.excused);
        let site = decoded
            .value
            .and_then(|file| from_file(file, &mut findings));
        if findings.has_errors() {
            return Err(Report::new(source, findings.into_diagnostics()));
        }
        Ok(site)
    }
}

fn from_file(file: file::File, findings: &mut Findings) -> Option<SqlSite> {
    let hosts = hosts(file.hosts.unwrap_or_default(), findings);
    let Some(Table { span, value }) = file.sqlproxy else {
        if let Some((name, place)) = hosts
            .iter()
            .find_map(|(name, host)| Some((name, host.1.clone()?)))
        {
            let message = format!("host {name} is a sqlproxy, and there is no table `[sqlproxy]`");
            findings.push(Diagnostic::error(place, message).help("add it, with its servers"));
        }
        return None;
    };
    let settings = settings(&value, findings);
    let monitor = value
        .monitor
        .map(|table| monitor::from_file(&table, findings));
    let servers = server::from_file(value.server.unwrap_or_default(), &span, findings);
    let table = file.election;
    let election = monitor::election(table, servers.as_deref(), monitor.is_some(), findings);
    let users = user::from_file(value.user.unwrap_or_default(), findings);
    let hosts = hosts.into_iter().map(|(name, host)| (name, host.0));
    let monitor = match monitor {
        Some(monitor) => Some(monitor?),
        None => None,
    };
    Some(SqlSite {
        monitor,
        election: election?,
        settings: settings?,
        hosts: hosts.collect(),
        servers: servers?,
        users: users?,
    })
}

fn settings(table: &file::SqlProxy, findings: &mut Findings) -> Option<Settings> {
    const CAUSAL: &[(&str, Causal)] = &[
        ("none", Causal::None),
        ("session", Causal::Session),
        ("global", Causal::Global),
    ];
    const READERS: &[(&str, Readers)] = &[
        ("writer", Readers::Writer),
        ("others", Readers::Others),
        ("all", Readers::All),
        ("replicas", Readers::Replicas),
    ];
    const BALANCE: &[(&str, Balance)] = &[
        ("round-robin", Balance::RoundRobin),
        ("least-connections", Balance::LeastConnections),
    ];
    let (ms, secs) = (Duration::from_millis, Duration::from_secs);
    let status = match &table.status {
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9146))),
        Some(value) => tcp(value, findings),
    };
    let causal = findings.word_or(table.causal.as_ref(), "causal", CAUSAL, Causal::Session);
    let wait = table.causal_timeout.as_ref();
    let causal_timeout = findings.time_or(wait, "causal_timeout", (ms(1), secs(60)), secs(1));
    let readers = findings.word_or(table.readers.as_ref(), "readers", READERS, Readers::Others);
    let balance = table.balance.as_ref();
    let balance = findings.word_or(balance, "balance", BALANCE, Balance::RoundRobin);
    let lag = table.max_lag.as_ref();
    let max_lag = findings.time_or(lag, "max_lag", (secs(1), secs(86_400)), secs(10));
    let clients = table.max_clients.as_ref();
    let max_clients = findings.number_or(clients, "max_clients", (1, 1_000_000), 10_000);
    let queue = findings.number_or(table.queue.as_ref(), "queue", (0, 1_000_000), 1_000);
    let wait = table.queue_timeout.as_ref();
    let queue_timeout = findings.time_or(wait, "queue_timeout", (ms(1), secs(600)), secs(5));
    let times = times(table, findings);
    let tls = tls(table, findings);
    let threads = match &table.threads {
        None => Some(None),
        Some(value) => findings
            .number::<u16>(value, "threads", (1, 256))
            .map(|threads| Some(threads.into_inner())),
    };
    let [
        writer_timeout,
        connect_timeout,
        server_idle,
        server_lifetime,
        announce,
        drain,
    ] = times;
    Some(Settings {
        status: status?,
        causal: causal?,
        causal_timeout: causal_timeout?,
        readers: readers?,
        balance: balance?,
        max_lag: max_lag?,
        max_clients: max_clients?,
        queue: queue?,
        queue_timeout: queue_timeout?,
        writer_timeout: writer_timeout?,
        connect_timeout: connect_timeout?,
        server_idle: server_idle?,
        server_lifetime: server_lifetime?,
        announce: announce?,
        drain: drain?,
        threads: threads?,
        tls: tls?,
    })
}

/// Both of `certificate` and `key`, or none.
fn tls(table: &file::SqlProxy, findings: &mut Findings) -> Option<Option<(PathBuf, PathBuf)>> {
    let alone = |value: &Spanned<String>, other: &str, findings: &mut Findings| {
        let message = format!("there is no `{other}` with it");
        findings.refuse(
            value.span(),
            message,
            format!("add `{other} = \"/etc/viaduct/….pem\"`"),
        )
    };
    match (&table.certificate, &table.key) {
        (None, None) => Some(None),
        (Some(certificate), None) => alone(certificate, "key", findings),
        (None, Some(key)) => alone(key, "certificate", findings),
        (Some(certificate), Some(key)) => {
            let certificate = user::path(certificate, findings);
            let key = user::path(key, findings);
            Some(Some((certificate?, key?)))
        }
    }
}

/// `writer_timeout`, `connect_timeout`, `server_idle`, `server_lifetime`, `announce`, `drain`.
fn times(table: &file::SqlProxy, findings: &mut Findings) -> [Option<Duration>; 6] {
    let (ms, secs) = (Duration::from_millis, Duration::from_secs);
    let day = secs(86_400);
    let keys = [
        (
            &table.writer_timeout,
            "writer_timeout",
            (ms(1), secs(600)),
            secs(10),
        ),
        (
            &table.connect_timeout,
            "connect_timeout",
            (ms(1), secs(60)),
            secs(3),
        ),
        (&table.server_idle, "server_idle", (secs(1), day), secs(600)),
        (
            &table.server_lifetime,
            "server_lifetime",
            (secs(1), day),
            secs(3600),
        ),
        (&table.announce, "announce", (ms(0), secs(600)), secs(5)),
        (&table.drain, "drain", (ms(0), secs(3600)), secs(30)),
    ];
    keys.map(|(value, key, range, default)| findings.time_or(value.as_ref(), key, range, default))
}

fn tcp(value: &Spanned<String>, findings: &mut Findings) -> Option<SocketAddr> {
    let text = value.get_ref();
    let parsed = text.parse::<SocketAddr>().ok().filter(|to| to.port() != 0);
    parsed.or_else(|| {
        let message = format!("`{text}` is not an address with a port");
        findings.refuse(
            value.span(),
            message,
            "write for example \"127.0.0.1:9146\"",
        )
    })
}

/// Listeners, and the place of the host's table, by the host's name.
type Hosts = BTreeMap<String, (Vec<Listener>, Option<std::ops::Range<usize>>)>;

fn hosts(tables: BTreeMap<Spanned<String>, Table<file::Host>>, findings: &mut Findings) -> Hosts {
    let mut hosts = Hosts::new();
    for (name, table) in tables {
        let Some(Table { span, value }) = table.value.sqlproxy else {
            continue;
        };
        let example = "[\"10.77.0.21:8066\"]";
        let listen = findings.required(value.listen, &span, "listen", example);
        let listen = listen.map(Spanned::into_inner).unwrap_or_default();
        let listeners: Vec<Listener> = listen
            .iter()
            .filter_map(|at| listener(at, findings))
            .collect();
        hosts.insert(name.into_inner(), (listeners, Some(span)));
    }
    hosts
}

fn listener(value: &Spanned<String>, findings: &mut Findings) -> Option<Listener> {
    let text = value.get_ref();
    if text.starts_with('/') {
        // What the kernel takes for a unix socket's path, with its NUL.
        if text.len() < 108 {
            return Some(Listener::Unix(PathBuf::from(text)));
        }
        return findings.refuse(
            value.span(),
            "a path too long for a socket",
            "write up to 107 bytes",
        );
    }
    tcp(value, findings).map(Listener::Tcp)
}

#[cfg(test)]
mod tests;
