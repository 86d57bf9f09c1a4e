//! Array maps as memory of this process: with `ha/sys.rs` all the daemon's `unsafe`.
//!
//! A mapped array is words that packets read and write while we do: atomics, all of them, and never
//! a plain reference to what is in it. Not here: what the words mean ([`super::maps`]).

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::maps::MapData;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::Error;

/// What a mapped array is a slice of.
///
/// # Safety
/// Any bytes are a value, there is no padding, and all of it is atomics: others may write at any
/// time. Its alignment divides that of a page.
pub(super) unsafe trait Cell {}

// SAFETY: an atomic word.
unsafe impl Cell for AtomicU64 {}
// SAFETY: an atomic word.
unsafe impl Cell for AtomicU32 {}
// SAFETY: an array of cells is nothing but them, one after the other.
unsafe impl<T: Cell, const N: usize> Cell for [T; N] {}

/// May the mapping be written to?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Only read.
    Read,
    /// Read and written.
    Write,
}

/// An array map, mapped; as many cells as its entries take.
#[derive(Debug)]
pub(super) struct Mapped<C: Cell> {
    at: NonNull<C>,
    len: usize,
    bytes: NonZeroUsize,
    _cells: PhantomData<C>,
}

// SAFETY: what is behind the pointer is this value's own until it is dropped, and cells can be used
// by several threads at once.
unsafe impl<C: Cell> Send for Mapped<C> {}
// SAFETY: as above.
unsafe impl<C: Cell> Sync for Mapped<C> {}

impl<C: Cell> Mapped<C> {
    /// Maps an array whose entries are cells, or a whole number of them.
    ///
    /// # Errors
    /// The map is not laid out like that, or the kernel refuses.
    pub(super) fn new(name: &'static str, map: &MapData, access: Access) -> Result<Self, Error> {
        let failed = |source: nix::Error| Error::Mapping {
            name,
            source: source.into(),
        };
        let info = map.info().map_err(Error::map)?;
        // The kernel lays entries out at multiples of 8 bytes.
        let stride = (info.value_size() as usize).next_multiple_of(8);
        let cells = stride / size_of::<C>();
        let len = cells * info.max_entries() as usize;
        let bytes = NonZeroUsize::new(len * size_of::<C>());
        let (true, Some(bytes)) = (cells * size_of::<C>() == stride, bytes) else {
            return Err(failed(nix::Error::EINVAL));
        };
        let protection = match access {
            Access::Read => ProtFlags::PROT_READ,
            Access::Write => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        let fd = map.fd().as_fd();
        // SAFETY: a new mapping somewhere, which nobody else knows of; that the memory changes under
        // us is what `Cell` is about.
        let at = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, fd, 0) };
        Ok(Self {
            at: at.map_err(failed)?.cast(),
            len,
            bytes,
            _cells: PhantomData,
        })
    }
}

impl<C: Cell> Deref for Mapped<C> {
    type Target = [C];

    fn deref(&self) -> &[C] {
        // SAFETY: the mapping is `len` cells long and begins at a page; it stays until `self` is
        // dropped. The kernel keeps the memory while it is mapped, whatever becomes of the map.
        // Cells are atomics, so that others write to them takes nothing from a shared reference;
        // where the mapping is only readable, whoever holds it only reads.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl<C: Cell> Drop for Mapped<C> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference to it outlives the value.
        let unmapped = unsafe { munmap(self.at.cast(), self.bytes.get()) };
        if let Err(error) = unmapped {
            tracing::warn!(%error, "a map stays mapped");
        }
    }
}

/// Writes a value over the words from `words[0]` on, each whole, those that differ only.
pub(super) fn store(words: &[AtomicU64], value: &[u8]) {
    for (word, bytes) in words.iter().zip(value.chunks(8)) {
        let mut whole = word.load(Ordering::Relaxed).to_ne_bytes();
        whole[..bytes.len()].copy_from_slice(bytes);
        let whole = u64::from_ne_bytes(whole);
        if word.load(Ordering::Relaxed) != whole {
            word.store(whole, Ordering::Release);
        }
    }
}

/// Reads a value out of the words from `words[0]` on.
pub(super) fn load(words: &[AtomicU64], value: &mut [u8]) {
    for (word, bytes) in words.iter().zip(value.chunks_mut(8)) {
        let whole = word.load(Ordering::Acquire).to_ne_bytes();
        bytes.copy_from_slice(&whole[..bytes.len()]);
    }
}

/// Waits until every packet is through that is under way now: the kernel runs programs within an
/// RCU section, and this is the one way for a process to wait for those.
///
/// # Errors
/// The kernel has no such wait: it was told to leave some CPUs alone (`nohz_full`).
pub(super) fn await_packets() -> std::io::Result<()> {
    /// `MEMBARRIER_CMD_GLOBAL` of `linux/membarrier.h`.
    const GLOBAL: libc::c_int = 1;
    // SAFETY: takes plain numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aya::maps::{Array, Map};

    use super::super::scratch;
    use super::*;

    const MMAPABLE: u32 = 1 << 10;

    /// A map of four entries of 24 bytes. It goes by way of a pin, as aya gives no other way from a
    /// map of a known type back to a plain one.
    fn array(pins: &Path, flags: u32) -> MapData {
        let pin = pins.join(format!("array{flags}"));
        if !pin.exists() {
            let map = Array::<MapData, [u64; 3]>::create(4, flags).unwrap();
            map.pin(&pin).unwrap();
        }
        MapData::from_pin(&pin).unwrap()
    }

    #[test]
    fn what_is_stored_is_in_the_map_and_the_other_way_round() {
        let Some(pins) = scratch::pins() else { return };
        let map = array(&pins, MMAPABLE);
        let mapped = Mapped::<[AtomicU64; 3]>::new("test", &map, Access::Write).unwrap();
        assert_eq!(mapped.len(), 4);
        let value: [u64; 3] = [1, 2, 3];
        let bytes: Vec<u8> = value.iter().flat_map(|word| word.to_ne_bytes()).collect();
        store(&mapped[2], &bytes[..20]);
        let mut map: Array<MapData, [u64; 3]> = Map::Array(map).try_into().unwrap();
        assert_eq!(map.get(&2, 0).unwrap(), [1, 2, 3]);
        assert_eq!(map.get(&1, 0).unwrap(), [0; 3]);
        map.set(3, [7, 8, 9], 0).unwrap();
        let mut back = [0; 24];
        load(&mapped[3], &mut back);
        assert_eq!(back[16..], 9u64.to_ne_bytes());
        drop(map);
        assert_eq!(
            mapped[3][0].load(Ordering::Relaxed),
            7,
            "the memory outlives the map"
        );
    }

    #[test]
    fn a_map_that_cannot_be_mapped_is_refused() {
        let Some(pins) = scratch::pins() else { return };
        let map = array(&pins, 0);
        assert!(Mapped::<AtomicU64>::new("test", &map, Access::Write).is_err());
        let map = array(&pins, MMAPABLE);
        assert!(
            Mapped::<[AtomicU64; 2]>::new("test", &map, Access::Read).is_err(),
            "24 is no multiple of 16"
        );
    }

    #[test]
    fn packets_are_waited_for() {
        if let Err(error) = await_packets() {
            println!("NOT TESTED: the kernel has no membarrier: {error}");
        }
    }
}
