//! Whether a request may be served now: the limits of each route, and what is counted of them.
//!
//! The engine asks [`Limited::admit`] once for each request that has a route with limits, waits as long as
//! it is told, and then has [`Limited::enter`] take the places that the request holds to its end. That is
//! nginx's order: a request that waits holds no place, and one that finds none was charged all the same.
//!
//! Pure but for what the limits remember; time is an input. Not here: the limits themselves (`limit`),
//! waiting (`core`), and how they are put together from the site ([`build`]).

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    h1::{request::Request, target::without_port},
    limit::{
        ConnGuard, ConnLimits, ConnZone, Decision, Limits, Millis, Places, Subject, Why, Word,
        Zone, ZoneStats,
    },
    stats::{Counter, PerThread},
};

mod build;
#[cfg(test)]
mod tests;

pub use build::PolicyError;

/// A request that asks to be served.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whose it is, as far as trusted proxies say.
    pub client: IpAddr,
    /// Its path, normalised.
    pub path: &'a [u8],
    /// All of its head.
    pub request: &'a Request<'a, 'a>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// It goes on, but perhaps not at once; or is refused.
    pub admission: Admission,
    /// What the log is told; none where no limit applied.
    pub mark: Option<Mark>,
    /// The places to take when it goes on.
    pub places: Places,
}

/// Whether and when a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// After this time.
    After(Duration),
    /// Not at all.
    Refused(Refused),
}

/// What a refused client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// `Retry-After` in seconds, if that is known.
    pub retry_after: Option<u32>,
}

/// What limits said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// It passed, waited, or was refused.
    pub word: Word,
    /// The zone that says so, by its place in the site: of requests that pass, the one that leaves its
    /// client the least.
    pub zone: usize,
}

/// All limits of a site.
#[derive(Debug, Default)]
pub struct Policy {
    zones: Vec<Remembered>,
    routes: Vec<Option<Limited>>,
}

/// A zone of either kind.
#[derive(Clone, Debug)]
pub enum Remembered {
    /// How many requests each client made.
    Requests(Arc<Zone>),
    /// How many it has under way.
    UnderWay(Arc<ConnZone>),
}

/// The limits of a route.
#[derive(Debug)]
pub struct Limited {
    rates: Limits,
    connections: Arc<ConnLimits>,
    has_headers: bool,
    /// Of each limit, those of rates first.
    counts: Vec<Counted>,
}

/// A limit, and what each thread counts of it.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Its zone, by its place in the site.
    pub zone: usize,
    /// The numbers.
    pub stats: Arc<PerThread<LimitStats>>,
}

/// What one thread counts of a limit. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LimitStats {
    /// Requests by what was said to them, by [`Word::ALL`]. One with several limits counts at the one that
    /// has it wait or refuses it; one that passes at the one that leaves its client the least.
    pub said: [Counter; Word::ALL.len()],
    /// Requests refused because the zone had no room for another client.
    pub full: Counter,
}

impl Policy {
    /// The limits of a route, if it has any.
    #[must_use]
    pub fn of_route(&self, route: usize) -> Option<&Limited> {
        self.routes.get(route)?.as_ref()
    }

    /// All zones, in the order of the site.
    #[must_use]
    pub fn zones(&self) -> &[Remembered] {
        &self.zones
    }
}

impl Remembered {
    /// What it holds now.
    #[must_use]
    pub fn stats(&self) -> ZoneStats {
        match self {
            Self::Requests(zone) => zone.stats(),
            Self::UnderWay(zone) => zone.stats(),
        }
    }
}

impl Limited {
    /// Judges a request, and charges its client where it goes on. What the client has left is written to
    /// `lines`, where the site file wants it to be told.
    #[must_use]
    pub fn admit(
        &self,
        thread: usize,
        asked: &Asked<'_>,
        now: Millis,
        lines: &mut Vec<u8>,
    ) -> Verdict {
        let places = self.connections.places(asked);
        if self.rates.limits().is_empty() {
            return Verdict {
                admission: Admission::After(Duration::ZERO),
                mark: None,
                places,
            };
        }
        let decision = self.rates.decide(now, asked);
        let mark = self.count(thread, &decision);
        if self.has_headers {
            self.write_headers(&decision, lines);
        }
        let admission = match self.rates.refusal(&decision) {
            Some(refusal) => Admission::Refused(Refused {
                status: refusal.status.code(),
                retry_after: Some(u32::try_from(refusal.retry_after).unwrap_or(u32::MAX)),
            }),
            None => Admission::After(decision.admitted().unwrap_or_default()),
        };
        Verdict {
            admission,
            mark,
            places,
        }
    }

    /// Takes the places that a request was promised, to be held until it is over.
    ///
    /// # Errors
    /// When its client has too many requests under way, with what the log is told.
    pub fn enter(&self, thread: usize, places: &Places) -> Result<Entry, (Refused, Mark)> {
        let first = self.rates.limits().len();
        let refused = match self.connections.enter_at(places) {
            Ok(guard) => {
                let taken = (0..).zip(&self.counts[first..]);
                for (_, counted) in taken.filter(|(place, _)| guard.has_taken(*place)) {
                    counted.stats.of(thread).said[Word::Passed as usize].add(1);
                }
                return Ok(Entry {
                    guard: Some(guard),
                    mark: None,
                });
            }
            Err(refused) => refused,
        };
        let counted = &self.counts[first + refused.limit];
        let stats = counted.stats.of(thread);
        let is_dry = self.connections.dry_run();
        let word = match is_dry {
            true => Word::RejectedDryRun,
            false => Word::Rejected,
        };
        stats.said[word as usize].add(1);
        if refused.why == Why::Full {
            stats.full.add(1);
        }
        let mark = Mark {
            word,
            zone: counted.zone,
        };
        if is_dry {
            return Ok(Entry {
                guard: None,
                mark: Some(mark),
            });
        }
        let told = Refused {
            status: refused.status.code(),
            retry_after: None,
        };
        Err((told, mark))
    }

    /// Its limits, those of rates first, and what is counted of each.
    #[must_use]
    pub fn counts(&self) -> &[Counted] {
        &self.counts
    }

    fn count(&self, thread: usize, decision: &Decision) -> Option<Mark> {
        let word = decision.word()?;
        let counted = &self.counts[decision.told_by()];
        counted.stats.of(thread).said[word as usize].add(1);
        Some(Mark {
            word,
            zone: counted.zone,
        })
    }

    fn write_headers(&self, decision: &Decision, lines: &mut Vec<u8>) {
        if let Some((limit, quota)) = self.rates.quota(decision) {
            quota.write(limit.zone.name(), lines);
        }
    }
}

/// A request that goes on.
#[derive(Debug)]
pub struct Entry {
    /// Its places; none in a dry run that would have refused it.
    pub guard: Option<ConnGuard>,
    /// What the log is told in that case.
    pub mark: Option<Mark>,
}

impl Subject for Asked<'_> {
    fn address(&self) -> IpAddr {
        self.client
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.request.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let headers = self.request.headers.iter();
        let cookies = headers.filter(|header| header.name.eq_ignore_ascii_case("cookie"));
        let mut pairs = cookies.flat_map(|header| header.value.split(|&byte| byte == b';'));
        pairs.find_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            rest.trim_ascii_start()
                .strip_prefix(b"=")
                .map(<[u8]>::trim_ascii)
        })
    }

    fn host(&self) -> &[u8] {
        let host = without_port(self.request.host.unwrap_or_default());
        host.strip_suffix(b".").unwrap_or(host)
    }

    fn path(&self) -> &[u8] {
        self.path
    }
}
