//! Texts that the proxy answers with by itself, read once with the site file.
//!
//! Not here: when it does.

use std::{fs::File, io::Read as _, sync::Arc, time::Duration};

use daemon::{
    duration::HumanDuration,
    site::{Table, findings::Findings},
};
use toml::Spanned;

use super::{
    Network, file,
    settings::{self, network},
};

/// Bytes of a page at most: each answer has all of it in memory.
const LONGEST: u64 = 256 << 10;

/// The servers of an upstream are being worked on: who asks is told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// What is answered, with status 503; `None`: that in words.
    pub page: Option<Arc<str>>,
    /// When to come again, in seconds.
    pub retry_after: Option<u32>,
    /// Clients that are served as always.
    pub allow: Vec<Network>,
}

/// `None` only where there are errors among the findings.
pub(super) fn maintenance(
    table: Table<file::Maintenance>,
    findings: &mut Findings,
) -> Option<Maintenance> {
    let file::Maintenance {
        page,
        retry_after,
        allow,
    } = table.value;
    let page = settings::given(page.map(|path| read(&path, findings)));
    let retry_after = settings::given(retry_after.map(|time| seconds(&time, findings)));
    let allow: Vec<Option<Network>> = allow
        .iter()
        .flat_map(|allow| &allow.0)
        .map(|text| network(text, findings))
        .collect();
    Some(Maintenance {
        page: page?,
        retry_after: retry_after?,
        allow: allow.into_iter().collect::<Option<_>>()?,
    })
}

/// The text of a file.
pub(super) fn read(path: &Spanned<String>, findings: &mut Findings) -> Option<Arc<str>> {
    let name = path.get_ref();
    if !name.starts_with('/') {
        let message = format!("`{name}` is not an absolute path");
        return findings.refuse(path.span(), message, "begin with `/`");
    }
    let mut text = String::new();
    let read = File::open(name).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 <= LONGEST => Some(text.into()),
        Ok(_) => findings.refuse(
            path.span(),
            format!("`{name}` has more than 256 KiB"),
            "serve large files by a web server",
        ),
        Err(error) => findings.refuse(
            path.span(),
            format!("`{name}` cannot be read: {error}"),
            "it has to be text that the user of the proxy may read",
        ),
    }
}

/// When to come again, in seconds.
pub(super) fn seconds(time: &Spanned<HumanDuration>, findings: &mut Findings) -> Option<u32> {
    let range = (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));
    let time = findings.time(time, "retry_after", range)?;
    u32::try_from(time.as_secs()).ok()
}
