//! Words that CPUs and the daemon change without locks: `core`'s on the host, and the kernel's
//! instructions in a program.
//!
//! `core` has no exchanges for BPF, though its instruction set v3 does (Linux 5.12). Orderings are
//! accepted and mean nothing there: loads and stores are plain, exchanges are full barriers.

#[cfg(not(target_arch = "bpf"))]
pub use core::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(target_arch = "bpf")]
pub use in_kernel::{AtomicU32, AtomicU64};

#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "the instructions themselves")]
mod in_kernel {
    use core::arch::asm;
    use core::cell::UnsafeCell;
    use core::sync::atomic::Ordering;

    /// As [`core::sync::atomic::AtomicU64`], as far as it is used.
    #[repr(transparent)]
    pub struct AtomicU64(UnsafeCell<u64>);

    // SAFETY: every access is one instruction.
    unsafe impl Sync for AtomicU64 {}

    impl AtomicU64 {
        /// The word.
        #[inline(always)]
        pub fn load(&self, _: Ordering) -> u64 {
            // SAFETY: aligned, and of a map value that lives as long as the reference.
            unsafe { self.0.get().read_volatile() }
        }

        /// Writes it.
        #[inline(always)]
        pub fn store(&self, value: u64, _: Ordering) {
            // SAFETY: as in `load`.
            unsafe { self.0.get().write_volatile(value) }
        }

        /// Writes it, where it is `current`; what it was.
        ///
        /// # Errors
        /// It was something else.
        #[inline(always)]
        pub fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            _: Ordering,
            _: Ordering,
        ) -> Result<u64, u64> {
            let found: u64;
            // SAFETY: as in `load`; `r0` is compared and becomes what was found.
            unsafe {
                asm!(
                    "r0 = cmpxchg_64({word} + 0, r0, {new})",
                    word = in(reg) self.0.get(),
                    new = in(reg) new,
                    inlateout("r0") current => found,
                );
            }
            if found == current {
                Ok(found)
            } else {
                Err(found)
            }
        }

        /// Writes it; what it was.
        #[inline(always)]
        pub fn swap(&self, new: u64, _: Ordering) -> u64 {
            let mut value = new;
            // SAFETY: as in `load`.
            unsafe {
                asm!(
                    "{value} = xchg_64({word} + 0, {value})",
                    word = in(reg) self.0.get(),
                    value = inout(reg) value,
                );
            }
            value
        }

        /// Adds to it; what it was.
        #[inline(always)]
        pub fn fetch_add(&self, more: u64, _: Ordering) -> u64 {
            let mut value = more;
            // SAFETY: as in `load`.
            unsafe {
                asm!(
                    "{value} = atomic_fetch_add((u64 *)({word} + 0), {value})",
                    word = in(reg) self.0.get(),
                    value = inout(reg) value,
                );
            }
            value
        }
    }

    /// As [`core::sync::atomic::AtomicU32`], as far as it is used.
    #[repr(transparent)]
    pub struct AtomicU32(UnsafeCell<u32>);

    // SAFETY: as for `AtomicU64`.
    unsafe impl Sync for AtomicU32 {}

    impl AtomicU32 {
        /// The word.
        #[inline(always)]
        pub fn load(&self, _: Ordering) -> u32 {
            // SAFETY: as in `AtomicU64::load`.
            unsafe { self.0.get().read_volatile() }
        }

        /// Adds to it.
        #[inline(always)]
        pub fn fetch_add(&self, more: u32, _: Ordering) {
            // SAFETY: as in `AtomicU64::load`.
            unsafe {
                asm!(
                    "lock *(u32 *)({word} + 0) += {more}",
                    word = in(reg) self.0.get(),
                    more = in(reg) u64::from(more),
                );
            }
        }
    }
}
