//! The programs that the load balancer calls: an array of them for each load of the object.
//!
//! The kernel empties an array of programs when nobody holds it any more, and what is attached does
//! not count as holding. So it is pinned before anything is attached, beside those of earlier
//! daemons, whose programs are attached until then; these go once nothing is attached that calls
//! them.

use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::Xdp;
use lb_ebpf::abi::name;

use super::Error;
use super::error::{chain, errno};

/// Pins of the arrays are named by this and a number.
pub(super) const PREFIX: &str = "stages-";

/// The array of this daemon's programs.
pub(super) struct Stages {
    /// Held for as long as programs of this load may come to be attached.
    _array: ProgramArray<MapData>,
    pin: PathBuf,
}

impl Stages {
    /// Loads the programs, puts them into the array, and pins it in `pins`.
    pub(super) fn load(ebpf: &mut Ebpf, pins: &Path) -> Result<Self, Error> {
        let map = take(ebpf)?;
        let pin = pin(&map, pins)?;
        Ok(Self {
            _array: fill(map, ebpf)?,
            pin,
        })
    }

    /// Lets the arrays of earlier daemons go: nothing is attached any more that calls their
    /// programs.
    pub(super) fn drop_others(&self) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Pin {
            path: path.to_owned(),
            source,
        };
        let Some(pins) = self.pin.parent() else {
            return Ok(());
        };
        for entry in std::fs::read_dir(pins).map_err(|source| failed(pins, source))? {
            let path = entry.map_err(|source| failed(pins, source))?.path();
            if path != self.pin && is_pin(&path) {
                std::fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
        Ok(())
    }
}

/// Loads the programs that the load balancer calls, and puts them into its array: without it, and for
/// as long as it is not held, the load balancer drops what it does not decide by itself.
///
/// # Errors
/// The object is not ours, or the kernel refuses a program.
pub fn load(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, Error> {
    let map = take(ebpf)?;
    fill(map, ebpf)
}

fn take(ebpf: &mut Ebpf) -> Result<Map, Error> {
    let map = ebpf.take_map(name::STAGES);
    map.ok_or(Error::Missing(name::STAGES))
}

fn fill(map: Map, ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, Error> {
    let mut array = ProgramArray::try_from(map).map_err(Error::map)?;
    for (at, name) in (0..).zip(name::STAGE_PROGRAMS) {
        let program = program(ebpf, name)?;
        program.load().map_err(Error::program)?;
        let fd = program.fd().map_err(Error::program)?;
        array.set(at, fd, 0).map_err(Error::map)?;
    }
    Ok(array)
}

/// Whether a file in the pin directory is such an array.
pub(super) fn is_pin(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}

/// Pins an array under the first number that is free.
fn pin(map: &Map, pins: &Path) -> Result<PathBuf, Error> {
    let mut number = 0u32;
    loop {
        let pin = pins.join(format!("{PREFIX}{number}"));
        match map.pin(&pin) {
            Ok(()) => return Ok(pin),
            Err(error) if errno(&error) == Some(nix::libc::EEXIST) && number < u32::MAX => {
                number += 1
            }
            Err(error) => {
                return Err(Error::Pin {
                    path: pin,
                    source: std::io::Error::other(chain(&error)),
                });
            }
        }
    }
}

/// A program of the object.
fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Error> {
    let program = ebpf.program_mut(name).ok_or(Error::Missing(name))?;
    program.try_into().map_err(Error::program)
}
