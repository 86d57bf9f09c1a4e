//! The file as it is written, key by key: the mirror that serde fills.
//!
//! Every key is optional here and keeps its place, so that what is missing or wrong is told where it
//! is. No `flatten` and no `untagged`: both lose the place. Not here: defaults and meaning.

use std::{collections::BTreeMap, fmt};

use daemon::{duration::HumanDuration, site::Table};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) hosts: Option<BTreeMap<Spanned<String>, Table<Host>>>,
    pub(super) director: Option<Table<Director>>,
    pub(super) service: Option<Vec<Table<Service>>>,
    pub(super) virtual_router: Option<Vec<Table<VirtualRouter>>>,
    /// Read by the proxies.
    #[serde(rename = "proxy")]
    _proxy: Option<IgnoredAny>,
    /// Read by the SQL proxies.
    #[serde(rename = "sqlproxy")]
    _sqlproxy: Option<IgnoredAny>,
    pub(super) election: Option<Table<election::channel::File>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) addresses: Option<Vec<Spanned<String>>>,
    pub(super) director: Option<Table<DirectorHost>>,
    /// What this host is to the proxies.
    #[serde(rename = "proxy")]
    _proxy: Option<IgnoredAny>,
    /// What this host is to the SQL proxies.
    #[serde(rename = "sqlproxy")]
    _sqlproxy: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectorHost {
    pub(super) interfaces: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) pool: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) virtual_router: Option<BTreeMap<Spanned<String>, Table<RouterHost>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouterHost {
    pub(super) interface: Option<Spanned<String>>,
    pub(super) priority: Option<Spanned<i64>>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) address6: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Director {
    pub(super) status: Option<Spanned<String>>,
    pub(super) fragments: Option<Spanned<String>>,
    pub(super) tunnel_sources: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Option<Spanned<String>>,
    pub(super) vip: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<PortsText>>,
    pub(super) protocol: Option<Spanned<String>>,
    pub(super) method: Option<Spanned<String>>,
    pub(super) scheduler: Option<Spanned<String>>,
    pub(super) tunnel: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<HumanDuration>>,
    pub(super) syn_timeout: Option<Spanned<HumanDuration>>,
    pub(super) fin_timeout: Option<Spanned<HumanDuration>>,
    pub(super) persistence: Option<Spanned<HumanDuration>>,
    pub(super) persistence_prefix: Option<Spanned<i64>>,
    pub(super) track: Option<Spanned<bool>>,
    pub(super) quic: Option<Table<Quic>>,
    pub(super) health: Option<Table<Health>>,
    pub(super) real: Option<Vec<Table<Real>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quic {
    pub(super) config: Option<Spanned<i64>>,
    pub(super) length: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<Statuses>>,
    pub(super) draining: Option<Spanned<Statuses>>,
    pub(super) host: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) interval: Option<Spanned<HumanDuration>>,
    pub(super) timeout: Option<Spanned<HumanDuration>>,
    pub(super) rise: Option<Spanned<i64>>,
    pub(super) fall: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Real {
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) weight: Option<Spanned<i64>>,
    pub(super) server_id: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VirtualRouter {
    pub(super) name: Option<Spanned<String>>,
    pub(super) vrid: Option<Spanned<i64>>,
    pub(super) vips: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) interval: Option<Spanned<HumanDuration>>,
    pub(super) preempt: Option<Spanned<bool>>,
    pub(super) preempt_delay: Option<Spanned<HumanDuration>>,
    pub(super) mac: Option<Spanned<String>>,
    pub(super) transport: Option<Spanned<String>>,
    pub(super) checksum: Option<Spanned<String>>,
    pub(super) group: Option<Spanned<String>>,
    pub(super) notify: Option<Spanned<String>>,
    pub(super) announce: Option<Table<Announce>>,
    pub(super) track: Option<Vec<Table<Track>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Announce {
    pub(super) count: Option<Spanned<i64>>,
    pub(super) delay: Option<Spanned<HumanDuration>>,
    pub(super) refresh: Option<Spanned<HumanDuration>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    pub(super) interface: Option<Spanned<String>>,
    pub(super) script: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) service: Option<Spanned<String>>,
    pub(super) weight: Option<Spanned<i64>>,
    pub(super) interval: Option<Spanned<HumanDuration>>,
    pub(super) timeout: Option<Spanned<HumanDuration>>,
    pub(super) rise: Option<Spanned<i64>>,
    pub(super) fall: Option<Spanned<i64>>,
    pub(super) quorum: Option<Spanned<i64>>,
}

/// `80`, or text: `"8000-8099"`, `"all"`.
#[derive(Debug)]
pub(super) enum PortsText {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for PortsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}

struct PortsVisitor;

impl de::Visitor<'_> for PortsVisitor {
    type Value = PortsText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port such as 80, a range such as \"8000-8099\", or \"all\"")
    }

    fn visit_i64<E: de::Error>(self, port: i64) -> Result<PortsText, E> {
        Ok(PortsText::Number(port))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<PortsText, E> {
        Err(E::custom("a number beyond all limits"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PortsText, E> {
        match text.parse::<i64>() {
            Ok(number) => Err(E::custom(format_args!(
                "expected a whole number, found the text \"{text}\"\nhelp: write it without quotes: {number}"
            ))),
            Err(_) => Ok(PortsText::Text(text.to_owned())),
        }
    }
}

/// `"200-399"`, or a list of such.
#[derive(Debug)]
pub(super) enum Statuses {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusesVisitor)
    }
}

struct StatusesVisitor;

impl<'de> de::Visitor<'de> for StatusesVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("statuses such as \"200-399\" or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
        Ok(Statuses::One(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, status: i64) -> Result<Statuses, E> {
        Err(E::custom(format_args!(
            "expected text in quotes, found the number {status}\nhelp: write it in quotes: \"{status}\""
        )))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Statuses, A::Error> {
        let mut ranges = Vec::new();
        while let Some(range) = elements.next_element()? {
            ranges.push(range);
        }
        Ok(Statuses::Many(ranges))
    }
}
