//! A steady beat for guests that measure outages, and the kernel's word on when a packet came.
//!
//! Not here: what is sent at each beat (`probe`, `whohas`).

use std::{
    io::IoSliceMut,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Result, bail};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
    time::{ClockId, clock_gettime},
};

/// For how long answers are still taken after the last question.
const GRACE: Duration = Duration::from_millis(300);

/// What it is time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// The next question.
    Due,
    /// Reading what came.
    Readable,
    /// The end: by number, time or a signal, and no answer can come any more.
    Over,
}

/// The beat: bounded in number and time, ended early by SIGTERM and SIGINT.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Duration,
    left: u32,
    end: Duration,
    signals: SignalFd,
    /// Beats left out because this program did not run when they were due.
    pub(super) skipped: u64,
}

impl Pace {
    /// Starts it.
    ///
    /// # Errors
    /// When signals cannot be had.
    pub(super) fn start(interval: Duration, count: u32, limit: Duration) -> Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTERM);
        mask.add(Signal::SIGINT);
        mask.thread_block()?;
        let now = clock(ClockId::CLOCK_MONOTONIC)?;
        Ok(Self {
            interval,
            next: now,
            left: count,
            end: now + limit,
            signals: SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            skipped: 0,
        })
    }

    /// Waits for what is next. A beat missed is left out, not made up for.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub(super) fn wait(&mut self, socket: &OwnedFd) -> Result<Beat> {
        loop {
            let now = clock(ClockId::CLOCK_MONOTONIC)?;
            if self.left > 0 && (now >= self.end || self.signals.read_signal()?.is_some()) {
                self.left = 0;
                self.end = now + GRACE;
            }
            if self.left == 0 && now >= self.end {
                return Ok(Beat::Over);
            }
            if self.left > 0 && now >= self.next {
                self.beat(now);
                return Ok(Beat::Due);
            }
            let until = if self.left == 0 { self.end } else { self.next };
            let mut fds = [
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match ppoll(&mut fds, Some(TimeSpec::from(until - now)), None) {
                Ok(_) if fds[0].any().unwrap_or(false) => return Ok(Beat::Readable),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(other) => bail!("cannot wait: {other}"),
            }
        }
    }

    fn beat(&mut self, now: Duration) {
        self.left -= 1;
        if self.left == 0 {
            self.end = now + GRACE;
        }
        self.next += self.interval;
        while self.next <= now {
            self.next += self.interval;
            self.skipped += 1;
        }
    }
}

/// Microseconds since 1970, of the clock that the kernel stamps packets with.
pub(super) fn stamp() -> Result<u64> {
    micros(clock(ClockId::CLOCK_REALTIME)?)
}

/// Makes the kernel stamp what comes, and keep much of it for us.
pub(super) fn prepare(socket: &OwnedFd) -> Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(socket, sockopt::RcvBuf, &(1 << 20))?;
    Ok(())
}

/// The next packet that came, and when the kernel had it; none when there is none.
///
/// # Errors
/// When the socket is broken, or the kernel gave no stamp.
pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<(usize, u64)>> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut into = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut control), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
        Err(other) => bail!("cannot receive: {other}"),
    };
    let stamp = message.cmsgs()?.find_map(|control| {
        if let ControlMessageOwned::ScmTimestampns(stamp) = control {
            Some(Duration::from(stamp))
        } else {
            None
        }
    });
    match stamp {
        Some(stamp) => Ok(Some((message.bytes, micros(stamp)?))),
        None => bail!("the kernel did not stamp a packet"),
    }
}

fn clock(id: ClockId) -> Result<Duration> {
    Ok(clock_gettime(id)?.into())
}

fn micros(time: Duration) -> Result<u64> {
    Ok(u64::try_from(time.as_micros())?)
}
