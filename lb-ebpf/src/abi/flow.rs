//! Flows that the ring alone would misplace, and next hops the program misses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Addr, Be16};

/// A flow of a service; the service's id stands for VIP, port and protocol.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct FlowKey {
    /// The client's address.
    pub client: Addr,
    /// The service's id.
    pub service: u32,
    /// The client's port.
    pub port: Be16,
    /// Zero.
    pub _pad: u16,
}

/// Where a flow goes, whatever the ring says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Flow {
    /// Kernel tick (low half of `jiffies64`) of its last packet.
    pub seen: u32,
    /// Member of the service.
    pub member: u16,
    /// Zero.
    pub _pad: u16,
}

impl Flow {
    /// Whether its last packet is longer ago than `timeout` ticks.
    ///
    /// Clocks differ: a packet that another CPU, or the kernel after the daemon asked for the time,
    /// has just seen may be dated a little after `now`. That is not the distant past.
    #[inline(always)]
    pub const fn is_expired(&self, now: u32, timeout: u32) -> bool {
        // Wrapped differences: right for up to 2^31 ticks, 24 days at 1000 a second.
        now.wrapping_add(SKEW).wrapping_sub(self.seen) > timeout.saturating_add(SKEW)
    }
}

/// Ticks that two clocks may differ by: 17 minutes at 1000 a second.
const SKEW: u32 = 1 << 20;

/// A next hop the kernel has no Ethernet address for: the daemon has it resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Unresolved {
    /// The client that a reply could not be sent to.
    pub destination: Addr,
    /// Interface the reply came in by.
    pub ifindex: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_expires_after_its_timeout_also_across_the_wrap() {
        let flow = Flow {
            seen: u32::MAX - 9,
            member: 0,
            _pad: 0,
        };
        assert!(!flow.is_expired(u32::MAX - 9, 100));
        assert!(!flow.is_expired(90, 100));
        assert!(flow.is_expired(91, 100));
    }

    #[test]
    fn a_flow_that_was_seen_after_now_is_alive() {
        let flow = Flow {
            seen: 1003,
            member: 0,
            _pad: 0,
        };
        assert!(!flow.is_expired(1000, 100));
        assert!(!Flow { seen: 2, ..flow }.is_expired(u32::MAX, 100));
    }
}
