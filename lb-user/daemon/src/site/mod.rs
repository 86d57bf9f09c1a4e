//! The site file as text: read whole and with limits, known by its digest, decoded with every
//! mistake found.
//!
//! Not here: what the file means. Each daemon has file types of its own tables, which
//! [`decode()`] fills, and checks their meaning itself.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::source::SourceFile;

mod checked;
mod decode;
pub mod findings;
mod mistake;
pub mod prefix;
mod table;

pub use checked::{Checked, LoadError};
pub use decode::{Decoded, Excused, MAX_MISTAKES, decode};
pub use table::Table;

/// The largest site file read, in bytes. 2,000 services of 20 real servers are some 3 MB.
pub const MAX_SIZE: u64 = 4 << 20;

/// A site file that was read.
#[derive(Clone, Debug)]
pub struct SiteFile {
    /// Its text under its path.
    pub source: SourceFile,
    /// What it is known by among peers.
    pub digest: Digest,
}

/// The SHA-256 of a site file's bytes: two hosts with the same digest run the same file. Displayed
/// as `sha256sum` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a site file could not be read. Each says the path, and what to do where there is something.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing there.
    #[error("{}: no such file", .0.display())]
    Missing(PathBuf),
    /// A directory, device or the like.
    #[error("{}: not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Not readable by this user.
    #[error("{}: permission denied; run as root or make it readable", .0.display())]
    Permission(PathBuf),
    /// More than [`MAX_SIZE`].
    #[error("{}: larger than the {} MiB a site file may have", .0.display(), MAX_SIZE >> 20)]
    TooLarge(PathBuf),
    /// Not UTF-8, as TOML has to be.
    #[error("{}: not UTF-8 text: bad byte in line {line}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first bad byte, from 1.
        line: usize,
    },
    /// Any other failure of the system.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads a site file.
///
/// # Errors
/// Where it cannot be read, is no text, or is larger than [`MAX_SIZE`].
pub fn read(path: &Path) -> Result<SiteFile, ReadError> {
    let bytes = bytes(path)?;
    let digest = Digest::of(&bytes);
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        ReadError::NotUtf8 {
            path: path.to_owned(),
            line,
        }
    })?;
    Ok(SiteFile {
        source: SourceFile::new(path.display().to_string(), text),
        digest,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let error = |source: io::Error| refine(path, source);
    // Asked before opening: opening a FIFO would wait for a writer.
    if !fs::metadata(path).map_err(error)?.is_file() {
        return Err(ReadError::NotAFile(path.to_owned()));
    }
    let file = fs::File::open(path).map_err(error)?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library's list is open"
)]
fn refine(path: &Path, source: io::Error) -> ReadError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Missing(path),
        io::ErrorKind::PermissionDenied => ReadError::Permission(path),
        io::ErrorKind::IsADirectory => ReadError::NotAFile(path),
        _ => ReadError::Io { path, source },
    }
}

#[cfg(test)]
mod tests;
