//! The edge to the kernel's data plane: load, pin, attach, and carry out [`MapOp`]s.
//!
//! Maps and links are pinned, so the data plane forwards on when this process ends, however it
//! ends; the next one takes them over. Not here: what the maps should hold ([`crate::tables`]).

mod attach;
mod clock;
mod decap;
mod error;
mod leases;
#[expect(unsafe_code, reason = "maps as memory: an mmap, and what it promises")]
mod mapped;
mod maps;
mod object;
mod read;
#[cfg(test)]
mod scratch;
mod stages;
mod stats;
pub(crate) mod unresolved;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{Array, MapData};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_ebpf::abi::{ABI_VERSION, name};
use nix::fcntl::{Flock, FlockArg};

use crate::tables::{MapOp, Tables};
use stages::Stages;

pub use attach::Mode;
pub use clock::Clock;
pub use decap::{FarEnd, decap, far_end, narrow};
pub use error::Error;
pub use leases::Leases;
pub use maps::{Maps, Pinned};
pub use stages::load as load_stages;
pub use stats::Counters;

/// Every map of the object but the array of its programs ([`stages`]): all are pinned under their
/// own names.
const MAPS: [&str; 24] = [
    name::ABI,
    name::INTERFACES,
    name::VIPS,
    name::VIP_PREFIXES,
    name::NAT_SOURCES,
    name::SEGMENTS,
    name::SERVICES,
    name::RING_SLOTS,
    name::MEMBERS,
    name::REALS,
    name::NAT_REPLIES,
    name::POOL,
    name::QUIC_SERVERS,
    name::ROUTERS,
    name::VIRTUAL_MACS,
    name::FLOW_WAYS,
    name::FLOW_ENTRIES,
    name::CONNECTIONS,
    name::TURNS,
    name::FLOW_EVENTS,
    name::VERDICTS,
    name::SERVICE_TRAFFIC,
    name::REAL_TRAFFIC,
    name::UNRESOLVED,
];

/// The loaded program, its maps and its pins.
pub struct Datapath {
    ebpf: Ebpf,
    maps: Maps,
    stages: Stages,
    pins: PathBuf,
    /// The pins are this daemon's own making, and it has not started yet.
    is_trial: bool,
    _lock: Flock<File>,
}

impl Drop for Datapath {
    /// A first start that came to nothing leaves nothing.
    fn drop(&mut self) {
        if self.is_trial {
            if let Err(error) = remove(&self.pins) {
                tracing::warn!(%error, "pins of a failed start are left");
            }
        }
    }
}

