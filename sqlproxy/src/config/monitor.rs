//! `[sqlproxy.monitor]`: the account that servers are watched and led with, and how patiently; and what
//! `[election]` has to have in common with the servers.
//!
//! Not here: the table `[election]` itself.

use std::{ops::Range, path::PathBuf, time::Duration};

use daemon::{diagnostic::Diagnostic, site::Table};
use election::channel::Election;
use toml::Spanned;

use super::{
    Role, Server, file,
    findings::{Findings, OrDefault as _},
};

/// How servers are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The account on all servers.
    pub user: String,
    /// Where its password is.
    pub password_file: PathBuf,
    /// From probe to probe.
    pub interval: Duration,
    /// How long an answer may take before the server counts as silent.
    pub timeout: Duration,
    /// How long a server that was gone has to be well before it reads, or can be the writer again.
    pub settle: Duration,
    /// Whether the writer waits for a replica is switched with whether there is one (MariaDB).
    pub semi_sync: bool,
    /// The directory in which a sqlproxy without `[election]` keeps who the writer is.
    pub state: PathBuf,
}

/// What is right of it.
pub(super) fn from_file(table: &Table<file::Monitor>, findings: &mut Findings) -> Option<Monitor> {
    let (ms, secs) = (Duration::from_millis, Duration::from_secs);
    let Table { span, value } = table;
    let user = findings.required(value.user.as_ref(), span, "user", "\"viaduct\"");
    let example = "\"/etc/viaduct/monitor.password\"";
    let file = value.password_file.as_ref();
    let file = findings.required(file, span, "password_file", example);
    let file = file.and_then(|file| absolute(file, findings));
    let interval = value.interval.as_ref();
    let interval = findings.time_or(interval, "interval", (ms(20), secs(10)), ms(100));
    let timeout = value.timeout.as_ref();
    let timeout = findings.time_or(timeout, "timeout", (ms(50), secs(30)), ms(400));
    let settle = value.settle.as_ref();
    let settle = findings.time_or(settle, "settle", (ms(0), secs(3_600)), secs(10));
    let state = match &value.state {
        Some(state) => absolute(state, findings),
        None => Some(PathBuf::from("/var/lib/viaduct")),
    };
    Some(Monitor {
        user: user?.get_ref().clone(),
        password_file: file?,
        interval: interval?,
        timeout: timeout?,
        settle: settle?,
        semi_sync: value.semi_sync.as_ref().is_none_or(|is| *is.get_ref()),
        state: state?,
    })
}

fn absolute(value: &Spanned<String>, findings: &mut Findings) -> Option<PathBuf> {
    let path = PathBuf::from(value.get_ref());
    if path.is_absolute() {
        return Some(path);
    }
    let message = format!("`{}` is not an absolute path", value.get_ref());
    let help = "write the path from the root: \"/etc/viaduct/…\"";
    findings.refuse(value.span(), message, help)
}

/// The election, if there is one; nothing for mistakes. Its servers are the primaries: voters speak of them by their place.
pub(super) fn election(
    table: Option<Table<election::channel::File>>,
    servers: Option<&[Server]>,
    is_monitored: bool,
    findings: &mut Findings,
) -> Option<Option<Election>> {
    let Some(table) = table else {
        return Some(None);
    };
    let span: Range<usize> = table.span.clone();
    let election = Election::from_file(table, findings)?;
    let primaries = servers?
        .iter()
        .filter(|server| server.role == Role::Primary);
    let primaries: Vec<_> = primaries.map(|server| server.address).collect();
    if election.servers != primaries {
        let list: Vec<_> = primaries.iter().map(|at| format!("\"{at}\"")).collect();
        let message = "`servers` are not the primaries of `[sqlproxy]` in their order";
        let help = format!("write `servers = [{}]`", list.join(", "));
        findings.push(Diagnostic::error(span, message).help(help));
        return None;
    }
    if !is_monitored {
        let help = "add `[sqlproxy.monitor]` with `user` and `password_file`";
        return findings.refuse(span, "an election without monitors elects nobody", help);
    }
    Some(Some(election))
}
