//! What a request needs while it is served, and a connection between two requests does not: buffers, and
//! what is known of the request. Each thread keeps those that are not in use.
//!
//! Not here: reading and writing.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use super::admit::Held;
use crate::{
    forward::{Delivery, RequestId},
    h1::{Version, scan::Scan, transfer::Transfer},
    pick::Wish,
};

/// Bytes of a client's buffer: a head at its longest leaves a quarter for bodies.
const CLIENT_BUFFER: usize = 32 << 10;
/// Bytes of a server's buffer: large bodies go through in such pieces. A head and 64 KiB fit at once.
const SERVER_BUFFER: usize = 66 << 10;

/// What a request needs while it is served.
#[derive(Debug)]
pub(super) struct Work {
    /// What came from the client: the head stays at the front while the request is served.
    pub(super) client: Buffer,
    /// What came from the server; has bytes only while there is something in it.
    pub(super) server: Buffer,
    /// The request's way.
    pub(super) up: Transfer,
    /// The answer's way.
    pub(super) down: Transfer,
    /// The request's target, normalised.
    pub(super) target: Vec<u8>,
    /// Servers that failed it, by their places.
    pub(super) tried: Vec<usize>,
    /// What is known of the request.
    pub(super) facts: Facts,
    /// What limits have to do with it.
    pub(super) held: Held,
}

/// Bytes that were read; `start..end` are those that nobody has looked at yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Box<[u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where what has to stay ends: the head of the request being served.
    pub(super) base: usize,
    /// How far the head at `start` was looked at.
    pub(super) scan: Scan,
}

impl Buffer {
    /// Nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What nobody has looked at.
    pub(super) fn fresh(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Forgets all but what nobody has looked at, which moves to the front.
    pub(super) fn rewind(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.base = 0;
        self.scan = Scan::default();
    }

    /// Where the next bytes are read to.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.start = self.base;
            self.end = self.base;
        }
        &mut self.bytes[self.end..]
    }
}

/// A part of the client's buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    at: u32,
    length: u32,
}

impl Part {
    /// Where `part` is in `whole`; nothing if it is no part of that.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let at = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        if at > whole.len() || at + part.len() > whole.len() {
            return Self::default();
        }
        let number = |n: usize| u32::try_from(n).unwrap_or_default();
        Self {
            at: number(at),
            length: number(part.len()),
        }
    }

    /// The bytes again.
    pub(super) fn in_buffer(self, whole: &[u8]) -> &[u8] {
        let start = self.at as usize;
        whole
            .get(start..start + self.length as usize)
            .unwrap_or_default()
    }
}

/// What is known of a request.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) began: Instant,
    pub(super) delivery: Delivery,
    pub(super) is_head: bool,
    pub(super) is_idempotent: bool,
    pub(super) has_body: bool,
    pub(super) upgrade: bool,
    pub(super) expects: bool,
    pub(super) route: Option<usize>,
    pub(super) client: IpAddr,
    pub(super) id: RequestId,
    /// What it says about its server.
    pub(super) wish: Wish,
    pub(super) method: Part,
    pub(super) text: Part,
    pub(super) host: Part,
    pub(super) referer: Part,
    pub(super) agent: Part,
    /// The name that a trusted client gave it.
    pub(super) named: Part,
    /// The status of the answer; 0: there was none.
    pub(super) status: u16,
    pub(super) server: Option<SocketAddr>,
    pub(super) retries: u8,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
}

impl Facts {
    /// Nothing is known but when it began.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            delivery: Delivery {
                version: Version::Http11,
                keep_alive: false,
            },
            is_head: false,
            is_idempotent: false,
            has_body: false,
            upgrade: false,
            expects: false,
            route: None,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            id: RequestId([b'0'; 32]),
            wish: Wish::default(),
            method: Part::default(),
            text: Part::default(),
            host: Part::default(),
            referer: Part::default(),
            agent: Part::default(),
            named: Part::default(),
            status: 0,
            server: None,
            retries: 0,
            sent: 0,
        }
    }
}

/// What is not in use.
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "it goes to a connection and back by its address; moving it would copy a kilobyte"
)]
pub(super) struct Store {
    works: Vec<Box<Work>>,
    buffers: Vec<Box<[u8]>>,
}

impl Store {
    /// Something to work with.
    pub(super) fn work(&mut self, now: Instant) -> Box<Work> {
        let mut work = self.works.pop().unwrap_or_else(|| {
            Box::new(Work {
                client: Buffer {
                    bytes: vec![0; CLIENT_BUFFER].into(),
                    ..Buffer::default()
                },
                server: Buffer::default(),
                up: Transfer::default(),
                down: Transfer::default(),
                target: Vec::new(),
                tried: Vec::new(),
                facts: Facts::new(now),
                held: Held::default(),
            })
        });
        work.client.start = 0;
        work.client.end = 0;
        work.client.rewind();
        work
    }

    /// It is not needed any more.
    pub(super) fn give(&mut self, mut work: Box<Work>) {
        self.take_buffer(&mut work.server);
        work.up.begin();
        work.down.begin();
        work.held.release();
        self.works.push(work);
    }

    /// Gives a server's buffer its bytes.
    pub(super) fn lend_buffer(&mut self, buffer: &mut Buffer) {
        if buffer.bytes.is_empty() {
            let fresh = || vec![0; SERVER_BUFFER].into();
            buffer.bytes = self.buffers.pop().unwrap_or_else(fresh);
        }
    }

    /// Takes them back.
    pub(super) fn take_buffer(&mut self, buffer: &mut Buffer) {
        if !buffer.bytes.is_empty() {
            self.buffers.push(std::mem::take(&mut buffer.bytes));
        }
        *buffer = Buffer::default();
    }

    /// Gives back to the system half of what was not used of late.
    pub(super) fn shrink(&mut self) {
        self.works.truncate(self.works.len().div_ceil(2));
        self.buffers.truncate(self.buffers.len().div_ceil(2));
    }
}
