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

            /// The one of a number.
            #[inline(always)]
            pub const fn of_number(number: u32) -> Option<Self> {
                $(if number == Self::$name as u32 { return Some(Self::$name); })*
                None
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
    /// forwarded to a real server by fullnat
    ForwardedFullnat = "forwarded_fullnat",
    /// forwarded to a real server inside another packet
    ForwardedTunnel = "forwarded_tunnel",
    /// passed: this host is the real server
    ForwardedLocal = "forwarded_local",
    /// reply of a nat real server, sent on to its client
    RepliedNat = "replied_nat",
    /// reply of a fullnat real server, sent on to its client
    RepliedFullnat = "replied_fullnat",
    /// ICMP error about a flow, sent on to the real server that it is about
    ForwardedIcmp = "forwarded_icmp",
    /// ICMP error about a reply's way, sent on to the client in the VIP's name
    RepliedIcmp = "replied_icmp",
    /// answered: an ARP request for a virtual router's VIP
    AnsweredArp = "answered_arp",
    /// answered: a neighbour solicitation for a virtual router's VIP
    AnsweredNdp = "answered_ndp",
    /// answered: a ping of a virtual router's VIP
    AnsweredEcho = "answered_echo",
    /// passed: to a VIP that another director serves now, and this host is a real server of it or has the
    /// address itself
    NotActiveLocal = "not_active_local",
    /// passed: neither IPv4 nor IPv6 (ARP and the like)
    NotIp = "not_ip",
    /// passed: addressed to another host's Ethernet address, broadcast or multicast
    NotOurMac = "not_our_mac",
    /// passed: came in by an interface without a site entry
    UnknownInterface = "unknown_interface",
    /// passed: to an address that is no VIP
    NotVip = "not_vip",
    /// passed: to a VIP, and neither TCP nor UDP nor an ICMP error about a flow
    NotTcpOrUdp = "not_tcp_or_udp",
    /// passed: a fragment for a VIP, which the site file leaves to the stack
    Fragment = "fragment",
    /// passed: to a VIP, and no virtual service at this port
    NoService = "no_service",
    /// passed: an ICMP error to a VIP about no flow of a service
    IcmpUnmatched = "icmp_unmatched",
    /// passed: to a port of fullnat, and no flow has it
    NoFlow = "no_flow",
    /// passed: from a nat real server to this director itself, or to where no route leads
    ReplyNotRouted = "reply_not_routed",
    /// passed: shorter than its IP header
    Truncated = "truncated",
    /// passed: another IP version than the frame says
    BadVersion = "bad_version",
    /// passed: from a nat real server, and malformed
    ReplyMalformed = "reply_malformed",
    /// dropped: to a VIP, and shorter than its headers say
    VipTruncated = "vip_truncated",
    /// dropped: to a VIP, and header lengths that cannot be
    VipBadLength = "vip_bad_length",
    /// dropped: to a VIP, and an IPv6 routing header that names hops still to come
    VipSourceRouted = "vip_source_routed",
    /// dropped: to a VIP, and more IPv6 extension headers than anybody needs
    VipTooManyHeaders = "vip_too_many_headers",
    /// dropped: to a VIP from the VIP itself (a LAND attack)
    Land = "land",
    /// dropped: to a VIP, from an address that no host can have
    MartianSource = "martian_source",
    /// dropped: to a virtual router's Ethernet address or VIP, or asking for that, and this director
    /// does not serve it now
    NotActive = "not_active",
    /// dropped: asks for a virtual router's VIP on another interface or VLAN than the router's
    NotOnLink = "not_on_link",
    /// dropped: asks for a virtual router's VIP, and is malformed
    SolicitationMalformed = "solicitation_malformed",
    /// dropped: to a VIP, a first fragment that ends before its ports
    FragmentTiny = "fragment_tiny",
    /// dropped: to a VIP, a later fragment whose first one was not seen
    FragmentUnknown = "fragment_unknown",
    /// dropped: no real server is up and willing
    NoRealServer = "no_real_server",
    /// dropped: fullnat has no port left towards the real server
    PortsExhausted = "ports_exhausted",
    /// dropped: the flow table has no room for a flow that can't do without
    FlowTableFull = "flow_table_full",
    /// dropped: fullnat knows no flow that it belongs to
    FlowUnknown = "flow_unknown",
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
