//! Watching an address from outside: `viaduct-demo probe` on the client's host, which says for how
//! long nobody answered, and `viaduct-demo whohas` on the monitor's, which says who did.
//!
//! Not here: what they do (`guest::probe`, `guest::whohas`).

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    Lab, find,
    process::Process,
    topology::{CLIENT, MONITOR},
    wait::{SOON, eventually},
};
use crate::guest::{
    outage::Probed,
    probe,
    slots::{self, Asked},
    whohas,
};

/// A stream of echoes from the client's host.
#[derive(Debug)]
pub struct Probing(Process);

/// A stream of questions from the monitor's host.
#[derive(Debug)]
pub struct Asking(Process);

/// How much a watcher needs the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// As everyone else.
    Ordinary,
    /// Before everyone else (real-time priority): a busy machine does not make it miss its times.
    First,
}

impl Urgency {
    /// The highest that this machine gives us.
    #[must_use]
    pub fn best() -> Self {
        let mut chrt = std::process::Command::new("chrt");
        match chrt.args(["--fifo", PRIORITY, "true"]).output() {
            Ok(out) if out.status.success() => Self::First,
            _ => Self::Ordinary,
        }
    }
}

/// Above what routers ask for themselves.
const PRIORITY: &str = "80";

impl Lab {
    /// Sends an echo to an address each millisecond, by the client's own neighbour cache.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn probe(&self, target: IpAddr, urgency: Urgency, more: &[&str]) -> Result<Probing> {
        let target = target.to_string();
        let args = [&["probe", "--target", &target], more].concat();
        Ok(Probing(self.watcher(CLIENT, &args, urgency)?))
    }

    /// Asks each 2 ms who has an address, from the monitor's host.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn who_has(&self, target: IpAddr, urgency: Urgency, more: &[&str]) -> Result<Asking> {
        let target = target.to_string();
        let args = [&["whohas", "--target", &target], more].concat();
        Ok(Asking(self.watcher(MONITOR, &args, urgency)?))
    }

    fn watcher(&self, host: &str, args: &[&str], urgency: Urgency) -> Result<Process> {
        let demo = find::program("viaduct-demo")?;
        match urgency {
            Urgency::Ordinary => self.spawn(host, args[0], demo, args),
            Urgency::First => {
                let demo = demo.to_string_lossy();
                let args = [&["--fifo", PRIORITY, &*demo], args].concat();
                self.spawn(host, args[2 + 1], "chrt", &args)
            }
        }
    }
}

impl Probing {
    /// How it goes.
    ///
    /// # Errors
    /// When it ended, or says something else than it should.
    pub fn progress(&self) -> Result<probe::Progress> {
        Ok(match self.0.last_line()? {
            Some(probe::Line::Progress(progress)) => progress,
            Some(probe::Line::Summary(_)) => bail!("ended too early: {}", self.0.story()),
            None => probe::Progress::default(),
        })
    }

    /// Waits until this many echoes in a row were answered at once.
    ///
    /// # Errors
    /// When they are not soon.
    pub fn wait_answered(&self, echoes: u64) -> Result<()> {
        let found = eventually(SOON, &format!("{echoes} answers in a row"), || {
            Ok((self.progress()?.streak >= echoes).then_some(()))
        });
        found.with_context(|| format!("{:?}\n{}", self.progress(), self.0.story()))
    }

    /// Ends it and gives what came of it.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn finish(&self) -> Result<Probed> {
        self.0.terminate()?;
        match self.0.last_line()? {
            Some(probe::Line::Summary(summary)) => Ok(summary),
            _ => bail!("no summary: {}", self.0.story()),
        }
    }
}

impl Asking {
    /// How it goes.
    ///
    /// # Errors
    /// When it ended, or says something else than it should.
    pub fn progress(&self) -> Result<slots::Progress> {
        Ok(match self.0.last_line()? {
            Some(whohas::Line::Progress(progress)) => progress,
            Some(whohas::Line::Summary(_)) => bail!("ended too early: {}", self.0.story()),
            None => slots::Progress::default(),
        })
    }

    /// Waits until this MAC alone has answered in so many slots in a row.
    ///
    /// # Errors
    /// When it does not soon.
    pub fn wait_for(&self, mac: &str, slots: u64) -> Result<()> {
        self.wait_until(&format!("{mac} alone to answer"), SOON, |now| {
            now.streak >= slots && now.macs == [mac]
        })
    }

    /// Waits until the progress is as `wanted`.
    ///
    /// # Errors
    /// When it is not by the deadline.
    pub fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&slots::Progress) -> bool,
    ) -> Result<()> {
        let found = eventually(deadline, what, || {
            Ok(wanted(&self.progress()?).then_some(()))
        });
        found.with_context(|| {
            format!(
                "{:?}
{}",
                self.progress(),
                self.0.story()
            )
        })
    }

    /// Ends it and gives what came of it.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn finish(&self) -> Result<Asked> {
        self.0.terminate()?;
        match self.0.last_line()? {
            Some(whohas::Line::Summary(summary)) => Ok(summary),
            _ => bail!("no summary: {}", self.0.story()),
        }
    }
}
