//! Connections to one server that wait for their next request; each thread has its own.
//!
//! The last one in is the first one out: the others grow old and are closed. Not here: opening them.

use std::cell::RefCell;

use super::{frames::shared::Shared, stream::Stream, watch::Ticks};

/// Connections to one server that wait for their next request.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<Vec<Idle>>,
    /// Those of HTTP/2, which need not wait for one request to end before the next.
    pub(super) shared: Shared,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Ticks,
}

impl Pool {
    /// A connection that was not closed as far as is known here. Asks the kernel nothing where it has
    /// told nothing.
    pub(super) fn take(&self) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut stream, .. }) = idle.pop() {
            if stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }

    /// A connection waits from now on, if there are fewer than `most`.
    pub(super) fn give(&self, stream: Stream, now: Ticks, most: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < most {
            idle.push(Idle { stream, since: now });
        }
    }

    /// Closes those that were closed at the other end, and those that waited for longer than `most`.
    pub(super) fn sweep(&self, now: Ticks, most: Ticks) {
        self.shared.sweep(now, most);
        self.idle
            .borrow_mut()
            .retain_mut(|idle| now.saturating_sub(idle.since) < most && idle.stream.is_quiet());
    }
}
