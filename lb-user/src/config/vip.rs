//! The address of a virtual service, or a whole network of them.
//!
//! Not here: ports, and which of two services is meant where both could be (`overlap`).

use std::{fmt, net::IpAddr};

use toml::Spanned;

use super::{
    findings::Findings,
    ports::Ports,
    prefix::{self, Allowed},
};

/// The address that clients use, or all addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vip {
    /// The address; of a network the first, so its host bits are zero.
    pub address: IpAddr,
    /// How many bits of it count: 32 or 128 for a single address, else 8 to 31 in IPv4 and 16 to
    /// 127 in IPv6.
    pub prefix: u8,
}

impl Vip {
    /// A single address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Self {
        Self {
            address,
            prefix: prefix::bits(address),
        }
    }

    /// Whether it is one address and no network.
    #[must_use]
    pub const fn is_single(self) -> bool {
        self.prefix == prefix::bits(self.address)
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub const fn is_ipv6(self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether packets to `address` are for it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.is_ipv6() == address.is_ipv6() && prefix::first(address, self.prefix) == self.address
    }

    /// With ports, as messages name it: `10.77.0.100:80`, `[2001:db8::/64]:8000-8099`.
    #[must_use]
    pub fn at(self, ports: Ports) -> String {
        if self.is_ipv6() {
            format!("[{self}]:{ports}")
        } else {
            format!("{self}:{ports}")
        }
    }
}

impl From<IpAddr> for Vip {
    fn from(address: IpAddr) -> Self {
        Self::single(address)
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// A /32 or /128 is taken for the address that it is.
const ALLOWED: Allowed = Allowed {
    example: "10.80.0.0/24",
    v4: 8..=32,
    v6: Some(16..=128),
};

pub(super) fn from_file(value: &Spanned<String>, findings: &mut Findings) -> Option<Spanned<Vip>> {
    let vip = if value.get_ref().contains('/') {
        let (address, prefix) = prefix::read(value, &ALLOWED, findings)?;
        Vip { address, prefix }
    } else {
        Vip::single(findings.address(value)?.into_inner())
    };
    let ends = [vip.address, prefix::last(vip.address, vip.prefix)];
    if let Some(kind) = ends.into_iter().find_map(unusable) {
        let message = if vip.is_single() {
            format!("a VIP cannot be {kind} address")
        } else {
            format!("a VIP cannot be {kind} address, and one of these is")
        };
        let help = "write the address that clients connect to";
        return findings.refuse(value.span(), message, help);
    }
    Some(Spanned::new(value.span(), vip))
}

/// What keeps an address from being one host's on the network.
pub(crate) fn unusable(address: IpAddr) -> Option<&'static str> {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let kinds = [
        (address.is_unspecified(), "the unspecified"),
        (address.is_loopback(), "a loopback"),
        (address.is_multicast(), "a multicast"),
        (is_broadcast, "the broadcast"),
        (is_mapped, "an IPv4-mapped"),
        (is_link_local, "a link-local"),
    ];
    kinds
        .into_iter()
        .find(|(is_so, _)| *is_so)
        .map(|(_, kind)| kind)
}
