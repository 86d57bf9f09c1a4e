//! What a site file becomes in a running process: servers that outlive a reload, users with their secrets,
//! and what is counted.
//!
//! Not here: reading the file (`config`); who the writer is ([`crate::board`]).

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::{
    board::Board,
    config::{Server, SqlSite, User},
    session::causal::Flavor,
    stats::{PerThread, ServerStats, ThreadStats},
    trust::{self, Way},
    wire::{
        Capabilities,
        auth::{CachedHash, NativeHash, Plugin},
        door::{Secret, Stored},
        handshake::Greeting,
    },
};

/// What a server says of itself in its greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its version, passed on to clients.
    pub version: Vec<u8>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its collation.
    pub collation: u8,
    /// The plugin that it greets with.
    pub plugin: Plugin,
}

impl About {
    /// Of a greeting.
    #[must_use]
    pub fn of(greeting: &Greeting) -> Self {
        Self {
            version: greeting.version.clone(),
            capabilities: greeting.capabilities,
            collation: greeting.collation,
            plugin: Plugin::named(&greeting.plugin).unwrap_or(Plugin::Native),
        }
    }

    /// Whose GTIDs it has.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        let is_mariadb = memchr::memmem::find(&self.version, b"MariaDB").is_some();
        if is_mariadb {
            Flavor::MariaDb
        } else {
            Flavor::MySql
        }
    }
}

/// A server, as long as its address is in the site file.
#[derive(Debug)]
pub struct ServerLife {
    /// Its name in the site file.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Its place in the plan in force.
    place: AtomicUsize,
    /// Connections to it that there are, over all threads.
    pub open: AtomicU32,
    /// Of them, those that serve a statement or a session that is tied to them.
    pub busy: AtomicU32,
    /// Statements that wait for one, over all threads.
    pub waiting: AtomicU32,
    /// One was given back.
    pub freed: Notify,
    /// What is counted of it.
    pub stats: PerThread<ServerStats>,
    about: OnceLock<About>,
}

impl ServerLife {
    /// Its place in the plan in force.
    #[must_use]
    pub fn place(&self) -> usize {
        self.place.load(Relaxed)
    }

    /// What it said of itself the first time.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.get()
    }

    /// It has greeted.
    pub fn greeted(&self, greeting: &Greeting) {
        self.about.get_or_init(|| About::of(greeting));
    }

    /// A place for one more connection, of so many at most.
    #[must_use]
    pub fn admit(&self, most: u32) -> bool {
        let one_more = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// A connection is gone, or could not be made.
    pub fn left(&self) {
        self.open.fetch_sub(1, Relaxed);
        self.freed.notify_one();
    }
}

/// As whom the proxy connects to servers.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub user: Vec<u8>,
    /// Its password.
    pub password: Vec<u8>,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = String::from_utf8_lossy(&self.user);
        f.debug_struct("Credentials")
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

/// A user with his secrets.
#[derive(Debug)]
pub struct Login {
    /// From the site file.
    pub user: User,
    /// As whom his sessions connect to servers.
    pub server: Arc<Credentials>,
    cached: Mutex<Option<CachedHash>>,
}

impl Login {
    /// What his password is checked against.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret {
            stored: Some(Stored::Native(self.user.password)),
            cached: *self.cached.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A full exchange has told this.
    pub fn learn(&self, hash: CachedHash) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }
}

/// What is in force.
#[derive(Debug)]
pub struct Plan {
    /// Site files taken since the start.
    pub generation: u64,
    /// What the one in force is known by.
    pub digest: String,
    /// It.
    pub site: SqlSite,
    /// Its servers, in its order.
    pub servers: Vec<Arc<ServerLife>>,
    /// How each of them is met.
    pub ways: Vec<Way>,
    /// What clients are shown; without it there is no TLS for them.
    pub tls: Option<Arc<ServerConfig>>,
    /// Its users by name.
    pub users: BTreeMap<Vec<u8>, Arc<Login>>,
    /// What the monitors know.
    pub board: Arc<Board>,
    /// What threads count of themselves.
    pub threads: Arc<PerThread<ThreadStats>>,
    /// For tests: sessions are made anew before each statement.
    pub always_moves: bool,
}

