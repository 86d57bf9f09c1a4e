//! The file as it is written, key by key: the mirror that serde fills.
//!
//! Every key is optional here and keeps its place, so that what is missing or wrong is told where it
//! is. Not here: defaults and meaning; the tables of the other daemons, known by name only.

use std::collections::BTreeMap;

use daemon::{duration::HumanDuration, site::Table};
use serde::{Deserialize, de::IgnoredAny};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) hosts: Option<BTreeMap<Spanned<String>, Table<Host>>>,
    pub(super) sqlproxy: Option<Table<SqlProxy>>,
    pub(super) election: Option<Table<election::channel::File>>,
    #[serde(rename = "director")]
    _director: Option<IgnoredAny>,
    #[serde(rename = "service")]
    _service: Option<IgnoredAny>,
    #[serde(rename = "virtual_router")]
    _virtual_router: Option<IgnoredAny>,
    #[serde(rename = "proxy")]
    _proxy: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) sqlproxy: Option<Table<HostSqlProxy>>,
    #[serde(rename = "addresses")]
    _addresses: Option<IgnoredAny>,
    #[serde(rename = "director")]
    _director: Option<IgnoredAny>,
    #[serde(rename = "proxy")]
    _proxy: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostSqlProxy {
    pub(super) listen: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlProxy {
    pub(super) status: Option<Spanned<String>>,
    pub(super) causal: Option<Spanned<String>>,
    pub(super) causal_timeout: Option<Spanned<HumanDuration>>,
    pub(super) readers: Option<Spanned<String>>,
    pub(super) balance: Option<Spanned<String>>,
    pub(super) max_lag: Option<Spanned<HumanDuration>>,
    pub(super) max_clients: Option<Spanned<i64>>,
    pub(super) queue: Option<Spanned<i64>>,
    pub(super) queue_timeout: Option<Spanned<HumanDuration>>,
    pub(super) monitor: Option<Table<Monitor>>,
    pub(super) writer_timeout: Option<Spanned<HumanDuration>>,
    pub(super) connect_timeout: Option<Spanned<HumanDuration>>,
    pub(super) server_idle: Option<Spanned<HumanDuration>>,
    pub(super) server_lifetime: Option<Spanned<HumanDuration>>,
    pub(super) announce: Option<Spanned<HumanDuration>>,
    pub(super) drain: Option<Spanned<HumanDuration>>,
    pub(super) threads: Option<Spanned<i64>>,
    pub(super) certificate: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) server: Option<Vec<Table<Server>>>,
    pub(super) user: Option<Vec<Table<User>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Monitor {
    pub(super) user: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<HumanDuration>>,
    pub(super) timeout: Option<Spanned<HumanDuration>>,
    pub(super) settle: Option<Spanned<HumanDuration>>,
    pub(super) semi_sync: Option<Spanned<bool>>,
    pub(super) state: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) name: Option<Spanned<String>>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) role: Option<Spanned<String>>,
    pub(super) weight: Option<Spanned<i64>>,
    pub(super) max_connections: Option<Spanned<i64>>,
    pub(super) min_connections: Option<Spanned<i64>>,
    pub(super) tls: Option<Spanned<String>>,
    pub(super) tls_ca: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) name: Option<Spanned<String>>,
    pub(super) password_hash: Option<Spanned<String>>,
    pub(super) server_user: Option<Spanned<String>>,
    pub(super) server_password_file: Option<Spanned<String>>,
    pub(super) schema: Option<Spanned<String>>,
    pub(super) read_only: Option<Spanned<bool>>,
}
