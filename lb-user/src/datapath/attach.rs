//! XDP links: made, pinned, and taken over by updating their program in place.

use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use nix::libc::{EBUSY, EEXIST, EPERM};

use super::Error;
use super::error::{chain, errno};

/// Pins of links are named by this and their interface.
pub(super) const LINK_PREFIX: &str = "link-";

/// How the program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes a packet of the frame.
    Native,
    /// In the stack: works everywhere, several times slower.
    Generic {
        /// Why it is not native.
        because: String,
    },
    /// By an earlier daemon; the program was replaced in place, in the mode it had.
    TakenOver,
}

/// Attaches `program`, or puts it in the place of the one that the link pinned at `pin` holds.
pub(super) fn attach(
    program: &mut Xdp,
    pin: &Path,
    interface: &str,
    ifindex: u32,
) -> Result<Mode, Error> {
    if pin.exists() {
        match take_over(program, pin) {
            Ok(()) => return Ok(Mode::TakenOver),
            // The interface it was for is gone; the link of the one that has its name now is new.
            Err(TakeOver::Stale) => std::fs::remove_file(pin).map_err(|source| Error::Pin {
                path: pin.to_owned(),
                source,
            })?,
            Err(TakeOver::Refused(error)) => return Err(error),
        }
    }
    let native = match link(program, ifindex, XdpMode::Driver) {
        Ok(link) => return keep(link, pin).map(|()| Mode::Native),
        Err(error) => error,
    };
    refuse_if_final(&native, interface)?;
    match link(program, ifindex, XdpMode::Skb) {
        Ok(link) => keep(link, pin).map(|()| Mode::Generic {
            because: chain(&native),
        }),
        Err(generic) => {
            refuse_if_final(&generic, interface)?;
            Err(Error::Attach {
                interface: interface.to_owned(),
                native: chain(&native),
                generic: chain(&generic),
            })
        }
    }
}

/// Names of the interfaces with a pinned link in `pins`.
pub(super) fn pinned(pins: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Pin {
        path: pins.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(pins).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(
            name.to_string_lossy()
                .strip_prefix(LINK_PREFIX)
                .map(str::to_owned),
        );
    }
    Ok(names)
}

enum TakeOver {
    Stale,
    Refused(Error),
}

/// Replaces the program of a pinned link: no packet passes without one.
fn take_over(program: &mut Xdp, pin: &Path) -> Result<(), TakeOver> {
    let io = |error: &aya::programs::links::LinkError| {
        std::io::Error::from_raw_os_error(errno(error).unwrap_or(nix::libc::EIO))
    };
    let pinned = PinnedLink::from_pin(pin).map_err(|error| {
        TakeOver::Refused(Error::Pin {
            path: pin.to_owned(),
            source: io(&error),
        })
    })?;
    let link = XdpLink::try_from(FdLink::from(pinned)).map_err(|error| {
        TakeOver::Refused(Error::Pin {
            path: pin.to_owned(),
            source: io(&error),
        })
    })?;
    match program.attach_to_link(link) {
        Ok(id) => {
            // The pin keeps the link; our copy is closed.
            program
                .take_link(id)
                .map(drop)
                .map_err(|e| TakeOver::Refused(Error::program(e)))
        }
        Err(error) if errno(&error) == Some(nix::libc::ENOLINK) => Err(TakeOver::Stale),
        Err(error) => Err(TakeOver::Refused(Error::program(error))),
    }
}

/// Attaches in one mode.
fn link(program: &mut Xdp, ifindex: u32, mode: XdpMode) -> Result<XdpLink, ProgramError> {
    let id = program.attach_to_if_index(ifindex, mode)?;
    program.take_link(id)
}

/// Pins a link, so that it outlives us.
fn keep(link: XdpLink, pin: &Path) -> Result<(), Error> {
    let link = FdLink::try_from(link).map_err(|error| Error::Pin {
        path: pin.to_owned(),
        source: std::io::Error::other(error.to_string()),
    })?;
    match link.pin(pin) {
        Ok(_pinned) => Ok(()),
        Err(error) => Err(Error::Pin {
            path: pin.to_owned(),
            source: std::io::Error::other(error.to_string()),
        }),
    }
}

/// Errors that another mode does not mend.
fn refuse_if_final(error: &ProgramError, interface: &str) -> Result<(), Error> {
    match errno(error) {
        Some(EBUSY | EEXIST) => Err(Error::Busy {
            interface: interface.to_owned(),
        }),
        Some(EPERM) => Err(Error::NotPermitted),
        _ => Ok(()),
    }
}
