//! What TLS needs: certificates with their keys, keys of session tickets, authorities that are believed;
//! read from the files that the site file names, and again when those change.
//!
//! In reading order: `files` reads; [`names`] says which certificate a client gets; [`tickets`] seals
//! sessions; [`listener`] and [`upstream`] make of it what rustls goes by. A file that cannot be used
//! refuses the site file; one that changes into such is refused itself, and what was read before stays.
//! Not here: connections (`core::tls`).

use std::{path::PathBuf, sync::Arc};

use daemon::{diagnostic::Diagnostic, site::findings::Findings};
use rustls::{ClientConfig, crypto::CryptoProvider};

use crate::config::{Named, Site};

mod files;
pub mod listener;
pub mod names;
pub mod tickets;
pub mod upstream;

pub use listener::ListenerSecrets;

/// Why a file cannot be used. Each says the file, and what to do where that is not plain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no PEM.
    #[error("{}: no PEM: {why}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What it should hold is not in it.
    #[error("{}: there is no {what} in it", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate and a key that do not belong together, or are of a kind that nobody knows.
    #[error("{} with {}: {source}", chain.display(), key.display())]
    Unfit {
        /// The certificate.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A key of session tickets that is none.
    #[error("{}: line {line} is no key: write 64 hexadecimal digits, as `openssl rand -hex 32` does", path.display())]
    Ticket {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Authorities that cannot be believed.
    #[error("{}: {why}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        why: String,
    },
    /// What rustls does not take.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// All that a site needs for TLS. Shared by all threads.
#[derive(Debug, Default)]
pub struct Secrets {
    /// For each listener, in the order of the site.
    pub listeners: Vec<Option<ListenerSecrets>>,
    /// For each upstream, in the order of the site.
    pub upstreams: Vec<Option<Arc<ClientConfig>>>,
    own: Arc<tickets::Own>,
}

impl Secrets {
    /// Reads what a site needs; session tickets of the site before stay good.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(site: &Site, before: Option<&Self>) -> Result<Self, Error> {
        let own = before.map_or_else(Default::default, |before| Arc::clone(&before.own));
        let listeners = site.listeners.iter().map(|listener| {
            let tls = listener.tls.as_ref();
            tls.map(|tls| ListenerSecrets::load(tls, listener.http2, &own))
                .transpose()
        });
        let upstreams = site.upstreams.iter().map(|upstream| {
            let tls = upstream.tls.as_ref();
            tls.map(|tls| upstream::load(tls, upstream.http2))
                .transpose()
        });
        Ok(Self {
            listeners: listeners.collect::<Result<_, _>>()?,
            upstreams: upstreams.collect::<Result<_, _>>()?,
            own,
        })
    }

    /// Looks whether files have changed, and takes what they hold now if it can be used. Says so in the
    /// log.
    pub fn refresh(&self) {
        self.own.refresh();
        self.listeners
            .iter()
            .flatten()
            .for_each(ListenerSecrets::refresh);
    }
}

/// Notes each file of a site that cannot be used.
pub fn check(site: &Site, findings: &mut Findings) {
    let mut note = |named: &Named, error: Error| {
        let help =
            "TLS cannot do without it: see that it is there, and readable by the proxy's user";
        let told = Diagnostic::error(named.span.clone(), error.to_string());
        findings.push(told.help(help));
    };
    for tls in site.listeners.iter().filter_map(|one| one.tls.as_ref()) {
        for certificate in &tls.certificates {
            if let Err(error) = files::certificate(certificate) {
                note(error.blames(&certificate.chain, &certificate.key), error);
            }
        }
        if let Some(named) = &tls.tickets
            && let Err(error) = tickets::read(named)
        {
            note(named, error);
        }
        if let Some(named) = &tls.client_ca
            && let Err(error) = files::authorities(named)
        {
            note(named, error);
        }
    }
    for tls in site.upstreams.iter().filter_map(|one| one.tls.as_ref()) {
        if let Err(error) = files::authorities(&tls.ca)
            && tls.verify
        {
            note(&tls.ca, error);
        }
    }
}

impl Error {
    /// Which of the two files it is about.
    fn blames<'n>(&self, chain: &'n Named, key: &'n Named) -> &'n Named {
        match self {
            Self::Read { path, .. } | Self::Pem { path, .. } | Self::Nothing { path, .. }
                if *path == key.path =>
            {
                key
            }
            Self::Read { .. }
            | Self::Pem { .. }
            | Self::Nothing { .. }
            | Self::Unfit { .. }
            | Self::Ticket { .. }
            | Self::Authorities { .. }
            | Self::Rustls(_) => chain,
        }
    }
}

/// The cryptography below TLS.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