impl Plan {
    /// The first of a process.
    ///
    /// # Errors
    /// A password's file that cannot be read.
    pub fn first(site: SqlSite, digest: String, threads: usize, now: Instant) -> Result<Self> {
        let stats = Arc::new(PerThread::new(threads));
        Self::new(site, digest, None, stats, threads, now)
    }

    /// The next one: servers at addresses that stay live on, and users keep what was learnt of them.
    ///
    /// # Errors
    /// A password's file that cannot be read.
    pub fn next(
        &self,
        site: SqlSite,
        digest: String,
        threads: usize,
        now: Instant,
    ) -> Result<Self> {
        let stats = Arc::clone(&self.threads);
        Self::new(site, digest, Some(self), stats, threads, now)
    }

    fn new(
        site: SqlSite,
        digest: String,
        before: Option<&Self>,
        stats: Arc<PerThread<ThreadStats>>,
        threads: usize,
        now: Instant,
    ) -> Result<Self> {
        let users = users(&site, before)?;
        let servers: Vec<Arc<ServerLife>> = (0..)
            .zip(&site.servers)
            .map(|(place, server)| {
                let known = before.into_iter().flat_map(|plan| &plan.servers);
                let mut known =
                    known.filter(|life| life.address == server.address && life.name == server.name);
                if let Some(life) = known.next() {
                    life.place.store(place, Relaxed);
                    return Arc::clone(life);
                }
                Arc::new(ServerLife {
                    name: server.name.clone(),
                    address: server.address,
                    place: AtomicUsize::new(place),
                    open: AtomicU32::new(0),
                    busy: AtomicU32::new(0),
                    waiting: AtomicU32::new(0),
                    freed: Notify::new(),
                    stats: PerThread::new(threads),
                    about: OnceLock::new(),
                })
            })
            .collect();
        let same = before.filter(|plan| {
            let addresses = |plan: &Self| -> Vec<_> {
                plan.site
                    .servers
                    .iter()
                    .map(|server| (server.address, server.role))
                    .collect()
            };
            let of = |site: &SqlSite| -> Vec<_> {
                site.servers
                    .iter()
                    .map(|server| (server.address, server.role))
                    .collect()
            };
            addresses(plan) == of(&site)
        });
        let board = match same {
            Some(plan) => Arc::clone(&plan.board),
            None => Arc::new(Board::new(site.servers.len(), now)),
        };
        Ok(Self {
            generation: before.map_or(1, |plan| plan.generation + 1),
            digest,
            servers,
            ways: site.servers.iter().map(way).collect::<Result<_>>()?,
            tls: match &site.settings.tls {
                Some((certificate, key)) => Some(trust::of_listener(certificate, key)?),
                None => None,
            },
            users,
            board,
            threads: stats,
            always_moves: before.is_some_and(|plan| plan.always_moves),
            site,
        })
    }
}

fn way(server: &Server) -> Result<Way> {
    let config = trust::of_server(server.tls, server.tls_ca.as_deref())?;
    Ok(Way {
        mode: server.tls,
        config,
        address: server.address.ip(),
    })
}

fn users(site: &SqlSite, before: Option<&Plan>) -> Result<BTreeMap<Vec<u8>, Arc<Login>>> {
    let one = |user: &User| {
        let name = user.name.clone().into_bytes();
        let server = Credentials {
            user: user.server_user.clone().into_bytes(),
            password: password(&user.server_password_file)?,
        };
        let known = before.and_then(|plan| plan.users.get(&name));
        if let Some(known) = known.filter(|known| known.user == *user && *known.server == server) {
            return Ok((name, Arc::clone(known)));
        }
        // Often clients and servers know the same password: then no full exchange is needed.
        let is_same = NativeHash::of(&server.password) == user.password;
        let cached = is_same.then(|| CachedHash::of(&server.password));
        let login = Login {
            user: user.clone(),
            server: Arc::new(server),
            cached: Mutex::new(cached),
        };
        Ok((name, Arc::new(login)))
    };
    site.users.iter().map(one).collect()
}

/// A password from its file, without the line's end.
///
/// # Errors
/// A file that cannot be read, or that is too long for a password.
pub fn password(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("the password in {}", path.display()))?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(
        line.len() <= 1024 && !line.contains(&0),
        "{} holds no password",
        path.display()
    );
    Ok(line.to_vec())
}
