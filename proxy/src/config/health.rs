//! The table `[proxy.upstream.health]`: how the servers of an upstream are checked.
//!
//! Its words are those of a service's health check. Not here: the checking (health), and what a verdict
//! does to requests.

use std::{num::NonZeroU32, str::FromStr};

use daemon::site::{Table, findings::Findings};
use health::{HttpCheck, ProbeKind, Spec, StatusRange, StatusSet, spec::TextError};
use toml::Spanned;

use super::{file, settings};
use crate::preamble::{self, Version};

/// How the servers of an upstream are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// When, and how many results make a verdict.
    pub spec: Spec,
    /// With what.
    pub probe: ProbeKind,
}

impl HealthCheck {
    /// The same for servers that want a PROXY header: the proxy speaks for itself.
    pub(super) fn behind(mut self, version: Option<Version>) -> Self {
        if let (Some(version), ProbeKind::Http(check)) = (version, &mut self.probe) {
            preamble::write(version, None, &mut check.preamble);
        }
        self
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
}

const KINDS: &[(&str, Kind)] = &[("tcp", Kind::Tcp), ("http", Kind::Http)];

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: Table<file::Health>,
    findings: &mut Findings,
) -> Option<HealthCheck> {
    let Table { span, value } = table;
    let kind = findings.required(
        value.kind.clone(),
        &span,
        "type",
        "\"tcp\"` or `type = \"http\"",
    );
    let kind = kind.and_then(|word| findings.word(&word, "health check", KINDS, &["https"]));
    let spec = spec(&value, findings);
    let http = http(&value, findings);
    let probe = match kind?.into_inner() {
        Kind::Http => ProbeKind::Http(http?),
        Kind::Tcp => {
            let path = value.path.as_ref().map(Spanned::span);
            let host = value.host.as_ref().map(Spanned::span);
            if let Some(span) = path.or(host) {
                return findings.refuse(
                    span,
                    "a check of type \"tcp\" asks for nothing",
                    "write `type = \"http\"`, or leave it out",
                );
            }
            ProbeKind::Tcp
        }
    };
    Some(HealthCheck { spec: spec?, probe })
}

fn spec(table: &file::Health, findings: &mut Findings) -> Option<Spec> {
    let default = Spec::default();
    let interval = table.interval.as_ref();
    let interval = settings::time(interval, "interval", default.interval, findings);
    let timeout = table.timeout.as_ref();
    let timeout = settings::time(timeout, "timeout", default.timeout, findings);
    let mut count = |value: &Option<Spanned<i64>>, what, default: NonZeroU32| {
        let count = settings::number(value.as_ref(), what, default.get(), (1, 1000), findings);
        count.and_then(NonZeroU32::new)
    };
    let rise = count(&table.rise, "rise", default.rise);
    let fall = count(&table.fall, "fall", default.fall);
    Some(Spec {
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
    })
}

fn http(table: &file::Health, findings: &mut Findings) -> Option<HttpCheck> {
    let path = table.path.as_ref().map(|path| text(path, findings));
    let host = table.host.as_ref().map(|host| text(host, findings));
    let statuses = match &table.status {
        Some(statuses) => {
            let ranges = statuses.0.iter().map(|text| range(text, findings));
            StatusSet::new(
                ranges
                    .collect::<Vec<_>>()
                    .into_iter()
                    .collect::<Option<_>>()?,
            )
        }
        None => StatusSet::default(),
    };
    let mut check = HttpCheck {
        statuses,
        ..HttpCheck::default()
    };
    if let Some(path) = path {
        check.path = path?;
    }
    if let Some(host) = host {
        check.host = Some(host?);
    }
    Some(check)
}

fn text<T: FromStr<Err = TextError>>(
    value: &Spanned<String>,
    findings: &mut Findings,
) -> Option<T> {
    match value.get_ref().parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => findings.refuse(
            value.span(),
            format!("`{}` {error}", value.get_ref()),
            "write what goes on the wire, such as \"/health\" or \"www.example.com\"",
        ),
    }
}

fn range(value: &Spanned<String>, findings: &mut Findings) -> Option<StatusRange> {
    match value.get_ref().parse() {
        Ok(range) => Some(range),
        Err(error) => findings.refuse(
            value.span(),
            format!("status `{}` {error}", value.get_ref()),
            "write \"200\", \"200-399\", or a list of such",
        ),
    }
}