impl Datapath {
    /// Loads the embedded program over the maps pinned in the directory `pins`, or over new ones
    /// that are pinned there. Nothing is attached yet.
    ///
    /// # Errors
    /// The directory is not on a BPF file system or another daemon holds it, the pinned maps are
    /// of another [`ABI_VERSION`], or the kernel refuses.
    pub fn open(pins: &Path) -> Result<Self, Error> {
        if object::OBJECT.is_empty() {
            return Err(Error::NoObject);
        }
        let is_new = prepare(pins)?;
        let lock = lock(pins)?;
        match Self::load(pins) {
            Ok((ebpf, maps, stages)) => Ok(Self {
                ebpf,
                maps,
                stages,
                pins: pins.to_owned(),
                is_trial: is_new,
                _lock: lock,
            }),
            Err(error) if is_new => remove(pins).and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn load(pins: &Path) -> Result<(Ebpf, Maps, Stages), Error> {
        check_version(pins)?;
        let mut ebpf = load_with(pins)?;
        program(&mut ebpf)?.load().map_err(Error::program)?;
        let stages = Stages::load(&mut ebpf, pins)?;
        let mut maps = Maps::take(&mut ebpf)?;
        maps.set_version(ABI_VERSION)?;
        maps.stop_answering();
        Ok((ebpf, maps, stages))
    }

    /// The start has succeeded, and only this daemon's programs are attached: from now on the pins
    /// outlive this process.
    ///
    /// # Errors
    /// The pins of earlier programs can't be removed.
    pub fn keep(&mut self) -> Result<(), Error> {
        self.is_trial = false;
        self.stages.drop_others()
    }

    /// What the maps hold: after a restart, what the last daemon left.
    ///
    /// # Errors
    /// A map can't be read.
    pub fn tables(&self) -> Result<Tables, Error> {
        self.maps.tables()
    }

    /// Carries out one change.
    ///
    /// # Errors
    /// A map can't be written; it holds what it held.
    pub fn apply(&mut self, op: &MapOp) -> Result<(), Error> {
        self.maps.apply(op)
    }

    /// The maps, for counters and flows.
    pub fn maps(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// Attaches the program to an interface, or takes over the link that an earlier daemon pinned.
    /// Native mode if the driver has it, else generic; which one it became is told.
    ///
    /// # Errors
    /// Another program holds the interface, or neither mode works.
    pub fn attach(&mut self, interface: &str, ifindex: u32) -> Result<Mode, Error> {
        attach::attach(program(&mut self.ebpf)?, &self.pins, interface, ifindex)
    }

    /// Names of the interfaces that a link is pinned for.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn attached(&self) -> Result<Vec<String>, Error> {
        attach::pinned(&self.pins)
    }

    /// Detaches the program from an interface.
    ///
    /// # Errors
    /// The pin can't be removed.
    pub fn detach(&mut self, interface: &str) -> Result<(), Error> {
        let link = self.link(interface);
        std::fs::remove_file(&link).map_err(|source| Error::Pin { path: link, source })
    }

    /// How long the kernel's tick is, and where it stands.
    ///
    /// # Errors
    /// The kernel refuses to run the clock program.
    pub fn clock(&mut self) -> Result<Clock, Error> {
        Clock::measure(&mut self.ebpf)
    }

    /// The leases of virtual routers, for the protocol thread to write; `clock` is of this boot.
    pub fn leases(&self, clock: &Clock) -> Leases {
        self.maps.leases(clock)
    }

    fn link(&self, interface: &str) -> PathBuf {
        attach::pin(&self.pins, interface)
    }
}

/// The kernel's tick, where a data plane is pinned: asked by a program beside those that run, which
/// is gone afterwards.
///
/// # Errors
/// Nothing of our version is pinned there, or the kernel refuses.
pub fn clock_beside(pins: &Path) -> Result<Clock, Error> {
    if object::OBJECT.is_empty() {
        return Err(Error::NoObject);
    }
    // The object's maps are those that are pinned: none is made that has to be paid for.
    Maps::open_pinned(pins)?;
    Clock::measure(&mut load_with(pins)?)
}

/// Loads the object; its maps are those pinned in `pins`, and are pinned there where they are new.
fn load_with(pins: &Path) -> Result<Ebpf, Error> {
    let mut loader = EbpfLoader::new();
    for map in MAPS {
        loader.map_pin_path(map, pins.join(map));
    }
    loader.load(object::OBJECT).map_err(Error::load)
}

/// Removes the data plane: detaches every interface and deletes maps and directory. What was
/// removed is told, by file name; nothing when there was nothing. Pins of others stay.
///
/// # Errors
/// The directory is no place for pins, a daemon is running on it, or a pin can't be removed.
pub fn detach(pins: &Path) -> Result<Vec<String>, Error> {
    if !pins.exists() {
        return Ok(Vec::new());
    }
    if !on_bpffs(pins) {
        return Err(Error::NotBpffs {
            path: pins.to_owned(),
        });
    }
    let _lock = lock(pins)?;
    remove(pins)
}

/// Removes our pins, and their directory if it is empty then; what was removed, by file name.
fn remove(pins: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Pin {
        path: pins.to_owned(),
        source,
    };
    let mut entries: Vec<PathBuf> = std::fs::read_dir(pins)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    entries.retain(|path| is_ours(path));
    // Links first: from then on no packet is touched.
    entries.sort_by_key(|path| !is_link(path));
    let mut removed = Vec::new();
    for path in entries {
        std::fs::remove_file(&path).map_err(|source| Error::Pin {
            path: path.clone(),
            source,
        })?;
        removed.extend(
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    match std::fs::remove_dir(pins) {
        Err(source) if source.kind() != io::ErrorKind::DirectoryNotEmpty => Err(failed(source)),
        Err(_) | Ok(()) => Ok(removed),
    }
}

/// Whether a file in the pin directory is one of our maps, links or arrays of programs.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    is_link(path)
        || stages::is_pin(path)
        || name.is_some_and(|name| MAPS.contains(&&*name) || decap::MAPS.contains(&&*name))
}

fn is_link(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(attach::LINK_PREFIX))
}

/// The load balancer's program in the object.
fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let program = ebpf
        .program_mut(name::PROGRAM)
        .ok_or(Error::Missing(name::PROGRAM))?;
    program.try_into().map_err(Error::program)
}

/// Creates the pin directory, which must lie on a BPF file system; whether it was not there.
fn prepare(pins: &Path) -> Result<bool, Error> {
    if !on_bpffs(pins) {
        return Err(Error::NotBpffs {
            path: pins.to_owned(),
        });
    }
    match std::fs::create_dir(pins) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(Error::Pin {
            path: pins.to_owned(),
            source,
        }),
    }
}

/// Whether `path`, or the directory it would be created in, is on a BPF file system.
fn on_bpffs(path: &Path) -> bool {
    let place = if path.exists() {
        Some(path)
    } else {
        path.parent()
    };
    place.is_some_and(|place| {
        nix::sys::statfs::statfs(place)
            .is_ok_and(|stat| stat.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
    })
}

/// Holds the pins against a second daemon; the lock ends with the process.
fn lock(pins: &Path) -> Result<Flock<File>, Error> {
    let failed = |source| Error::Pin {
        path: pins.to_owned(),
        source,
    };
    let directory = File::open(pins).map_err(failed)?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno == nix::errno::Errno::EWOULDBLOCK {
            return Error::Held {
                path: pins.to_owned(),
            };
        }
        failed(errno.into())
    })
}

/// Refuses pinned maps that another version laid out.
fn check_version(pins: &Path) -> Result<(), Error> {
    let pin = pins.join(name::ABI);
    if !pin.exists() {
        return Ok(());
    }
    let map = MapData::from_pin(&pin).map_err(Error::map)?;
    let map = aya::maps::Map::from_map_data(map).map_err(Error::map)?;
    let version: Array<_, u32> = map.try_into().map_err(Error::map)?;
    match version.get(&0, 0).map_err(Error::map)? {
        // Zero: a first start that ended before it wrote the version.
        0 | ABI_VERSION => Ok(()),
        found => Err(Error::Version {
            found,
            path: pins.to_owned(),
        }),
    }
}
