//! Messages as bytes: known ones, every one there and back, and any bytes at all.
//!
//! Not here: which check refuses what ([`crate::rfc`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use vrrp::advert::{MAX_LEN, decode};
use vrrp::{
    Advert, ChecksumForm, Datagram, Ends, Interval, Notice, Params, Priority, Refusal, Router, Vrid,
};

use crate::desk::{host, interval, params};

/// Virtual router 51 of priority 200, ten times a second, from 10.77.0.1: a message whose sums by
/// both readings were measured, the first as keepalived 2.2.7 sends it.
const WITH_PSEUDO_HEADER: [u8; 12] = [0x31, 0x33, 0xc8, 1, 0, 0x0a, 0x11, 0x33, 10, 77, 0, 100];
const MESSAGE_ONLY: [u8; 12] = [0x31, 0x33, 0xc8, 1, 0, 0x0a, 0xfc, 0x0f, 10, 77, 0, 100];

fn datagram(ends: Ends, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        ends,
        hop_limit: 255,
        payload,
    }
}

#[test]
fn both_checksums_of_ipv4_are_sent_as_configured_and_accepted_and_told_apart() {
    let ends = Ends::multicast(host(1));
    for (form, bytes, notice) in [
        (
            ChecksumForm::PseudoHeader,
            WITH_PSEUDO_HEADER,
            Notice::ChecksumOverPseudoHeader,
        ),
        (
            ChecksumForm::MessageOnly,
            MESSAGE_ONLY,
            Notice::ChecksumOverMessageOnly,
        ),
    ] {
        let router = Router::new(params(200).with_interval(interval(10)).with_checksum(form));
        let mut buffer = [0xee; MAX_LEN];
        let sent = router.encode(Some(router.params().priority()), ends, &mut buffer);
        assert_eq!(sent, bytes, "{form:?}");
        let (advert, notices) = decode(&datagram(ends, &bytes)).expect("an advert");
        assert_eq!(advert, router.advert(Some(router.params().priority())));
        assert_eq!(notices.iter().collect::<Vec<_>>(), [notice]);
    }
    assert_eq!(ChecksumForm::default(), ChecksumForm::PseudoHeader);
}

#[test]
fn ipv6_has_the_pseudo_header_whatever_is_configured() {
    let primary = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    let vip = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100));
    let vrid = Vrid::new(51).expect("not 0");
    let own = Priority::backup(200).expect("a priority");
    let params = Params::new(vrid, own, primary, &[vip]).expect("parameters");
    let ends = Ends::multicast(primary);
    let sent = [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly].map(|form| {
        let mut buffer = [0; MAX_LEN];
        Router::new(params.clone().with_checksum(form))
            .encode(Some(own), ends, &mut buffer)
            .to_vec()
    });
    assert_eq!(sent[0], sent[1]);
    // By hand: 3133 + c801 + 0064, the VIP fe80 + 0100, the ends fe80 + 0001 + ff02 + 0012, the
    // length 0018, the protocol 0070; that is 4f81a, folded f81e.
    let sum = [
        0x3133_u32, 0xc801, 0x0064, 0xfe80, 0x0100, 0xfe80, 1, 0xff02, 0x12, 0x18, 0x70,
    ];
    let sum = sum.iter().sum::<u32>();
    let folded = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("one fold is enough");
    assert_eq!(sent[0][6..8], folded.to_be_bytes());
    assert!(decode(&datagram(ends, &sent[0])).is_ok());
}

/// The parts of any advert.
#[derive(Clone, Debug)]
struct Parts {
    params: Params,
    priority: Option<Priority>,
    ends: Ends,
}

prop_compose! {
    fn parts()(
        (vrid, own, centis) in (1_u8..=255, 1_u8..=255, 1_u16..=4095),
        resigns in any::<bool>(),
        source in any::<[u8; 16]>(),
        vips in proptest::collection::vec(any::<[u8; 16]>(), 1..=90),
        (v6, unicast, plain) in any::<(bool, bool, bool)>(),
    ) -> Parts {
        let address = |mut octets: [u8; 16]| {
            if v6 {
                octets[..2].copy_from_slice(&[0xfe, 0x80]);
                IpAddr::from(octets)
            } else {
                IpAddr::from(<[u8; 4]>::try_from(&octets[12..]).expect("four bytes"))
            }
        };
        let own = Priority::from_wire(own).expect("not 0");
        let primary = address(source);
        let mut vips = vips.into_iter().map(address).collect::<Vec<_>>();
        vips.retain(|vip| *vip != primary);
        vips.push(address([9; 16]));
        vips.truncate(90);
        let vrid = Vrid::new(vrid).expect("not 0");
        let mut params = Params::new(vrid, own, primary, &vips).expect("parameters");
        params = params.with_interval(Interval::from_centis(centis).expect("an interval"));
        if plain {
            params = params.with_checksum(ChecksumForm::MessageOnly);
        }
        let ends = match (Ends::multicast(primary), unicast) {
            (Ends::V4 { source, .. }, true) => Ends::V4 {
                source,
                destination: Ipv4Addr::new(192, 0, 2, 7),
            },
            (Ends::V6 { source, .. }, true) => Ends::V6 {
                source,
                destination: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7),
            },
            (multicast, false) => multicast,
        };
        Parts { params, priority: (!resigns).then_some(own), ends }
    }
}

