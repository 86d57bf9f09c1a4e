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
        loop {
            let (ticks, nanos) = read(program)?;
            if nanos - first_nanos >= APART_NANOS {
                let rate = u128::from(ticks - first_ticks) * 1_000_000_000
                    / u128::from(nanos - first_nanos);
                let rate = u32::try_from(rate).unwrap_or(u32::MAX);
                let hz = HZ
                    .into_iter()
                    .min_by_key(|hz| hz.abs_diff(rate))
                    .unwrap_or(rate);
                return Ok(Self { hz, ticks, nanos });
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

    /// The low half of the kernel's tick `elapsed` after this clock was measured.
    pub fn now(&self, elapsed: Duration) -> u32 {
        let ticks = u64::try_from(elapsed.as_nanos() * u128::from(self.hz) / 1_000_000_000);
        (self.ticks.wrapping_add(ticks.unwrap_or(u64::MAX)) & 0xffff_ffff) as u32
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
