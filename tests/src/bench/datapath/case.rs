//! What is measured: kinds of traffic, each with the reason that its packets must leave for, and
//! the goal where there is one.

use lb_ebpf::abi::Reason;
use lb_ebpf::abi::bench::{LRU, OURS};
use lb_ebpf::wire::{tcp::Tcp, udp::Udp};

use super::site::port;
use crate::bench::Goal;

/// One kind of traffic.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) traffic: Traffic,
    /// A power of two.
    pub(super) flows: u32,
    pub(super) under_test: UnderTest,
    /// Whether the site has services of method nat.
    pub(super) nat: bool,
    pub(super) before: Before,
    pub(super) goal: Option<Goal>,
}

/// The packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) v6: bool,
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) flags: u8,
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnderTest {
    /// The one that only sends back.
    Floor,
    /// The load balancer; all packets leave for this reason.
    LoadBalancer(Reason),
    /// The end of the way: live frames only.
    Sink,
    /// A table of flows by itself: the name of its program.
    Table(&'static str),
}

/// What the tables hold before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Anything: they are not asked.
    Anything,
    /// All flows, established.
    Flows,
    /// Nothing.
    Nothing,
    /// As many flows as fit, of one packet each, and none of those to come.
    Flood,
    /// As many flows as fit, all established.
    Full,
}

const ACK: Traffic = Traffic {
    v6: false,
    protocol: Tcp::PROTOCOL,
    port: port::DR,
    flags: Tcp::ACK,
};
const SYN: Traffic = Traffic {
    flags: Tcp::SYN,
    ..ACK
};
const UDP: Traffic = Traffic {
    protocol: Udp::PROTOCOL,
    flags: 0,
    ..ACK
};

impl Traffic {
    const fn v6(self) -> Self {
        Self { v6: true, ..self }
    }

    const fn to(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

/// More flows than anything could hold: every packet is one of its own.
const FLOOD: u32 = 1 << 30;

impl Case {
    fn new(name: &str, traffic: Traffic, flows: u32, under_test: UnderTest) -> Self {
        let flows_text = match flows {
            FLOOD => String::new(),
            1 => ", 1 flow".to_owned(),
            1024.. => format!(", {}k flows", flows / 1024),
            _ => format!(", {flows} flows"),
        };
        Self {
            name: format!("{name}{flows_text}"),
            traffic,
            flows,
            under_test,
            nat: false,
            before: Before::Flows,
            goal: None,
        }
    }

    fn lb(name: &str, traffic: Traffic, flows: u32, reason: Reason) -> Self {
        Self::new(name, traffic, flows, UnderTest::LoadBalancer(reason))
    }

    fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }

    fn nat(self) -> Self {
        Self { nat: true, ..self }
    }

    fn goal(self, ns: f64) -> Self {
        let goal = Some(Goal::AtMost(ns));
        Self { goal, ..self }
    }

    fn goal_over(self, case: &str, ns: f64) -> Self {
        let goal = Some(Goal::Over(case.to_owned(), ns));
        Self { goal, ..self }
    }
}

/// All of them, in the order of the table.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("floor: swap and send back", ACK, 1024, UnderTest::Floor),
        Case::new("floor, IPv6", ACK.v6(), 1024, UnderTest::Floor),
    ];
    cases.extend(not_ours());
    cases.extend(stateless());
    cases.extend(new_flows());
    cases.extend(tracked());
    cases.extend(tables());
    cases
}

fn not_ours() -> Vec<Case> {
    let not_vip = ACK.to(port::NOT_A_VIP);
    let case =
        |name, traffic, reason| Case::lb(name, traffic, 1024, reason).before(Before::Anything);
    vec![
        case("not ours", not_vip, Reason::NotVip).goal(60.0),
        case("not ours, nat in use", not_vip, Reason::NotVip)
            .nat()
            .goal(60.0),
        case("not ours, IPv6", not_vip.v6(), Reason::NotVip).goal(60.0),
        case("VIP, another port", ACK.to(port::CLOSED), Reason::NoService),
    ]
}

/// What the ring alone decides.
fn stateless() -> Vec<Case> {
    let case = |name, traffic, flows, reason| {
        Case::lb(name, traffic, flows, reason).before(Before::Anything)
    };
    let (dr, tunnel) = (Reason::ForwardedDr, Reason::ForwardedTunnel);
    let mut cases = Vec::new();
    for flows in FLOWS {
        cases.push(case("dr", ACK, flows, dr).goal(100.0));
    }
    cases.push(case("dr UDP", UDP, 1024, dr).goal(100.0));
    let v6 = case("dr IPv6", ACK.v6(), 1024, dr);
    cases.push(v6.goal_over("dr, 1k flows", 20.0));
    for flows in FLOWS {
        cases.push(case("IPIP", ACK.to(port::IPIP), flows, tunnel).goal(115.0));
    }
    cases.push(case("GUE", ACK.to(port::GUE), 1024, tunnel));
    let v6 = case("IPv6 in IPv6", ACK.v6().to(port::IPIP), 1024, tunnel);
    cases.push(v6.goal_over("IPIP, 1k flows", 20.0));
    let nat = ACK.to(port::NAT);
    for flows in FLOWS {
        cases.push(case("nat", nat, flows, Reason::ForwardedNat));
    }
    cases
}

