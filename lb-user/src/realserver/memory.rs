//! What setup changed, kept in a small file so that it can be taken back, and the way back.
//!
//! The file is written before the first change, so that nothing is changed that it does not know of;
//! the way back looks what is really there. Under `/run`: like the changes, it ends with a reboot.
//! Not here: going that way (`host`).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Sysctl};
use super::plan::Step;
use crate::network::addresses::alone;

/// Where it is unless told otherwise.
pub const STATE: &str = "/run/viaduct/realserver.json";

/// The layout of the file.
const VERSION: u32 = 1;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    version: u32,
    sysctls: Vec<Turned>,
    addresses: BTreeSet<IpAddr>,
    far_ends: Vec<Opened>,
}

/// A switch that was turned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turned {
    sysctl: Sysctl,
    before: i32,
    set: i32,
}

/// A far end, as far as it was not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opened {
    interface: String,
    pins: PathBuf,
    is_new: bool,
    vips: BTreeSet<IpAddr>,
}

/// One step of the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// Take VIPs, and perhaps an interface, from a far end.
    Close {
        /// Where it is pinned.
        pins: PathBuf,
        /// The interface.
        interface: String,
        /// Whether it is detached there.
        detach: bool,
        /// The VIPs.
        vips: BTreeSet<IpAddr>,
    },
    /// Take a VIP from `lo`.
    Remove {
        /// The VIP.
        vip: IpAddr,
    },
    /// Turn a switch back.
    Reset {
        /// Which.
        sysctl: Sysctl,
        /// What it was.
        to: i32,
    },
    /// Leave what somebody else changed since.
    Leave(String),
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: VERSION,
            sysctls: Vec::new(),
            addresses: BTreeSet::new(),
            far_ends: Vec::new(),
        }
    }
}

impl Memory {
    /// Adds steps that are about to be made.
    pub fn remember<'a>(&mut self, steps: impl IntoIterator<Item = &'a Step>) {
        for step in steps {
            match step {
                Step::Set { sysctl, from, to } => {
                    // What was found last is what somebody wanted.
                    self.sysctls.retain(|turned| turned.sysctl != *sysctl);
                    self.sysctls.push(Turned {
                        sysctl: sysctl.clone(),
                        before: *from,
                        set: *to,
                    });
                }
                Step::Add { vip } => {
                    self.addresses.insert(*vip);
                }
                Step::Open(open) => self.remember_far_end(Opened {
                    interface: open.interface.clone(),
                    pins: open.pins.clone(),
                    is_new: open.is_new,
                    vips: open.new.clone(),
                }),
            }
        }
    }

    fn remember_far_end(&mut self, opened: Opened) {
        if !opened.is_new && opened.vips.is_empty() {
            return;
        }
        let same =
            |known: &&mut Opened| known.interface == opened.interface && known.pins == opened.pins;
        match self.far_ends.iter_mut().find(same) {
            Some(known) => {
                known.is_new |= opened.is_new;
                known.vips.extend(opened.vips);
            }
            None => self.far_ends.push(opened),
        }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.sysctls.is_empty() && self.addresses.is_empty() && self.far_ends.is_empty()
    }

    /// Whether programs of the kernel are among it.
    pub fn has_far_end(&self) -> bool {
        !self.far_ends.is_empty()
    }

    /// The way back: the last first, and nothing that somebody else changed since.
    pub fn way_back(&self, facts: &Facts) -> Vec<Back> {
        let close = self.far_ends.iter().rev().map(|opened| Back::Close {
            pins: opened.pins.clone(),
            interface: opened.interface.clone(),
            detach: opened.is_new,
            vips: opened.vips.clone(),
        });
        let lo = facts.lo().map(|lo| lo.index);
        let is_there = |vip: &&IpAddr| {
            facts.addresses.iter().any(|held| {
                held.address == **vip && held.prefix == alone(**vip) && Some(held.ifindex) == lo
            })
        };
        let remove = self.addresses.iter().filter(is_there);
        let remove = remove.map(|vip| Back::Remove { vip: *vip });
        let reset = self.sysctls.iter().rev();
        let reset = reset.filter_map(|turned| turned.back(facts));
        close.chain(remove).chain(reset).collect()
    }

    /// Reads the file; empty where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(none) if none.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let memory: Self = serde_json::from_str(&text)?;
        match memory.version {
            VERSION => Ok(memory),
            other => Err(io::Error::other(format!(
                "it is of another version ({other})"
            ))),
        }
    }

    /// Writes the file whole, or not at all; an empty memory has none.
    ///
    /// # Errors
    /// The directory cannot be made, or not written to.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if self.is_empty() {
            return match fs::remove_file(path) {
                Err(none) if none.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            };
        }
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_string_pretty(self)?)?;
        fs::rename(&new, path)
    }
}

impl Turned {
    fn back(&self, facts: &Facts) -> Option<Back> {
        let Self {
            sysctl,
            before,
            set,
        } = self;
        match facts.sysctls.get(sysctl) {
            None => Some(Back::Leave(format!("{sysctl}: it is gone"))),
            Some(now) if now == set => Some(Back::Reset {
                sysctl: sysctl.clone(),
                to: *before,
            }),
            Some(now) if now == before => None,
            Some(now) => Some(Back::Leave(format!(
                "{sysctl}: left at {now}, which somebody else set (before setup it was {before})"
            ))),
        }
    }
}

impl std::fmt::Display for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Close {
                interface, detach, ..
            } => match detach {
                true => write!(f, "{interface}: the far end of tunnels is detached"),
                false => write!(f, "{interface}: the far end of tunnels is as it was"),
            },
            Self::Remove { vip } => write!(f, "{vip}/{} removed from lo", alone(*vip)),
            Self::Reset { sysctl, to } => write!(f, "{sysctl} = {to}"),
            Self::Leave(what) => f.write_str(what),
        }
    }
}
