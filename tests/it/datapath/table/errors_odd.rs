//! ICMP errors of every type, tagged, with odd quotes; those that are about no flow; and ICMP messages
//! that are no errors, which are the stack's.
//!
//! Not here: one plain error for each way ([`super::errors`]).

use lb_ebpf::abi::Reason;
use tests::packet::{Error, Ipv4, Ipv6, Packet, eth};

use crate::datapath::case::{Case, drops, errs, errs_back, passes};
use crate::datapath::kinds::{DR, FULLNAT, NAT, NAT_VLAN};
use crate::datapath::served::Served;
use crate::datapath::site::{
    CLIENT, CLIENT_MAC, CLIENT6, DIRECTOR, LB, NOWHERE, OWN, OWN_PORT, OWN6, PORT, ROUTER,
    ROUTER_MAC, ROUTER6, SILENT_CLIENT, VIP, VIP6,
};

use super::errors::{back, client, quote, too_big, too_big6};
use super::{direct, to_director};

pub(super) fn cases() -> Vec<Case> {
    [
        types(),
        links(),
        quotes(),
        short(),
        unmatched(),
        beside(),
        not_errors(),
        ends(),
    ]
    .concat()
}

/// What the client got, as it is quoted.
fn reply(served: &Served) -> Vec<u8> {
    let vip = (served.vip, served.port);
    quote(served.protocol, vip, client(served), Some(8))
}

/// The same as the real server sent it.
fn reply_behind(served: &Served) -> Vec<u8> {
    let real = (served.real, served.port_behind());
    quote(served.protocol, real, client(served), Some(8))
}

fn from_router() -> Ipv4 {
    eth(ROUTER_MAC, LB).ipv4(ROUTER, VIP)
}

fn from_router6() -> Ipv6 {
    eth(ROUTER_MAC, LB).ipv6(ROUTER6, VIP6)
}

fn types() -> Vec<Case> {
    let (dr, nat, dr6, nat6) = (DR.tcp(), NAT.tcp(), DR.tcp6(), NAT.tcp6());
    let mut cases = Vec::new();
    for kind in [[3, 0], [3, 1], [3, 3], [3, 13], [11, 0], [12, 0]] {
        let plain = from_router().error(kind, 7, &reply(&dr));
        let name = format!("error: type and code {kind:?}, dr");
        cases.push(errs(name, &dr, plain.clone(), direct(&dr, plain)));
        let seen = from_router().error(kind, 7, &reply(&nat));
        let behind = from_router()
            .to(nat.real)
            .error(kind, 7, &reply_behind(&nat));
        let name = format!("error: type and code {kind:?}, nat");
        cases.push(errs(name, &nat, seen, direct(&nat, behind)));
    }
    for kind in [[1, 0], [1, 4], [3, 0], [4, 1]] {
        let plain = from_router6().error(kind, 7, &reply(&dr6));
        let name = format!("error: type and code {kind:?}, dr, IPv6");
        cases.push(errs(name, &dr6, plain.clone(), direct(&dr6, plain)));
        let seen = from_router6().error(kind, 7, &reply(&nat6));
        let behind = from_router6()
            .to(nat6.real)
            .error(kind, 7, &reply_behind(&nat6));
        let name = format!("error: type and code {kind:?}, nat, IPv6");
        cases.push(errs(name, &nat6, seen, direct(&nat6, behind)));
    }
    cases
}

