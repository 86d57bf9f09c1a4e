//! Section 7.1 and the fields of 5.2, on receipt.
//!
//! Not here: what the machine makes of an advert that was taken.

use std::net::{IpAddr, Ipv6Addr};

use vrrp::advert::{MAX_LEN, decode};
use vrrp::{
    ChecksumForm, Counters, Datagram, Ends, Heard, Notice, Notices, Params, Priority, Refusal,
    Router, Vrid,
};

use super::{Row, row, run};
use crate::desk::{Desk, host, interval, params, priority};

pub(super) const TABLE: &[Row] = &[
    row(
        "5.1.1.3 and 7.1: an IPv4 TTL other than 255 MUST be refused",
        || {
            for ttl in [0, 1, 64, 254] {
                assert_eq!(v4().hop_limit(ttl).received(), Err(Refusal::HopLimit));
            }
        },
        || assert!(v4().hop_limit(255).received().is_ok()),
    ),
    row(
        "5.1.2.3 and 7.1: an IPv6 Hop Limit other than 255 MUST be refused",
        || {
            for limit in [0, 1, 64, 254] {
                assert_eq!(v6().hop_limit(limit).received(), Err(Refusal::HopLimit));
            }
        },
        || assert!(v6().hop_limit(255).received().is_ok()),
    ),
    row(
        "7.1: the version MUST be 3",
        || {
            for version in [0, 1, 2, 4, 15] {
                let first = version << 4 | 1;
                assert_eq!(v4().byte(0, first).received(), Err(Refusal::Version));
            }
        },
        || assert!(v4().byte(0, 0x31).received().is_ok()),
    ),
    row(
        "5.2.2 and 7.1: a type other than 1 MUST be refused",
        || {
            for kind in [0, 2, 15] {
                assert_eq!(v4().byte(0, 0x30 | kind).received(), Err(Refusal::Type));
            }
        },
        || assert!(v6().byte(0, 0x31).received().is_ok()),
    ),
    row(
        "7.1: the message MUST be complete, with its list of addresses",
        || {
            for cut in 0..12 {
                assert_eq!(v4().cut(cut).received(), Err(Refusal::Length));
            }
            assert_eq!(v4().byte(3, 2).received(), Err(Refusal::Length));
            assert_eq!(v6().cut(23).received(), Err(Refusal::Length));
        },
        || {
            assert!(v4().cut(12).received().is_ok());
            assert!(v6().cut(24).received().is_ok());
        },
    ),
    row(
        "5.2.8 and 7.1: the checksum over IPv4 MUST be verified",
        || {
            for at in 6..12 {
                let damaged = v4().damaged(at);
                assert_eq!(damaged.received(), Err(Refusal::Checksum), "byte {at}");
            }
        },
        || {
            let notices = v4().form(ChecksumForm::MessageOnly).received();
            let notices = notices.expect("as RFC 9568 says").1;
            assert!(notices.has(Notice::ChecksumOverMessageOnly));
            let notices = v4().form(ChecksumForm::PseudoHeader).received();
            let notices = notices.expect("as everybody sends it").1;
            assert!(notices.has(Notice::ChecksumOverPseudoHeader));
        },
    ),
    row(
        "5.2.8 and 7.1: the checksum over IPv6 MUST cover the pseudo-header",
        || {
            let mut moved = v6();
            moved.ends = Ends::multicast(link_local(3));
            assert_eq!(moved.sent_to(link_local(2)), Err(Refusal::Checksum));
            assert_eq!(v6().damaged(7).received(), Err(Refusal::Checksum));
        },
        || assert!(v6().received().is_ok()),
    ),
    row(
        "7.1: the VRID MUST be configured on the receiving interface",
        || {
            assert_eq!(v4().byte(1, 52).received(), Err(Refusal::Vrid));
            assert_eq!(v4().byte(1, 0).received(), Err(Refusal::Vrid));
        },
        || assert!(v4().byte(1, 51).received().is_ok()),
    ),
    row(
        "1 and 5.2.3: IPv4 and IPv6 with the same VRID are separate virtual routers",
        || {
            let mut other = v6();
            other.local = params(100);
            assert_eq!(other.received(), Err(Refusal::Vrid));
        },
        || assert!(v6().received().is_ok()),
    ),
    row(
        "7.1, erratum 8301: a Max Advertise Interval of 0 MUST be refused",
        || {
            assert_eq!(v4().bytes(4, [0, 0]).received(), Err(Refusal::Interval));
            let reserve_only = v4().bytes(4, [0xf0, 0]);
            assert_eq!(reserve_only.received(), Err(Refusal::Interval));
        },
        || assert!(v4().bytes(4, [0, 1]).received().is_ok()),
    ),
    row(
        "5.2.5, erratum 8299: an IPvX Addr Count of 0 MUST be ignored",
        || {
            let none = v4().byte(3, 0).cut(8);
            assert_eq!(none.received(), Err(Refusal::NoAddresses));
        },
        || assert!(v4().byte(3, 1).received().is_ok()),
    ),
    row(
        "5.2.6: the Reserve field MUST be ignored on receipt",
        || {
            let heard = v4().bytes(4, [0xf0, 100]).received().expect("taken").0;
            assert_eq!(heard.interval, interval(100));
        },
        || {
            let heard = v4().bytes(4, [0x0f, 0xff]).received().expect("taken").0;
            assert_eq!(heard.interval, interval(4095));
        },
    ),
    row(
        "7.1, erratum 8298: an owner logs that another speaks, and does not refuse it",
        || {
            let mut owner = v4().byte(2, 255);
            owner.local = params(255);
            let (_, notices) = owner.received().expect("taken");
            assert!(notices.has(Notice::TwoOwners));
            assert!(Notice::TwoOwners.is_a_mistake());
        },
        || {
            let mut owner = v4().byte(2, 200);
            owner.local = params(255);
            let (_, notices) = owner.received().expect("taken");
            assert!(!notices.has(Notice::TwoOwners));
        },
    ),
    row(
        "7.1: another Max Advertise Interval SHOULD be logged and MUST NOT be refused",
        || {
            let (heard, notices) = v4().bytes(4, [0, 10]).received().expect("taken");
            assert!(notices.has(Notice::OtherInterval));
            assert_eq!(heard.interval, interval(10));
        },
        || {
            let (_, notices) = v4().bytes(4, [0, 100]).received().expect("taken");
            assert!(!notices.has(Notice::OtherInterval));
        },
    ),
    row(
        "7.1: another list of addresses SHOULD be logged, and is not refused",
        || {
            let (_, notices) = v4().byte(11, 99).received().expect("taken");
            assert!(notices.has(Notice::OtherAddresses));
        },
        || {
            let (_, notices) = v4().received().expect("taken");
            assert!(!notices.has(Notice::OtherAddresses));
        },
    ),
    row(
        "8.3.2: another router of the same priority MAY be logged",
        || {
            let (_, notices) = v4().byte(2, 100).received().expect("taken");
            assert!(notices.has(Notice::SamePriority));
        },
        || {
            let (_, notices) = v4().byte(2, 101).received().expect("taken");
            assert!(!notices.has(Notice::SamePriority));
        },
    ),
    row(
        "7.1: what fails a check is counted by that check, and only there",
        || {
            let mut counters = Counters::default();
            counters.refuse(v4().hop_limit(1).byte(0, 0).received().expect_err("TTL"));
            for refusal in Refusal::ALL {
                let expected = u64::from(refusal == Refusal::HopLimit);
                assert_eq!(counters.refused(refusal), expected);
            }
        },
        || {
            let mut counters = Counters::default();
            counters.notice(v4().received().expect("taken").1);
            assert!(Refusal::ALL.iter().all(|it| counters.refused(*it) == 0));
        },
    ),
    row(
        "7 (ours): what comes from our own address is no other router",
        || {
            let mut own = v4();
            own.ends = Ends::multicast(host(10));
            assert_eq!(own.received(), Err(Refusal::OwnAddress));
        },
        || assert!(v4().received().is_ok()),
    ),
    row(
        "7 (ours): where peers are configured, nobody else is heard",
        || {
            let mut other = v4();
            other.local = other.local.with_peers(vec![host(3)]);
            assert_eq!(other.received(), Err(Refusal::Peer));
        },
        || {
            let mut peer = v4();
            peer.local = peer.local.with_peers(vec![host(3), host(2)]);
            assert!(peer.received().is_ok());
        },
    ),
];

