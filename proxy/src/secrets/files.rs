//! Reading certificates, keys and authorities, and seeing whether a file is another one than it was.
//!
//! Not here: when.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::{Error, provider};
use crate::config::{Certificate, Named};

/// Bytes of a file at most: bundles of authorities have a few hundred KiB.
const SIZE_MAX: u64 = 8 << 20;

/// What is in a file.
///
/// # Errors
/// It cannot be read, or is too large to be meant.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let known = fs::metadata(path).map_err(failed)?;
    if !known.is_file() || known.len() > SIZE_MAX {
        let why = "not a regular file of at most 8 MiB";
        return Err(failed(std::io::Error::other(why)));
    }
    fs::read(path).map_err(failed)
}

/// A certificate with its key.
///
/// # Errors
/// One of the two cannot be read, or they do not belong together.
pub(super) fn certificate(files: &Certificate) -> Result<CertifiedKey, Error> {
    let chain = chain(&files.chain.path)?;
    let path = &files.key.path;
    let key = PrivateKeyDer::from_pem_slice(&bytes(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::Nothing {
            path: path.clone(),
            what: "private key",
        },
        // What is wrong with a key is told without a byte of it.
        pem::Error::MissingSectionEnd { .. }
        | pem::Error::IllegalSectionStart { .. }
        | pem::Error::Base64Decode(_)
        | pem::Error::Io(_)
        | pem::Error::SectionTooLarge
        | _ => not_pem(path, &"its lines cannot be read"),
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| Error::Unfit {
        chain: files.chain.path.clone(),
        key: path.clone(),
        source,
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = bytes(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| not_pem(path, &error))?;
    match chain.is_empty() {
        true => Err(Error::Nothing {
            path: path.to_owned(),
            what: "certificate",
        }),
        false => Ok(chain),
    }
}

/// Authorities that are believed.
///
/// # Errors
/// The file cannot be read, or there is none in it.
pub(super) fn authorities(named: &Named) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let (taken, refused) = roots.add_parsable_certificates(chain(&named.path)?);
    if taken == 0 {
        return Err(Error::Authorities {
            path: named.path.clone(),
            why: format!("none of its {refused} certificates can be used"),
        });
    }
    Ok(roots)
}

fn not_pem(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Pem {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// By what a file is known to be the one that it was: when it was written, its length, and its place on
/// the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let known = fs::metadata(path).ok();
        Self(known.map(|known| {
            let when = (known.mtime(), known.mtime_nsec());
            (when.0, when.1, known.size(), known.ino())
        }))
    }
}

/// Files that are looked at again and again.
#[derive(Debug)]
pub(super) struct Watched {
    paths: Vec<PathBuf>,
    /// As they were when they were read.
    read: Vec<Stamp>,
    /// As they were at the last look.
    seen: Vec<Stamp>,
}

impl Watched {
    /// As they are now.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let now: Vec<Stamp> = paths.iter().map(|path| Stamp::of(path)).collect();
        Self {
            paths,
            read: now.clone(),
            seen: now,
        }
    }

    /// Whether they are others than those that were read, and rest: whoever replaces a certificate and
    /// its key does so one after the other. Says so once.
    pub(super) fn have_changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.paths.iter().map(|path| Stamp::of(path)).collect();
        let rests = now == self.seen;
        self.seen = now;
        if !rests || self.seen == self.read {
            return false;
        }
        self.read.clone_from(&self.seen);
        true
    }
}
