//! The tables `[[virtual_router.track]]`: what a host's priority in a virtual router depends on.
//!
//! Not here: the looking, and how priorities come of it (`ha::priority`).

use std::{num::NonZeroU8, num::NonZeroU32, ops::Range};

use ::health::Spec;
use daemon::{
    diagnostic::{Diagnostic, nearest},
    site::Table,
};
use toml::Spanned;

use super::super::{
    file,
    findings::Findings,
    health::{self, longer_than_the_interval},
    host::is_interface_name,
    service,
};
use super::settings::with_arguments;

/// Tracks of a virtual router at most.
pub const TRACKS_MAX: usize = 32;
/// Words of a script's command line at most.
const ARGV_MAX: usize = 64;
/// Bytes of such a word at most.
const ARGUMENT_MAX: usize = 4095;
/// From the owner's 255 less two to the least there is (keepalived's bounds).
const WEIGHT_MAX: u8 = 253;

/// Something that a host's priority in a virtual router depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What is looked at.
    pub what: TrackTarget,
    /// By how much the priority is lower while that fails: 1 to 253. `None`: while it fails, the host
    /// takes no part at all (keepalived's fault state).
    pub weight: Option<NonZeroU8>,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackTarget {
    /// An interface of the host; it fails while it is not there, not up or without carrier.
    Interface(String),
    /// A program; it fails when it exits with another status than 0, dies of a signal or takes too
    /// long.
    Script {
        /// The program, an absolute path, and its arguments.
        argv: Vec<String>,
        /// How often, how long, and how many results make a verdict. As keepalived's, one is enough
        /// unless the file says otherwise.
        spec: Spec,
    },
    /// The real servers of a virtual service; it fails while the weights of those that are up are
    /// less than the quorum together.
    Service {
        /// Its name.
        name: String,
        /// At most all their weights together.
        quorum: NonZeroU32,
    },
}

/// What of a track may clash with the services.
pub(super) struct TrackDraft {
    service: Option<Spanned<String>>,
    quorum: Option<Spanned<u32>>,
}

/// The drafts, and all tracks if none has a mistake.
pub(super) fn from_file(
    tables: Option<Vec<Table<file::Track>>>,
    findings: &mut Findings,
) -> (Vec<TrackDraft>, Option<Vec<Track>>) {
    let tables = tables.unwrap_or_default();
    if let Some(beyond) = tables.get(TRACKS_MAX) {
        let message = format!("more than the {TRACKS_MAX} tracks of a virtual router");
        let help = "let one script look at several things";
        findings.push(Diagnostic::error(beyond.span.clone(), message).help(help));
        return (Vec::new(), None);
    }
    let (drafts, tracks): (Vec<_>, Vec<_>) = tables
        .into_iter()
        .map(|table| track(table, findings))
        .unzip();
    (drafts, tracks.into_iter().collect())
}

fn track(table: Table<file::Track>, findings: &mut Findings) -> (TrackDraft, Option<Track>) {
    let Table { span, value: table } = table;
    let weight = match &table.weight {
        Some(value) => weight(value, findings).map(Some),
        None => Some(None),
    };
    let kind = kind(&table, &span, findings);
    if let Some(kind) = kind {
        misplaced(&table, kind, findings);
    }
    let quorum = match &table.quorum {
        Some(value) => findings.number(value, "quorum", (1, u32::MAX)),
        None => Some(Spanned::new(span, 1)),
    };
    let what = match kind {
        Some(Kind::Interface) => table
            .interface
            .as_ref()
            .and_then(|value| interface(value, findings)),
        Some(Kind::Script) => script(&table, findings),
        Some(Kind::Service) => quorum.as_ref().and_then(|quorum| {
            Some(TrackTarget::Service {
                name: table.service.as_ref()?.get_ref().clone(),
                quorum: NonZeroU32::new(*quorum.get_ref())?,
            })
        }),
        None => None,
    };
    let whole = what
        .zip(weight)
        .map(|(what, weight)| Track { what, weight });
    let service = table.service;
    (TrackDraft { service, quorum }, whole)
}

fn weight(value: &Spanned<i64>, findings: &mut Findings) -> Option<NonZeroU8> {
    if *value.get_ref() == 0 {
        let message = "a track of weight 0 would change nothing";
        let help = "leave `weight` out: then the host takes no part while it fails";
        return findings.refuse(value.span(), message, help);
    }
    let weight = findings.number(value, "weight", (1, WEIGHT_MAX))?;
    NonZeroU8::new(weight.into_inner())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interface,
    Script,
    Service,
}

const ONE_OF: &str = "write one of `interface`, `script` and `service`";

fn kind(table: &file::Track, span: &Range<usize>, findings: &mut Findings) -> Option<Kind> {
    let interface = table.interface.as_ref().map(Spanned::span);
    let script = table.script.as_ref().map(Spanned::span);
    let service = table.service.as_ref().map(Spanned::span);
    let keys = [
        (Kind::Interface, interface),
        (Kind::Script, script),
        (Kind::Service, service),
    ];
    let mut given: Vec<_> = keys
        .into_iter()
        .filter_map(|(kind, span)| Some((kind, span?)))
        .collect();
    given.sort_by_key(|(_, span)| span.start);
    let mut given = given.into_iter();
    match (given.next(), given.next()) {
        (Some((kind, _)), None) => Some(kind),
        (Some((_, first)), Some((_, second))) => {
            let message = "a track looks at one thing";
            findings.push(
                Diagnostic::error(second, message)
                    .help("write a `[[virtual_router.track]]` for each")
                    .note(first, "looked at already"),
            );
            None
        }
        (None, _) => {
            let keys = ["interface", "script", "service"];
            if keys.iter().any(|key| findings.is_excused(span, key)) {
                return None;
            }
            findings.refuse(span.clone(), "a track that looks at nothing", ONE_OF)
        }
    }
}

