//! Tables that are found by an address: VIPs and the director's own addresses by where a packet
//! goes, nat real servers by where it comes from. Each entry leads to what is at its ports.
//!
//! A table is a plain array with linear probing, written by the daemon. An entry's two words are
//! written whole, one at a time: a packet sees the ports before a change or after it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Addr;

/// Entries of each table; a power of two, at most a quarter of which is ever used.
pub const ADDRESS_SLOTS: u32 = 131_072;
/// Places after the first that an address may have been put to.
pub const PROBES_MAX: u32 = 16;

/// An address, and where its ports are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AddressEntry {
    /// The address; all zero where no address ever was, which ends a search.
    pub address: Addr,
    /// Its TCP ports.
    pub tcp: Ports,
    /// Its UDP ports.
    pub udp: Ports,
}

/// A stretch of `SEGMENTS`, as one word.
#[derive(Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Ports(u64);

const IS_VIP: u64 = 1 << 63;
const IS_THERE: u64 = 1 << 62;
const IS_LOCAL: u64 = 1 << 59;
const ROUTER: u32 = 48;
const ROUTER_MASK: u64 = 0x7ff;
const _: () = assert!(super::ROUTERS_MAX as u64 <= ROUTER_MASK);

impl Ports {
    /// No ports; where both protocols say so, the address is nobody's.
    pub const NONE: Self = Self(0);

    /// `len` segments from `at` on, which begin with port 0 and are in the order of ports. With no
    /// segments, the address is there and nothing is served at its ports.
    pub const fn new(at: u32, len: u16, is_vip: bool) -> Self {
        let vip = if is_vip { IS_VIP } else { 0 };
        Self(IS_THERE | vip | (len as u64) << 32 | at as u64)
    }

    /// Of a VIP that is the virtual router's with this index; `is_local` where the host's own stack gets
    /// its packets while another director serves it: a service at the VIP has this host itself as a real
    /// server, or the VIP is an address of the host. Both words of an address say the same.
    #[must_use]
    pub const fn of_router(self, index: u16, is_local: bool) -> Self {
        let local = if is_local { IS_LOCAL } else { 0 };
        Self(self.0 | local | ((index as u64 + 1) & ROUTER_MASK) << ROUTER)
    }

    /// The virtual router whose VIP it is: its index, plus one; 0: none, the VIP is always served.
    #[inline(always)]
    pub const fn router(self) -> u32 {
        (self.0 >> ROUTER & ROUTER_MASK) as u32
    }

    /// Whether packets to a virtual router's VIP are the stack's while another director serves it.
    #[inline(always)]
    pub const fn is_local(self) -> bool {
        self.0 & IS_LOCAL != 0
    }

    /// Whether the address is in the table.
    #[inline(always)]
    pub const fn is_there(self) -> bool {
        self.0 & IS_THERE != 0
    }

    /// Whether the address is a VIP: its malformed packets are dropped by name. Others (the
    /// director's own, real servers') have theirs passed.
    #[inline(always)]
    pub const fn is_vip(self) -> bool {
        self.0 & IS_VIP != 0
    }

    /// First segment.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub const fn at(self) -> u32 {
        self.0 as u32
    }

    /// Number of segments.
    #[inline(always)]
    pub const fn len(self) -> u32 {
        (self.0 >> 32) as u32 & 0xffff
    }

    /// Whether there are no segments.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl core::fmt::Debug for Ports {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let vip = if self.is_vip() { " of a VIP" } else { "" };
        write!(f, "{}+{}{vip}", self.at(), self.len())?;
        match self.router() {
            0 => Ok(()),
            router => write!(f, ", router {}", router - 1),
        }
    }
}

/// A run of ports with one meaning, up to the first port of the next segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// What is there: an index, or [`Self::NOTHING`] or [`Self::POOL`].
    pub index: u32,
    /// First port, in the machine's order.
    pub from: u16,
    /// Zero.
    pub _pad: u16,
}

impl Segment {
    /// [`Self::index`]: nothing is served here.
    pub const NOTHING: u32 = u32::MAX;
    /// [`Self::index`]: ports that fullnat takes for its own; their packets are replies.
    pub const POOL: u32 = u32::MAX - 1;

    /// A run of ports from `from` on.
    pub const fn new(from: u16, index: u32) -> Self {
        Self {
            index,
            from,
            _pad: 0,
        }
    }
}

/// Where a search for an address begins; the places after it follow, modulo [`ADDRESS_SLOTS`].
#[inline(always)]
pub const fn address_slot(address: &Addr) -> u32 {
    let (high, low) = address.halves();
    let mixed = (high ^ low.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        ^ low;
    let mixed = mixed.wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 40) as u32 & (ADDRESS_SLOTS - 1)
}

/// A VIP prefix, as the kernel's LPM trie finds it: the same two words.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PrefixEntry {
    /// TCP ports.
    pub tcp: Ports,
    /// UDP ports.
    pub udp: Ports,
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn ports_tell_what_they_were_made_of() {
        let ports = Ports::new(70_000, 9, true);
        assert_eq!((ports.at(), ports.len()), (70_000, 9));
        assert!(ports.is_there() && ports.is_vip());
        assert!(!Ports::NONE.is_there());
        assert!(!Ports::new(0, 0, false).is_vip());
        assert_eq!((ports.router(), ports.is_local()), (0, false));
        let last = ports.of_router(1023, true);
        assert_eq!((last.router(), last.is_local()), (1024, true));
        assert_eq!((last.at(), last.len(), last.is_vip()), (70_000, 9, true));
        assert_eq!(ports.of_router(0, false).router(), 1);
    }

    #[test]
    fn neighbouring_addresses_begin_apart() {
        let mut seen = [0u8; ADDRESS_SLOTS as usize / 8];
        for last in 0..4096u32 {
            let address = Addr::from(Ipv4Addr::from(0x0a00_0000 + last));
            let at = address_slot(&address) as usize / 8;
            seen[at] += 1;
        }
        assert!(seen.iter().all(|n| *n < 16), "a crowd among 4096 addresses");
    }
}
