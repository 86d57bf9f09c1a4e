//! Whether a request may be served now: the seam between the engine and rate and concurrency limits.
//!
//! The engine asks [`Policy::admit`] once for each request that has a route, before a server is chosen,
//! and tells [`Policy::finished`] when it is over. Pure but for what the limits remember; time is an
//! input. Not here: limits; there are none yet, and every request passes.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{config::Site, h1::request::Request};

/// A request that asks to be served.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its route, by its place in the site.
    pub route: usize,
    /// Whose it is, as far as trusted proxies say.
    pub client: IpAddr,
    /// Its path, normalised.
    pub path: &'a [u8],
    /// All of its head.
    pub request: &'a Request<'a, 'a>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is served.
    Pass,
    /// It is served, that much later.
    After(Duration),
    /// It is answered with this status, and when to come again in seconds.
    Refuse {
        /// The status.
        status: u16,
        /// `Retry-After`, if it is known.
        retry_after: Option<u32>,
    },
}

/// All limits of a site.
#[derive(Debug, Default)]
pub struct Policy;

impl Policy {
    /// The limits of a site; what those `before` remember of the same limits stays.
    #[must_use]
    pub fn of(site: &Site, before: Option<&Arc<Self>>) -> Arc<Self> {
        let _ = site;
        before.map_or_else(Arc::default, Arc::clone)
    }

    /// Judges a request, and counts it where it passes.
    #[must_use]
    pub fn admit(&self, asked: &Asked<'_>, now: Instant) -> Admission {
        let _ = (asked, now);
        Admission::Pass
    }

    /// A request of this route that passed is over.
    pub fn finished(&self, route: usize) {
        let _ = route;
    }
}
