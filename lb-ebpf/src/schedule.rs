//! Schedulers that look at more than the flow: by turns (rr, wrr) and by connections (lc, wlc).
//!
//! Not here: the order of the turns (lb-user's `tables`), the ring ([`crate::select`]).

use core::sync::atomic::Ordering::Relaxed;

use crate::abi::{Service, scheduler};
use crate::lookups::Lookups;
use crate::select;

/// Turns that are tried before a service counts as without a willing server: an order is made anew
/// as soon as one changes, so what is in it is willing but for moments.
const TURNS_TRIED: u32 = 8;
/// Members that are looked at for the fewest connections: as many as a service of these schedulers
/// may have.
pub const MEMBERS_SEEN: u16 = 128;

/// The real server whose turn it is (LVS's `rr` and `wrr`): one for all CPUs, so the order is exact.
#[inline(always)]
pub fn by_turns<L: Lookups + ?Sized>(service: &Service, lookups: &L) -> Option<u32> {
    if service.turns_len == 0 {
        return None;
    }
    let turns = lookups.turn(service.id)?;
    for _ in 0..TURNS_TRIED {
        let turn = turns.fetch_add(1, Relaxed) % u64::from(service.turns_len);
        #[expect(clippy::cast_possible_truncation, reason = "below turns_len")]
        let slot = lookups.slot(service.turns + turn as u32)?;
        let Some(id) = select::member(lookups, service, slot.current()) else {
            continue;
        };
        let is_willing = lookups
            .real(id)
            .is_some_and(|real| select::is_willing(real, service));
        if is_willing {
            return Some(id);
        }
    }
    None
}

/// The real server with the fewest connections (LVS's `lc` and `wlc`: an active one counts as 256
/// inactive ones), for its weight where the scheduler says so. Of equals, the first.
#[inline(always)]
pub fn least<L: Lookups + ?Sized>(service: &Service, lookups: &L) -> Option<u32> {
    let weighted = service.scheduler == scheduler::WEIGHTED_LEAST;
    // The id plus one, where there is one: an `Option` without a value holds none, and the verifier
    // wants every register to.
    let (mut best, mut best_load, mut best_weight) = (0, 0, 1);
    for member in 0..MEMBERS_SEEN {
        if member >= service.members_len {
            break;
        }
        let Some(id) = select::member(lookups, service, member) else {
            continue;
        };
        let Some(real) = lookups.real(id) else {
            continue;
        };
        let weight = if weighted { u64::from(real.weight) } else { 1 };
        if !select::is_willing(real, service) {
            continue;
        }
        let Some([active, inactive]) = lookups.connections(id) else {
            continue;
        };
        let load = u64::from(active.load(Relaxed)) * 256 + u64::from(inactive.load(Relaxed));
        // load / weight < best_load / best_weight, without dividing.
        if best == 0 || load * best_weight < best_load * weight {
            (best, best_load, best_weight) = (id + 1, load, weight);
        }
    }
    best.checked_sub(1)
}
