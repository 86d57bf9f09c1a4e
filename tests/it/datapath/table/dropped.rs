//! Requests for a VIP that end here, each for a reason with a name.

use lb_ebpf::abi::Reason;

use crate::datapath::case::{Case, drops, stays};
use crate::datapath::kinds::LOCAL;
use crate::datapath::site::{ALL_DOWN, EMPTY, QUIESCENT, UNREACHABLE};

use super::{ACK, RST, SYN, tcp_to, udp_to};

pub(super) fn cases() -> Vec<Case> {
    [nobody(), too_old()].concat()
}

fn nobody() -> Vec<Case> {
    let reason = Reason::NoRealServer;
    vec![
        drops(
            "drop: a SYN while all real servers are down",
            reason,
            tcp_to(ALL_DOWN).flags(SYN),
        ),
        drops(
            "drop: data while all real servers are down",
            reason,
            tcp_to(ALL_DOWN).payload(b"?"),
        ),
        drops(
            "drop: an RST while all real servers are down",
            reason,
            tcp_to(ALL_DOWN).flags(RST),
        ),
        drops(
            "drop: a SYN for a service without real servers",
            reason,
            tcp_to(EMPTY).flags(SYN),
        ),
        drops(
            "drop: a SYN when all weights are 0",
            reason,
            tcp_to(QUIESCENT).flags(SYN),
        ),
        drops(
            "drop: an ACK when all weights always were 0",
            reason,
            tcp_to(QUIESCENT).flags(ACK),
        ),
        drops(
            "drop: a SYN when no real server's address is known",
            reason,
            tcp_to(UNREACHABLE).flags(SYN),
        ),
    ]
}

fn too_old() -> Vec<Case> {
    let reason = Reason::TtlExpired;
    let here = LOCAL.tcp();
    vec![
        stays("its last hop is this host", &here, tcp_to(here.port).ttl(1)),
        drops("drop: dr, one hop left", reason, tcp_to(80).ttl(1)),
        drops("drop: dr, no hop left", reason, tcp_to(80).ttl(0)),
        drops("drop: nat, one hop left", reason, tcp_to(8080).ttl(1)),
        drops("drop: nat, no hop left", reason, udp_to(5000).ttl(0)),
        drops(
            "drop: one hop left, and no real server",
            Reason::NoRealServer,
            tcp_to(EMPTY).ttl(1),
        ),
    ]
}
