//! The tables `[proxy.listener.tls]` and `[proxy.upstream.tls]`: certificates, and who is believed.
//!
//! Not here: reading the files that they name (`crate::tls`).

use std::{ops::Range, path::PathBuf};

use daemon::site::{Table, findings::Findings};
use rustls::pki_types::{DnsName, ServerName};
use toml::Spanned;

use super::file;

/// Certificates of a listener at most.
pub const CERTIFICATES_MAX: usize = 1000;
/// Whom a server's certificate has to be from unless told otherwise: Debian's bundle.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A file that the site file names, with its place there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The file.
    pub path: PathBuf,
    /// Where the site file names it.
    pub span: Range<usize>,
}

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// At least one; the first one is for clients that name no host or an unknown one.
    pub certificates: Vec<Certificate>,
    /// Whether TLS 1.2 is spoken beside 1.3.
    pub has_tls12: bool,
    /// Keys of session tickets that other proxies know, too; `None`: keys of the process's own.
    pub tickets: Option<Named>,
    /// Authorities of which clients must have a certificate.
    pub client_ca: Option<Named>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate and those that lead to its authority, in PEM.
    pub chain: Named,
    /// Its private key, in PEM.
    pub key: Named,
    /// Hosts that it is for, of the form `a.b` or `*.b`; none: those in it.
    pub names: Vec<String>,
}

/// How TLS is spoken to the servers of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The name that is asked for and has to be in the certificate; `None`: the server's address.
    pub server_name: Option<ServerName<'static>>,
    /// Authorities that are believed.
    pub ca: Named,
    /// Whether certificates are checked at all.
    pub verify: bool,
}

pub(super) fn listener(
    table: Table<file::ListenerTls>,
    findings: &mut Findings,
) -> Option<ListenerTls> {
    let Table { span, value } = table;
    let versions = value.versions.as_ref();
    let has_tls12 = versions.map_or(Some(true), |versions| self::versions(versions, findings));
    let tickets = named(value.tickets, findings);
    let client_ca = named(value.client_ca, findings);
    let tables = value.certificate.unwrap_or_default();
    if tables.is_empty() && !findings.is_excused(&span, "certificate") {
        return findings.refuse(
            span,
            "TLS without a certificate",
            "add `[[proxy.listener.tls.certificate]]` with `chain` and `key`",
        );
    }
    if let Some(first_beyond) = tables.get(CERTIFICATES_MAX) {
        return findings.refuse(
            first_beyond.span.clone(),
            format!("more than {CERTIFICATES_MAX} certificates"),
            "put several hosts into one",
        );
    }
    let certificates: Vec<Option<Certificate>> = tables
        .into_iter()
        .map(|table| certificate(table, findings))
        .collect();
    Some(ListenerTls {
        certificates: certificates.into_iter().collect::<Option<_>>()?,
        has_tls12: has_tls12?,
        tickets: tickets?,
        client_ca: client_ca?,
    })
}

fn certificate(table: Table<file::Certificate>, findings: &mut Findings) -> Option<Certificate> {
    let Table { span, value } = table;
    let chain = findings.required(value.chain, &span, "chain", "\"/etc/viaduct/www.pem\"");
    let key = findings.required(value.key, &span, "key", "\"/etc/viaduct/www.key\"");
    let (chain, key) = (named(chain, findings), named(key, findings));
    let names: Vec<Option<String>> = value
        .names
        .map(|names| names.0)
        .unwrap_or_default()
        .iter()
        .map(|name| host(name, findings))
        .collect();
    Some(Certificate {
        chain: chain??,
        key: key??,
        names: names.into_iter().collect::<Option<_>>()?,
    })
}

fn host(name: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let text = name.get_ref().to_ascii_lowercase();
    let plain = text.strip_prefix("*.").unwrap_or(&text);
    if DnsName::try_from(plain).is_ok() {
        return Some(text);
    }
    findings.refuse(
        name.span(),
        format!("`{}` is no name of a host", name.get_ref()),
        "write \"www.example.com\" or \"*.example.com\"",
    )
}

/// Whether TLS 1.2 is among them.
fn versions(versions: &file::OneOrMany, findings: &mut Findings) -> Option<bool> {
    const KNOWN: &[(&str, bool)] = &[("1.2", true), ("1.3", false)];
    let mut found = [false; 2];
    for version in &versions.0 {
        let known = findings.word(version, "TLS version", KNOWN, &[])?;
        found[usize::from(*known.get_ref())] = true;
    }
    if found[0] {
        return Some(found[1]);
    }
    let span = versions.0.first().map_or(0..0, Spanned::span);
    findings.refuse(
        span,
        "TLS without version 1.3",
        "add \"1.3\": each client that has it is better off",
    )
}

/// `Some(None)`: not given. `None`: given and wrong.
#[expect(clippy::option_option, reason = "three cases: absent, wrong, right")]
fn named(path: Option<Spanned<String>>, findings: &mut Findings) -> Option<Option<Named>> {
    let Some(path) = path else {
        return Some(None);
    };
    if path.get_ref().starts_with('/') {
        return Some(Some(Named {
            span: path.span(),
            path: path.into_inner().into(),
        }));
    }
    let message = format!("`{}` is not an absolute path", path.get_ref());
    findings.refuse(path.span(), message, "begin with `/`")
}

pub(super) fn upstream(
    table: Table<file::UpstreamTls>,
    findings: &mut Findings,
) -> Option<UpstreamTls> {
    let Table { span, value } = table;
    let server_name = value.server_name.map(|name| {
        let known = ServerName::try_from(name.get_ref().as_str()).map(|name| name.to_owned());
        known.ok().or_else(|| {
            findings.refuse(
                name.span(),
                format!("`{}` is no name of a server", name.get_ref()),
                "write the name that is in its certificate, as \"app.example.com\"",
            )
        })
    });
    let ca = named(value.ca, findings)?.unwrap_or_else(|| Named {
        path: AUTHORITIES.into(),
        span,
    });
    Some(UpstreamTls {
        server_name: match server_name {
            Some(name) => Some(name?),
            None => None,
        },
        ca,
        verify: value.verify.is_none_or(Spanned::into_inner),
    })
}
