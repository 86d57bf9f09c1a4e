//! What a virtual router has a default for.
//!
//! Not here: its name, number, VIPs and group.

use std::{path::PathBuf, time::Duration};

use daemon::{diagnostic::Diagnostic, duration::HumanDuration};
use toml::Spanned;
use vrrp::{ChecksumForm, Interval, Preempt};

use super::super::{file, findings::Findings};
use super::{
    announce::{self, Announce},
    words::{CHECKSUMS, MacChoice, Transport},
};

/// Whoever should wait for longer than this before it preempts should not preempt.
const PREEMPT_DELAY_MAX: Duration = Duration::from_secs(3600);
/// A stop waits no longer than this until the VIPs are handed over: `TimeoutStopSec` of
/// packaging/viaduct-lb.service is a minute.
pub(crate) const STOP: Duration = Duration::from_secs(50);
/// An interval at which that is enough, in whole seconds.
const INTERVAL_SAFE: Duration = Duration::from_secs(8);
/// Bytes of a path (`PATH_MAX` in linux/limits.h, which counts a final zero).
const PATH_MAX: usize = 4095;

/// What has a default; `None`: a mistake.
pub(super) struct Settings {
    pub(super) interval: Option<Interval>,
    pub(super) preempt: Option<Preempt>,
    pub(super) mac: Option<MacChoice>,
    pub(super) transport: Option<Transport>,
    pub(super) checksum: Option<ChecksumForm>,
    pub(super) notify: Option<Option<PathBuf>>,
    pub(super) announce: Option<Announce>,
}

pub(super) fn from_file(table: file::VirtualRouter, findings: &mut Findings) -> Settings {
    Settings {
        interval: interval(table.interval.as_ref(), findings),
        preempt: preempt(&table, findings),
        mac: word(table.mac.as_ref(), "MAC", MacChoice::KNOWN, findings),
        transport: word(
            table.transport.as_ref(),
            "transport",
            Transport::KNOWN,
            findings,
        ),
        checksum: word(table.checksum.as_ref(), "checksum", CHECKSUMS, findings),
        notify: match &table.notify {
            Some(value) => path(value, findings).map(Some),
            None => Some(None),
        },
        announce: announce::from_file(table.announce, findings),
    }
}

fn word<T: Copy + Default>(
    value: Option<&Spanned<String>>,
    what: &str,
    known: &[(&str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let Some(value) = value else {
        return Some(T::default());
    };
    let word = findings.word(value, what, known, &[]);
    word.map(Spanned::into_inner)
}

fn interval(value: Option<&Spanned<HumanDuration>>, findings: &mut Findings) -> Option<Interval> {
    let Some(value) = value else {
        return Some(Interval::DEFAULT);
    };
    let span = value.get_ref().0;
    let error = match Interval::try_from(span) {
        Ok(interval) => {
            leaves_time(value, findings);
            return Some(interval);
        }
        Err(error) => error,
    };
    let centis = u16::try_from(span.as_millis().div_ceil(10)).ok();
    let help = match centis.and_then(Interval::from_centis) {
        Some(next) => format!("write \"{}\"", HumanDuration(next.period())),
        None => "write for example \"1s\"".to_owned(),
    };
    let message = format!("interval {} {error}", value.get_ref());
    findings.refuse(value.span(), message, help)
}

/// What handing over takes at most, at this time between two adverts: asking three times, an interval apart,
/// and two more to answer.
pub(crate) fn handing_over(period: Duration) -> Duration {
    period * 6 + Duration::from_secs(1)
}

/// Notes where a stop does not wait until everything is handed over.
fn leaves_time(value: &Spanned<HumanDuration>, findings: &mut Findings) {
    let most = handing_over(value.get_ref().0);
    if most <= STOP {
        return;
    }
    let message = format!(
        "handing over at interval {} takes up to {}s, and a stop waits for it no longer than {}s",
        value.get_ref(),
        most.as_millis().div_ceil(1000),
        STOP.as_secs()
    );
    let help = format!(
        "write \"{}\" or less, or let `viaduct resign` hand over before a stop",
        HumanDuration(INTERVAL_SAFE)
    );
    findings.push(Diagnostic::warning(value.span(), message).help(help));
}

fn preempt(table: &file::VirtualRouter, findings: &mut Findings) -> Option<Preempt> {
    let never = table.preempt.as_ref().filter(|preempt| !*preempt.get_ref());
    let delay = match &table.preempt_delay {
        Some(value) => {
            let range = (Duration::ZERO, PREEMPT_DELAY_MAX);
            findings.time(value, "preempt_delay", range)
        }
        None => Some(Duration::ZERO),
    };
    let Some(never) = never else {
        return delay.map(Preempt::After);
    };
    if let Some(value) = &table.preempt_delay {
        let message = "`preempt_delay` has no meaning where nobody preempts";
        findings.push(
            Diagnostic::error(value.span(), message)
                .help("leave it out, or leave out `preempt = false`")
                .note(never.span(), "said here"),
        );
        return None;
    }
    Some(Preempt::Never)
}

/// A program to be run: whose working directory it would be otherwise, nobody knows.
fn path(value: &Spanned<String>, findings: &mut Findings) -> Option<PathBuf> {
    let text = value.get_ref();
    if text.len() > PATH_MAX || text.contains('\0') {
        let message = "not a path that a file can have";
        return findings.refuse(
            value.span(),
            message,
            "write for example \"/etc/viaduct/notify\"",
        );
    }
    if !text.starts_with('/') {
        let message = format!("`{text}` is not an absolute path");
        let help = "write it from the root, without arguments: \"/etc/viaduct/notify\"";
        return findings.refuse(value.span(), message, help);
    }
    with_arguments(value, findings);
    Some(PathBuf::from(text))
}

/// No shell reads it, so a space does not end the path.
pub(super) fn with_arguments(program: &Spanned<String>, findings: &mut Findings) {
    let text = program.get_ref();
    if let Some((path, _)) = text.split_once(' ') {
        let message = format!("`{text}` is the path of a file, spaces and all");
        let help = format!("if `{path}` is meant, do not write arguments into the same text");
        findings.push(Diagnostic::warning(program.span(), message).help(help));
    }
}
