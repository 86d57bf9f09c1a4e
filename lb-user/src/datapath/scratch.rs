//! For tests: a BPF file system of this thread's own, so that maps can be pinned and opened without
//! a trace on the host.

use std::path::PathBuf;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Where maps can be pinned, seen by this thread only and gone with it; or a loud reason why not.
pub(super) fn pins() -> Option<PathBuf> {
    const NONE: Option<&str> = None;
    let path = PathBuf::from("/sys/fs/bpf");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(NONE, "/", NONE, private, NONE))
        .and_then(|()| mount(NONE, &path, Some("bpf"), MsFlags::empty(), NONE));
    match mounted {
        Ok(()) => Some(path),
        Err(error) => {
            println!("NOT TESTED: no BPF file system can be mounted here (not root?): {error}");
            None
        }
    }
}
