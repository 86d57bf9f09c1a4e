//! The key `announce` of a virtual router: how often clients and switches are told of a takeover, by
//! gratuitous ARP and unsolicited neighbour advertisements.
//!
//! Not here: the frames (vrrp), and their pace.

use std::time::Duration;

use daemon::site::Table;

use super::super::{file, findings::Findings};

/// Of a burst; more would only hide a loss that lasts.
const COUNT_MAX: u8 = 100;
/// Until the second burst.
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// Between two refreshes; `0s` is none.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// How a takeover is made known; a repetition is one announcement of each VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Repetitions in a burst: 1 to 100 (keepalived's `garp_master_repeat`).
    pub count: u8,
    /// When the burst comes again, once, after a takeover; zero: not (`garp_master_delay`).
    pub delay: Duration,
    /// How often all VIPs are announced while active; `None`: not again (`garp_master_refresh`,
    /// which keepalived leaves off).
    pub refresh: Option<Duration>,
}

impl Default for Announce {
    fn default() -> Self {
        Self {
            count: 5,
            delay: Duration::from_secs(5),
            refresh: Some(Duration::from_secs(60)),
        }
    }
}

/// `None` only where there are errors among the findings.
pub(super) fn from_file(
    table: Option<Table<file::Announce>>,
    findings: &mut Findings,
) -> Option<Announce> {
    let default = Announce::default();
    let Some(Table { value: table, .. }) = table else {
        return Some(default);
    };
    let count = match &table.count {
        Some(value) => {
            let count = findings.number(value, "count", (1, COUNT_MAX));
            count.map(toml::Spanned::into_inner)
        }
        None => Some(default.count),
    };
    let delay = match &table.delay {
        Some(value) => findings.time(value, "delay", (Duration::ZERO, DELAY_MAX)),
        None => Some(default.delay),
    };
    let refresh = match &table.refresh {
        Some(value) if value.get_ref().0.is_zero() => Some(None),
        Some(value) => findings.time(value, "refresh", REFRESH).map(Some),
        None => Some(default.refresh),
    };
    Some(Announce {
        count: count?,
        delay: delay?,
        refresh: refresh?,
    })
}