proptest! {
    #[test]
    fn every_advert_comes_back_as_it_was(parts in parts(), trailing in 0_usize..40) {
        let router = Router::new(parts.params);
        let mut buffer = [0xee; MAX_LEN];
        let mut sent = router.encode(parts.priority, parts.ends, &mut buffer).to_vec();
        sent.extend(std::iter::repeat_n(0xaa, trailing));
        let (advert, notices) = decode(&datagram(parts.ends, &sent)).expect("an advert");
        prop_assert_eq!(advert, router.advert(parts.priority));
        prop_assert_eq!(notices.has(Notice::TrailingBytes), trailing > 0);
        let vips = advert.vips.iter().collect::<Vec<_>>();
        prop_assert_eq!(vips.len(), advert.vips.count());
        prop_assert_eq!(vips, router.params().vips().iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_was_decoded_encodes_to_the_same_bytes(parts in parts()) {
        let router = Router::new(parts.params);
        let (mut first, mut second) = ([0; MAX_LEN], [0xee; MAX_LEN]);
        let sent = router.encode(parts.priority, parts.ends, &mut first);
        let (advert, _) = decode(&datagram(parts.ends, sent)).expect("an advert");
        let Advert { vrid, priority, interval, vips } = advert;
        let again = Advert { vrid, priority, interval, vips };
        prop_assert_eq!(again.encode(parts.ends, router.params().checksum(), &mut second), sent);
    }

    #[test]
    fn one_flipped_bit_is_never_taken(parts in parts(), bit in any::<prop::sample::Index>()) {
        // Over IPv4 a flip may turn one form of sum into the other, for one in some thousand ends.
        prop_assume!(matches!(parts.ends, Ends::V6 { .. }));
        let router = Router::new(parts.params);
        let mut buffer = [0; MAX_LEN];
        let mut sent = router.encode(parts.priority, parts.ends, &mut buffer).to_vec();
        let bit = bit.index(sent.len() * 8);
        sent[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode(&datagram(parts.ends, &sent)).is_err());
    }

    #[test]
    fn a_message_cut_short_is_never_taken(parts in parts(), cut in any::<prop::sample::Index>()) {
        let router = Router::new(parts.params);
        let mut buffer = [0; MAX_LEN];
        let sent = router.encode(parts.priority, parts.ends, &mut buffer);
        let cut = &sent[..cut.index(sent.len())];
        prop_assert_eq!(decode(&datagram(parts.ends, cut)).err(), Some(Refusal::Length));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..1600),
        (hop_limit, v6, likely) in any::<(u8, bool, bool)>(),
    ) {
        if let Some(first) = bytes.first_mut() {
            if likely {
                *first = 0x31;
            }
        }
        let source = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { host(1) };
        let datagram = Datagram {
            ends: Ends::multicast(source),
            hop_limit: if likely { 255 } else { hop_limit },
            payload: &bytes,
        };
        if let Ok((advert, _)) = decode(&datagram) {
            prop_assert!(advert.vips.iter().count() > 0);
        }
    }
}

/// The random decoder test hardly ever gets past the checksum: here each message has a right one.
#[test]
fn every_count_and_length_with_a_right_checksum_is_decided_without_panic() {
    let ends = Ends::multicast(host(1));
    let mut taken = 0;
    for length in 8..1100_usize {
        for count in [0, 1, 2, 90, 91, 254, 255] {
            let mut bytes = vec![0; length];
            bytes[..6].copy_from_slice(&[0x31, 51, 100, count, 0xff, 1]);
            let covered = bytes.len().min(8 + usize::from(count) * 4);
            let sum = bytes[..covered]
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .fold(0, |sum, word| (sum + word) % 0xffff);
            let sum = !u16::try_from(sum).expect("less than 16 bits");
            bytes[6..8].copy_from_slice(&sum.to_be_bytes());
            let result = decode(&datagram(ends, &bytes));
            let complete = length >= 8 + usize::from(count) * 4;
            let expected = match (complete, count) {
                (false, _) => Some(Refusal::Length),
                (true, 0) => Some(Refusal::NoAddresses),
                (true, _) => None,
            };
            assert_eq!(result.err(), expected, "{length} bytes, count {count}");
            taken += usize::from(expected.is_none());
        }
    }
    assert!(taken > 1000, "{taken}");
}
