//! Why a datagram was not taken, and what is odd about one that was: closed lists, because they are
//! the labels of metrics and the sentences an operator reads in the log.
//!
//! Not here: the rate at which log lines are written.

use std::fmt;

/// Why a datagram was not taken. One number each, see [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Section 5.1.1.3 and 5.1.2.3.
    #[error("TTL or hop limit is not 255: it was sent from beyond this link")]
    HopLimit,
    /// Section 7.1. Version 2 is not spoken.
    #[error("it is not VRRP version 3")]
    Version,
    /// Section 5.2.2.
    #[error("its type is not 1, ADVERTISEMENT")]
    Type,
    /// Section 7.1.
    #[error("it is shorter than it says")]
    Length,
    /// Section 5.2.8.
    #[error("its checksum is wrong, with and without the pseudo-header")]
    Checksum,
    /// Section 7.1: no virtual router of that number runs here, in that family.
    #[error("no such virtual router on this interface")]
    Vrid,
    /// Section 7.1, erratum 8301.
    #[error("its interval is 0")]
    Interval,
    /// Section 5.2.5, erratum 8299.
    #[error("it has no addresses")]
    NoAddresses,
    /// It is one of ours that came back, or another host has our address.
    #[error("it comes from our own address")]
    OwnAddress,
    /// Peers are configured, and it is from none of them.
    #[error("its sender is not among the configured peers")]
    Peer,
}

impl Refusal {
    /// Every one, in the order of the checks.
    pub const ALL: [Self; 10] = [
        Self::HopLimit,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::Checksum,
        Self::Vrid,
        Self::Interval,
        Self::NoAddresses,
        Self::OwnAddress,
        Self::Peer,
    ];

    /// A short, stable word for a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HopLimit => "hop_limit",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Vrid => "vrid",
            Self::Interval => "interval",
            Self::NoAddresses => "no_addresses",
            Self::OwnAddress => "own_address",
            Self::Peer => "peer",
        }
    }
}

/// What is odd, or worth a count, about an advert that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The usual form.
    ChecksumOverPseudoHeader,
    /// RFC 9568's form over IPv4.
    ChecksumOverMessageOnly,
    /// There is something behind the message, as an HMAC of keepalived 2.4.
    TrailingBytes,
    /// Section 7.1: should be the same everywhere; it is adopted.
    OtherInterval,
    /// Section 7.1: should be the same everywhere.
    OtherAddresses,
    /// Section 8.3.2: another router has our priority, and the greater address wins.
    SamePriority,
    /// Section 8.3.2: two routers say that they own the VIPs.
    TwoOwners,
}

impl Notice {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::ChecksumOverPseudoHeader,
        Self::ChecksumOverMessageOnly,
        Self::TrailingBytes,
        Self::OtherInterval,
        Self::OtherAddresses,
        Self::SamePriority,
        Self::TwoOwners,
    ];

    /// A short, stable word for a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ChecksumOverPseudoHeader => "checksum_over_pseudo_header",
            Self::ChecksumOverMessageOnly => "checksum_over_message_only",
            Self::TrailingBytes => "trailing_bytes",
            Self::OtherInterval => "other_interval",
            Self::OtherAddresses => "other_addresses",
            Self::SamePriority => "same_priority",
            Self::TwoOwners => "two_owners",
        }
    }

    /// Whether an operator should be told, at a limited rate; the others are only counted.
    #[must_use]
    pub const fn is_a_mistake(self) -> bool {
        match self {
            Self::OtherInterval | Self::OtherAddresses | Self::SamePriority | Self::TwoOwners => {
                true
            }
            Self::ChecksumOverPseudoHeader
            | Self::ChecksumOverMessageOnly
            | Self::TrailingBytes => false,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Notices(u8);

impl Notices {
    /// Puts one in.
    pub fn add(&mut self, notice: Notice) {
        self.0 |= notice.bit();
    }

    /// Whether it is in.
    #[must_use]
    pub const fn has(self, notice: Notice) -> bool {
        self.0 & notice.bit() != 0
    }

    /// Those that are in.
    pub fn iter(self) -> impl Iterator<Item = Notice> {
        let all = Notice::ALL.into_iter();
        all.filter(move |notice| self.has(*notice))
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// How often each has occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    refused: [u64; Refusal::ALL.len()],
    noticed: [u64; Notice::ALL.len()],
}

impl Counters {
    /// One datagram was not taken.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal as usize] += 1;
    }

    /// One was, and this is to be said of it.
    pub fn notice(&mut self, notices: Notices) {
        for notice in notices.iter() {
            self.noticed[notice as usize] += 1;
        }
    }

    /// How many were not taken for this cause.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }

    /// Of how many this was to be said.
    #[must_use]
    pub fn noticed(&self, notice: Notice) -> u64 {
        self.noticed[notice as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_has_a_number_and_a_label_of_its_own() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
        for (number, notice) in Notice::ALL.into_iter().enumerate() {
            assert_eq!(notice as usize, number);
        }
        let labels = Refusal::ALL.map(Refusal::label).into_iter();
        let labels = labels.chain(Notice::ALL.map(Notice::label));
        let distinct = labels.clone().collect::<HashSet<_>>();
        assert_eq!(distinct.len(), labels.count());
    }

    #[test]
    fn each_is_counted_apart() {
        let mut counters = Counters::default();
        counters.refuse(Refusal::Checksum);
        counters.refuse(Refusal::Checksum);
        let mut notices = Notices::default();
        notices.add(Notice::TwoOwners);
        counters.notice(notices);
        for refusal in Refusal::ALL {
            let expected = u64::from(refusal == Refusal::Checksum) * 2;
            assert_eq!(counters.refused(refusal), expected, "{refusal:?}");
        }
        for notice in Notice::ALL {
            let expected = u64::from(notice == Notice::TwoOwners);
            assert_eq!(counters.noticed(notice), expected, "{notice:?}");
        }
    }
}
