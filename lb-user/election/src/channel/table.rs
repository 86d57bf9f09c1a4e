//! `[election]`: who votes, over which addresses, on which servers, and how patiently.
//!
//! Directors and sqlproxies read the same table; each knows its own voter by its host's name and role.
//!
//! Not here: reading the secret, and the other tables.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::{
    diagnostic::Diagnostic,
    duration::HumanDuration,
    site::{Table, findings::Findings},
};
use serde::Deserialize;
use toml::Spanned;

use crate::{Rules, VoterId};

/// Voters at most: more make an election slower and no safer.
pub const MOST: usize = 9;

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    secret_file: Option<Spanned<String>>,
    state: Option<Spanned<String>>,
    servers: Option<Spanned<Vec<Spanned<String>>>>,
    user: Option<Spanned<String>>,
    password_file: Option<Spanned<String>>,
    patience: Option<Spanned<HumanDuration>>,
    lease: Option<Spanned<HumanDuration>>,
    voter: Option<Vec<Table<FileVoter>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileVoter {
    host: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
    address: Option<Spanned<String>>,
}

/// What a voter is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A proxy: it votes and obeys.
    SqlProxy,
    /// A director: a witness.
    Director,
}

/// A voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its host's name.
    pub host: String,
    /// What it is.
    pub role: Role,
    /// Where it listens, by UDP.
    pub address: SocketAddr,
}

/// The table as what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// Where the secret is that all voters share.
    pub secret_file: PathBuf,
    /// The directory in which a voter keeps its promises.
    pub state: PathBuf,
    /// The primaries, the preferred one first: where witnesses probe them.
    pub servers: Vec<SocketAddr>,
    /// The account that witnesses probe with, and where its password is.
    pub account: Option<(String, PathBuf)>,
    /// Times.
    pub rules: Rules,
    /// Who votes, by [`VoterId`].
    pub voters: Vec<Member>,
}

impl Election {
    /// What is right of the table; mistakes are noted.
    pub fn from_file(table: Table<File>, findings: &mut Findings) -> Option<Self> {
        let Table { span, value } = table;
        let secret = findings.required(
            value.secret_file.as_ref(),
            &span,
            "secret_file",
            "\"/etc/viaduct/election.secret\"",
        );
        let secret_file = secret.and_then(|file| path(file, findings));
        let state = match &value.state {
            Some(state) => path(state, findings),
            None => Some(PathBuf::from("/var/lib/viaduct")),
        };
        let servers = servers(&value, &span, findings);
        let rules = rules(&value, findings);
        let voters = voters(value.voter.unwrap_or_default(), &span, findings)?;
        let has_director = voters.iter().any(|voter| voter.role == Role::Director);
        let account = match (&value.user, &value.password_file) {
            (Some(user), Some(file)) => Some((user.get_ref().clone(), path(file, findings)?)),
            (None, None) if !has_director => None,
            (None, Some(_) | None) => {
                findings.required::<()>(None, &span, "user", "\"witness\"");
                return None;
            }
            (Some(_), None) => {
                let example = "\"/etc/viaduct/witness.password\"";
                findings.required::<()>(None, &span, "password_file", example);
                return None;
            }
        };
        Some(Self {
            secret_file: secret_file?,
            state: state?,
            servers: servers?,
            account,
            rules: rules?,
            voters,
        })
    }

    /// Which voter a host is in a role.
    #[must_use]
    pub fn voter(&self, host: &str, role: Role) -> Option<VoterId> {
        let is_it = |voter: &Member| voter.host == host && voter.role == role;
        let place = self.voters.iter().position(is_it)?;
        u8::try_from(place).ok().map(VoterId)
    }

    /// The file in which this voter keeps its promises.
    #[must_use]
    pub fn kept(&self, role: Role) -> PathBuf {
        kept_in(&self.state, role)
    }
}

/// The file in which a voter keeps its promises, in this directory.
#[must_use]
pub fn kept_in(state: &Path, role: Role) -> PathBuf {
    state.join(match role {
        Role::SqlProxy => "sqlproxy.election",
        Role::Director => "director.election",
    })
}

fn path(value: &Spanned<String>, findings: &mut Findings) -> Option<PathBuf> {
    let path = PathBuf::from(value.get_ref());
    if path.is_absolute() {
        return Some(path);
    }
    let message = format!("`{}` is not an absolute path", value.get_ref());
    let help = "write the path from the root: \"/etc/viaduct/…\"";
    findings.refuse(value.span(), message, help)
}

