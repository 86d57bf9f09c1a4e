//! Every way to a real server × every family × TCP and UDP × no tag, one and two; and every way back.

use tests::packet::{Eth, Header, Packet, Ported};

use crate::datapath::case::{Case, forwards, replies, stays};
use crate::datapath::kinds::{self, Kind};
use crate::datapath::served::{Road, Served};
use crate::datapath::site::{CLIENT, CLIENT6, LB, OWN, OWN_PORT, OWN6, PORT, VIP, VIP6};

use super::{ACK, SYN, answered, sent, to_director, tunnelled};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (tagged, tag) in tags() {
        for kind in kinds::ALL {
            cases.extend(requests(kind, tagged, tag));
        }
        for kind in kinds::REPLYING {
            cases.extend(answers(kind, tagged, tag));
        }
    }
    cases
}

/// Tags a frame.
type Tag = fn(Eth) -> Eth;

/// How a frame is tagged, and the tagging.
fn tags() -> [(&'static str, Tag); 4] {
    [
        ("no tag", |eth| eth),
        ("a tag", |eth| eth.vlan(0x2005)),
        ("two tags", |eth| eth.service_vlan(7).vlan(0xe5)),
        ("two tags of 802.1Q", |eth| eth.vlan(0xffff).vlan(6)),
    ]
}

/// DSCP EF, and congestion experienced.
const TOS: u8 = 0xbb;

fn requests(kind: Kind, tagged: &str, tag: Tag) -> [Case; 4] {
    let name = |what: &str| format!("{}: {what}, {tagged}", kind.name);
    let v4 = || tag(to_director()).ipv4(CLIENT, VIP).tos(TOS);
    let v6 = || tag(to_director()).ipv6(CLIENT6, VIP6).tos(TOS);
    let (tcp, udp) = (kind.tcp(), kind.udp());
    let (tcp6, udp6) = (kind.tcp6(), kind.udp6());
    let flags = if kind.needs_syn() { SYN } else { ACK };
    let opening = |case: Case| match kind.needs_syn() {
        true => case.opening(),
        false => case,
    };
    let v6_tcp = v6().flow_label(0x12345).tcp(PORT, tcp6.port).flags(flags);
    [
        opening(request(
            name("TCP, IPv4"),
            &tcp,
            v4().tcp(PORT, tcp.port).flags(flags),
        )),
        request(name("UDP, IPv4"), &udp, v4().udp(PORT, udp.port)),
        opening(request(name("TCP, IPv6"), &tcp6, v6_tcp)),
        request(
            name("UDP, IPv6"),
            &udp6,
            v6().flow_label(0xfffff).udp(PORT, udp6.port),
        ),
    ]
}

fn request<H: Header, S: Ported>(name: String, service: &Served, bare: Packet<H, S>) -> Case {
    let request = bare.payload(b"what is asked");
    let output = match service.road {
        Road::Local => return stays(name, service, request),
        Road::Tunnel(..) => tunnelled(service, request.clone()),
        Road::Plain => sent(service, request.clone()).build(),
    };
    forwards(name, service, request, output)
}

/// Replies to what [`requests`] has sent.
fn answers(kind: Kind, tagged: &str, tag: Tag) -> [Case; 4] {
    let name = |what: &str| format!("{}, reply: {what}, {tagged}", kind.name);
    let [tcp, udp] = [kind.tcp(), kind.udp()];
    let [tcp6, udp6] = [kind.tcp6(), kind.udp6()];
    let from = |served: &Served| tag(tests::packet::eth(served.next_hop.destination, LB));
    let is_fullnat = kind.needs_syn();
    let (to, to6) = if is_fullnat {
        (OWN, OWN6)
    } else {
        (CLIENT, CLIENT6)
    };
    let port = if is_fullnat { OWN_PORT } else { PORT };
    let v4 = |served: &Served| from(served).ipv4(served.real_v4(), to).tos(TOS);
    let v6 = |served: &Served| from(served).ipv6(served.real_v6(), to6).tos(TOS);
    [
        reply(name("TCP, IPv4"), &tcp, v4(&tcp).tcp(tcp.real_port, port)),
        reply(name("UDP, IPv4"), &udp, v4(&udp).udp(udp.real_port, port)),
        reply(
            name("TCP, IPv6"),
            &tcp6,
            v6(&tcp6).flow_label(0x54321).tcp(tcp6.real_port, port),
        ),
        reply(
            name("UDP, IPv6"),
            &udp6,
            v6(&udp6).flow_label(1).udp(udp6.real_port, port),
        ),
    ]
}

fn reply<H: Header, S: Ported>(name: String, service: &Served, bare: Packet<H, S>) -> Case {
    let reply = bare.payload(b"what is answered");
    replies(name, service, reply.clone(), answered(service, reply))
}
