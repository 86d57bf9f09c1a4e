//! From a file to what it says: read, decoded, and checked by the daemon whose tables they are.
//!
//! Not here: what a daemon makes of its tables.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Digest, ReadError, decode, findings::Findings, read};
use crate::{diagnostic::Report, source::SourceFile};

/// A site file that can be used, as one daemon understands it.
#[derive(Clone, Debug)]
pub struct Checked<S> {
    /// What it says.
    pub site: S,
    /// What is allowed but hardly meant; often empty.
    pub warnings: Report,
    /// What it is known by among peers.
    pub digest: Digest,
}

/// Why a site file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has mistakes; displayed with carets.
    #[error(transparent)]
    Invalid(Box<Report>),
}

impl LoadError {
    /// One line for a log or the status: the first mistake and how many more there are.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Read(error) => error.to_string(),
            Self::Invalid(report) => report.summary(),
        }
    }
}

impl<S> Checked<S> {
    /// Reads the file at `path` and has `parse` check it.
    ///
    /// # Errors
    /// A file that cannot be read, or has mistakes.
    pub fn load(
        path: &Path,
        parse: impl FnOnce(SourceFile) -> Result<Self, Report>,
    ) -> Result<Self, LoadError> {
        let file = read(path)?;
        parse(file.source).map_err(|report| LoadError::Invalid(Box::new(report)))
    }

    /// Checks a text: `from_file` makes the site of what was decoded, and answers `None` only where it
    /// has noted an error.
    ///
    /// # Errors
    /// All mistakes of the file, and its warnings among them.
    pub fn parse<F: DeserializeOwned>(
        source: SourceFile,
        from_file: impl FnOnce(F, &mut Findings) -> Option<S>,
    ) -> Result<Self, Report> {
        let decoded = decode::<F>(source.text());
        let mut findings = Findings::new(decoded.diagnostics, decoded.excused);
        let site = decoded
            .value
            .and_then(|file| from_file(file, &mut findings));
        let is_bad = findings.has_errors();
        let diagnostics = findings.into_diagnostics();
        let digest = Digest::of(source.text().as_bytes());
        let report = Report::new(source, diagnostics);
        match site {
            Some(site) if !is_bad => Ok(Self {
                site,
                warnings: report,
                digest,
            }),
            Some(_) | None => Err(report),
        }
    }
}
