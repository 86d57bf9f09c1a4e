//! The kernel's tick, which flows are dated by: how long it is and where it stands. Asked of the
//! kernel by running a small program of ours, since no file tells it.

use std::time::Duration;

use aya::programs::{TestRunOptions, Xdp};
use aya::{Ebpf, TestRun as _};
use lb_ebpf::abi::name;

use super::Error;

/// The tick's length and one moment in both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Ticks a second: the kernel's CONFIG_HZ.
    pub hz: u32,
    ticks: u64,
    nanos: u64,
    /// A tick, and a moment soon after it began.
    begun: (u64, u64),
}

/// What CONFIG_HZ can be.
const HZ: [u32; 4] = [100, 250, 300, 1000];
/// Between the two looks at the clocks: 12 ticks at 100 a second, and 6 between 250 and 300.
const APART_NANOS: u64 = 120_000_000;

impl Clock {
    /// Watches the two clocks run for 120 ms.
    pub(super) fn measure(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let program = ebpf
            .program_mut(name::PROGRAM_CLOCK)
            .ok_or(Error::Missing(name::PROGRAM_CLOCK))?;
        let program: &mut Xdp = program.try_into().map_err(Error::program)?;
        if program.fd().is_err() {
            program.load().map_err(Error::program)?;
        }
        let (first_ticks, first_nanos) = read(program)?;
        let (mut before, mut begun, mut within) = (
            (first_ticks, first_nanos),
            (first_ticks, first_nanos),
            u64::MAX,
        );
        loop {
            let (ticks, nanos) = read(program)?;
            // It began between the last look and this one.
            if ticks != before.0 && nanos - before.1 < within {
                (begun, within) = ((ticks, nanos), nanos - before.1);
            }
            before = (ticks, nanos);
            if nanos - first_nanos >= APART_NANOS {
                let rate = u128::from(ticks - first_ticks) * 1_000_000_000
                    / u128::from(nanos - first_nanos);
                let rate = u32::try_from(rate).unwrap_or(u32::MAX);
                let hz = HZ
                    .into_iter()
                    .min_by_key(|hz| hz.abs_diff(rate))
                    .unwrap_or(rate);
                return Ok(Self {
                    hz,
                    ticks,
                    nanos,
                    begun,
                });
            }
        }
    }

    /// A duration in ticks, rounded down, at most 2^31 - 1 of them.
    pub fn ticks(&self, duration: Duration) -> u32 {
        let ticks = duration.as_millis() * u128::from(self.hz) / 1000;
        u32::try_from(ticks)
            .unwrap_or(u32::MAX)
            .min(i32::MAX as u32)
    }

    /// The last tick to begin by a moment, in nanoseconds of the monotonic clock. The kernel's ticks are
    /// whole nanoseconds long, 300 a second a little short.
    pub(super) fn tick_by(&self, nanos: u64) -> u64 {
        let (ticks, since) = self.begun;
        let length = (1_000_000_000 + u64::from(self.hz) / 2) / u64::from(self.hz.max(1));
        match nanos.checked_sub(since) {
            Some(later) => ticks.saturating_add(later / length),
            None => ticks.saturating_sub((since - nanos).div_ceil(length)),
        }
    }

    /// The kernel's tick `elapsed` after this clock was measured.
    pub fn tick(&self, elapsed: Duration) -> u64 {
        let ticks = u64::try_from(elapsed.as_nanos() * u128::from(self.hz) / 1_000_000_000);
        self.ticks.wrapping_add(ticks.unwrap_or(u64::MAX))
    }

    /// The low half of [`Self::tick`], which flows are dated by.
    pub fn now(&self, elapsed: Duration) -> u32 {
        (self.tick(elapsed) & 0xffff_ffff) as u32
    }
}

#[cfg(test)]
impl Clock {
    /// A clock whose tick `ticks` began at `nanos`.
    pub(super) const fn of(hz: u32, ticks: u64, nanos: u64) -> Self {
        Self {
            hz,
            ticks,
            nanos,
            begun: (ticks, nanos),
        }
    }
}

/// One look at both clocks: ticks, nanoseconds.
fn read(program: &Xdp) -> Result<(u64, u64), Error> {
    let mut frame = [0u8; 64];
    let mut options = TestRunOptions::new();
    options.data_in = Some(&[0; 64]);
    options.data_out = Some(&mut frame);
    program.test_run(options).map_err(Error::program)?;
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&frame[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    Ok((word(0), word(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_tick_that_has_begun_by_then() {
        let clock = Clock::of(250, 1000, 50_000_000);
        let tick = |millis: u64| clock.tick_by(millis * 1_000_000);
        assert_eq!([50, 53, 54, 58].map(tick), [1000, 1000, 1001, 1002]);
        assert_eq!([49, 46, 45].map(tick), [999, 999, 998], "before it");
        assert_eq!(clock.tick_by(0), 987);
        assert_eq!(Clock::of(250, 3, 50_000_000).tick_by(0), 0);
    }

    #[test]
    fn ticks_of_a_third_of_ten_milliseconds_do_not_drift() {
        let clock = Clock::of(300, 0, 0);
        // As the kernel counts them: 3,333,333 ns each.
        let year = 365 * 24 * 3_600_000_000_000_u64;
        assert_eq!(clock.tick_by(year), year / 3_333_333);
    }
}
