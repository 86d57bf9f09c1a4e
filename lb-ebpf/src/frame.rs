//! Checked access to the bytes of a frame: the one trait between packet decisions and memory, and
//! all the `unsafe` of the data plane (its instructions are in `words`).
//!
//! Not here: what the bytes mean ([`crate::wire`], [`crate::parse`]).

#[cfg(feature = "ebpf")]
#[expect(unsafe_code, reason = "loads and stores, written out")]
mod words;

#[cfg(feature = "ebpf")]
use aya_ebpf::helpers::generated::{
    bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::wire::eth::Eth;
use crate::wire::ipv4::Ipv4;

/// An Ethernet frame that can be read and rewritten in place.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks: a frame has a header"
)]
pub trait Frame {
    /// Bytes of it that can be read, without the trailing checksum.
    fn len(&self) -> usize;

    /// Whether it has `end` bytes, those included that can't be read: of a long frame, the kernel
    /// keeps only the beginning in one piece.
    fn holds(&self, end: usize) -> bool {
        end <= self.len()
    }

    /// The value at `offset`; `None` where the frame ends before the value does.
    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T>;

    /// The Ethernet header of an untagged frame and the IPv4 header behind it, if the frame is as long as
    /// these are: whatever they say.
    fn heads(&self) -> Option<(Eth, Ipv4)> {
        Some((self.read(0)?, self.read(Eth::LEN)?))
    }

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
        end(self) - address(self, 0)
    }

    #[inline(always)]
    fn holds(&self, end: usize) -> bool {
        // SAFETY: a helper on the program's own context.
        end <= Frame::len(self) || end as u64 <= unsafe { bpf_xdp_get_buff_len(self.ctx) }
    }

    #[inline(always)]
    fn read<T: FromBytes + Immutable>(&self, offset: usize) -> Option<T> {
        let at = at(self, offset, size_of::<T>())?;
        // SAFETY: `at` proved that `size_of::<T>()` bytes from here on are in the frame, and any
        // bytes are a `T` (`FromBytes`).
        Some(unsafe { words::read::<T, 0>(at) })
    }

    #[inline(always)]
    fn heads(&self) -> Option<(Eth, Ipv4)> {
        let at = at(self, 0, Eth::LEN + Ipv4::LEN)?;
        // SAFETY: as in `read`; one look at the frame's end is for both.
        Some(unsafe {
            (
                words::read::<Eth, 0>(at),
                words::read::<Ipv4, { Eth::LEN }>(at),
            )
        })
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Option<()> {
        let at = at(self, offset, size_of::<T>())?;
        // SAFETY: as in `read`; the frame is ours alone while the program runs.
        unsafe { words::write(at, value) };
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
        // SAFETY: as in `holds`.
        let before = unsafe { bpf_xdp_get_buff_len(self.ctx) } as usize;
        if before <= len {
            return None;
        }
        // SAFETY: as in `grow`.
        done(unsafe { bpf_xdp_adjust_tail(self.ctx, signed(len) - signed(before)) })
    }
}

/// The address of the byte at `offset`, in the frame or not.
///
/// Instructions written out. The field has 32 bits, the kernel loads an address of 64, and a
/// compiler that believes the field keeps half of it. And what is compared with the frame's end and
/// what is read must be one sum to the verifier: a compiler would take it apart.
#[cfg(feature = "ebpf")]
#[expect(unsafe_code, reason = "the instructions themselves")]
#[inline(always)]
fn address(context: &aya_ebpf::programs::XdpContext, offset: usize) -> usize {
    let address: u64;
    // SAFETY: a load from the program's own context (`xdp_md.data`); where memory is written (as
    // `adjust_head` does) it is done anew.
    unsafe {
        core::arch::asm!(
            "{address} = *(u32 *)({context} + 0)",
            "{address} += {offset}",
            address = out(reg) address,
            context = in(reg) context.ctx,
            offset = in(reg) offset as u64,
            options(pure, readonly, nostack),
        );
    }
    address as usize
}

/// The address behind the frame (`xdp_md.data_end`); as [`address`].
#[cfg(feature = "ebpf")]
#[expect(unsafe_code, reason = "the instruction itself")]
#[inline(always)]
fn end(context: &aya_ebpf::programs::XdpContext) -> usize {
    let end: u64;
    // SAFETY: as in `address`.
    unsafe {
        core::arch::asm!(
            "{end} = *(u32 *)({context} + 4)",
            end = lateout(reg) end,
            context = in(reg) context.ctx,
            options(pure, readonly, nostack),
        );
    }
    end as usize
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
#[inline(always)]
fn at(context: &aya_ebpf::programs::XdpContext, offset: usize, size: usize) -> Option<usize> {
    if offset > OFFSET_MAX {
        return None;
    }
    let start = address(context, offset);
    if start + size > end(context) {
        return None;
    }
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
