//! What happens to the first director, and how it is taken back.
//!
//! Not here: what a contender does for it (`contender`).

use anyhow::Result;

use super::contender::Node;
use crate::lab::{Lab, topology::LB1};

/// Something that happens to the Active director; taken back, it is Active again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The host is gone: nothing comes from it, nothing tells.
    Death,
    /// The daemon is killed, its host lives on.
    Kill,
    /// The daemon is stopped, as by a debugger.
    Freeze,
    /// The cable is pulled.
    Unplug,
    /// The daemon is asked to end.
    Stop,
    /// The switch drops all that comes from the host and goes to it; the daemon lives.
    Cut,
}

impl Fault {
    /// In the order of the table.
    pub(super) const ALL: [Self; 6] = [
        Self::Death,
        Self::Kill,
        Self::Freeze,
        Self::Unplug,
        Self::Stop,
        Self::Cut,
    ];

    /// What it and its undoing are called.
    pub(super) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Death => ["node death", "return after death"],
            Self::Kill => ["kill -9", "restart after kill -9"],
            Self::Freeze => ["SIGSTOP", "SIGCONT"],
            Self::Unplug => ["link down", "link up"],
            Self::Stop => ["graceful stop", "preempt back"],
            Self::Cut => ["partition", "heal"],
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn make(self, lab: &Lab, one: &Node<'_>) -> Result<()> {
        match self {
            Self::Death => {
                lab.cut(LB1)?;
                one.kill()
            }
            Self::Kill => one.kill(),
            Self::Freeze => one.pause(),
            Self::Unplug => lab.unplug(LB1),
            Self::Stop => one.stop(),
            Self::Cut => lab.cut(LB1),
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) fn undo(self, lab: &Lab, one: &mut Node<'_>) -> Result<()> {
        match self {
            Self::Death => {
                // What was dead has forgotten all.
                one.forget()?;
                lab.rejoin(LB1)?;
                one.start_again()
            }
            Self::Kill | Self::Stop => one.start_again(),
            Self::Freeze => one.resume(),
            Self::Unplug => lab.plug(LB1),
            Self::Cut => lab.rejoin(LB1),
        }
    }
}
