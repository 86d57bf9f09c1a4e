//! The files with certificates and keys that documents name.
//!
//! Not here: the documents.

use std::{fs, path::PathBuf};

use anyhow::Result;
use tests::lab::certificates::Authority;

/// The files in `/etc/viaduct/tls` that documents name, made in a directory of the test's own.
pub(super) struct Secrets(PathBuf);

impl Secrets {
    pub(super) fn make() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("viaduct-docs-{}", std::process::id()));
        let secrets = Self(dir);
        let authority = Authority::make(&secrets.0)?;
        authority.vouch("www", &["www.example.com"])?;
        authority.vouch("shop", &["shop.example.com"])?;
        fs::write(secrets.0.join("tickets"), "0".repeat(64))?;
        Ok(secrets)
    }

    pub(super) fn put_into(&self, text: &str) -> String {
        text.replace("/etc/viaduct/tls", &self.0.to_string_lossy())
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