fn address(value: &Spanned<String>, findings: &mut Findings) -> Option<SocketAddr> {
    let text = value.get_ref();
    let parsed = text.parse::<SocketAddr>().ok().filter(|to| to.port() != 0);
    parsed.or_else(|| {
        let message = format!("`{text}` is not an address with a port");
        let help = "write for example \"10.77.0.21:7447\" or \"[fd77::21]:7447\"";
        findings.refuse(value.span(), message, help)
    })
}

fn servers(file: &File, span: &Range<usize>, findings: &mut Findings) -> Option<Vec<SocketAddr>> {
    let example = "[\"10.77.0.31:3306\", \"10.77.0.32:3306\"]";
    let list = findings.required(file.servers.as_ref(), span, "servers", example)?;
    if list.get_ref().is_empty() || list.get_ref().len() > 64 {
        let help = format!("write the primaries: {example}");
        return findings.refuse(list.span(), "1 to 64 servers can be elected", help);
    }
    let read = list.get_ref().iter().map(|one| address(one, findings));
    read.collect::<Vec<_>>().into_iter().collect()
}

fn rules(file: &File, findings: &mut Findings) -> Option<Rules> {
    let ms = Duration::from_millis;
    let usual = Rules::default();
    let lease = match &file.lease {
        Some(lease) => findings.time(lease, "lease", (ms(300), ms(10_000))),
        None => Some(usual.lease),
    };
    let patience = match &file.patience {
        Some(time) => findings.time(time, "patience", (ms(500), ms(60_000))),
        None => Some(usual.patience),
    };
    let (lease, patience) = (lease?, patience?);
    Some(Rules {
        tick: lease / 5,
        lease,
        margin: lease / 20,
        patience,
    })
}

fn voters(
    tables: Vec<Table<FileVoter>>,
    span: &Range<usize>,
    findings: &mut Findings,
) -> Option<Vec<Member>> {
    if let Some(beyond) = tables.get(MOST) {
        let message = format!("more than {MOST} voters");
        let help = "three to five are enough: the sqlproxies and the directors";
        return findings.refuse(beyond.span.clone(), message, help);
    }
    let mut seen: BTreeMap<SocketAddr, Range<usize>> = BTreeMap::new();
    let mut named: BTreeMap<(String, bool), Range<usize>> = BTreeMap::new();
    let mut voters = Some(Vec::new());
    for table in tables {
        let place = table.span.clone();
        let voter = voter(table, findings);
        if let Some(voter) = &voter {
            let name = (voter.host.clone(), voter.role == Role::Director);
            let by_name = named.insert(name, place.clone());
            let first = seen.insert(voter.address, place.clone()).or(by_name);
            if let Some(first) = first {
                let message = format!("voter {} is listed twice", voter.host);
                let twice = Diagnostic::error(place, message).help("leave one of them out");
                findings.push(twice.note(first, "first listed here"));
            }
        }
        voters = voters.zip(voter).map(|(mut voters, voter)| {
            voters.push(voter);
            voters
        });
    }
    let voters = voters?;
    if !voters.iter().any(|voter| voter.role == Role::SqlProxy) {
        let help = "add `[[election.voter]]` for each sqlproxy, and for directors as witnesses";
        return findings.refuse(span.clone(), "no voter is a sqlproxy", help);
    }
    Some(voters)
}

fn voter(table: Table<FileVoter>, findings: &mut Findings) -> Option<Member> {
    const ROLES: &[(&str, Role)] = &[("sqlproxy", Role::SqlProxy), ("director", Role::Director)];
    let Table { span, value } = table;
    let host = findings.required(value.host.as_ref(), &span, "host", "\"sql1\"");
    let host = host.and_then(|host| findings.name(host, "host"));
    let role = findings.required(value.role.as_ref(), &span, "role", "\"sqlproxy\"");
    let role = role.and_then(|role| findings.word(role, "role", ROLES, &[]));
    let example = "\"10.77.0.21:7447\"";
    let at = findings.required(value.address.as_ref(), &span, "address", example);
    let at = at.and_then(|at| address(at, findings));
    Some(Member {
        host: host?,
        role: role?.into_inner(),
        address: at?,
    })
}