#[test]
fn the_table_of_receipt() {
    run(TABLE);
}

#[test]
fn addresses_in_another_order_are_the_same() {
    let ordered = |vips: &[u8]| {
        let vips = vips.iter().map(|last| host(*last)).collect::<Vec<_>>();
        let vrid = Vrid::new(51).expect("not 0");
        Params::new(vrid, priority(100), host(10), &vips).expect("parameters")
    };
    let same = |a: &[u8], b: &[u8]| ordered(a).vips().same_addresses(ordered(b).vips());
    assert!(same(&[1, 2, 3], &[3, 1, 2]));
    assert!(!same(&[1, 2, 3], &[1, 2, 2]));
    assert!(!same(&[1, 2, 2], &[1, 2, 3]));
    assert!(!same(&[1, 2], &[1, 2, 3]));
}

/// A message on its way from another router, of priority 200, to ours, of priority 100.
struct Message {
    local: Params,
    ends: Ends,
    hop_limit: u8,
    form: ChecksumForm,
    bytes: Vec<u8>,
    damaged: Option<usize>,
}

fn v4() -> Message {
    Message::from(host(2), params(200), params(100))
}

fn v6() -> Message {
    let params = |of, last| {
        let vrid = Vrid::new(51).expect("not 0");
        let vips = [link_local(100)];
        Params::new(vrid, priority(of), link_local(last), &vips).expect("parameters")
    };
    Message::from(link_local(2), params(200, 2), params(100, 10))
}

