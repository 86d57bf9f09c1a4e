//! The limits of a site, put together from its file: what the ones before remember of the same clients, and
//! have counted, stays.
//!
//! Not here: what they decide.

use std::sync::Arc;

use super::{Counted, Limited, Policy, Remembered};
use crate::{
    config::{self, Counts, Route, RouteLimits, Site},
    limit::{
        ConnLimit, ConnLimits, ConnZone, Limit, Limits, Zone, conn::ConnLimitsError,
        req::LimitsError, zone::ZoneError,
    },
    stats::PerThread,
};

/// Why the limits of a site can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// There is no memory for a zone, or its clients are told apart by something else than before.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The limits of a route on rates don't go together.
    #[error(transparent)]
    Rates(#[from] LimitsError),
    /// Those on requests under way don't.
    #[error(transparent)]
    UnderWay(#[from] ConnLimitsError),
}

/// The site and the policy before.
type Before<'a> = Option<(&'a Site, &'a Policy)>;

impl Policy {
    /// The limits of a site. As in nginx, a zone of the same name, key and size goes on with what it
    /// remembers, even if its rate is another now.
    ///
    /// # Errors
    /// When there is no memory for a zone, or a zone has another key than before.
    pub fn of(site: &Site, before: Before<'_>, threads: usize) -> Result<Self, PolicyError> {
        let zones = site.zones.iter().map(|zone| remembered(zone, before));
        let zones: Vec<Remembered> = zones.collect::<Result<_, _>>()?;
        let routes = site.routes.iter().map(|route| {
            let RouteLimits {
                rates, connections, ..
            } = &route.limits;
            match rates.is_empty() && connections.is_empty() {
                true => Ok(None),
                false => limited(site, route, &zones, before, threads).map(Some),
            }
        });
        Ok(Self {
            routes: routes.collect::<Result<_, _>>()?,
            zones,
        })
    }
}

fn remembered(zone: &config::Zone, before: Before<'_>) -> Result<Remembered, ZoneError> {
    let known = before.and_then(|(site, policy)| {
        let mut zones = site.zones.iter().zip(&policy.zones);
        zones.find(|(known, _)| known.name == zone.name)
    });
    let known = known.map(|(_, known)| known);
    let (name, key, size) = (&*zone.name, zone.key.clone(), zone.size);
    Ok(match (zone.counts, known) {
        (Counts::Requests(rate), Some(Remembered::Requests(known))) => {
            Remembered::Requests(Arc::new(known.reloaded(key, rate, size)?))
        }
        (Counts::UnderWay, Some(Remembered::UnderWay(known))) => {
            Remembered::UnderWay(Arc::new(known.reloaded(key, size)?))
        }
        (Counts::Requests(rate), _) => {
            Remembered::Requests(Arc::new(Zone::new(name, key, rate, size)?))
        }
        (Counts::UnderWay, _) => Remembered::UnderWay(Arc::new(ConnZone::new(name, key, size)?)),
    })
}

fn limited(
    site: &Site,
    route: &Route,
    zones: &[Remembered],
    before: Before<'_>,
    threads: usize,
) -> Result<Limited, PolicyError> {
    let limits = &route.limits;
    let rates = limits
        .rates
        .iter()
        .filter_map(|limit| match &zones[limit.zone] {
            Remembered::Requests(zone) => Some(Limit {
                zone: Arc::clone(zone),
                burst: limit.burst,
                delay: limit.delay,
            }),
            Remembered::UnderWay(_) => None,
        });
    let connections = limits.connections.iter();
    let connections = connections.filter_map(|limit| match &zones[limit.zone] {
        Remembered::UnderWay(zone) => Some(ConnLimit {
            zone: Arc::clone(zone),
            most: limit.most,
        }),
        Remembered::Requests(_) => None,
    });
    let (status, dry_run) = (limits.status, limits.dry_run);
    let places = limits.rates.iter().map(|limit| limit.zone);
    let places = places.chain(limits.connections.iter().map(|limit| limit.zone));
    Ok(Limited {
        rates: Limits::new(rates.collect(), status, dry_run)?,
        connections: Arc::new(ConnLimits::new(connections.collect(), status, dry_run)?),
        has_headers: limits.headers,
        counts: places
            .map(|zone| counted(site, route, zone, before, threads))
            .collect(),
    })
}

/// What the limit of the same zone on the same route has counted goes on.
fn counted(site: &Site, route: &Route, zone: usize, before: Before<'_>, threads: usize) -> Counted {
    let known = before.and_then(|(old, policy)| {
        let mut routes = old.routes.iter().zip(&policy.routes);
        let (_, limited) = routes.find(|(known, _)| known.name == route.name)?;
        let mut counts = limited.as_ref()?.counts.iter();
        counts.find(|counted| old.zones[counted.zone].name == site.zones[zone].name)
    });
    let stats = known.map_or_else(
        || Arc::new(PerThread::new(threads)),
        |known| Arc::clone(&known.stats),
    );
    Counted { zone, stats }
}
