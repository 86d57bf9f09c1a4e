//! Buffers for encrypted bytes that a thread's connections lend and give back.
//!
//! Not here: what is in them.

use std::cell::{RefCell, RefMut};

/// Bytes of a buffer: four records of the longest kind.
const SIZE: usize = 68 << 10;
/// What a record is longer than what is in it, at most: header, nonce, tag.
const OVERHEAD: usize = 64;
/// Buffers kept while nobody needs them.
const KEPT: usize = 64;

/// Buffers that nobody uses now.
#[derive(Debug, Default)]
pub(in crate::core) struct Spare {
    buffers: RefCell<Vec<Box<[u8]>>>,
    /// Where small pieces are put together.
    record: RefCell<Vec<u8>>,
}

impl Spare {
    /// Where small pieces are put together.
    pub(super) fn record(&self) -> RefMut<'_, Vec<u8>> {
        self.record.borrow_mut()
    }

    /// Gives back to the system half of what was not used of late.
    pub(in crate::core) fn shrink(&self) {
        let mut buffers = self.buffers.borrow_mut();
        let keep = buffers.len() / 2;
        buffers.truncate(keep);
    }
}

/// How many bytes fit, encrypted, into so much room.
pub(super) fn room_for(room: usize) -> usize {
    let records = room / super::RECORD + 2;
    room.saturating_sub(records * OVERHEAD)
}

/// A buffer that is there only while it is needed; `start..end` is in it.
#[derive(Debug, Default)]
pub(super) struct Lent {
    bytes: Box<[u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Lent {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn fresh(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn fresh_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Where the next bytes go.
    pub(super) fn room(&mut self, spare: &Spare) -> &mut [u8] {
        if self.bytes.is_empty() {
            let fresh = || vec![0; SIZE].into();
            self.bytes = spare.buffers.borrow_mut().pop().unwrap_or_else(fresh);
        }
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.end > SIZE / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Gives the buffer back; what is in it is lost.
    pub(super) fn give(&mut self, spare: &Spare) {
        let bytes = std::mem::take(&mut self.bytes);
        (self.start, self.end) = (0, 0);
        let mut buffers = spare.buffers.borrow_mut();
        if !bytes.is_empty() && buffers.len() < KEPT {
            buffers.push(bytes);
        }
    }
}