fn links() -> Vec<Case> {
    let (nat, vlan) = (NAT.tcp(), NAT_VLAN.tcp());
    let seen = |served: &Served| too_big(VIP, &reply(served));
    let behind = |served: &Served| {
        let error = from_router().to(served.real);
        direct(served, error.too_big(1400, &reply_behind(served)))
    };
    vec![
        errs(
            "error: tagged twice, nat",
            &nat,
            eth(ROUTER_MAC, LB)
                .service_vlan(5)
                .vlan(6)
                .ipv4(ROUTER, VIP)
                .too_big(1400, &reply(&nat)),
            behind(&nat),
        ),
        errs(
            "error: tagged, nat by VLAN",
            &vlan,
            seen(&vlan).tagged(7),
            behind(&vlan),
        ),
        errs(
            "error: filled up, nat",
            &nat,
            seen(&nat).padded_to(100),
            behind(&nat).padded_to(100),
        ),
        errs(
            "error: with a class, nat",
            &nat,
            seen(&nat).tos(0xc0),
            behind(&nat).tos(0xc0),
        ),
        errs(
            "error: behind options, nat",
            &nat,
            seen(&nat).options(&[1; 8]),
            behind(&nat).options(&[1; 8]),
        ),
    ]
}

/// Quotes with more before their ports than a plain header.
fn quotes() -> Vec<Case> {
    let (nat, nat6, udp) = (NAT.tcp(), NAT.tcp6(), NAT.udp());
    let options = |source, port| {
        let packet = to_director().ipv4(source, CLIENT).options(&[1; 12]);
        packet.tcp(port, PORT).packet()[..32 + 8].to_vec()
    };
    let extended = |source, port| {
        let packet = to_director()
            .ipv6(source, CLIENT6)
            .hop_by_hop(&[5, 2, 0, 0]);
        packet.tcp(port, PORT).packet()
    };
    let bare = |source, port| {
        let packet = to_director().ipv4(source, CLIENT).udp(port, PORT);
        packet.payload(b"none").no_checksum().packet()
    };
    let first = |source, port| {
        let packet = to_director().ipv4(source, CLIENT).udp(port, PORT);
        packet.payload(&[9; 40]).piece(0..16).packet()
    };
    let to_real = |served: &Served, quote: &[u8]| {
        direct(served, from_router().to(served.real).too_big(1400, quote))
    };
    let to_real6 = |quote: &[u8]| {
        let error = from_router6().to(nat6.real);
        direct(&nat6, error.too_big(1400, quote))
    };
    vec![
        errs(
            "error: quoting options, nat",
            &nat,
            too_big(VIP, &options(VIP, nat.port)),
            to_real(&nat, &options(nat.real_v4(), nat.real_port)),
        ),
        errs(
            "error: quoting an extension header, nat",
            &nat6,
            too_big6(VIP6, &extended(VIP6, nat6.port)),
            to_real6(&extended(nat6.real_v6(), nat6.real_port)),
        ),
        errs(
            "error: quoting a datagram without checksum, nat",
            &udp,
            too_big(VIP, &bare(VIP, udp.port)),
            to_real(&udp, &bare(udp.real_v4(), udp.real_port)),
        ),
        errs(
            "error: quoting a first fragment, nat",
            &udp,
            too_big(VIP, &first(VIP, udp.port)),
            to_real(&udp, &first(udp.real_v4(), udp.real_port)),
        ),
    ]
}

/// Quotes that end too soon.
fn short() -> Vec<Case> {
    let unmatched = Reason::IcmpUnmatched;
    let cut = |bytes: usize| {
        let whole = reply(&NAT.tcp());
        from_router().too_big(1400, &whole[..bytes])
    };
    let cut6 = |bytes: usize| {
        let whole = reply(&NAT.tcp6());
        from_router6().too_big(1400, &whole[..bytes])
    };
    vec![
        passes("error: quoting 7 bytes", unmatched, cut(27)),
        passes("error: quoting a header alone", unmatched, cut(20)),
        passes("error: quoting half a header", unmatched, cut(10)),
        passes("error: quoting nothing", unmatched, cut(0)),
        passes("error: quoting 7 bytes, IPv6", unmatched, cut6(47)),
        passes("error: quoting nothing, IPv6", unmatched, cut6(0)),
        passes(
            "error: a byte alone",
            Reason::NotTcpOrUdp,
            from_router().other(1, &[3]),
        ),
        passes(
            "error: quoting 7 bytes, the rest is padding",
            unmatched,
            cut(27).padded_to(100),
        ),
    ]
}

