//! The unix socket a daemon listens on: one daemon a path, mode 0660, gone when the daemon is.
//!
//! Not here: what is spoken over it.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream as Probe,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::server::Listener;

/// Owner and group may ask; the group is the operators'.
const MODE: u32 = 0o660;

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A daemon answers there.
    #[error("{}: another daemon is running and listens here", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket has the path.
    #[error("{}: exists and is not a socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The directory, or what is there, is not this user's.
    #[error("{}: permission denied; run as root or choose another path", .0.display())]
    Permission(PathBuf),
    /// Any other failure of the system.
    #[error("{}: cannot listen here", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening socket. Dropping it removes its path, unless another daemon has taken that over.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl UnixSocket {
    /// Listens at `path`, in place of a socket that a dead daemon left behind. Makes the directory if
    /// there is none. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// A live daemon at that path; something else than a socket there; whatever the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        is_free(path)?;
        Self::take_over(path)
    }

    /// Listens at `path`, whoever listened there before: from now on nobody reaches them by it.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn take_over(path: &Path) -> Result<Self, BindError> {
        let error = |source: io::Error| match source.kind() == io::ErrorKind::PermissionDenied {
            true => BindError::Permission(path.to_owned()),
            false => BindError::Io {
                path: path.to_owned(),
                source,
            },
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(error)?;
        }
        // Made under another name, so that it has its mode before anyone can find it.
        let draft = Draft::new(path);
        let listener = UnixListener::bind(&draft.0).map_err(error)?;
        fs::set_permissions(&draft.0, fs::Permissions::from_mode(MODE)).map_err(error)?;
        let inode = fs::symlink_metadata(&draft.0).map_err(error)?.ino();
        fs::rename(&draft.0, path).map_err(error)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Listener for UnixSocket {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.listener.next().await
    }

    fn user(stream: &UnixStream) -> Option<u32> {
        UnixListener::user(stream)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode);
        if is_ours {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Whether the path can be taken: nothing there, or a socket that nobody answers.
fn is_free(path: &Path) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match Probe::connect(path) {
        Ok(_answered) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(BindError::Permission(path.to_owned()))
        }
        Err(_nobody) => Ok(()),
    }
}

/// The name a socket is made under; gone again if it never got its real one.
struct Draft(PathBuf);

impl Draft {
    fn new(path: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let draft = path.with_file_name(name);
        // Of a process that had this number and died between making and renaming.
        drop(fs::remove_file(&draft));
        Self(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}
