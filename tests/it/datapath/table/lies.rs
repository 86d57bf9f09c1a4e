//! Headers that say what is not so. To a VIP, they end here by name; of another version, nobody can tell
//! whom they were for: they pass.

use lb_ebpf::abi::Reason;

use crate::datapath::case::{Case, drops, passes};

use super::{SYN, tcp_to, to_director, udp_to};
use crate::datapath::site::{CLIENT, VIP};

pub(super) fn cases() -> Vec<Case> {
    [versions(), lengths(), tcp(), udp()].concat()
}

fn versions() -> Vec<Case> {
    let reason = Reason::BadVersion;
    vec![
        passes("lie: version 0", reason, tcp_to(80).claims_version(0)),
        passes("lie: version 5", reason, tcp_to(80).claims_version(5)),
        passes(
            "lie: version 6 in an IPv4 frame",
            reason,
            tcp_to(80).claims_version(6),
        ),
        passes(
            "lie: version 15, with other lies behind",
            reason,
            tcp_to(80).claims_version(15).claims_ihl(0),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let bad = Reason::VipBadLength;
    let truncated = Reason::VipTruncated;
    vec![
        drops("lie: a header of 0 bytes", bad, tcp_to(80).claims_ihl(0)),
        drops("lie: a header of 16 bytes", bad, tcp_to(80).claims_ihl(4)),
        drops(
            "lie: a header longer than the packet",
            bad,
            tcp_to(80).claims_ihl(15),
        ),
        drops(
            "lie: a packet of 0 bytes",
            bad,
            tcp_to(80).claims_total_len(0),
        ),
        drops(
            "lie: a packet shorter than its header",
            bad,
            tcp_to(80).claims_total_len(19),
        ),
        drops(
            "lie: a packet shorter than its options",
            bad,
            tcp_to(80).options(&[1; 8]).claims_total_len(27),
        ),
        drops(
            "lie: a packet of one byte more than there are",
            truncated,
            tcp_to(80).claims_total_len(41),
        ),
        drops(
            "lie: a packet of 65,535 bytes",
            truncated,
            tcp_to(80).claims_total_len(u16::MAX),
        ),
        drops(
            "lie: a packet that ends within the padding, less one",
            truncated,
            tcp_to(80).claims_total_len(47).padded_to(60),
        ),
        drops(
            "lie: TCP without a byte, at the frame's end",
            bad,
            to_director().ipv4(CLIENT, VIP).other(6, &[]),
        ),
        drops(
            "lie: UDP of 7 bytes, at the frame's end",
            bad,
            to_director().ipv4(CLIENT, VIP).other(17, &[0; 7]),
        ),
    ]
}

fn tcp() -> Vec<Case> {
    let reason = Reason::VipBadLength;
    let syn = tcp_to(80).flags(SYN);
    vec![
        drops(
            "lie: a TCP header of 0 bytes",
            reason,
            syn.clone().claims_offset(0),
        ),
        drops(
            "lie: a TCP header of 16 bytes",
            reason,
            syn.clone().claims_offset(4),
        ),
        drops(
            "lie: a TCP header longer than the packet",
            reason,
            syn.clone().claims_offset(6),
        ),
        drops(
            "lie: a TCP header of 60 bytes in 40",
            reason,
            tcp_to(80).payload(&[0; 20]).claims_offset(15),
        ),
        drops(
            "lie: TCP of 19 bytes, the rest is padding",
            reason,
            syn.clone().claims_total_len(39),
        ),
        drops(
            "lie: TCP of no byte, the rest is padding",
            reason,
            syn.clone().claims_total_len(20),
        ),
        drops(
            "lie: a TCP header that ends in the padding",
            reason,
            syn.claims_offset(6).padded_to(60),
        ),
    ]
}

fn udp() -> Vec<Case> {
    let reason = Reason::VipBadLength;
    let query = udp_to(53).payload(b"a question");
    vec![
        drops(
            "lie: a datagram of 0 bytes",
            reason,
            query.clone().claims_length(0),
        ),
        drops(
            "lie: a datagram of 7 bytes",
            reason,
            query.clone().claims_length(7),
        ),
        drops(
            "lie: a datagram longer than its packet",
            reason,
            query.clone().claims_length(19),
        ),
        drops(
            "lie: a datagram of 65,535 bytes",
            reason,
            query.clone().claims_length(u16::MAX),
        ),
        drops(
            "lie: a datagram that ends in the padding",
            reason,
            query.clone().claims_length(20).padded_to(64),
        ),
        drops(
            "lie: UDP of 7 bytes, the rest is padding",
            reason,
            query.claims_total_len(27),
        ),
    ]
}