fn unmatched() -> Vec<Case> {
    let reason = Reason::IcmpUnmatched;
    let tcp = DR.tcp();
    let to_vip = |from, port, protocol| {
        let quoted = quote(protocol, (from, port), client(&tcp), Some(8));
        from_router().too_big(1400, &quoted)
    };
    let later = to_director()
        .ipv4(VIP, CLIENT)
        .udp(DR.udp().port, PORT)
        .payload(&[9; 40])
        .piece(16..48)
        .packet();
    let mapped = quote_mapped();
    let other_client = quote(
        6,
        (VIP.into(), FULLNAT.tcp().port),
        (CLIENT.into(), PORT + 1),
        Some(8),
    );
    vec![
        passes(
            "error: about a port without service",
            reason,
            to_vip(VIP.into(), 9, 6),
        ),
        passes(
            "error: about another address",
            reason,
            to_vip(DIRECTOR.into(), tcp.port, 6),
        ),
        passes(
            "error: about the other protocol's port",
            reason,
            to_vip(VIP.into(), 80, 17),
        ),
        passes(
            "error: about a later fragment",
            reason,
            from_router().too_big(1400, &later),
        ),
        passes(
            "error: about an error",
            reason,
            from_router().too_big(1400, &too_big(CLIENT, &reply(&tcp)).packet()),
        ),
        passes(
            "error: about IPv6, in IPv4",
            reason,
            from_router().too_big(1400, &reply(&DR.tcp6())),
        ),
        passes(
            "error: about mapped addresses",
            reason,
            from_router6().too_big(1400, &mapped),
        ),
        passes(
            "error: about a flow of fullnat that is not there",
            reason,
            from_router().too_big(1400, &other_client),
        ),
        drops(
            "error: about a service without real servers",
            Reason::NoRealServer,
            to_vip(VIP.into(), crate::datapath::site::EMPTY, 6),
        ),
    ]
}

/// A packet of IPv6 with addresses that mean IPv4.
fn quote_mapped() -> Vec<u8> {
    to_director()
        .ipv6(VIP.to_ipv6_mapped(), CLIENT.to_ipv6_mapped())
        .tcp(DR.tcp().port, PORT)
        .packet()
}

/// To addresses that are no VIP.
fn beside() -> Vec<Case> {
    let reason = Reason::NotVip;
    let (nat, fullnat) = (NAT.tcp(), FULLNAT.tcp());
    let request = |from, to| quote(6, from, (nat.real, to), Some(8));
    let own = |port, real_port| {
        let real = (fullnat.real, real_port);
        quote(6, (OWN.into(), port), real, Some(8))
    };
    let error = |to, quoted: &[u8]| too_big(to, quoted);
    let to_silent = request((SILENT_CLIENT.into(), PORT), nat.real_port);
    let to_nowhere = request((NOWHERE.into(), PORT), nat.real_port);
    let probe = request((DIRECTOR.into(), PORT), nat.real_port);
    vec![
        passes(
            "error: to a client, about another port of a nat real server",
            reason,
            error(CLIENT, &request(client(&nat), 22)),
        ),
        passes(
            "error: to a client, about another one's packet",
            reason,
            error(NOWHERE, &request(client(&nat), nat.real_port)),
        ),
        passes(
            "error: to the director, about its probe of a nat real server",
            Reason::ReplyNotRouted,
            error(DIRECTOR, &probe),
        ),
        passes(
            "error: to where no route leads, about nat",
            Reason::ReplyNotRouted,
            error(NOWHERE, &to_nowhere),
        ),
        drops(
            "error: to a client without Ethernet address, about nat",
            Reason::NextHopUnresolved,
            error(SILENT_CLIENT, &to_silent),
        )
        .asking_for(SILENT_CLIENT),
        passes(
            "error: to an address of fullnat, about another port",
            reason,
            error(OWN, &own(OWN_PORT + 1, fullnat.real_port)),
        ),
        passes(
            "error: to an address of fullnat, about another real server",
            reason,
            error(OWN, &own(OWN_PORT, 9)),
        ),
        passes(
            "error: to an address of fullnat, quoting nothing",
            reason,
            error(OWN, &[]),
        ),
        errs_back(
            "error: about nat, tagged",
            error(CLIENT, &request(client(&nat), nat.real_port)).tagged(9),
            back(
                error(
                    CLIENT,
                    &quote(6, client(&nat), (nat.vip, nat.port), Some(8)),
                )
                .from(nat.vip),
            ),
        ),
    ]
}

