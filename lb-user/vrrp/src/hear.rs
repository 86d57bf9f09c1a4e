//! Whether an advert concerns a virtual router: the checks that need its configuration.
//!
//! Not here: the checks of the bytes ([`crate::advert::decode`]), and what the machine makes of it.

use std::net::IpAddr;

use crate::{
    advert::{Advert, Ends},
    interval::Interval,
    params::{Params, Priority},
    refusal::{Notice, Notices, Refusal},
};

/// What the machine needs to know of an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its source.
    pub from: IpAddr,
    /// The sender's priority; none when it resigns.
    pub priority: Option<Priority>,
    /// When its next one comes.
    pub interval: Interval,
}

impl Params {
    /// Takes an advert, and notices what differs from this configuration.
    ///
    /// # Errors
    /// When it is for another virtual router, or from someone who should not speak here.
    pub fn hear(&self, advert: &Advert<'_>, ends: Ends) -> Result<(Heard, Notices), Refusal> {
        let from = ends.source();
        if advert.vrid != self.vrid || ends.family() != self.family() {
            return Err(Refusal::Vrid);
        }
        if from == self.primary {
            return Err(Refusal::OwnAddress);
        }
        if !self.peers.is_empty() && !self.peers.contains(&from) {
            return Err(Refusal::Peer);
        }
        let heard = Heard {
            from,
            priority: advert.priority,
            interval: advert.interval,
        };
        Ok((heard, self.compare(advert)))
    }

    fn compare(&self, advert: &Advert<'_>) -> Notices {
        let mut notices = Notices::default();
        if advert.interval != self.interval {
            notices.add(Notice::OtherInterval);
        }
        if !advert.vips.same_addresses(self.vips()) {
            notices.add(Notice::OtherAddresses);
        }
        if advert.priority == Some(self.priority) {
            notices.add(if self.priority.is_owner() {
                Notice::TwoOwners
            } else {
                Notice::SamePriority
            });
        }
        notices
    }
}
