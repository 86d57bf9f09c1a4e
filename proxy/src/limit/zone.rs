//! A zone: what is remembered of the clients of a limit, shared by all cores and all routes that
//! name it.
//!
//! A client is a bucket that drains at the zone's rate. The memory is taken at the start and never
//! grows: a new client first frees up to two that are the oldest, have drained and were idle for a
//! minute, as in nginx; where that makes no room the oldest has to go, drained or not, and then up
//! to two more that are drained. Whoever is forgotten starts afresh.
//!
//! Not here: what makes a request too many (`req`).

use std::collections::TryReserveError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Millis;
use super::key::{ClientKey, Key, Secret, Subject};
use super::rate::Rate;
use super::table::{At, Table};

/// A drained client that was idle for less is kept, in milliseconds.
const IDLE: u64 = 60_000;
/// A clock that goes back by more, in milliseconds, is taken for one that was set.
const CLOCK_SET: u64 = 60_000;
/// What a request costs, in thousandths.
const REQUEST: u64 = 1000;
/// `last` of a client that has been looked at, but never charged.
const NEVER: u64 = u64::MAX;

/// How much memory a zone takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// The smallest: nginx's eight pages.
    pub const LEAST: Self = Self(32 << 10);
    /// The largest: positions in the table have 32 bits.
    pub const MOST: Self = Self(64 << 30);

    /// So many bytes; none where they are fewer than [`Size::LEAST`] or more than [`Size::MOST`].
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Option<Self> {
        (Self::LEAST.0..=Self::MOST.0)
            .contains(&bytes)
            .then_some(Self(bytes))
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Room for so many clients.
    #[must_use]
    pub fn for_clients(clients: u32) -> Self {
        Self(Table::<Bucket>::bytes(clients))
    }
}

/// A zone.
#[derive(Debug)]
pub struct Zone {
    name: Box<str>,
    key: Key,
    rate: Rate,
    size: Size,
    secret: Secret,
    clients: Arc<Mutex<Clients>>,
}

/// Why a zone can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// Its memory can't be taken.
    #[error("zone `{zone}`: there is no memory for {bytes} bytes of clients; make `size` smaller")]
    Memory {
        /// The zone.
        zone: String,
        /// Its size.
        bytes: u64,
        /// What the allocator says.
        source: TryReserveError,
    },
    /// On a reload, it would tell clients apart by something else: what is remembered of them
    /// would be meaningless.
    #[error(
        "zone `{zone}` tells clients apart by {new}, but did so by {old} until now; give the new \
         one another name, or restart"
    )]
    Key {
        /// The zone.
        zone: String,
        /// Its key until now.
        old: Key,
        /// Its key from now on.
        new: Key,
    },
}

impl ZoneError {
    /// On a reload: a zone's key stays what it was.
    pub(super) fn unless_same(zone: &str, old: &Key, new: &Key) -> Result<(), Self> {
        if old == new {
            return Ok(());
        }
        Err(Self::Key {
            zone: zone.to_owned(),
            old: old.clone(),
            new: new.clone(),
        })
    }
}

/// What a zone holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneStats {
    /// Clients remembered now.
    pub clients: u32,
    /// Clients there is room for.
    pub capacity: u32,
    /// Forgotten because they had drained.
    pub drained: u64,
    /// Forgotten to make room although they may not have drained: where this grows, `size` is too
    /// small, and clients start afresh that should not.
    pub forced: u64,
}

impl Zone {
    /// An empty zone, its memory taken.
    ///
    /// # Errors
    /// When there is no such memory.
    pub fn new(name: &str, key: Key, rate: Rate, size: Size) -> Result<Self, ZoneError> {
        let capacity = Table::<Bucket>::fitting(size.bytes()).max(1);
        let table = Table::new(capacity).map_err(|source| ZoneError::Memory {
            zone: name.to_owned(),
            bytes: size.bytes(),
            source,
        })?;
        Ok(Self {
            name: name.into(),
            key,
            rate,
            size,
            secret: Secret::random(),
            clients: Arc::new(Mutex::new(Clients::new(table))),
        })
    }

