//! What an operator configures of one virtual router, as types that hold only what the RFC lets be.
//!
//! Not here: how it is written in a site file, and the interface it runs on.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU8,
    time::Duration,
};

use crate::{advert::Vips, checksum::ChecksumForm, interval::Interval};

/// The number of a virtual router on its interface: 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// None for 0.
    #[must_use]
    pub const fn new(vrid: u8) -> Option<Self> {
        match NonZeroU8::new(vrid) {
            Some(vrid) => Some(Self(vrid)),
            None => None,
        }
    }

    /// As on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual router's own Ethernet address (section 7.3).
    #[must_use]
    pub const fn mac(self, family: Family) -> [u8; 6] {
        let block = match family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        [0, 0, 0x5e, 0, block, self.get()]
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wins: 1 to 254 for those that back up, 255 for the owner. The 0 of the wire is no priority,
/// it says that the sender resigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// Of the host whose own addresses the VIPs are.
    pub const OWNER: Self = Self(NonZeroU8::MAX);

    /// The least there is.
    pub const LEAST: Self = Self(NonZeroU8::MIN);

    /// Of one that backs up, 1 to 254.
    #[must_use]
    pub const fn backup(priority: u8) -> Option<Self> {
        match Self::from_wire(priority) {
            Some(priority) if !priority.is_owner() => Some(priority),
            Some(_) | None => None,
        }
    }

    /// As read from an advert; none when its sender resigns.
    #[must_use]
    pub const fn from_wire(priority: u8) -> Option<Self> {
        match NonZeroU8::new(priority) {
            Some(priority) => Some(Self(priority)),
            None => None,
        }
    }

    /// As on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether it is the owner's.
    #[must_use]
    pub const fn is_owner(self) -> bool {
        self.get() == Self::OWNER.get()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// IPv4 or IPv6. The same VRID in both is two virtual routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bytes of an address.
    #[must_use]
    pub const fn address_len(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// How many VIPs one advert holds: the count has 8 bits, and an Ethernet frame 1500 bytes.
    #[must_use]
    pub const fn most_vips(self) -> usize {
        match self {
            Self::V4 => 255,
            Self::V6 => 90,
        }
    }
}

/// When a backup takes over from an active router of lower priority. The owner always does, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// Only when that one falls silent or resigns.
    Never,
    /// So long after it was first heard; takeovers for any other cause are not delayed.
    After(Duration),
}

impl Default for Preempt {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

/// What is configured of one virtual router on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    pub(crate) vrid: Vrid,
    pub(crate) priority: Priority,
    pub(crate) primary: IpAddr,
    pub(crate) vips: Vec<u8>,
    pub(crate) interval: Interval,
    pub(crate) preempt: Preempt,
    pub(crate) checksum: ChecksumForm,
    pub(crate) peers: Vec<IpAddr>,
}

/// Why parameters are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// An advert without addresses is refused by whoever hears it.
    #[error("a virtual router needs a VIP")]
    NoVips,
    /// An advert cannot hold them all.
    #[error("an advert holds {0} VIPs at most")]
    TooManyVips(usize),
    /// Families are separate virtual routers.
    #[error("{0} is not of the same family as the primary address")]
    OtherFamily(IpAddr),
    /// Section 5.2.9 and erratum 8300.
    #[error("the first VIP of an IPv6 virtual router must be link-local (fe80::…)")]
    NoLinkLocal,
    /// Section 7.2: adverts over IPv6 come from there.
    #[error("the primary address of an IPv6 virtual router must be link-local (fe80::…)")]
    PrimaryNotLinkLocal,
    /// Section 5.2.4.
    #[error("{0} is this host's own address, so its priority must be 255")]
    OwnerWithoutPriority(IpAddr),
}

impl Params {
    /// A virtual router with the RFC's defaults for what is not said: adverts each second, preempting.
    /// `primary` is the address that its adverts come from.
    ///
    /// # Errors
    /// When the RFC forbids the combination.
    pub fn new(
        vrid: Vrid,
        priority: Priority,
        primary: IpAddr,
        vips: &[IpAddr],
    ) -> Result<Self, Invalid> {
        check_vips(primary, vips)?;
        if vips.contains(&primary) && !priority.is_owner() {
            return Err(Invalid::OwnerWithoutPriority(primary));
        }
        let mut bytes = Vec::with_capacity(vips.len() * Family::of(primary).address_len());
        for vip in vips {
            match vip {
                IpAddr::V4(vip) => bytes.extend(vip.octets()),
                IpAddr::V6(vip) => bytes.extend(vip.octets()),
            }
        }
        Ok(Self {
            vrid,
            priority,
            primary,
            vips: bytes,
            interval: Interval::DEFAULT,
            preempt: Preempt::default(),
            checksum: ChecksumForm::default(),
            peers: Vec::new(),
        })
    }

    /// Adverts come this often.
    #[must_use]
    pub fn with_interval(self, interval: Interval) -> Self {
        Self { interval, ..self }
    }

    /// Whether to take over from an active router of lower priority.
    #[must_use]
    pub fn with_preempt(self, preempt: Preempt) -> Self {
        Self { preempt, ..self }
    }

    /// How the checksum is made over IPv4; both forms are accepted.
    #[must_use]
    pub fn with_checksum(self, checksum: ChecksumForm) -> Self {
        Self { checksum, ..self }
    }

    /// Who may speak; empty, as in a multicast group, for everyone on the link.
    #[must_use]
    pub fn with_peers(self, peers: Vec<IpAddr>) -> Self {
        Self { peers, ..self }
    }

    /// Its number.
    #[must_use]
    pub fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// Its own priority.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Where its adverts come from.
    #[must_use]
    pub fn primary(&self) -> IpAddr {
        self.primary
    }

    /// The time between its adverts.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// Whether it preempts.
    #[must_use]
    pub fn preempt(&self) -> Preempt {
        self.preempt
    }

    /// The form of checksum that it sends over IPv4.
    #[must_use]
    pub fn checksum(&self) -> ChecksumForm {
        self.checksum
    }

    /// Whom it listens to; everyone when empty.
    #[must_use]
    pub fn peers(&self) -> &[IpAddr] {
        &self.peers
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.primary)
    }

    /// The VIPs, as its adverts list them.
    #[must_use]
    pub fn vips(&self) -> Vips<'_> {
        Vips::new(self.family(), &self.vips)
    }
}

fn check_vips(primary: IpAddr, vips: &[IpAddr]) -> Result<(), Invalid> {
    let family = Family::of(primary);
    if let Some(other) = vips.iter().find(|vip| Family::of(**vip) != family) {
        return Err(Invalid::OtherFamily(*other));
    }
    if vips.len() > family.most_vips() {
        return Err(Invalid::TooManyVips(family.most_vips()));
    }
    match (primary, vips.first()) {
        (_, None) => Err(Invalid::NoVips),
        (IpAddr::V6(primary), Some(_)) if !is_link_local(primary) => {
            Err(Invalid::PrimaryNotLinkLocal)
        }
        (_, Some(IpAddr::V6(first))) if !is_link_local(*first) => Err(Invalid::NoLinkLocal),
        (_, Some(_)) => Ok(()),
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}
