//! The leases of virtual routers, as the protocol thread writes them: plain stores into the map that
//! packets read, no call of the kernel.
//!
//! A lease is never longer than asked for: a moment is rounded down to a tick, by a clock that knows when
//! ticks begin. Not here: for how long one may be asked for (`vrrp`), and what a packet makes of it
//! (`lb_ebpf::lease`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lb_ebpf::abi::{ANSWERS_UNTIL, FORWARDS_UNTIL};
use nix::time::{ClockId, clock_gettime};

use super::mapped::Mapped;
use super::maps::RouterWords;
use super::{Clock, Maps};
use crate::time;

/// The leases of all virtual routers of this host, by index. An index beyond
/// [`ROUTERS_MAX`](lb_ebpf::abi::ROUTERS_MAX) has none.
#[derive(Clone, Debug)]
pub struct Leases {
    routers: Arc<Mapped<RouterWords>>,
    clock: Clock,
    /// One moment, as the kernel's programs count it and as we do.
    moment: (u64, Instant),
}

impl Leases {
    /// The router answers and forwards until then.
    pub fn renew(&self, router: u16, until: Instant) {
        let tick = self.tick(until);
        self.set(router, ANSWERS_UNTIL, tick);
        self.set(router, FORWARDS_UNTIL, tick);
    }

    /// The router answers no more from now on, and forwards what still comes until `linger`.
    pub fn step_down(&self, router: u16, linger: Instant) {
        self.set(router, ANSWERS_UNTIL, 0);
        self.set(router, FORWARDS_UNTIL, self.tick(linger));
    }

    /// No router answers or forwards.
    pub fn clear(&self) {
        for [answers, forwards, ..] in self.routers.iter() {
            answers.store(0, Ordering::Release);
            forwards.store(0, Ordering::Release);
        }
    }

    fn set(&self, router: u16, word: usize, tick: u64) {
        if let Some(words) = self.routers.get(usize::from(router)) {
            words[word].store(tick, Ordering::Release);
        }
    }

    /// The tick that a lease ends with: it has begun by then.
    fn tick(&self, until: Instant) -> u64 {
        let (nanos, moment) = self.moment;
        let whole = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.clock
            .tick_by(match until.checked_duration_since(moment) {
                Some(later) => nanos.saturating_add(whole(later)),
                None => nanos.saturating_sub(whole(moment.duration_since(until))),
            })
    }
}

impl Maps {
    /// The leases, for whoever is to write them.
    pub fn leases(&self, clock: &Clock) -> Leases {
        Leases {
            routers: Arc::clone(&self.routers),
            clock: *clock,
            moment: moment(),
        }
    }

    /// Puts a lease where it belongs, in ticks: for tests.
    pub fn put_lease(&mut self, router: u16, until: [u64; 2]) {
        if let Some(words) = self.routers.get(usize::from(router)) {
            for (word, until) in words.iter().zip(until) {
                word.store(until, Ordering::Release);
            }
        }
    }

    /// No router answers for its VIPs: whoever renewed a lease is gone. What it forwards ends with its
    /// lease; another director may not have taken over yet.
    pub(super) fn stop_answering(&self) {
        for words in self.routers.iter() {
            words[ANSWERS_UNTIL].store(0, Ordering::Release);
        }
    }
}

/// Looks at both clocks so often; the two looks that are nearest count.
const LOOKS: u32 = 16;

/// One moment in nanoseconds of the monotonic clock, and the same as an [`Instant`] or a little later:
/// so that no lease is longer than meant.
fn moment() -> (u64, Instant) {
    let look = || {
        let before = time::now();
        let nanos = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |at| {
            u64::try_from(Duration::from(at).as_nanos()).unwrap_or(0)
        });
        let after = time::now();
        (after.duration_since(before), nanos, after)
    };
    let looks = (1..LOOKS).map(|_| look());
    let (_, nanos, after) = looks.fold(
        look(),
        |best, next| if next.0 < best.0 { next } else { best },
    );
    (nanos, after)
}

#[cfg(test)]
mod tests {
    use aya::maps::{Array, Map, MapData};

    use super::super::mapped::Access;
    use super::super::scratch;
    use super::*;

    /// Leases of four routers, the tick 1000 beginning now and lasting 4 ms; or a loud reason why not.
    fn leases() -> Option<Leases> {
        let pins = scratch::pins()?;
        let pin = pins.join("routers");
        let map = Array::<MapData, [u64; 4]>::create(4, 1 << 10).unwrap();
        map.pin(&pin).unwrap();
        let map = Map::from_map_data(MapData::from_pin(&pin).unwrap()).unwrap();
        let Map::Array(map) = map else {
            panic!("not an array");
        };
        let (nanos, now) = moment();
        Some(Leases {
            routers: Arc::new(Mapped::new("test", &map, Access::Write).unwrap()),
            clock: Clock::of(250, 1000, nanos),
            moment: (nanos, now),
        })
    }

    fn words(leases: &Leases, router: usize) -> [u64; 2] {
        [ANSWERS_UNTIL, FORWARDS_UNTIL]
            .map(|word| leases.routers[router][word].load(Ordering::Acquire))
    }

    #[test]
    fn a_lease_ends_with_the_last_tick_that_begins_in_time() {
        let Some(leases) = leases() else { return };
        let after = |micros| leases.moment.1 + Duration::from_micros(micros);
        leases.renew(1, after(30_000));
        assert_eq!(words(&leases, 1), [1007, 1007], "28 ms, not 32");
        leases.renew(1, after(31_999));
        assert_eq!(words(&leases, 1), [1007, 1007]);
        leases.renew(1, after(32_000));
        assert_eq!(words(&leases, 1), [1008, 1008]);
        leases.step_down(1, after(1_000_000));
        assert_eq!(words(&leases, 1), [0, 1250]);
        leases.renew(2, after(0) - Duration::from_millis(1));
        assert_eq!(words(&leases, 2), [999, 999], "over already");
        leases.renew(4, after(1));
        leases.clear();
        assert_eq!(
            [0, 1, 2, 3].map(|router| words(&leases, router)),
            [[0; 2]; 4]
        );
    }

    #[test]
    fn both_clocks_are_one() {
        let (nanos, then) = moment();
        let (later, now) = moment();
        let differ = (now - then).as_nanos().abs_diff(u128::from(later - nanos));
        assert!(differ < 1_000_000_000, "{differ} ns apart");
    }
}
