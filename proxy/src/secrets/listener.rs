//! What a listener speaks TLS with.
//!
//! Not here: which certificate a name gets (`names`).

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::{
    ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use webpki::EndEntityCert;

use super::{
    Error,
    files::{self, Watched},
    names::Names,
    provider,
    tickets::{self, Own, Tickets},
};
use crate::config::{Certificate, ListenerTls, Named};

/// What a listener speaks TLS with.
#[derive(Debug)]
pub struct ListenerSecrets {
    /// What rustls goes by.
    pub config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
    tickets: Arc<Tickets>,
    own: Option<Arc<Own>>,
    watched: Mutex<Vec<(Watched, Files)>>,
}

/// What is in files that are watched.
#[derive(Clone, Debug)]
enum Files {
    Certificate(usize),
    Tickets(Named),
}

impl ListenerSecrets {
    /// Reads what a listener needs; `own` are keys for tickets where it names none.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(super) fn load(tls: &ListenerTls, http2: bool, own: &Arc<Own>) -> Result<Self, Error> {
        let mut watched = Vec::new();
        for (place, files) in tls.certificates.iter().enumerate() {
            let paths = vec![files.chain.path.clone(), files.key.path.clone()];
            watched.push((Watched::new(paths), Files::Certificate(place)));
        }
        let keys = match &tls.tickets {
            Some(named) => {
                let paths = vec![named.path.clone()];
                watched.push((Watched::new(paths), Files::Tickets(named.clone())));
                tickets::read(named)?
            }
            None => own.keys(),
        };
        let certificates = Arc::new(Certificates::load(&tls.certificates)?);
        let builder = ServerConfig::builder_with_provider(provider());
        let versions: &[_] = if tls.has_tls12 {
            &[&TLS13, &TLS12]
        } else {
            &[&TLS13]
        };
        let builder = builder.with_protocol_versions(versions)?;
        let (builder, label) = match &tls.client_ca {
            Some(named) => {
                let roots = Arc::new(files::authorities(named)?);
                // A session stands for a certificate that one of these authorities has vouched for.
                let subjects = roots.subjects();
                let subjects = subjects.iter().map(|one| one.as_ref().to_vec());
                let label = [b"client_ca".to_vec()].into_iter().chain(subjects);
                let label = label.collect::<Vec<_>>().concat();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(|error| Error::Authorities {
                    path: named.path.clone(),
                    why: error.to_string(),
                })?;
                (builder.with_client_cert_verifier(verifier), label)
            }
            None => (builder.with_no_client_auth(), Vec::new()),
        };
        let tickets = Arc::new(Tickets::new(&keys, label));
        let resolver = Arc::clone(&certificates);
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&tickets) as Arc<_>;
        Ok(Self {
            config: Arc::new(config),
            certificates,
            tickets,
            own: tls.tickets.is_none().then(|| Arc::clone(own)),
            watched: Mutex::new(watched),
        })
    }

    /// Takes what has changed.
    pub(super) fn refresh(&self) {
        if let Some(own) = &self.own {
            self.tickets.set(&own.keys());
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (watched, files) in &mut *watched {
            if !watched.have_changed() {
                continue;
            }
            let (what, file, taken) = match files {
                Files::Certificate(place) => {
                    let file = &self.certificates.files[*place].chain;
                    ("certificate", file, self.certificates.renew(*place))
                }
                Files::Tickets(named) => {
                    let keys = tickets::read(named);
                    let taken = keys.map(|keys| self.tickets.set(&keys));
                    ("ticket keys", &*named, taken)
                }
            };
            let file = file.path.display();
            match taken {
                Ok(()) => tracing::info!(what, %file, "changed, and taken"),
                Err(error) => {
                    tracing::error!(
                        what,
                        "changed, and cannot be used; what was there stays: {error}"
                    );
                }
            }
        }
    }
}

/// The certificates of a listener, as they are now.
#[derive(Debug)]
struct Certificates {
    files: Vec<Certificate>,
    now: RwLock<Now>,
}

#[derive(Debug, Default)]
struct Now {
    keys: Vec<Arc<CertifiedKey>>,
    names: Names,
}

impl Certificates {
    fn load(files: &[Certificate]) -> Result<Self, Error> {
        let keys = files.iter().map(files::certificate);
        let keys = keys.map(|key| key.map(Arc::new));
        let certificates = Self {
            files: files.to_vec(),
            now: RwLock::default(),
        };
        certificates.set(keys.collect::<Result<_, _>>()?);
        Ok(certificates)
    }

    fn renew(&self, place: usize) -> Result<(), Error> {
        let fresh = files::certificate(&self.files[place])?;
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys = now.keys.clone();
        drop(now);
        keys[place] = Arc::new(fresh);
        self.set(keys);
        Ok(())
    }

    fn set(&self, keys: Vec<Arc<CertifiedKey>>) {
        let mut names = Names::default();
        for (place, (files, key)) in self.files.iter().zip(&keys).enumerate() {
            if !files.names.is_empty() {
                names.add(place, files.names.iter().map(String::as_str));
            } else if let Some(first) = key.cert.first()
                && let Ok(known) = EndEntityCert::try_from(first)
            {
                names.add(place, known.valid_dns_names());
            }
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Now { keys, names };
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.keys.get(now.names.find(hello.server_name())).cloned()
    }
}
