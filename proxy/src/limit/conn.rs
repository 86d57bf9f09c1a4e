//! How many requests of a client may be under way at once: nginx's limit_conn.
//!
//! A client is remembered while it has a request under way, and no longer. A request that is let
//! in holds a [`ConnGuard`]; dropping it gives the place back.
//!
//! As in nginx, the limits of a request are taken one after the other and given back when a later
//! one refuses; a zone that is full refuses.
//!
//! Not here: what a connection is (the caller enters once a request; an HTTP/2 stream is one).

use std::collections::TryReserveError;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Status;
use super::key::{ClientKey, Key, Secret, Subject};
use super::table::Table;
use super::zone::{Size, ZoneError, ZoneStats};

/// The most limits of this kind on one request.
pub const MOST_CONN_LIMITS: usize = 4;

/// The clients with requests under way.
#[derive(Debug)]
pub struct ConnZone {
    name: Box<str>,
    key: Key,
    size: Size,
    secret: Secret,
    clients: Arc<Mutex<Table<Count>>>,
}

/// A client's requests under way.
#[derive(Clone, Copy, Debug, Default)]
struct Count(u32);

impl ConnZone {
    /// An empty zone, its memory taken.
    ///
    /// # Errors
    /// When there is no such memory.
    pub fn new(name: &str, key: Key, size: Size) -> Result<Self, ZoneError> {
        let capacity = Table::<Count>::fitting(size.bytes()).max(1);
        let table = Table::new(capacity).map_err(|source: TryReserveError| ZoneError::Memory {
            zone: name.to_owned(),
            bytes: size.bytes(),
            source,
        })?;
        Ok(Self {
            name: name.into(),
            key,
            size,
            secret: Secret::random(),
            clients: Arc::new(Mutex::new(table)),
        })
    }

    /// This zone after a reload: requests under way still count, unless the size is another.
    ///
    /// # Errors
    /// When the key is another, or there is no memory for a new size.
    pub fn reloaded(&self, key: Key, size: Size) -> Result<Self, ZoneError> {
        ZoneError::unless_same(&self.name, &self.key, &key)?;
        if size != self.size {
            return Self::new(&self.name, key, size);
        }
        Ok(Self {
            name: self.name.clone(),
            key,
            size,
            secret: self.secret.clone(),
            clients: Arc::clone(&self.clients),
        })
    }

    /// Its name, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its clients are told apart by.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Which of its clients `subject` is; none where it is not limited.
    #[must_use]
    pub fn client(&self, subject: &impl Subject) -> Option<ClientKey> {
        self.key.client(&self.secret, subject)
    }

    /// What it holds now; nothing is ever forgotten in it.
    #[must_use]
    pub fn stats(&self) -> ZoneStats {
        let clients = self.lock();
        ZoneStats {
            clients: clients.clients(),
            capacity: clients.capacity(),
            ..ZoneStats::default()
        }
    }

    /// A place for a client known by its address alone, outside of any route; none of those beyond
    /// `most`.
    ///
    /// # Errors
    /// When it has as many, or the zone is full.
    pub fn place(self: &Arc<Self>, address: IpAddr, most: u16) -> Result<Place, Why> {
        let client = self.client(&Address(address));
        if let Some(client) = client {
            self.enter(client, most)?;
        }
        Ok(Place {
            zone: Arc::clone(self),
            client,
        })
    }

    /// Takes a place; the error says whether the table was full.
    fn enter(&self, client: ClientKey, most: u16) -> Result<(), Why> {
        let mut clients = self.lock();
        let Some(at) = clients.find(client) else {
            return match clients.insert(client, Count(1)) {
                Some(_) => Ok(()),
                None => Err(Why::Full),
            };
        };
        let Count(count) = clients.get_mut(at);
        if *count >= u32::from(most) {
            return Err(Why::Limit);
        }
        *count += 1;
        Ok(())
    }

