//! What can go wrong at the edge to the kernel, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// A failure of the data plane's edge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built without the eBPF object.
    #[error("this binary was built without the XDP program; build it with `cargo xtask build`")]
    NoObject,
    /// The object lacks a part.
    #[error("the embedded object has no {0}; rebuild with `cargo xtask build`")]
    Missing(&'static str),
    /// A pinned map lacks a part.
    #[error(
        "map {0} is smaller than this version makes it; run `viaduct-lb detach`, then start again"
    )]
    Beyond(&'static str),
    /// A map can't be mapped into memory.
    #[error("map {name} can't be mapped into memory: {source}")]
    Mapping {
        /// Which.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The pin directory is elsewhere.
    #[error(
        "{path} is not on a BPF file system, where the data plane must be pinned; \
         mount one (`mount -t bpf bpf /sys/fs/bpf`) or name another place with --pin-dir"
    )]
    NotBpffs {
        /// The pin directory.
        path: PathBuf,
    },
    /// Another daemon holds the pins.
    #[error("{path} is in use by a running viaduct-lb; stop that one first")]
    Held {
        /// The pin directory.
        path: PathBuf,
    },
    /// Pinned maps of another layout.
    #[error(
        "{path} holds the maps of another version of Viaduct (layout {found}); \
         run `viaduct-lb detach` with that version, which ends its forwarding, then start again"
    )]
    Version {
        /// Their version.
        found: u32,
        /// The pin directory.
        path: PathBuf,
    },
    /// A pin can't be made, opened or removed.
    #[error("{path}: {source}")]
    Pin {
        /// The pin.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused to create the maps.
    #[error("the kernel does not take the data plane's maps: {}", chain(.0))]
    Load(Box<aya::EbpfError>),
    /// No permission.
    #[error("not permitted: viaduct-lb needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted,
    /// The kernel refused the program.
    #[error("the kernel does not take the XDP program: {}", chain(.0))]
    Program(Box<aya::programs::ProgramError>),
    /// No such interface.
    #[error("interface {interface} does not exist; `ip link` lists those that do")]
    NoInterface {
        /// What was asked for.
        interface: String,
    },
    /// Another program is attached.
    #[error(
        "{interface}: another XDP program is attached there; \
         find it with `ip link show {interface}`; remove it with `ip link set {interface} xdp off`, or \
         with what attached it (a link: `bpftool link detach id N`; another Viaduct: \
         `viaduct-lb detach --pin-dir DIR`)"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// Neither mode works.
    #[error("{interface}: XDP attaches neither natively ({native}) nor generically ({generic})")]
    Attach {
        /// The interface.
        interface: String,
        /// Why not natively.
        native: String,
        /// Why not generically.
        generic: String,
    },
    /// A map can't be read or written.
    #[error("map: {}", chain(.0))]
    Map(Box<aya::maps::MapError>),
}

impl Error {
    pub(super) fn map(error: aya::maps::MapError) -> Self {
        Self::Map(Box::new(error))
    }

    pub(super) fn program(error: aya::programs::ProgramError) -> Self {
        match is_not_permitted(&error) {
            true => Self::NotPermitted,
            false => Self::Program(Box::new(error)),
        }
    }

    pub(super) fn load(error: aya::EbpfError) -> Self {
        match is_not_permitted(&error) {
            true => Self::NotPermitted,
            false => Self::Load(Box::new(error)),
        }
    }
}

/// The io error at the root of an aya error, where there is one: aya chains it as a source.
pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error();
        }
        at = error.source();
    }
    None
}

/// The kernel's word for it is EPERM; EACCES is the verifier's, for a program it refuses.
fn is_not_permitted(error: &(dyn std::error::Error + 'static)) -> bool {
    errno(error) == Some(nix::libc::EPERM)
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(error) = at {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        at = error.source();
    }
    text
}
