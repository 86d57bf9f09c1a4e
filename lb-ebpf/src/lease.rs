//! Whether a virtual router's VIPs are served now: its lease against the kernel's tick; and what
//! becomes of frames to VIPs and Ethernet addresses by that.
//!
//! The protocol thread renews it with each advert. Where that is killed, stopped or hung, the lease
//! runs out by itself, before another director takes over. Not here: who writes it (lb-user's
//! `datapath::Leases`).

use core::sync::atomic::Ordering;

use crate::abi::{
    ANSWERS_UNTIL, FORWARDS_UNTIL, Interface, ROUTERS, Reason, VIRTUAL_MACS, VirtualMac,
};
use crate::frame::Frame;
use crate::lookups::{Found, Lookups};
use crate::parse::vlan_of;
use crate::stage;
use crate::steer::{Outcome, Stage, Verdict};
use crate::wire::eth::Eth;

/// Whether ARP requests, neighbour solicitations and pings for a router's VIPs are answered at tick `now`,
/// and frames to its own Ethernet address taken.
#[inline(always)]
pub fn answers<L: Lookups + ?Sized>(router: u32, lookups: &L, now: u64) -> bool {
    runs::<L, ANSWERS_UNTIL>(router, lookups, now)
}

/// Whether packets to a router's VIPs are forwarded at tick `now`.
#[inline(always)]
pub fn forwards<L: Lookups + ?Sized>(router: u32, lookups: &L, now: u64) -> bool {
    runs::<L, FORWARDS_UNTIL>(router, lookups, now)
}

#[inline(always)]
fn runs<L: Lookups + ?Sized, const WORD: usize>(router: u32, lookups: &L, now: u64) -> bool {
    match lookups.lease(router) {
        Some(lease) => now < lease[WORD].load(Ordering::Acquire),
        None => false,
    }
}

/// Whether a VIP is served: it is no virtual router's, or that one has a lease.
#[inline(always)]
pub(crate) fn is_served<L: Lookups + ?Sized>(
    vip: Found,
    lookups: &L,
    now: impl Fn() -> u64,
) -> bool {
    vip.router() == 0 || forwards(vip.router() - 1, lookups, now())
}

/// A packet to a VIP whose virtual router has no lease: the host's own, where that is a real server which
/// another director may have chosen, or has the address itself; else nobody's.
#[inline(always)]
pub(crate) const fn unserved(vip: Found) -> Verdict {
    if vip.is_local() {
        Verdict::pass(Reason::NotActiveLocal)
    } else {
        Verdict::drop(Reason::NotActive)
    }
}

/// A frame that is not addressed to the interface: one that is addressed to a virtual router's own
/// Ethernet address becomes one that is, while the router answers: once it has stepped down, the address is
/// another director's, and both may get what a switch has yet to learn. Of others, those may be ours that
/// ask all for a VIP.
#[inline(always)]
pub(crate) fn adopt<F, L, N>(
    frame: &mut F,
    eth: &Eth,
    interface: &Interface,
    lookups: &L,
    ingress: u32,
    now: N,
) -> Result<(), Outcome>
where
    F: Frame + ?Sized,
    L: Lookups + ?Sized,
    N: Fn() -> u64 + Copy,
{
    let other = Err(Outcome::Done(Verdict::pass(Reason::NotOurMac)));
    if eth.destination.is_group() {
        if interface.flags & ROUTERS != 0 && stage::asks(frame, eth) {
            return Err(Outcome::Call(Stage::Neighbour));
        }
        return other;
    }
    if interface.flags & VIRTUAL_MACS == 0 {
        return other;
    }
    let mac = VirtualMac {
        ifindex: ingress,
        vlan: vlan_of(frame, eth),
        mac: eth.destination,
    };
    let Some(router) = lookups.virtual_mac(&mac) else {
        return other;
    };
    if !answers(router, lookups, now()) {
        return Err(Outcome::Done(Verdict::drop(Reason::NotActive)));
    }
    // The stack, and whoever reads the frame anew, takes it from here on.
    match frame.write(0, &interface.mac) {
        Some(()) => Ok(()),
        None => Err(Outcome::Done(Verdict::pass(Reason::Truncated))),
    }
}