fn link_local(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last))
}

impl Message {
    fn from(source: IpAddr, sender: Params, local: Params) -> Self {
        let ends = Ends::multicast(source);
        let mut buffer = [0; MAX_LEN];
        let own = Some(sender.priority());
        let bytes = Router::new(sender).encode(own, ends, &mut buffer).to_vec();
        Self {
            local,
            ends,
            hop_limit: 255,
            form: ChecksumForm::PseudoHeader,
            bytes,
            damaged: None,
        }
    }

    fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    fn form(mut self, form: ChecksumForm) -> Self {
        self.form = form;
        self
    }

    fn byte(self, at: usize, byte: u8) -> Self {
        self.bytes(at, [byte])
    }

    fn bytes<const N: usize>(mut self, at: usize, bytes: [u8; N]) -> Self {
        self.bytes[at..at + N].copy_from_slice(&bytes);
        self
    }

    fn cut(mut self, to: usize) -> Self {
        self.bytes.truncate(to);
        self
    }

    fn damaged(mut self, at: usize) -> Self {
        self.damaged = Some(at);
        self
    }

    /// Summed up as from its source, and received.
    fn received(self) -> Result<(Heard, Notices), Refusal> {
        let source = self.ends.source();
        self.sent_to(source)
    }

    /// Summed up as from another source, and received.
    fn sent_to(mut self, source: IpAddr) -> Result<(Heard, Notices), Refusal> {
        if self.bytes.len() >= 8 {
            self.bytes[6..8].fill(0);
            let sum = sum(&self.bytes, Ends::multicast(source), self.form);
            self.bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        if let Some(at) = self.damaged {
            self.bytes[at] ^= 0x10;
        }
        let datagram = Datagram {
            ends: self.ends,
            hop_limit: self.hop_limit,
            payload: &self.bytes,
        };
        let (advert, mut notices) = decode(&datagram)?;
        let (heard, more) = self.local.hear(&advert, self.ends)?;
        for notice in more.iter() {
            notices.add(notice);
        }
        Ok((heard, notices))
    }
}

/// The test's own arithmetic: not the package's.
fn sum(message: &[u8], ends: Ends, form: ChecksumForm) -> u16 {
    let mut all = message.to_vec();
    match ends {
        Ends::V4 {
            source,
            destination,
        } => {
            if form == ChecksumForm::PseudoHeader {
                all.extend(source.octets());
                all.extend(destination.octets());
                all.extend([0, 112, 0, u8::try_from(message.len()).expect("short")]);
            }
        }
        Ends::V6 {
            source,
            destination,
        } => {
            all.extend(source.octets());
            all.extend(destination.octets());
            all.extend([0, 0, 0, u8::try_from(message.len()).expect("short")]);
            all.extend([0, 0, 0, 112]);
        }
    }
    let total = all
        .chunks(2)
        .map(|pair| u64::from(pair[0]) * 256 + pair.get(1).map_or(0, |low| u64::from(*low)))
        .sum::<u64>();
    let rest = total % 0xffff;
    !u16::try_from(if rest == 0 { 0xffff } else { rest }).expect("16 bits")
}

#[test]
fn an_advert_that_was_heard_reaches_the_machine() {
    let (heard, _) = v4().received().expect("taken");
    let mut desk = Desk::active(100);
    let _actions = desk.give(vrrp::Input::Heard(heard));
    assert_eq!(desk.router.state(), vrrp::State::Backup);
    assert_eq!(heard.priority, Priority::backup(200));
    assert_eq!(heard.from, host(2));
}
