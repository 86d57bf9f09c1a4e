//! Sessions as others see them: for KILL, for `viaduct status`, and for counting what is pinned.
//!
//! A session writes its own words without a lock; the list is locked when one comes or goes. Not here: the
//! sessions.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use crate::session::{Pin, Pins};

/// One session.
#[derive(Debug)]
pub struct Face {
    /// The number that its client knows.
    pub id: u32,
    /// Its thread.
    pub thread: usize,
    /// Where it came from.
    pub host: String,
    /// Its user.
    pub user: Mutex<String>,
    pins: AtomicU32,
    /// Place of the server whose connection it has, above the server's number of the connection; all
    /// ones: none.
    at: AtomicU64,
    /// Statements so far.
    pub statements: AtomicU64,
    is_killed: AtomicBool,
}

const NOWHERE: u64 = u64::MAX;

impl Face {
    /// It has a connection of this server, which knows it by this number.
    pub fn goes_to(&self, server: usize, number: u32) {
        let place = u64::try_from(server).unwrap_or(NOWHERE >> 32);
        self.at.store(place << 32 | u64::from(number), Relaxed);
    }

    /// It has none.
    pub fn is_free(&self) {
        self.at.store(NOWHERE, Relaxed);
    }

    /// The server it has a connection of, and its number there.
    #[must_use]
    pub fn at(&self) -> Option<(usize, u32)> {
        let word = self.at.load(Relaxed);
        let number = u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
        let place = usize::try_from(word >> 32).unwrap_or_default();
        (word != NOWHERE).then_some((place, number))
    }

    /// It is to end: its thread looks a few times a second.
    pub fn kill(&self) {
        self.is_killed.store(true, Relaxed);
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Relaxed)
    }

    /// What ties it.
    pub fn set_pins(&self, pins: Pins) {
        self.pins.store(pins.bits(), Relaxed);
    }

    /// What ties it.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins::from_bits(self.pins.load(Relaxed))
    }
}

/// All sessions of a process.
#[derive(Debug, Default)]
pub struct Faces {
    all: Mutex<BTreeMap<u32, Arc<Face>>>,
    last: AtomicU32,
}

impl Faces {
    /// A new one.
    pub fn add(&self, thread: usize, host: &str) -> Arc<Face> {
        let mut all = self.lock();
        // Numbers wrap after four thousand million connections: one in use is passed over.
        let id = loop {
            let id = self.last.fetch_add(1, Relaxed).wrapping_add(1);
            if id != 0 && !all.contains_key(&id) {
                break id;
            }
        };
        let face = Arc::new(Face {
            id,
            thread,
            host: host.to_owned(),
            user: Mutex::default(),
            pins: AtomicU32::new(0),
            at: AtomicU64::new(NOWHERE),
            statements: AtomicU64::new(0),
            is_killed: AtomicBool::new(false),
        });
        all.insert(id, Arc::clone(&face));
        face
    }

    /// It has ended.
    pub fn remove(&self, id: u32) {
        self.lock().remove(&id);
    }

    /// The session that a client means by a number: ours, or the one that a server knows it by, which
    /// CONNECTION_ID() tells.
    #[must_use]
    pub fn find(&self, number: u64) -> Option<Arc<Face>> {
        let all = self.lock();
        let ours = u32::try_from(number).ok().and_then(|id| all.get(&id));
        let theirs = || {
            let is_it =
                |face: &&Arc<Face>| face.at().is_some_and(|(_, at)| u64::from(at) == number);
            all.values().find(is_it)
        };
        ours.or_else(theirs).map(Arc::clone)
    }

    /// How many have each pin, by [`Pin::ALL`].
    #[must_use]
    pub fn pinned(&self) -> [u64; Pin::ALL.len()] {
        let all = self.lock();
        Pin::ALL.map(|pin| {
            let number = all.values().filter(|face| face.pins().has(pin)).count();
            u64::try_from(number).unwrap_or(u64::MAX)
        })
    }

    /// Those that are tied, so many at most.
    #[must_use]
    pub fn tied(&self, most: usize) -> Vec<Arc<Face>> {
        let all = self.lock();
        let tied = all.values().filter(|face| !face.pins().is_empty());
        tied.take(most).map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Face>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_either_number() {
        let faces = Faces::default();
        let (a, b) = (faces.add(0, "h"), faces.add(1, "h"));
        assert_ne!(a.id, b.id);
        b.goes_to(1, 900);
        assert_eq!(faces.find(u64::from(a.id)).unwrap().id, a.id);
        assert_eq!(faces.find(900).unwrap().id, b.id);
        assert_eq!(b.at(), Some((1, 900)));
        b.is_free();
        assert!(faces.find(900).is_none() && b.at().is_none());
        faces.remove(a.id);
        assert!(faces.find(u64::from(a.id)).is_none());
    }

    #[test]
    fn pins_are_counted_by_their_reason() {
        let faces = Faces::default();
        let face = faces.add(0, "h");
        let mut pins = Pins::default();
        pins.add(Pin::UserLock);
        face.set_pins(pins);
        faces.add(0, "h");
        assert_eq!(faces.pinned()[Pin::UserLock as usize], 1);
        assert_eq!(faces.pinned().iter().sum::<u64>(), 1);
        assert_eq!(faces.tied(10).len(), 1);
    }
}
