//! Connections to one server that wait for a session, of one thread.
//!
//! A session gets the one it had before, if that still waits: it is in the session's state and needs no
//! word. Else one that is nobody's; else, where no more can be opened, the one that waits for longest, which
//! has to be reset. Not here: opening, resetting.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
};

use tokio::sync::Notify;

use super::{
    server::{Connection, Key, Tag},
    watch::Ticks,
};
use crate::{plan::ServerLife, session::prepared::ConnectionId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pool {
    #[expect(
        clippy::vec_box,
        reason = "they are moved in and out with every statement"
    )]
    waiting: RefCell<Vec<Box<Connection>>>,
    /// Statements of this thread that wait for one.
    queue: Cell<u32>,
    freed: Notify,
}

/// A place in the queue, over all threads and of this one.
pub(super) struct Queued<'a>(&'a Pool, &'a ServerLife);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queue.set(self.0.queue.get() - 1);
        self.1.waiting.fetch_sub(1, Relaxed);
    }
}

impl Pool {
    /// The one that this session had.
    pub(super) fn own(&self, tag: &Rc<Tag>, key: &Key) -> Option<Box<Connection>> {
        let mut waiting = self.waiting.borrow_mut();
        let is_own = |one: &Connection| one.of.as_ref().is_some_and(|of| Rc::ptr_eq(of, tag));
        let at = waiting.iter().rposition(|one| is_own(one))?;
        let connection = waiting.remove(at);
        drop(waiting);
        (connection.key == *key)
            .then_some(connection)
            .and_then(alive)
    }

    /// One that no session would miss.
    pub(super) fn free(&self, key: &Key, has_schema: bool) -> Option<Box<Connection>> {
        let is_free = |one: &Connection| one.of.as_ref().is_none_or(|of| of.is_over.get());
        self.first(|one| is_free(one) && fits(one, key, has_schema))
    }

    /// The one that waits for longest.
    pub(super) fn any(&self, key: &Key, has_schema: bool) -> Option<Box<Connection>> {
        self.first(|one| fits(one, key, has_schema))
    }

    fn first(&self, is_it: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let at = waiting.iter().position(|one| is_it(one))?;
            let connection = waiting.remove(at);
            drop(waiting);
            if let Some(connection) = alive(connection) {
                return Some(connection);
            }
        }
    }

    /// It waits from now on. Where another thread's statements wait and none of this one's, it is closed,
    /// so that they can open one.
    pub(super) fn give(&self, mut connection: Box<Connection>, now: Ticks) {
        if self.queue.get() == 0 && connection.life.waiting.load(Relaxed) > 0 {
            return;
        }
        connection.idle_since = now;
        self.waiting.borrow_mut().push(connection);
        if self.queue.get() > 0 {
            self.freed.notify_one();
        }
    }

    /// A statement waits from now on.
    pub(super) fn queue<'a>(&'a self, life: &'a ServerLife) -> Queued<'a> {
        self.queue.set(self.queue.get() + 1);
        life.waiting.fetch_add(1, Relaxed);
        Queued(self, life)
    }

    /// One was given back on this thread.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Does something with one that waits.
    pub(super) fn with(&self, id: ConnectionId, mut act: impl FnMut(&mut Connection)) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(one) = waiting.iter_mut().find(|one| one.id == id) {
            act(one);
        }
    }

    /// Closes the one that waits for longest, to make room for one that fits.
    pub(super) fn make_room(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let oldest = (!waiting.is_empty()).then(|| waiting.remove(0));
        drop(waiting);
        oldest.is_some()
    }

    /// Closes as many as statements of other threads wait for, so that they can open theirs.
    pub(super) fn make_room_for_others(&self, life: &ServerLife) {
        let others = life.waiting.load(Relaxed).saturating_sub(self.queue.get());
        for _ in 0..others {
            if !self.make_room() {
                break;
            }
        }
    }

    /// Closes those that waited for too long, are too old, or were closed by the server.
    pub(super) fn sweep(&self, now: Ticks, idle: Ticks, lifetime: Ticks, keep: usize) {
        let mut waiting = self.waiting.borrow_mut();
        let mut left = waiting.len();
        waiting.retain_mut(|one| {
            let is_old = now.wrapping_sub(one.born) > lifetime;
            let is_idle = now.wrapping_sub(one.idle_since) > idle && left > keep;
            let is_gone = is_old || is_idle || one.link.has_news();
            left -= usize::from(is_gone);
            !is_gone
        });
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        drop(all);
    }
}

/// A database cannot be left again but by another.
fn fits(one: &Connection, key: &Key, has_schema: bool) -> bool {
    one.key == *key && (has_schema || one.schema.is_none())
}

fn alive(mut connection: Box<Connection>) -> Option<Box<Connection>> {
    (!connection.link.has_news()).then_some(connection)
}
