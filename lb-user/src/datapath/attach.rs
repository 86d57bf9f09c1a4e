//! XDP links: made, pinned, and taken over by updating their program in place.

use std::path::{Path, PathBuf};

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

/// Where the link of an interface is pinned. The BPF file system allows no dots in names.
pub(super) fn pin(pins: &Path, interface: &str) -> PathBuf {
    let name = interface.replace('%', "%25").replace('.', "%2e");
    pins.join(format!("{LINK_PREFIX}{name}"))
}

/// Attaches `program`, or puts it in the place of the one that a link pinned in `pins` holds.
pub(super) fn attach(
    program: &mut Xdp,
    pins: &Path,
    interface: &str,
    ifindex: u32,
) -> Result<Mode, Error> {
    let pin = pin(pins, interface);
    if pin.exists() {
        match take_over(program, &pin, ifindex) {
            Ok(()) => return Ok(Mode::TakenOver),
            // The interface it was for is gone, or has another name now.
            Err(TakeOver::Stale) => set_aside(pins, &pin)?,
            Err(TakeOver::Refused(error)) => return Err(error),
        }
    }
    let native = match link(program, ifindex, XdpMode::Driver) {
        Ok(link) => return keep(link, &pin).map(|()| Mode::Native),
        Err(error) => error,
    };
    if is_busy(&native) && adopt(program, pins, &pin, ifindex)? {
        return Ok(Mode::TakenOver);
    }
    refuse_if_final(&native, interface)?;
    match link(program, ifindex, XdpMode::Skb) {
        Ok(link) => keep(link, &pin).map(|()| Mode::Generic {
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

/// Takes a link out of the way that is not (any more) of the interface it is named after: one
/// whose interface is gone is dropped, one whose interface has another name is kept under that of
/// its index, for [`adopt`] to find.
fn set_aside(pins: &Path, pin: &Path) -> Result<(), Error> {
    let failed = |source| Error::Pin {
        path: pin.to_owned(),
        source,
    };
    match ifindex_of(pin) {
        Some(ifindex) if ifindex != 0 => {
            let aside = pins.join(format!("{LINK_PREFIX}index:{ifindex}"));
            std::fs::rename(pin, aside).map_err(failed)
        }
        _ => std::fs::remove_file(pin).map_err(failed),
    }
}

/// Looks for a link of this interface among our pins, under whatever name, and takes it over under
/// the right one; whether there was one.
fn adopt(program: &mut Xdp, pins: &Path, pin: &Path, ifindex: u32) -> Result<bool, Error> {
    let failed = |source| Error::Pin {
        path: pins.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(pins).map_err(failed)? {
        let found = entry.map_err(failed)?.path();
        let is_link = found
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(LINK_PREFIX));
        if is_link && ifindex_of(&found) == Some(ifindex) {
            std::fs::rename(&found, pin).map_err(failed)?;
            return match take_over(program, pin, ifindex) {
                Ok(()) => Ok(true),
                Err(TakeOver::Stale) => Ok(false),
                Err(TakeOver::Refused(error)) => Err(error),
            };
        }
    }
    Ok(false)
}

/// The interface a pinned link is attached to, 0 where that is gone: the kernel tells it in the
/// link's `fdinfo` only.
fn ifindex_of(pin: &Path) -> Option<u32> {
    let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
    let id = link.info().ok()?.id().to_string();
    let field = |text: &str, name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().map(|value| value.trim().to_owned())
    };
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()? {
        let text = std::fs::read_to_string(entry.ok()?.path()).unwrap_or_default();
        if field(&text, "link_id:").as_ref() == Some(&id) {
            return field(&text, "ifindex:")?.parse().ok();
        }
    }
    None
}

/// Whether the link pinned for an interface is attached to the one that has this name now.
pub(super) fn is_live(pins: &Path, interface: &str) -> bool {
    let ifindex = nix::net::if_::if_nametoindex(interface).ok();
    ifindex.is_some() && ifindex_of(&pin(pins, interface)) == ifindex
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
        let name = name.to_string_lossy();
        let name = name.strip_prefix(LINK_PREFIX);
        names.extend(name.map(|name| name.replace("%2e", ".").replace("%25", "%")));
    }
    Ok(names)
}

enum TakeOver {
    Stale,
    Refused(Error),
}

/// Replaces the program of a pinned link: no packet passes without one.
fn take_over(program: &mut Xdp, pin: &Path, ifindex: u32) -> Result<(), TakeOver> {
    if ifindex_of(pin).is_some_and(|found| found != ifindex) {
        return Err(TakeOver::Stale);
    }
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
        source: std::io::Error::other(chain(&error)),
    })?;
    match link.pin(pin) {
        Ok(_pinned) => Ok(()),
        Err(error) => Err(Error::Pin {
            path: pin.to_owned(),
            source: std::io::Error::other(chain(&error)),
        }),
    }
}

/// Whether some program is attached already.
fn is_busy(error: &ProgramError) -> bool {
    matches!(errno(error), Some(EBUSY | EEXIST))
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
