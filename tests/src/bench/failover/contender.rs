//! Who is measured: a pair of directors of one make.
//!
//! Of keepalived the host's own kernel answers at the VIP, of ours the data plane does; either way
//! an outage is as long as nobody has the VIP. Not here: what is done to them (`fault`).

use std::{
    fmt::{self, Display},
    time::Duration,
};

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::lab::{
    Lab,
    director::Director,
    keepalived::{self, Keepalived},
    router::VirtualRouter,
    site::{Service, Site},
    topology::{LB1, LB2, Method, two_directors},
};

/// A make of director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// Ours, with default settings.
    Viaduct,
    /// keepalived with default settings.
    Keepalived,
    /// keepalived with real-time priority and a limit that does not kill it.
    KeepalivedTuned,
}

impl Contender {
    /// In the order of the table.
    pub(super) const ALL: [Self; 3] = [Self::Viaduct, Self::Keepalived, Self::KeepalivedTuned];

    /// A network for a pair.
    ///
    /// # Errors
    /// When this machine cannot hold it.
    pub(super) fn network(self) -> Result<Lab> {
        Lab::build(two_directors(Method::Dr, 0))
    }

    /// Starts the pair.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub(super) fn start(self, lab: &Lab, interval: Duration) -> Result<[Node<'_>; 2]> {
        let [one, two] = keepalived::pair(interval);
        let [one, two] = match self {
            Self::Viaduct => {
                let site = Site::new(vec![Service::web(Method::Dr, 2)])
                    .router(VirtualRouter::new(interval));
                let start = |host| Director::start(lab, host, &site).map(Node::Viaduct);
                return Ok([start(LB1)?, start(LB2)?]);
            }
            Self::Keepalived => [one, two],
            Self::KeepalivedTuned => [one.tuned(), two.tuned()],
        };
        let start = |host, router| Keepalived::start(lab, host, router).map(Node::Keepalived);
        Ok([start(LB1, &one)?, start(LB2, &two)?])
    }
}

impl Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viaduct => "viaduct",
            Self::Keepalived => "keepalived",
            Self::KeepalivedTuned => "keepalived_tuned",
        })
    }
}

/// One of a pair.
pub(super) enum Node<'l> {
    Viaduct(Director<'l>),
    Keepalived(Keepalived<'l>),
}

impl Node<'_> {
    /// Kills the daemon, all processes of it at once.
    pub(super) fn kill(&self) -> Result<()> {
        match self {
            Self::Viaduct(director) => director.daemon().kill_group().map(drop),
            Self::Keepalived(keepalived) => keepalived.kill().map(drop),
        }
    }

    /// Stops it where it is.
    pub(super) fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Self::Viaduct(director) => director.daemon().signal_group(signal),
            Self::Keepalived(keepalived) => keepalived.daemon().signal_group(signal),
        }
    }

    /// Ends it as systemd would.
    pub(super) fn stop(&self) -> Result<()> {
        match self {
            Self::Viaduct(director) => director.stop().map(drop),
            Self::Keepalived(keepalived) => keepalived.stop().map(drop),
        }
    }

    /// Starts it again after its end.
    pub(super) fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Viaduct(director) => director.start_again(),
            Self::Keepalived(keepalived) => keepalived.start_again(),
        }
    }

    /// Removes what it left in its host's kernel, as a reboot does.
    pub(super) fn forget(&self) -> Result<()> {
        match self {
            Self::Viaduct(director) => director.detach(),
            Self::Keepalived(keepalived) => keepalived.forget(),
        }
    }
}