/// Every packet is the first of a flow.
fn new_flows() -> Vec<Case> {
    let dr = Reason::ForwardedDr;
    let case =
        |name, port, reason, before| Case::lb(name, SYN.to(port), FLOOD, reason).before(before);
    let any = Before::Anything;
    let (room, flood, full) = (Before::Nothing, Before::Flood, Before::Full);
    vec![
        case("SYN flood, dr", port::DR, dr, any).goal(120.0),
        case("SYN flood, IPIP", port::IPIP, Reason::ForwardedTunnel, any).goal(120.0),
        case("new flow, tracked dr", port::TRACK, dr, room).goal(200.0),
        case("new flow, rr", port::RR, dr, room).goal(200.0),
        case(
            "new flow, fullnat",
            port::FULLNAT,
            Reason::ForwardedFullnat,
            room,
        ),
        case("SYN flood, tracked dr", port::TRACK, dr, flood),
        case("SYN flood, rr", port::RR, dr, flood),
        case(
            "SYN flood, fullnat",
            port::FULLNAT,
            Reason::ForwardedFullnat,
            flood,
        ),
        case("SYN flood, tracked dr, table full", port::TRACK, dr, full),
    ]
}

/// What memory decides.
fn tracked() -> Vec<Case> {
    let dr = Reason::ForwardedDr;
    let mut cases = Vec::new();
    for (name, port) in [("tracked dr", port::TRACK), ("rr", port::RR)] {
        for flows in [1, 1024, 65_536, 524_288] {
            cases.push(Case::lb(name, ACK.to(port), flows, dr));
        }
    }
    let fullnat = ACK.to(port::FULLNAT);
    for flows in [1, 1024, 65_536] {
        cases.push(Case::lb(
            "fullnat",
            fullnat,
            flows,
            Reason::ForwardedFullnat,
        ));
    }
    for flows in [1024, 65_536] {
        cases.push(Case::lb(
            "unsettled slots",
            ACK.to(port::UNSETTLED),
            flows,
            dr,
        ));
    }
    cases.push(Case::lb(
        "one of 100 slots unsettled",
        ACK.to(port::CHANGED),
        65_536,
        dr,
    ));
    for flows in [1024, 65_536] {
        cases.push(Case::lb("persistence", ACK.to(port::PERSISTENT), flows, dr));
    }
    cases
}

/// Live frames, over a veth; the first is the floor: their source alone.
pub(super) fn live() -> Vec<Case> {
    let case = |name: &str, traffic, flows, under_test, before| {
        Case::new(&format!("live: {name}"), traffic, flows, under_test).before(before)
    };
    let dr = UnderTest::LoadBalancer(Reason::ForwardedDr);
    let tunnel = UnderTest::LoadBalancer(Reason::ForwardedTunnel);
    let nat = UnderTest::LoadBalancer(Reason::ForwardedNat);
    let any = Before::Anything;
    let mut cases = vec![
        case("source alone", ACK, 1024, UnderTest::Sink, any),
        case("swap and send back", ACK, 1024, UnderTest::Floor, any),
    ];
    for flows in [1, 65_536, 524_288] {
        cases.push(case("dr", ACK, flows, dr, any));
    }
    cases.push(case("SYN flood, dr", SYN, FLOOD, dr, any));
    cases.push(case("dr UDP", UDP, 1024, dr, any));
    cases.push(case("IPIP", ACK.to(port::IPIP), 65_536, tunnel, any));
    cases.push(case("nat", ACK.to(port::NAT), 65_536, nat, any));
    for flows in [1, 65_536, 524_288] {
        let tracked = ACK.to(port::TRACK);
        cases.push(case("tracked dr", tracked, flows, dr, Before::Flows));
    }
    cases
}

/// Our table of flows beside the kernel's.
fn tables() -> Vec<Case> {
    let mut cases = Vec::new();
    for flows in [1, 65_536, 524_288] {
        for (name, program) in TABLES {
            let name = format!("{name}: known flow");
            cases.push(Case::new(&name, ACK, flows, UnderTest::Table(program)));
        }
    }
    for (text, before) in [
        ("new flow, room", Before::Nothing),
        ("new flow, full", Before::Flood),
    ] {
        for (name, program) in TABLES {
            let name = format!("{name}: {text}");
            let case = Case::new(&name, SYN, FLOOD, UnderTest::Table(program));
            cases.push(case.before(before));
        }
    }
    cases
}

const TABLES: [(&str, &str); 2] = [("flow table", OURS), ("LRU_HASH", LRU)];
const FLOWS: [u32; 4] = [1, 1024, 65_536, 524_288];
