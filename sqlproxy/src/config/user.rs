//! `[[sqlproxy.user]]`: who may connect, and as whom the proxy then connects to servers.
//!
//! Passwords are not in the file: clients' are checked against hashes, servers' are in files of their
//! own. Not here: reading those files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use daemon::diagnostic::Diagnostic;
use daemon::site::Table;
use toml::Spanned;

use crate::wire::auth::NativeHash;

use super::{file, findings::Findings};

/// Longest names of users and databases that servers have, in characters.
const NAME_MAX: usize = 128;

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name that clients give.
    pub name: String,
    /// What their password is checked against.
    pub password: NativeHash,
    /// The account on the servers.
    pub server_user: String,
    /// Where its password is.
    pub server_password_file: PathBuf,
    /// The database of who names none.
    pub schema: Option<String>,
    /// It only reads: everything else is refused (error 1290).
    pub is_read_only: bool,
}

/// Without its hash.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("server_user", &self.server_user)
            .field("schema", &self.schema)
            .field("is_read_only", &self.is_read_only)
            .finish_non_exhaustive()
    }
}

pub(super) fn from_file(
    tables: Vec<Table<file::User>>,
    findings: &mut Findings,
) -> Option<Vec<User>> {
    let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut users = Some(Vec::new());
    for table in tables {
        let place = table.span.clone();
        let user = user(table, findings);
        if let Some(user) = &user {
            if let Some(first) = seen.insert(user.name.clone(), place.clone()) {
                let message = format!("user `{}` is defined twice", user.name);
                let diagnostic = Diagnostic::error(place, message).help("leave one of them out");
                findings.push(diagnostic.note(first, "first defined here"));
            }
        }
        users = users.zip(user).map(|(mut users, user)| {
            users.push(user);
            users
        });
    }
    users
}

fn user(table: Table<file::User>, findings: &mut Findings) -> Option<User> {
    let Table { span, value } = table;
    let name = findings.required(value.name.as_ref(), &span, "name", "\"shop\"");
    let name = name.and_then(|name| text(name, "user name", findings));
    let example = "\"*14E65567ABDB5135D0CFD9A70B3032C179A49EE7\"";
    let hash = findings.required(
        value.password_hash.as_ref(),
        &span,
        "password_hash",
        example,
    );
    let password = hash.and_then(|hash| password(hash, findings));
    let example = "\"/etc/viaduct/shop.password\"";
    let key = "server_password_file";
    let file = findings.required(value.server_password_file.as_ref(), &span, key, example);
    let file = file.and_then(|file| path(file, findings));
    let server_user = match &value.server_user {
        Some(user) => text(user, "user name", findings),
        None => name.clone(),
    };
    let schema = match &value.schema {
        Some(schema) => Some(text(schema, "database name", findings)?),
        None => None,
    };
    Some(User {
        name: name?,
        password: password?,
        server_user: server_user?,
        server_password_file: file?,
        schema,
        is_read_only: value.read_only.is_some_and(Spanned::into_inner),
    })
}

fn text(value: &Spanned<String>, what: &str, findings: &mut Findings) -> Option<String> {
    let text = value.get_ref();
    let is_bad = text.is_empty() || text.chars().count() > NAME_MAX || text.contains('\0');
    if is_bad {
        let help = format!("write 1 to {NAME_MAX} characters");
        return findings.refuse(value.span(), format!("this cannot be a {what}"), help);
    }
    Some(text.clone())
}

/// What is wrong is told without the text: it may be the password itself.
fn password(value: &Spanned<String>, findings: &mut Findings) -> Option<NativeHash> {
    NativeHash::parse(value.get_ref()).or_else(|| {
        let help = "write `*` and 40 hexadecimal digits, as `SELECT PASSWORD('…')` of MariaDB gives \
                    them";
        findings.refuse(value.span(), "this is not the hash of a password", help)
    })
}

pub(super) fn path(value: &Spanned<String>, findings: &mut Findings) -> Option<PathBuf> {
    let path = PathBuf::from(value.get_ref());
    if path.is_absolute() {
        return Some(path);
    }
    let message = format!("`{}` is not an absolute path", value.get_ref());
    findings.refuse(
        value.span(),
        message,
        "write the path from the root: \"/etc/viaduct/…\"",
    )
}
