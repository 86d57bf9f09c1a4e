//! Values read and written in words as wide as they are long, wherever they lie.
//!
//! A compiler for BPF takes apart what may not be aligned, into bytes or pairs of them. Headers are
//! not aligned, and the machines that XDP runs on (x86-64, arm64) do not care: so the instructions
//! are written out, with the compiler's own registers behind them. Not here: whether the bytes are in
//! the frame.

use core::arch::asm;
use core::mem::MaybeUninit;

/// A value as the words that are read into it and out of it.
#[repr(C, align(8))]
struct Aligned<T>(T);

/// Applies `$piece!` to the offsets at which a value of `$size` bytes has words of 8, 4, 2 and 1
/// bytes.
macro_rules! pieces {
    ($size:expr, $piece:ident) => {
        pieces!($size, 8, u64, $piece, [0 8 16 24 32 40 48 56]);
        pieces!($size, 4, u32, $piece, [0 8 16 24 32 40 48 56]);
        pieces!($size, 2, u16, $piece, [0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60]);
        pieces!($size, 1, u8, $piece, [0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30]);
    };
    ($size:expr, 8, $word:ty, $piece:ident, [$($offset:literal)*]) => {
        $(if $offset + 8 <= $size { $piece!($offset, $word); })*
    };
    ($size:expr, $bytes:literal, $word:ty, $piece:ident, [$($offset:literal)*]) => {
        // The words before are twice as wide.
        $(if $size & $bytes != 0 && $offset == $size / (2 * $bytes) * (2 * $bytes) {
            $piece!($offset, $word);
        })*
    };
}

/// The value `BASE` bytes behind an address.
///
/// # Safety
/// Its bytes may be read, and are a `T`.
#[inline(always)]
pub(super) unsafe fn read<T, const BASE: usize>(at: usize) -> T {
    const { assert!(size_of::<T>() < 64 && size_of::<T>() % 2 == 0 || size_of::<T>() < 32) };
    let mut value = MaybeUninit::<Aligned<T>>::uninit();
    let to: *mut u8 = value.as_mut_ptr().cast();
    macro_rules! piece {
        ($offset:literal, $word:ty) => {
            // SAFETY: within the value, as the caller promises, and within `value`, at a multiple
            // of the word's size.
            unsafe {
                to.add($offset)
                    .cast::<$word>()
                    .write(<$word>::load::<BASE, $offset>(at))
            }
        };
    }
    pieces!(size_of::<T>(), piece);
    // SAFETY: every byte was written, with bytes that are a `T`.
    unsafe { value.assume_init() }.0
}

/// Puts a value to an address.
///
/// # Safety
/// Its bytes may be written, and nobody has a reference to them.
#[inline(always)]
pub(super) unsafe fn write<T>(at: usize, value: &T) {
    const { assert!(size_of::<T>() <= 64 && size_of::<T>() % 2 == 0 || size_of::<T>() < 32) };
    // SAFETY: a copy of plain bytes, which is all that is done with it.
    let value = Aligned(unsafe { core::ptr::from_ref(value).cast::<MaybeUninit<T>>().read() });
    let from: *const u8 = (&raw const value).cast();
    macro_rules! piece {
        ($offset:literal, $word:ty) => {
            // SAFETY: as in `read`, the other way round.
            unsafe { <$word>::store::<$offset>(at, from.add($offset).cast::<$word>().read()) }
        };
    }
    pieces!(size_of::<T>(), piece);
}

/// A word of the machine.
trait Word: Sized {
    /// # Safety
    /// It may be read.
    unsafe fn load<const BASE: usize, const OFFSET: usize>(at: usize) -> Self;
    /// # Safety
    /// It may be written.
    unsafe fn store<const OFFSET: usize>(at: usize, word: Self);
}

macro_rules! word {
    ($($word:ident)*) => {$(
        impl Word for $word {
            #[inline(always)]
            unsafe fn load<const BASE: usize, const OFFSET: usize>(at: usize) -> Self {
                let word: u64;
                // SAFETY: the caller's promise.
                unsafe {
                    asm!(
                        concat!("{word} = *(", stringify!($word), " *)({at} + {offset})"),
                        word = lateout(reg) word,
                        at = in(reg) at,
                        offset = const BASE + OFFSET,
                        options(pure, readonly, nostack, preserves_flags),
                    );
                }
                word as Self
            }

            #[inline(always)]
            unsafe fn store<const OFFSET: usize>(at: usize, word: Self) {
                // SAFETY: the caller's promise.
                unsafe {
                    asm!(
                        concat!("*(", stringify!($word), " *)({at} + {offset}) = {word}"),
                        word = in(reg) u64::from(word),
                        at = in(reg) at,
                        offset = const OFFSET,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    )*};
}

word! { u64 u32 u16 u8 }
