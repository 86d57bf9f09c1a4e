//! Connections to one server that wait for their next request; each thread has its own.
//!
//! The last one in is the first one out: the others grow old and are closed. Not here: opening them.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::TcpStream,
};

use super::watch::Ticks;

/// Connections to one server that wait for their next request.
#[derive(Debug, Default)]
pub(super) struct Pool(RefCell<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Ticks,
}

impl Pool {
    /// A connection that was not closed as far as is known here. Asks the kernel nothing where it has
    /// told nothing.
    pub(super) fn take(&self) -> Option<TcpStream> {
        let mut idle = self.0.borrow_mut();
        while let Some(Idle { mut stream, .. }) = idle.pop() {
            if is_quiet(&mut stream) {
                return Some(stream);
            }
        }
        None
    }

    /// A connection waits from now on, if there are fewer than `most`.
    pub(super) fn give(&self, stream: TcpStream, now: Ticks, most: usize) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < most {
            idle.push(Idle { stream, since: now });
        }
    }

    /// Closes those that were closed at the other end, and those that waited for longer than `most`.
    pub(super) fn sweep(&self, now: Ticks, most: Ticks) {
        self.0
            .borrow_mut()
            .retain_mut(|idle| now.saturating_sub(idle.since) < most && is_quiet(&mut idle.stream));
    }
}

/// Whether the other end has neither closed nor said anything: nobody asked it to.
fn is_quiet(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let mut nobody = Context::from_waker(Waker::noop());
    let read = Pin::new(stream).poll_read(&mut nobody, &mut byte);
    matches!(read, Poll::Pending)
}
