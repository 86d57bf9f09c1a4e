//! Checked access to the bytes of a frame: the one trait between packet decisions and memory, and
//! all the `unsafe` of the data plane.
//!
//! Not here: what the bytes mean ([`crate::wire`], [`crate::parse`]).

#[cfg(feature = "ebpf")]
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// An Ethernet frame that can be read and rewritten in place.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks: a frame has a header"
)]
pub trait Frame {
    /// Its length in bytes, without the trailing checksum.
    fn len(&self) -> usize;

    /// The value at `offset`; `None` where the frame ends before the value does.
    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T>;

    /// Replaces the value at `offset`; `None`, and no change, where the frame ends before it.
    #[must_use = "a write past the end does nothing"]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Option<()>;

    /// Makes room for `bytes` more bytes at the start, an even number; what is in them is
    /// undefined. `None`, and no change, where there is no room.
    #[must_use = "without room nothing has changed"]
    fn grow(&mut self, bytes: usize) -> Option<()>;

    /// Takes `bytes` bytes off the start, an even number. `None`, and no change, where it is not
    /// that long.
    #[must_use = "a frame that is too short is not changed"]
    fn shrink(&mut self, bytes: usize) -> Option<()>;

    /// Cuts the frame to `len` bytes. `None`, and no change, where it is not longer.
    #[must_use = "a frame that is short enough is not changed"]
    fn truncate(&mut self, len: usize) -> Option<()>;
}

impl Frame for [u8] {
    fn len(&self) -> usize {
        self.len()
    }

    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..)?.get(..size_of::<T>())?;
        T::read_from_bytes(bytes).ok()
    }

    fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Option<()> {
        let bytes = self.get_mut(offset..)?.get_mut(..size_of::<T>())?;
        value.write_to(bytes).ok()
    }

    /// A slice lies where it lies.
    fn grow(&mut self, _bytes: usize) -> Option<()> {
        None
    }

    /// As `grow`.
    fn shrink(&mut self, _bytes: usize) -> Option<()> {
        None
    }

    /// As `grow`.
    fn truncate(&mut self, _len: usize) -> Option<()> {
        None
    }
}

/// Headers end well below this; it lets the verifier bound an offset computed from the packet.
#[cfg(feature = "ebpf")]
const OFFSET_MAX: usize = 0x3ff;

#[cfg(feature = "ebpf")]
#[expect(
    unsafe_code,
    reason = "the kernel hands the frame over as two addresses"
)]
impl Frame for aya_ebpf::programs::XdpContext {
    #[inline(always)]
    fn len(&self) -> usize {
        self.data_end() - self.data()
    }

    #[inline(always)]
    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T> {
        let at = at(self, offset, size_of::<T>())?;
        // SAFETY: `at` proved that `size_of::<T>()` bytes from here on are in the frame, and any
        // bytes are a `T` (`FromBytes`).
        Some(unsafe { (at as *const T).read_unaligned() })
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Option<()> {
        let at = at(self, offset, size_of::<T>())?;
        // SAFETY: as in `read`; the frame is ours alone while the program runs.
        unsafe {
            (at as *mut u8)
                .copy_from_nonoverlapping(core::ptr::from_ref(value).cast(), size_of::<T>())
        };
        Some(())
    }

    #[inline(always)]
    fn grow(&mut self, bytes: usize) -> Option<()> {
        // SAFETY: a helper on the program's own context; every later access asks for the frame's
        // place anew.
        done(unsafe { bpf_xdp_adjust_head(self.ctx, -signed(bytes)) })
    }

    #[inline(always)]
    fn shrink(&mut self, bytes: usize) -> Option<()> {
        // SAFETY: as in `grow`.
        done(unsafe { bpf_xdp_adjust_head(self.ctx, signed(bytes)) })
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Option<()> {
        let before = Frame::len(self);
        if before <= len {
            return None;
        }
        // SAFETY: as in `grow`.
        done(unsafe { bpf_xdp_adjust_tail(self.ctx, signed(len) - signed(before)) })
    }
}

/// A number of bytes as helpers want it; frames are far shorter than 2 GiB.
#[cfg(feature = "ebpf")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "see above"
)]
#[inline(always)]
const fn signed(bytes: usize) -> i32 {
    bytes as i32
}

/// A helper's answer: 0 is success.
#[cfg(feature = "ebpf")]
#[inline(always)]
fn done(answer: i64) -> Option<()> {
    (answer == 0).then_some(())
}

/// The address of `size` bytes at `offset`, if they are in the frame: the form of check that the
/// verifier follows.
#[cfg(feature = "ebpf")]
#[expect(unsafe_code, reason = "a promise about the kernel's memory")]
#[inline(always)]
fn at(context: &aya_ebpf::programs::XdpContext, offset: usize, size: usize) -> Option<usize> {
    if offset > OFFSET_MAX {
        return None;
    }
    let start = context.data() + offset;
    if start + size > context.data_end() {
        return None;
    }
    // SAFETY: the kernel puts frames at even addresses (XDP_PACKET_HEADROOM, NET_IP_ALIGN), no
    // program of ours moves them, and all headers are at even offsets. Knowing it, the compiler
    // loads two bytes at a time where it would load one.
    unsafe { core::hint::assert_unchecked(start % 2 == 0) };
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_stay_inside() {
        let mut bytes = [1u8, 2, 3, 4];
        let frame: &mut [u8] = &mut bytes;
        assert_eq!(frame.read::<[u8; 2]>(2), Some([3, 4]));
        assert_eq!(frame.read::<[u8; 2]>(3), None);
        assert_eq!(frame.read::<[u8; 2]>(usize::MAX), None);
        assert_eq!(frame.write(3, &[9u8, 9]), None);
        assert_eq!(frame.write(2, &[9u8, 9]), Some(()));
        assert_eq!(bytes, [1, 2, 9, 9]);
    }
}
