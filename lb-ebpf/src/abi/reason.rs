//! Every way a packet can leave the program has a name and a counter.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $label:literal,)*) => {
        /// Why a packet left as it did: index of its counter in `VERDICTS`, label in metrics.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in metrics and in `viaduct status`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_start(),)* }
            }
        }
    };
}

reasons! {
    /// forwarded to a real server by direct routing
    ForwardedDr = "forwarded_dr",
    /// forwarded to a real server by nat
    ForwardedNat = "forwarded_nat",
    /// forwarded to a real server inside another packet
    ForwardedTunnel = "forwarded_tunnel",
    /// passed: this host is the real server
    ForwardedLocal = "forwarded_local",
    /// reply of a nat real server, sent on to its client
    RepliedNat = "replied_nat",
    /// passed: neither IPv4 nor IPv6 (ARP and the like)
    NotIp = "not_ip",
    /// passed: addressed to another host's Ethernet address, broadcast or multicast
    NotOurMac = "not_our_mac",
    /// passed: came in by an interface without a site entry
    UnknownInterface = "unknown_interface",
    /// passed: neither TCP nor UDP
    NotTcpOrUdp = "not_tcp_or_udp",
    /// passed: a fragment
    Fragment = "fragment",
    /// passed: no virtual service at this address and port
    NoService = "no_service",
    /// passed: from a nat real server to this director itself, or to where no route leads
    ReplyNotRouted = "reply_not_routed",
    /// passed: shorter than its headers say
    Truncated = "truncated",
    /// passed: header lengths that cannot be
    BadLength = "bad_length",
    /// passed: another IP version than the frame says
    BadVersion = "bad_version",
    /// passed: an IPv4-mapped address in an IPv6 header
    BadAddress = "bad_address",
    /// passed: an IPv6 routing header that names hops still to come
    SourceRouted = "source_routed",
    /// passed: more IPv6 extension headers than anybody needs
    TooManyHeaders = "too_many_headers",
    /// dropped: no real server is up and willing
    NoRealServer = "no_real_server",
    /// answered: too long for the way to the real server; the sender is told the length that fits
    TooBigTold = "too_big_told",
    /// dropped: too long for the way to the real server, and not to be answered
    TooBig = "too_big",
    /// dropped: no room before the packet for the one that would carry it
    NoHeadroom = "no_headroom",
    /// dropped: its time to live ends here
    TtlExpired = "ttl_expired",
    /// dropped: the next hop towards the client has no Ethernet address yet; it is being asked for
    NextHopUnresolved = "next_hop_unresolved",
    /// dropped: maps that contradict each other; report it
    Inconsistent = "inconsistent",
}

impl Reason {
    /// How many there are: entries of `VERDICTS`.
    #[expect(clippy::cast_possible_truncation, reason = "a handful")]
    pub const COUNT: u32 = Self::ALL.len() as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_order_and_labels_are_unique() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at);
            assert!(
                Reason::ALL[..at]
                    .iter()
                    .all(|other| other.label() != reason.label())
            );
            assert!(!reason.meaning().is_empty());
        }
    }
}