    /// This zone after a reload: what it remembers stays, the rate may be another. Another size
    /// begins an empty zone, as in nginx.
    ///
    /// # Errors
    /// When the key is another, or there is no memory for a new size.
    pub fn reloaded(&self, key: Key, rate: Rate, size: Size) -> Result<Self, ZoneError> {
        ZoneError::unless_same(&self.name, &self.key, &key)?;
        if size != self.size {
            return Self::new(&self.name, key, rate, size);
        }
        Ok(Self {
            name: self.name.clone(),
            key,
            rate,
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

    /// The rate of each of its clients.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Which of its clients `subject` is; none where it is not limited.
    #[must_use]
    pub fn client(&self, subject: &impl Subject) -> Option<ClientKey> {
        self.key.client(&self.secret, subject)
    }

    /// What it holds now.
    #[must_use]
    pub fn stats(&self) -> ZoneStats {
        let clients = self.lock();
        ZoneStats {
            clients: clients.table.clients(),
            capacity: clients.table.capacity(),
            ..clients.stats
        }
    }

    /// Whether both remember the same clients: they are one zone, before and after a reload.
    pub(super) fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.clients, &other.clients)
    }

    /// Where it stands in the order in which several zones are locked.
    pub(super) fn rank(&self) -> usize {
        Arc::as_ptr(&self.clients).addr()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Clients> {
        // Nothing panics halfway through a change.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clients of a zone, under its lock.
#[derive(Debug)]
pub(super) struct Clients {
    table: Table<Bucket>,
    stats: ZoneStats,
}

/// What is remembered of a client: 12 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// By how much it is ahead of its rate, in thousandths, when it was last charged.
    excess: u32,
    /// When that was, in milliseconds: two halves, which need no padding.
    last: [u32; 2],
}

const _: () = assert!(Table::<Bucket>::SLOT == 32);

/// A client looked at: what it would stand at if it were charged for one more request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peek {
    at: At,
    /// By how much it would be ahead of its rate, in thousandths.
    pub(super) excess: u64,
    before: u64,
    elapsed: u64,
}

impl Clients {
    fn new(table: Table<Bucket>) -> Self {
        Self {
            table,
            stats: ZoneStats::default(),
        }
    }

    /// Looks at a client, which makes it the newest; a new one is remembered from now on.
    pub(super) fn peek(&mut self, rate: Rate, key: ClientKey, now: Millis) -> Option<Peek> {
        let at = match self.table.find(key) {
            Some(at) => {
                self.table.touch(at);
                at
            }
            None => self.add(rate, key, now)?,
        };
        let bucket = self.table.get(at);
        let before = u64::from(bucket.excess);
        let Some(elapsed) = bucket.elapsed(now) else {
            return Some(Peek {
                at,
                excess: 0,
                before: 0,
                elapsed: 1,
            });
        };
        Some(Peek {
            at,
            excess: (before + REQUEST).saturating_sub(rate.drained(elapsed)),
            before,
            elapsed,
        })
    }

    /// Charges a client that was looked at under this lock.
    pub(super) fn charge(&mut self, peek: Peek, now: Millis) {
        let bucket = self.table.get_mut(peek.at);
        // It was within a burst, whose thousandths fit.
        bucket.excess = u32::try_from(peek.excess).unwrap_or(u32::MAX);
        if peek.elapsed != 0 {
            bucket.set_last(now.0);
        }
    }

    /// Remembers a client, uncharged. None only where there is no room for any.
    fn add(&mut self, rate: Rate, key: ClientKey, now: Millis) -> Option<At> {
        let fresh = Bucket {
            excess: 0,
            last: halves(NEVER),
        };
        self.forget_drained(rate, now);
        if let Some(at) = self.table.insert(key, fresh) {
            return Some(at);
        }
        let oldest = self.table.oldest()?;
        self.table.remove(oldest);
        self.stats.forced += 1;
        self.forget_drained(rate, now);
        self.table.insert(key, fresh)
    }

    /// Forgets the oldest client, and the next, if they have drained and were idle for long.
    fn forget_drained(&mut self, rate: Rate, now: Millis) {
        for _ in 0..2 {
            let Some(oldest) = self.table.oldest() else {
                return;
            };
            if !self.table.get(oldest).is_forgettable(rate, now) {
                return;
            }
            self.table.remove(oldest);
            self.stats.drained += 1;
        }
    }
}

impl Peek {
    /// After how many milliseconds this client's next request is within `burst`, if it makes none
    /// until then.
    pub(super) fn wait(&self, rate: Rate, burst: u32) -> u64 {
        let needed = (self.before + REQUEST).saturating_sub(u64::from(burst));
        rate.time_for(needed).saturating_sub(self.elapsed)
    }
}

impl Bucket {
    fn last(&self) -> u64 {
        u64::from(self.last[0]) << 32 | u64::from(self.last[1])
    }

    fn set_last(&mut self, last: u64) {
        self.last = halves(last);
    }

    /// Milliseconds since it was charged: 0 where another core's clock is a little ahead, 1 where
    /// the clock was set back. None where it never was.
    fn elapsed(&self, now: Millis) -> Option<u64> {
        match self.last() {
            NEVER => None,
            last if last.saturating_sub(now.0) > CLOCK_SET => Some(1),
            last => Some(now.0.saturating_sub(last)),
        }
    }

    fn is_forgettable(&self, rate: Rate, now: Millis) -> bool {
        let last = self.last();
        if last == NEVER {
            return true;
        }
        let idle = now.0.abs_diff(last);
        idle >= IDLE && u64::from(self.excess) <= rate.drained(idle)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
const fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}
