//! The edge: asks the host for facts, carries steps out, and goes the way back.
//!
//! Not here: which steps (`plan`, `memory`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{ALL, Facts, Knob, Sysctl};
use super::memory::Back;
use super::plan::{Refusal, Step};
use crate::datapath::{self, FarEnd, Mode};
use crate::network::Xdp;
use crate::network::netlink::{self, Netlink};
use crate::preflight;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It makes no sense here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The kernel's network.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The far end.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// A switch.
    #[error("{sysctl} cannot be set: {source}; in a container, let its runtime set it")]
    Sysctl {
        /// Which.
        sysctl: Sysctl,
        /// Why.
        source: io::Error,
    },
    /// The memory.
    #[error("{}: {source}; name another place with --state", path.display())]
    State {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No loopback interface.
    #[error("this host has no loopback interface, where VIPs could be")]
    NoLoopback,
    /// A step of the way back failed.
    #[error("not done: {what}: {source}; it is still noted: mend that, and run undo again")]
    HalfUndone {
        /// The step.
        what: String,
        /// Why.
        source: Box<Self>,
    },
    /// A step failed.
    #[error("not done: {what}: {source}; {}", undone(.left))]
    HalfWay {
        /// The step.
        what: String,
        /// Why.
        source: Box<Self>,
        /// What could not be undone.
        left: Vec<String>,
    },
}

fn undone(left: &[String]) -> String {
    match left.is_empty() {
        true => "what was done before is undone".to_owned(),
        false => format!(
            "what was done before is undone, but for: {}",
            left.join("; ")
        ),
    }
}

/// How often it is looked whether a program is off: a second in all.
const LOOKS_MAX: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// This host.
#[derive(Debug)]
pub(super) struct Host {
    netlink: Netlink,
}

impl Host {
    pub(super) fn open() -> Result<Self, Error> {
        let netlink = Netlink::open()?;
        Ok(Self { netlink })
    }

    /// Looks at the host; at the far end only if `pins` are named.
    pub(super) async fn facts(&self, pins: Option<&Path>) -> Result<Facts, Error> {
        let interfaces = self.netlink.interfaces().await?;
        let names = interfaces.iter().map(|one| one.name.as_str());
        let sysctls = names.chain([ALL]).flat_map(|interface| {
            let of = move |knob: Knob| knob.of(interface);
            Knob::ALL.into_iter().map(of)
        });
        let sysctls = sysctls.filter_map(|sysctl| Some((sysctl.clone(), read(&sysctl)?)));
        Ok(Facts {
            sysctls: sysctls.collect(),
            interfaces,
            addresses: self.netlink.addresses().await?,
            default_routes: self.netlink.default_routes().await?,
            far_end: pins.map_or_else(|| Ok(FarEnd::default()), datapath::far_end)?,
            lacking: preflight::lacking_here(),
        })
    }

    /// Makes a step; gives what is to be told beside it.
    pub(super) async fn make(&self, step: &Step) -> Result<Option<String>, Error> {
        match step {
            Step::Set { sysctl, to, .. } => write(sysctl, *to).map(|()| None),
            Step::Add { vip } => {
                self.netlink.add_alone(self.lo().await?, *vip).await?;
                Ok(None)
            }
            Step::Open(open) => {
                let mode = datapath::decap(&open.pins, &open.interface, &open.vips)?;
                Ok(match mode {
                    Mode::Native => Some("attached natively".to_owned()),
                    Mode::Generic { because } => Some(format!("attached generically ({because})")),
                    Mode::TakenOver => Some("updated".to_owned()),
                })
            }
        }
    }

    /// Makes a step of the way back.
    pub(super) async fn take_back(&self, back: &Back) -> Result<(), Error> {
        match back {
            Back::Close {
                pins,
                interface,
                detach,
                vips,
            } => match datapath::narrow(pins, detach.then_some(interface), vips)? {
                true => self.detached(interface).await,
                false => Ok(()),
            },
            Back::Remove { vip } => Ok(self.netlink.remove_alone(self.lo().await?, *vip).await?),
            Back::Reset { sysctl, to } => write(sysctl, *to),
            Back::Leave(_) => Ok(()),
        }
    }

    /// Waits until no program is attached any more: the kernel takes it off some moments after its
    /// link is gone, and meanwhile refuses another one.
    async fn detached(&self, interface: &str) -> Result<(), Error> {
        for _ in 0..LOOKS_MAX {
            let links = self.netlink.links().await?;
            let mut links = links.values();
            if !links.any(|link| link.name == interface && link.xdp != Xdp::None) {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    async fn lo(&self) -> Result<u32, Error> {
        let interfaces = self.netlink.interfaces().await?;
        let lo = interfaces.iter().find(|one| one.is_loopback);
        lo.map(|lo| lo.index).ok_or(Error::NoLoopback)
    }
}

fn file(sysctl: &Sysctl) -> PathBuf {
    Path::new("/proc/sys").join(sysctl.path())
}

fn read(sysctl: &Sysctl) -> Option<i32> {
    fs::read_to_string(file(sysctl)).ok()?.trim().parse().ok()
}

fn write(sysctl: &Sysctl, value: i32) -> Result<(), Error> {
    fs::write(file(sysctl), value.to_string()).map_err(|source| Error::Sysctl {
        sysctl: sysctl.clone(),
        source,
    })
}
