//! The table `[service.health]`: how the real servers of a service are checked.
//!
//! Not here: the checking (health), and what a verdict does to traffic.

use std::{num::NonZeroU32, ops::Range, str::FromStr, time::Duration};

use daemon::{diagnostic::Diagnostic, duration::HumanDuration, site::Table};
use health::{HttpCheck, ProbeKind, Spec, StatusRange, StatusSet, spec::TextError};
use toml::Spanned;

use super::{
    file::{self, Statuses},
    findings::Findings,
};

/// How the real servers of a service are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// When, and how many results make a verdict.
    pub spec: Spec,
    /// With what.
    pub probe: ProbeKind,
    /// At which port; `None`: at each real server's own.
    pub port: Option<u16>,
    /// By which statuses a real server says that it is about to stop.
    pub draining: Option<StatusSet>,
}

/// More results than this in a row would take days to come by.
const MAX_COUNT: u32 = 1000;
/// Shorter than this, checking would be an attack on the real servers.
const MIN_TIME: Duration = Duration::from_millis(10);
/// Longer than this is a slip of the pen.
const MAX_TIME: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
}

const KINDS: &[(&str, Kind)] = &[("tcp", Kind::Tcp), ("http", Kind::Http)];
const LATER: &[&str] = &[
    "https", "icmp", "udp", "dns", "smtp", "mysql", "script", "file",
];

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: Table<file::Health>,
    findings: &mut Findings,
) -> Option<HealthCheck> {
    let Table {
        span,
        value: mut table,
    } = table;
    let kind = findings.required(
        table.kind.take(),
        &span,
        "type",
        "\"tcp\"` or `type = \"http\"",
    );
    let kind = kind.and_then(|word| findings.word(&word, "health check", KINDS, LATER));
    let port = table.port.as_ref().map(|port| findings.port(port));
    let spec = spec(&table, findings);
    let draining = draining(&table, findings);
    let probe = match kind.map(Spanned::into_inner) {
        Some(Kind::Tcp) => tcp(&table, findings),
        Some(Kind::Http) => http(&table, findings).map(ProbeKind::Http),
        // What is wrong with the rest is worth telling all the same.
        None => http(&table, findings).and(None),
    };
    let port = match port {
        Some(Some(port)) => Some(port.into_inner()),
        Some(None) => return None,
        None => None,
    };
    Some(HealthCheck {
        spec: spec?,
        probe: probe?,
        port,
        draining: draining?,
    })
}

/// `Some(None)`: not given. `None`: given and wrong.
#[expect(clippy::option_option, reason = "three cases: absent, wrong, right")]
fn draining(table: &file::Health, findings: &mut Findings) -> Option<Option<StatusSet>> {
    let Some(written) = &table.draining else {
        return Some(None);
    };
    let draining = statuses_from(written, findings)?;
    let healthy = match &table.status {
        Some(statuses) => statuses_from(statuses, &mut Findings::new(vec![], Default::default())),
        None => Some(StatusSet::default()),
    };
    let both = healthy.and_then(|healthy| {
        (100..600).find(|&status| healthy.contains(status) && draining.contains(status))
    });
    if let Some(status) = both {
        let message = format!("status {status} is to mean both healthy and draining");
        let help = "write the statuses that only a real server about to stop answers with: \"503\"";
        return findings.refuse(written.span(), message, help);
    }
    Some(Some(draining))
}

fn spec(table: &file::Health, findings: &mut Findings) -> Option<Spec> {
    let default = Spec::default();
    let interval = time(
        table.interval.as_ref(),
        "interval",
        default.interval,
        findings,
    );
    let timeout = time(table.timeout.as_ref(), "timeout", default.timeout, findings);
    let rise = count(table.rise.as_ref(), "rise", default.rise, findings);
    let fall = count(table.fall.as_ref(), "fall", default.fall, findings);
    let spec = Spec {
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
    };
    // One of them was written, or they would be equal.
    let written = table
        .timeout
        .as_ref()
        .or(table.interval.as_ref())
        .map(Spanned::span);
    if let Some(span) = written.filter(|_| spec.timeout > spec.interval) {
        findings.push(longer_than_the_interval(span, "real server", &spec));
    }
    Some(spec)
}

