//! Bytes that came and were not all used yet.
//!
//! What goes on to the other end is marked as *ready* in the same buffer, so that most bytes are never
//! copied. Bounded by whoever asks for room. Not here: sockets.

/// Bytes of a buffer that is lent.
pub(super) const LENT: usize = 16 << 10;
/// Buffers that a thread keeps for the next who needs one.
const KEPT: usize = 256;

/// See the module.
///
/// ```text
///   bytes   ...[ready: to be sent on]...[fresh: not looked at yet]...room
/// ```
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// What is to be sent on.
    ready: (usize, usize),
    /// What was not looked at.
    fresh: (usize, usize),
}

impl Buffer {
    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.0 == self.ready.1 && self.fresh.0 == self.fresh.1
    }

    /// What was not looked at yet.
    pub(super) fn fresh(&self) -> &[u8] {
        &self.bytes[self.fresh.0..self.fresh.1]
    }

    /// The same, to be changed in its place.
    pub(super) fn fresh_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.fresh.0..self.fresh.1]
    }

    /// What is to be sent on.
    pub(super) fn ready(&self) -> &[u8] {
        &self.bytes[self.ready.0..self.ready.1]
    }

    /// So many of what is ready were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.ready.0 += bytes;
        self.rest();
    }

    /// So many at the front of what is fresh are used.
    pub(super) fn take(&mut self, bytes: usize) {
        self.fresh.0 += bytes;
        self.rest();
    }

    /// So many at the front of what is fresh go on as they are.
    pub(super) fn pass(&mut self, bytes: usize) {
        if self.ready.0 == self.ready.1 {
            self.ready = (self.fresh.0, self.fresh.0);
        }
        let from = self.fresh.0;
        if self.ready.1 != from {
            self.bytes.copy_within(from..from + bytes, self.ready.1);
        }
        self.ready.1 += bytes;
        self.fresh.0 += bytes;
    }

    /// So many at the front of what is fresh go on as `other`, which may not be longer.
    pub(super) fn pass_as(&mut self, bytes: usize, other: &[u8]) {
        let len = other.len().min(bytes);
        self.bytes[self.fresh.0..self.fresh.0 + len].copy_from_slice(&other[..len]);
        let end = self.fresh.0 + bytes;
        self.pass(len);
        self.fresh.0 = end;
    }

    /// At least so many bytes of room at its end, more if there are, up to `most` bytes in all; empty if
    /// there are none left.
    pub(super) fn room(&mut self, at_least: usize, most: usize) -> &mut [u8] {
        let front = if self.ready.0 == self.ready.1 {
            self.fresh.0
        } else {
            self.ready.0
        };
        if front > 0 && self.bytes.len() - self.fresh.1 < at_least.max(LENT / 4) {
            self.bytes.copy_within(front..self.fresh.1, 0);
            self.ready = (
                self.ready.0.saturating_sub(front),
                self.ready.1.saturating_sub(front),
            );
            self.fresh = (self.fresh.0 - front, self.fresh.1 - front);
        }
        let wanted = (self.fresh.1 + at_least).max(LENT);
        if wanted > self.bytes.len() && wanted <= most {
            let doubled = wanted.max((self.bytes.len() * 2).min(most));
            self.bytes.resize(doubled, 0);
        }
        &mut self.bytes[self.fresh.1..]
    }

    /// So many bytes came into the room.
    pub(super) fn came(&mut self, bytes: usize) {
        self.fresh.1 += bytes;
    }

    /// Nothing is in it: back to its beginning.
    fn rest(&mut self) {
        if self.is_empty() {
            (self.ready, self.fresh) = ((0, 0), (0, 0));
        }
    }
}

/// Buffers that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Store(Vec<Vec<u8>>);

impl Store {
    /// Gives a buffer its memory, if it has none.
    pub(super) fn lend(&mut self, buffer: &mut Buffer) {
        if buffer.bytes.is_empty() {
            buffer.bytes = self.0.pop().unwrap_or_else(|| vec![0; LENT]);
        }
    }

    /// Takes the memory of a buffer with nothing in it. What had to grow is not kept.
    pub(super) fn take(&mut self, buffer: &mut Buffer) {
        if !buffer.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut buffer.bytes);
        *buffer = Buffer::default();
        if bytes.len() == LENT && self.0.len() < KEPT {
            self.0.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.room(bytes.len(), 1 << 20)[..bytes.len()].copy_from_slice(bytes);
        buffer.came(bytes.len());
    }

    #[test]
    fn what_passes_is_in_one_piece_whatever_was_made_shorter() {
        let (mut buffer, mut store) = (Buffer::default(), Store::default());
        store.lend(&mut buffer);
        fill(&mut buffer, b"abcdefghij");
        buffer.pass(3);
        buffer.pass_as(4, b"XY");
        assert_eq!(
            (buffer.ready(), buffer.fresh()),
            (&b"abcXY"[..], &b"hij"[..])
        );
        buffer.pass(2);
        assert_eq!(
            (buffer.ready(), buffer.fresh()),
            (&b"abcXYhi"[..], &b"j"[..])
        );
        buffer.sent(7);
        buffer.take(1);
        assert!(buffer.is_empty());
        store.take(&mut buffer);
        assert_eq!((store.0.len(), buffer.bytes.len()), (1, 0));
    }

    #[test]
    fn room_is_made_by_moving_then_by_growing_up_to_a_bound() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, &[7; LENT]);
        buffer.take(LENT - 10);
        assert!(buffer.room(100, LENT).len() >= 100);
        assert_eq!(buffer.fresh(), [7; 10]);
        fill(&mut buffer, &[8; LENT - 10]);
        assert!(buffer.room(1, LENT).is_empty());
        assert!(!buffer.room(1, 4 * LENT).is_empty());
        assert_eq!(buffer.fresh().len(), LENT);
    }

    #[test]
    fn what_is_ready_survives_a_move() {
        let mut buffer = Buffer::default();
        fill(&mut buffer, &[1; LENT]);
        buffer.take(1000);
        buffer.pass(200);
        buffer.take(LENT - 1300);
        buffer.room(LENT / 2, 4 * LENT);
        assert_eq!(buffer.ready(), [1; 200]);
        assert_eq!(buffer.fresh(), [1; 100]);
    }
}
