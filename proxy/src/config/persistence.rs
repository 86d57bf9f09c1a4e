//! The table `[proxy.upstream.persistence]`: a cookie that keeps a client with its server.
//!
//! Not here: reading and writing cookies (`persistence`).

use daemon::{
    diagnostic::Diagnostic,
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{file, settings};

/// A cookie that keeps a client with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Its name.
    pub cookie: String,
    /// The paths it is for.
    pub path: String,
    /// Whether browsers send it over TLS only.
    pub secure: bool,
    /// Whether it is hidden from scripts.
    pub http_only: bool,
    /// Whether browsers send it with requests that other sites caused.
    pub same_site: SameSite,
}

/// Whether browsers send a cookie with requests that other sites caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// `lax`: when a link is followed.
    #[default]
    Lax,
    /// `strict`: never.
    Strict,
    /// `none`: always; browsers want it `Secure` then.
    None,
}

impl SameSite {
    const KNOWN: &[(&str, Self)] = &[
        ("lax", Self::Lax),
        ("strict", Self::Strict),
        ("none", Self::None),
    ];
}

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: Table<file::Persistence>,
    findings: &mut Findings,
) -> Option<Persistence> {
    let Table { span, value } = table;
    let cookie = findings.required(value.cookie, &span, "cookie", "\"server\"");
    let cookie = cookie.and_then(|cookie| name(&cookie, findings));
    let path = match &value.path {
        Some(path) => settings::absolute(path, findings).filter(|_| is_plain(path, findings)),
        None => Some("/".to_owned()),
    };
    let same_site = match &value.same_site {
        Some(word) => findings
            .word(word, "same_site", SameSite::KNOWN, &[])
            .map(Spanned::into_inner),
        None => Some(SameSite::default()),
    };
    let secure = value.secure.is_some_and(Spanned::into_inner);
    if same_site == Some(SameSite::None) && !secure {
        let span = value.same_site.map_or(span, |word| word.span());
        let message = "browsers refuse a cookie with `same_site = \"none\"` that is not secure";
        findings.push(Diagnostic::error(span, message).help("add `secure = true`"));
        return None;
    }
    Some(Persistence {
        cookie: cookie?,
        path: path?,
        secure,
        http_only: value.http_only.is_none_or(Spanned::into_inner),
        same_site: same_site?,
    })
}

/// RFC 6265 section 4.1.1.
fn name(text: &Spanned<String>, findings: &mut Findings) -> Option<String> {
    let name = text.get_ref();
    if !settings::is_token(name) || name.len() > 64 {
        return findings.refuse(
            text.span(),
            format!("`{name}` cannot name a cookie"),
            "write for example \"server\"",
        );
    }
    Some(name.clone())
}

fn is_plain(path: &Spanned<String>, findings: &mut Findings) -> bool {
    let is_plain = !path.get_ref().contains(';');
    if !is_plain {
        let message = "a `;` would end the path of a cookie";
        findings.push(Diagnostic::error(path.span(), message).help("write for example \"/\""));
    }
    is_plain
}