/// Keys that only another kind of track has.
fn misplaced(table: &file::Track, kind: Kind, findings: &mut Findings) {
    let places = [
        (
            "interval",
            table.interval.as_ref().map(Spanned::span),
            Kind::Script,
        ),
        (
            "timeout",
            table.timeout.as_ref().map(Spanned::span),
            Kind::Script,
        ),
        ("rise", table.rise.as_ref().map(Spanned::span), Kind::Script),
        ("fall", table.fall.as_ref().map(Spanned::span), Kind::Script),
        (
            "quorum",
            table.quorum.as_ref().map(Spanned::span),
            Kind::Service,
        ),
    ];
    for (key, span, of) in places {
        let Some(span) = span.filter(|_| kind != of) else {
            continue;
        };
        let of = match of {
            Kind::Interface => "an interface",
            Kind::Script => "a script",
            Kind::Service => "a service",
        };
        let message = format!("`{key}` is only for the track of {of}");
        findings.push(Diagnostic::error(span, message).help("leave it out"));
    }
}

fn interface(value: &Spanned<String>, findings: &mut Findings) -> Option<TrackTarget> {
    let name = value.get_ref();
    if !is_interface_name(name) {
        let message = format!("`{name}` cannot name an interface");
        let help = "1 to 15 characters, without `/`, `:` and spaces; see `ip link`";
        return findings.refuse(value.span(), message, help);
    }
    Some(TrackTarget::Interface(name.clone()))
}

fn script(table: &file::Track, findings: &mut Findings) -> Option<TrackTarget> {
    let argv = argv(table.script.as_ref()?, findings);
    let one = NonZeroU32::MIN;
    let default = Spec::default();
    let interval = health::time(
        table.interval.as_ref(),
        "interval",
        default.interval,
        findings,
    );
    let patience = interval.unwrap_or(default.interval);
    let timeout = health::time(table.timeout.as_ref(), "timeout", patience, findings);
    let rise = health::count(table.rise.as_ref(), "rise", one, findings);
    let fall = health::count(table.fall.as_ref(), "fall", one, findings);
    let spec = Spec {
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
    };
    if let Some(written) = table
        .timeout
        .as_ref()
        .filter(|_| spec.timeout > spec.interval)
    {
        findings.push(longer_than_the_interval(written.span(), "script", &spec));
    }
    Some(TrackTarget::Script { argv: argv?, spec })
}

fn argv(value: &Spanned<Vec<Spanned<String>>>, findings: &mut Findings) -> Option<Vec<String>> {
    let words = value.get_ref();
    let Some(program) = words.first() else {
        let help = "write the program and its arguments: [\"/usr/local/bin/check\", \"arg\"]";
        return findings.refuse(value.span(), "a script without a program", help);
    };
    if !program.get_ref().starts_with('/') {
        let message = format!("`{}` is not an absolute path", program.get_ref());
        let help = "write it from the root: [\"/usr/local/bin/check\", \"arg\"]";
        return findings.refuse(program.span(), message, help);
    }
    with_arguments(program, findings);
    if let Some(beyond) = words.get(ARGV_MAX) {
        let message = format!("more than the {ARGV_MAX} words of a command");
        return findings.refuse(beyond.span(), message, "write them into a script");
    }
    let is_bad = |word: &&Spanned<String>| {
        let word = word.get_ref();
        word.len() > ARGUMENT_MAX || word.contains('\0')
    };
    if let Some(bad) = words.iter().find(is_bad) {
        let message = "a word that no command can have";
        let help = format!("write up to {ARGUMENT_MAX} bytes, none of them zero");
        return findings.refuse(bad.span(), message, help);
    }
    let words = words.iter().map(|word| word.get_ref().clone());
    Some(words.collect())
}

/// Notes services that are none, and quorums that cannot be reached.
pub(super) fn check(drafts: &[TrackDraft], services: &[service::Draft], findings: &mut Findings) {
    for draft in drafts {
        let Some(name) = &draft.service else {
            continue;
        };
        let named = |service: &&service::Draft| {
            let other = service.name.as_ref().map(Spanned::get_ref);
            other == Some(name.get_ref())
        };
        match services.iter().find(named) {
            Some(service) => reachable(draft, service, findings),
            None => unknown(name, services, findings),
        }
    }
}

fn unknown(name: &Spanned<String>, services: &[service::Draft], findings: &mut Findings) {
    // One that could not be read may be meant.
    if services.iter().any(|service| service.name.is_none()) {
        return;
    }
    let known = services.iter().filter_map(|service| service.name.as_ref());
    let known = known.map(|name| name.get_ref().as_str());
    let help = match nearest(name.get_ref(), known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "write the `name` of a `[[service]]`".to_owned(),
    };
    let message = format!("no service is called `{}`", name.get_ref());
    findings.push(Diagnostic::error(name.span(), message).help(help));
}

fn reachable(draft: &TrackDraft, service: &service::Draft, findings: &mut Findings) {
    let (Some(quorum), Some(whole)) = (&draft.quorum, &service.service) else {
        return;
    };
    let servers = whole.servers();
    let all: u32 = servers.iter().map(|real| u32::from(real.weight.0)).sum();
    if *quorum.get_ref() > all {
        let message = format!(
            "the weights of {}'s real servers are {all} together, less than the quorum of {}",
            whole.name,
            quorum.get_ref()
        );
        let help = match all {
            0 => "give its real servers weights, or leave the track out".to_owned(),
            _ => format!("write 1 to {all}"),
        };
        findings.push(
            Diagnostic::error(quorum.span(), message)
                .help(help)
                .note(service.span.clone(), "the service"),
        );
    }
}
