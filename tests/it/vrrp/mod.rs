//! Two directors and one VIP: who answers, and for how long nobody does.
//!
//! In reading order: [`watched`] the lab itself, with two keepalived, so that the other tests can
//! believe what it says; [`pair`] two of ours, and [`settings`] what a site file has them do; [`interop`] ours and keepalived. Not here: the state
//! machine and its packets (`vrrp` of lb-user); measurements (`cargo xtask bench failover`).

mod interop;
mod pair;
mod settings;
mod watched;

use std::{net::IpAddr, time::Duration};

use tests::lab::topology::{VIP, twin};

/// The MACs that the directors' interfaces have.
const MAC1: &str = "02:00:0a:4d:00:02";
const MAC2: &str = "02:00:0a:4d:00:04";

/// Slow enough for a busy machine.
const INTERVAL: Duration = Duration::from_millis(100);

/// What keepalived writes when it is Active and hears a worse one that is too: one that it meets again, or
/// one of ours that resigns and has not yet heard who took over.
const MET: &str = ", forcing new election";

/// The VIPs of a router of IPv6: adverts name a link-local one first (RFC 9568 5.2.9).
fn vips6() -> [IpAddr; 2] {
    [
        "fe80::77:100".parse().expect("an address"),
        twin(VIP).into(),
    ]
}