pub(super) fn longer_than_the_interval(span: Range<usize>, who: &str, spec: &Spec) -> Diagnostic {
    let (interval, timeout) = (HumanDuration(spec.interval), HumanDuration(spec.timeout));
    let message = format!(
        "the timeout ({timeout}) is longer than the interval ({interval}): \
         a silent {who} is checked only every {timeout}"
    );
    Diagnostic::warning(span, message).help("make the timeout at most the interval")
}

pub(super) fn time(
    value: Option<&Spanned<HumanDuration>>,
    what: &str,
    default: Duration,
    findings: &mut Findings,
) -> Option<Duration> {
    match value {
        Some(value) => findings.time(value, what, (MIN_TIME, MAX_TIME)),
        None => Some(default),
    }
}

pub(super) fn count(
    value: Option<&Spanned<i64>>,
    what: &str,
    default: NonZeroU32,
    findings: &mut Findings,
) -> Option<NonZeroU32> {
    let Some(value) = value else {
        return Some(default);
    };
    NonZeroU32::new(findings.number(value, what, (1, MAX_COUNT))?.into_inner())
}

/// A TCP check has nothing of an HTTP check's keys.
fn tcp(table: &file::Health, findings: &mut Findings) -> Option<ProbeKind> {
    let path = table.path.as_ref().map(|value| ("path", value.span()));
    let status = table.status.as_ref().map(|value| ("status", value.span()));
    let host = table.host.as_ref().map(|value| ("host", value.span()));
    let draining = table.draining.as_ref();
    let draining = draining.map(|value| ("draining", value.span()));
    let misplaced = [path, status, draining, host];
    let misplaced: Vec<_> = misplaced.into_iter().flatten().collect();
    for (key, span) in &misplaced {
        let message = format!("`{key}` has no meaning in a check of type \"tcp\"");
        findings.push(
            Diagnostic::error(span.clone(), message)
                .help("write `type = \"http\"`, or leave it out"),
        );
    }
    misplaced.is_empty().then_some(ProbeKind::Tcp)
}

fn http(table: &file::Health, findings: &mut Findings) -> Option<HttpCheck> {
    let path = text(table.path.as_ref(), "path", findings);
    let host = text(table.host.as_ref(), "host", findings);
    let statuses = match &table.status {
        Some(statuses) => statuses_from(statuses, findings),
        None => Some(StatusSet::default()),
    };
    Some(HttpCheck {
        path: path?.unwrap_or_default(),
        host: host?,
        statuses: statuses?,
        preamble: Vec::new(),
    })
}

/// `Some(None)`: not given. `None`: given and wrong.
fn text<T: FromStr<Err = TextError>>(
    value: Option<&Spanned<String>>,
    what: &str,
    findings: &mut Findings,
) -> Option<Option<T>> {
    let Some(value) = value else {
        return Some(None);
    };
    let text = value.get_ref();
    let error = match text.parse() {
        Ok(parsed) => return Some(Some(parsed)),
        Err(error) => error,
    };
    let help = match error {
        TextError::NotAbsolute => format!("write \"/{text}\""),
        TextError::Empty => "leave it out for the real server's address".to_owned(),
        TextError::Character(c) if what == "path" => format!("percent-encode it: {}", encoded(c)),
        TextError::Character(_) | TextError::TooLong => {
            "write what goes on the wire, such as \"/health\" or \"www.example.com\"".to_owned()
        }
    };
    // A long text is not repeated.
    let shown = if text.len() > 60 {
        String::new()
    } else {
        format!(" `{text}`")
    };
    findings.refuse(value.span(), format!("{what}{shown} {error}"), help)
}

fn encoded(c: char) -> String {
    c.to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}

fn statuses_from(value: &Spanned<Statuses>, findings: &mut Findings) -> Option<StatusSet> {
    let ranges: Vec<Option<StatusRange>> = match value.get_ref() {
        Statuses::One(text) => vec![range(value.span(), text, findings)],
        Statuses::Many(texts) if texts.is_empty() => {
            return findings.refuse(
                value.span(),
                "no status: no check would ever pass",
                "write \"200-399\", or leave it out",
            );
        }
        Statuses::Many(texts) => texts
            .iter()
            .map(|text| range(text.span(), text.get_ref(), findings))
            .collect(),
    };
    ranges
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(StatusSet::new)
}

fn range(span: Range<usize>, text: &str, findings: &mut Findings) -> Option<StatusRange> {
    match text.parse() {
        Ok(range) => Some(range),
        Err(error) => findings.refuse(
            span,
            format!("status `{text}` {error}"),
            "write \"200\", \"200-399\", or a list of such",
        ),
    }
}
