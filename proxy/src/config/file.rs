//! The file as it is written, key by key: the mirror that serde fills.
//!
//! Every key is optional here and keeps its place, so that what is missing or wrong is told where it
//! is. No `flatten` and no `untagged`: both lose the place. Not here: defaults and meaning.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use daemon::{duration::HumanDuration, site::Table};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) proxy: Option<Table<Proxy>>,
    pub(super) hosts: Option<BTreeMap<Spanned<String>, Table<Host>>>,
    /// Read by the directors.
    #[serde(rename = "director")]
    _director: Option<IgnoredAny>,
    /// Read by the directors.
    #[serde(rename = "service")]
    _service: Option<IgnoredAny>,
    /// Read by the directors.
    #[serde(rename = "virtual_router")]
    _virtual_router: Option<IgnoredAny>,
    /// Read by the SQL proxies.
    #[serde(rename = "sqlproxy")]
    _sqlproxy: Option<IgnoredAny>,
    #[serde(rename = "election")]
    _election: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) addresses: Option<Vec<Spanned<String>>>,
    pub(super) proxy: Option<Table<ProxyHost>>,
    /// What this host is to the directors.
    #[serde(rename = "director")]
    _director: Option<IgnoredAny>,
    /// What this host is to the SQL proxies.
    #[serde(rename = "sqlproxy")]
    _sqlproxy: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyHost {
    pub(super) status: Option<Spanned<String>>,
    pub(super) threads: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    pub(super) status: Option<Spanned<String>>,
    pub(super) threads: Option<Spanned<i64>>,
    pub(super) health: Option<Spanned<String>>,
    pub(super) trusted: Option<Vec<Spanned<String>>>,
    pub(super) forwarded: Option<Spanned<bool>>,
    pub(super) via: Option<Spanned<String>>,
    pub(super) log: Option<Table<Log>>,
    pub(super) timeouts: Option<Table<Timeouts>>,
    pub(super) limits: Option<Table<Limits>>,
    pub(super) listener: Option<Vec<Table<Listener>>>,
    pub(super) upstream: Option<Vec<Table<Upstream>>>,
    pub(super) zone: Option<Vec<Table<Zone>>>,
    pub(super) route: Option<Vec<Table<Route>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) file: Option<Spanned<String>>,
    pub(super) format: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) head: Option<Spanned<HumanDuration>>,
    pub(super) body: Option<Spanned<HumanDuration>>,
    pub(super) idle: Option<Spanned<HumanDuration>>,
    pub(super) connect: Option<Spanned<HumanDuration>>,
    pub(super) response: Option<Spanned<HumanDuration>>,
    pub(super) upstream_idle: Option<Spanned<HumanDuration>>,
    pub(super) tunnel: Option<Spanned<HumanDuration>>,
    pub(super) announce: Option<Spanned<HumanDuration>>,
    pub(super) drain: Option<Spanned<HumanDuration>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) head: Option<Spanned<String>>,
    pub(super) headers: Option<Spanned<i64>>,
    pub(super) target: Option<Spanned<String>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) connections: Option<Spanned<i64>>,
    pub(super) upstream_idle: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: Option<Spanned<String>>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) http2: Option<Spanned<bool>>,
    pub(super) tls: Option<Table<ListenerTls>>,
    pub(super) connections: Option<Spanned<i64>>,
    pub(super) client_connections: Option<Spanned<i64>>,
    pub(super) proxy_protocol: Option<OneOrMany>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTls {
    pub(super) versions: Option<OneOrMany>,
    pub(super) tickets: Option<Spanned<String>>,
    pub(super) client_ca: Option<Spanned<String>>,
    pub(super) certificate: Option<Vec<Table<Certificate>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) chain: Option<Spanned<String>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) names: Option<OneOrMany>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTls {
    pub(super) server_name: Option<Spanned<String>>,
    pub(super) ca: Option<Spanned<String>>,
    pub(super) verify: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    pub(super) name: Option<Spanned<String>>,
    pub(super) balance: Option<Spanned<String>>,
    pub(super) hash: Option<Spanned<String>>,
    pub(super) slow_start: Option<Spanned<HumanDuration>>,
    pub(super) queue: Option<Spanned<i64>>,
    pub(super) queue_timeout: Option<Spanned<HumanDuration>>,
    pub(super) retry_budget: Option<Spanned<i64>>,
    pub(super) persistence: Option<Table<Persistence>>,
    pub(super) maintenance: Option<Table<Maintenance>>,
    pub(super) proxy_protocol: Option<Spanned<String>>,
    pub(super) retries: Option<Spanned<i64>>,
    pub(super) max_failures: Option<Spanned<i64>>,
    pub(super) eject: Option<Spanned<HumanDuration>>,
    pub(super) http2: Option<Spanned<bool>>,
    pub(super) tls: Option<Table<UpstreamTls>>,
    pub(super) health: Option<Table<Health>>,
    pub(super) server: Option<Vec<Table<Server>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) weight: Option<Spanned<i64>>,
    pub(super) max_active: Option<Spanned<i64>>,
    pub(super) backup: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Persistence {
    pub(super) cookie: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) secure: Option<Spanned<bool>>,
    pub(super) http_only: Option<Spanned<bool>>,
    pub(super) same_site: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Maintenance {
    pub(super) page: Option<Spanned<String>>,
    pub(super) retry_after: Option<Spanned<HumanDuration>>,
    pub(super) allow: Option<OneOrMany>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) status: Option<OneOrMany>,
    pub(super) host: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<HumanDuration>>,
    pub(super) timeout: Option<Spanned<HumanDuration>>,
    pub(super) rise: Option<Spanned<i64>>,
    pub(super) fall: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) name: Option<Spanned<String>>,
    pub(super) listener: Option<OneOrMany>,
    pub(super) host: Option<OneOrMany>,
    pub(super) path: Option<OneOrMany>,
    pub(super) prefix: Option<OneOrMany>,
    pub(super) regex: Option<OneOrMany>,
    pub(super) method: Option<OneOrMany>,
    pub(super) header: Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    pub(super) query: Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    pub(super) client: Option<OneOrMany>,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) rewrite: Option<Spanned<String>>,
    pub(super) redirect: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<i64>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) page: Option<Spanned<String>>,
    pub(super) retry_after: Option<Spanned<HumanDuration>>,
    pub(super) limit: Option<Vec<Table<Limit>>>,
    pub(super) limit_status: Option<Spanned<i64>>,
    pub(super) limit_dry_run: Option<Spanned<bool>>,
    pub(super) limit_headers: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) name: Option<Spanned<String>>,
    pub(super) key: Option<OneOrMany>,
    pub(super) rate: Option<Spanned<String>>,
    pub(super) size: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) zone: Option<Spanned<String>>,
    pub(super) burst: Option<Spanned<i64>>,
    pub(super) delay: Option<Spanned<i64>>,
    pub(super) nodelay: Option<Spanned<bool>>,
    pub(super) connections: Option<Spanned<i64>>,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug)]
pub(super) struct OneOrMany(pub(super) Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Texts>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self(match spanned.into_inner() {
            Texts::One(text) => vec![Spanned::new(span, text)],
            Texts::Many(texts) => texts,
        }))
    }
}

enum Texts {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

struct Visitor(PhantomData<()>);

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts::One(text.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = elements.next_element()? {
            texts.push(text);
        }
        Ok(Texts::Many(texts))
    }
}
