//! The closed lists of words a virtual router is described with.
//!
//! Not here: what the words do.

use std::fmt;

use vrrp::ChecksumForm;

/// Which Ethernet address the VIPs have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MacChoice {
    /// `interface`: that of the active director's interface (keepalived without `use_vmac`).
    #[default]
    Interface,
    /// `virtual`: 00-00-5E-00-01-VRID, in IPv6 00-00-5E-00-02-VRID, which moves along (RFC 9568,
    /// section 7.3; keepalived's `use_vmac`).
    Virtual,
}

/// How adverts get to the other hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `multicast`: to 224.0.0.18 and ff02::12, as the RFC says.
    #[default]
    Multicast,
    /// `unicast`: to the address of each (keepalived's `unicast_peer`).
    Unicast,
}

impl MacChoice {
    pub(super) const KNOWN: &[(&str, Self)] =
        &[("interface", Self::Interface), ("virtual", Self::Virtual)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Virtual => "virtual",
        }
    }
}

impl Transport {
    pub(super) const KNOWN: &[(&str, Self)] =
        &[("multicast", Self::Multicast), ("unicast", Self::Unicast)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Unicast => "unicast",
        }
    }
}

/// The forms of the checksum over IPv4.
pub(super) const CHECKSUMS: &[(&str, ChecksumForm)] = &[
    ("pseudo-header", ChecksumForm::PseudoHeader),
    ("message-only", ChecksumForm::MessageOnly),
];

impl fmt::Display for MacChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