fn not_errors() -> Vec<Case> {
    let (ours, not_vip) = (Reason::NotTcpOrUdp, Reason::NotVip);
    let v4 = |to, kind: u8| {
        eth(CLIENT_MAC, LB)
            .ipv4(CLIENT, to)
            .error([kind, 0], 1, &[7; 56])
    };
    let v6 = |to, kind: u8| {
        eth(CLIENT_MAC, LB)
            .ipv6(CLIENT6, to)
            .error([kind, 0], 1, &[7; 56])
    };
    let mut cases = Vec::new();
    for (kind, what) in [
        (0, "an echo reply"),
        (4, "a source quench"),
        (5, "a redirect"),
        (8, "an echo request"),
        (13, "a timestamp request"),
        (40, "a type nobody uses"),
    ] {
        let name = format!("icmp: {what} to the VIP");
        cases.push(passes(name, ours, v4(VIP, kind)));
    }
    for (kind, what) in [
        (0, "type 0"),
        (5, "type 5"),
        (128, "an echo request"),
        (129, "an echo reply"),
        (137, "a redirect"),
    ] {
        let name = format!("icmp: {what} to the VIP, IPv6");
        cases.push(passes(name, ours, v6(VIP6, kind)));
    }
    cases.extend([
        passes(
            "icmp: an echo request to an address of fullnat",
            not_vip,
            v4(OWN, 8),
        ),
        passes(
            "icmp: an echo request to an address of fullnat, IPv6",
            not_vip,
            v6(OWN6, 128),
        ),
        passes(
            "icmp: an echo request to the director",
            not_vip,
            v4(DIRECTOR, 8),
        ),
        passes("icmp: ICMPv6's number in IPv4", ours, v4_numbered(58, 2)),
        passes("icmp: ICMP's number in IPv6", ours, v6_numbered(1, 3)),
    ]);
    cases
}

/// An error of the other family's ICMP.
fn v4_numbered(protocol: u8, kind: u8) -> Packet<impl tests::packet::Header, tests::packet::Other> {
    let quoted = reply(&DR.tcp());
    from_router().other(
        protocol,
        &[&[kind, 0, 0, 0, 0, 0, 5, 0], &quoted[..]].concat(),
    )
}

/// As [`v4_numbered`], by IPv6.
fn v6_numbered(protocol: u8, kind: u8) -> Packet<impl tests::packet::Header, tests::packet::Other> {
    let quoted = reply(&DR.tcp6());
    from_router6().other(
        protocol,
        &[&[kind, 4, 0, 0, 0, 0, 5, 0], &quoted[..]].concat(),
    )
}

fn ends() -> Vec<Case> {
    let expired = Reason::TtlExpired;
    let dr = DR.tcp();
    let error: Ipv4<Error> = too_big(VIP, &reply(&dr));
    let nat = NAT.tcp();
    let request = quote(6, client(&nat), (nat.real, nat.real_port), Some(8));
    vec![
        drops("error: one hop left", expired, error.clone().ttl(1)),
        errs(
            "error: one hop left after this one",
            &dr,
            error.clone().ttl(2),
            direct(&dr, error).ttl(1),
        ),
        drops(
            "error: to the client, one hop left",
            expired,
            too_big(CLIENT, &request).ttl(1),
        ),
        drops(
            "error: one hop left, IPv6",
            expired,
            too_big6(VIP6, &reply(&DR.tcp6())).ttl(1),
        ),
    ]
}