    fn leave(&self, client: ClientKey) {
        let mut clients = self.lock();
        let Some(at) = clients.find(client) else {
            return;
        };
        let Count(count) = clients.get_mut(at);
        *count -= 1;
        if *count == 0 {
            clients.remove(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table<Count>> {
        // Nothing panics halfway through a change.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in one zone. Drop it when it leaves.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub struct Place {
    zone: Arc<ConnZone>,
    client: Option<ClientKey>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.zone.leave(client);
        }
    }
}

/// One that has said nothing yet.
struct Address(IpAddr);

impl Subject for Address {
    fn address(&self) -> IpAddr {
        self.0
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn host(&self) -> &[u8] {
        b""
    }

    fn path(&self) -> &[u8] {
        b""
    }
}

/// One limit: at most so many requests of a client of the zone at once.
#[derive(Clone, Debug)]
pub struct ConnLimit {
    /// Who has how many under way.
    pub zone: Arc<ConnZone>,
    /// The most; at least 1.
    pub most: u16,
}

/// The limits on the requests of a route, in the order in which they are taken.
#[derive(Debug)]
pub struct ConnLimits {
    limits: Box<[ConnLimit]>,
    status: Status,
    dry_run: bool,
}

/// Why limits can't be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnLimitsError {
    /// A request would be counted twice.
    #[error("zone `{0}` is named twice: a request would count twice; keep one of the two")]
    Duplicate(String),
    /// Nobody would be let in.
    #[error("zone `{0}`: a limit of 0 would let nobody in; it is at least 1")]
    Zero(String),
    /// More than [`MOST_CONN_LIMITS`].
    #[error("{0} limits on one request; at most {MOST_CONN_LIMITS} are possible")]
    TooMany(usize),
}

/// A request that may not be let in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnRefused {
    /// The response's status.
    pub status: Status,
    /// Which limit it was, counted from 0.
    pub limit: usize,
    /// What was wrong.
    pub why: Why,
}

/// What keeps a request out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client has as many under way as it may.
    Limit,
    /// The zone has no room for another client: its `size` is too small.
    Full,
}

impl ConnLimits {
    /// These limits. With `dry_run` all are let in, and counted as far as they are within them.
    ///
    /// # Errors
    /// When two name one zone, one is 0, or there are too many.
    pub fn new(
        limits: Vec<ConnLimit>,
        status: Status,
        dry_run: bool,
    ) -> Result<Self, ConnLimitsError> {
        if limits.len() > MOST_CONN_LIMITS {
            return Err(ConnLimitsError::TooMany(limits.len()));
        }
        for (n, limit) in limits.iter().enumerate() {
            let name = || limit.zone.name().to_owned();
            let same = |other: &ConnLimit| Arc::ptr_eq(&other.zone.clients, &limit.zone.clients);
            if limits[..n].iter().any(same) {
                return Err(ConnLimitsError::Duplicate(name()));
            }
            if limit.most == 0 {
                return Err(ConnLimitsError::Zero(name()));
            }
        }
        Ok(Self {
            limits: limits.into(),
            status,
            dry_run,
        })
    }

    /// The limits, in order.
    #[must_use]
    pub fn limits(&self) -> &[ConnLimit] {
        &self.limits
    }

    /// Whether a refusal is only to be counted and logged.
    #[must_use]
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// Which places a request needs: who its client is, in each limit.
    #[must_use]
    pub fn places(&self, subject: &impl Subject) -> Places {
        let mut places = Places::default();
        for (place, limit) in places.0.iter_mut().zip(&self.limits) {
            *place = limit.zone.client(subject);
        }
        places
    }

    /// Takes the request's place in each limit, or in none. A caller in a dry run lets the request
    /// on, without a guard, when it is refused.
    ///
    /// # Errors
    /// When one of them is reached, or its zone is full.
    pub fn enter(self: &Arc<Self>, subject: &impl Subject) -> Result<ConnGuard, ConnRefused> {
        self.enter_at(&self.places(subject))
    }

    /// The same for a request whose places are known.
    ///
    /// # Errors
    /// As [`ConnLimits::enter`].
    pub fn enter_at(self: &Arc<Self>, places: &Places) -> Result<ConnGuard, ConnRefused> {
        // What it has taken so far is given back when the guard is dropped on the way out.
        let mut guard = ConnGuard {
            limits: Arc::clone(self),
            taken: [None; MOST_CONN_LIMITS],
        };
        for (n, limit) in self.limits.iter().enumerate() {
            let Some(client) = places.0[n] else {
                continue;
            };
            match limit.zone.enter(client, limit.most) {
                Ok(()) => guard.taken[n] = Some(client),
                Err(why) => {
                    return Err(ConnRefused {
                        status: self.status,
                        limit: n,
                        why,
                    });
                }
            }
        }
        Ok(guard)
    }
}

/// The places that a request needs, not taken yet: who its client is, in each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places([Option<ClientKey>; MOST_CONN_LIMITS]);

/// The places of a request under way. Drop it when the request has ended.
#[derive(Debug)]
#[must_use = "dropping it gives the places back"]
pub struct ConnGuard {
    limits: Arc<ConnLimits>,
    taken: [Option<ClientKey>; MOST_CONN_LIMITS],
}

impl ConnGuard {
    /// Whether it holds a place in this limit, counted from 0.
    #[must_use]
    pub fn has_taken(&self, limit: usize) -> bool {
        self.taken.get(limit).is_some_and(Option::is_some)
    }
}

impl Drop for ConnGuard {
    fn drop(&mut self) {
        for (limit, client) in self.limits.limits.iter().zip(&self.taken) {
            if let Some(client) = client {
                limit.zone.leave(*client);
            }
        }
    }
}
