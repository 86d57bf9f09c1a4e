//! Certificates: which one clients are shown, and which of servers are taken.
//!
//! ```text
//!   off              no TLS
//!   preferred        TLS where the server has it, whoever it is: nobody can listen, but somebody could
//!                    stand between
//!   verify-ca        a certificate of an authority that is named, whatever it is for: what servers make
//!                    themselves names no host
//!   verify-identity  and for the name or address that is connected to
//! ```
//! Not here: the machine that speaks TLS (`core::tls`).

use std::{net::IpAddr, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

/// How a server's certificate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No TLS.
    Off,
    /// TLS where there is any.
    Preferred,
    /// TLS, with a certificate of a known authority.
    VerifyCa,
    /// And for this host.
    VerifyIdentity,
}

/// How a server is met.
#[derive(Clone, Debug)]
pub struct Way {
    /// How its certificate is looked at.
    pub mode: Mode,
    /// TLS's own; `None` without it.
    pub config: Option<Arc<ClientConfig>>,
    /// What it has to be for, where that is looked at.
    pub address: IpAddr,
}

impl Way {
    /// The machine for one connection.
    ///
    /// # Errors
    /// There is no TLS, or rustls does not like it.
    pub fn machine(&self) -> Result<ClientConnection, Error> {
        let config = self.config.clone().ok_or(Error::HandshakeNotComplete)?;
        ClientConnection::new(config, ServerName::IpAddress(self.address.into()))
    }
}

/// What clients are shown.
///
/// # Errors
/// Files that cannot be read, or do not belong together.
pub fn of_listener(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("the key in {}", key.display()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
    Ok(Arc::new(config))
}

/// How servers are met; `None` without TLS.
///
/// # Errors
/// Authorities that cannot be read.
pub fn of_server(mode: Mode, authorities: Option<&Path>) -> Result<Option<Arc<ClientConfig>>> {
    let verifier: Arc<dyn ServerCertVerifier> = match (mode, authorities) {
        (Mode::Off, _) => return Ok(None),
        (Mode::Preferred, _) => Arc::new(Anybody(provider())),
        (Mode::VerifyCa, Some(path)) => Arc::new(AnyName(known(path)?)),
        (Mode::VerifyIdentity, Some(path)) => known(path)?,
        (Mode::VerifyCa | Mode::VerifyIdentity, None) => {
            anyhow::bail!("there are no authorities to verify by")
        }
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = || format!("the certificates in {}", path.display());
    let all = CertificateDer::pem_file_iter(path).with_context(what)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().with_context(what)?;
    anyhow::ensure!(!all.is_empty(), "{}: there are none", what());
    Ok(all)
}

fn known(path: &Path) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .with_context(|| format!("an authority in {}", path.display()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    Ok(verifier.build()?)
}

/// Whoever holds the certificate's key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate of a known authority, for whatever name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The chain is looked at before the name.
        match self
            .0
            .verify_server_cert(certificate, between, name, ocsp, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
