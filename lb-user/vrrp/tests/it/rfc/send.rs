//! What is sent (5.2, 6.4.2, 7.2, 7.3) and what may be configured for it.
//!
//! Not here: when it is sent ([`super::machine`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp::advert::{GROUP_V4, GROUP_V6, HOP_LIMIT, MAX_LEN};
use vrrp::announce::{gratuitous_arp, neighbour_advertisement};
use vrrp::checksum::PROTOCOL;
use vrrp::{Ends, Family, Interval, Invalid, Params, Priority, Router, Vrid};

use super::{Row, row, run};
use crate::desk::{VIP, host, interval, params};

pub(super) const TABLE: &[Row] = &[
    row(
        "5.1: adverts go to 224.0.0.18 or ff02::12, as protocol 112, with TTL or Hop Limit 255",
        || {
            assert_eq!(GROUP_V4.to_string(), "224.0.0.18");
            assert_eq!(GROUP_V6.to_string(), "ff02::12");
            assert_eq!((PROTOCOL, HOP_LIMIT), (112, 255));
        },
        || {
            let over_v6 = Ends::multicast(fe80(1));
            assert_eq!(over_v6.family(), Family::V6);
            assert_eq!(Ends::multicast(host(1)).family(), Family::V4);
        },
    ),
    row(
        "5.2.1, 5.2.2 and 7.2: version 3, type 1, the fields as configured",
        || assert_eq!(sent(&params(100))[..6], [0x31, 51, 100, 1, 0, 100]),
        || assert_ne!(sent(&params(100))[2], sent(&params(101))[2]),
    ),
    row(
        "5.2.4: the owner MUST use priority 255",
        || {
            let own = Params::new(vrid(), backup(254), VIP, &[VIP]);
            assert_eq!(own, Err(Invalid::OwnerWithoutPriority(VIP)));
        },
        || assert!(Params::new(vrid(), Priority::OWNER, VIP, &[VIP]).is_ok()),
    ),
    row(
        "5.2.4: a router that backs up MUST use priority 1 to 254",
        || assert_eq!([0, 255].map(Priority::backup), [None, None]),
        || assert_eq!([1, 254].map(|it| backup(it).get()), [1, 254]),
    ),
    row(
        "5.2.5: at least one address is sent",
        || {
            let none = Params::new(vrid(), backup(1), host(1), &[]);
            assert_eq!(none, Err(Invalid::NoVips));
        },
        || assert_eq!(sent(&params(100))[3], 1),
    ),
    row(
        "5.2.5: no more addresses are sent than the count and a frame hold",
        || {
            let vips = |count| (0..count).map(vip4).collect::<Vec<_>>();
            let many = Params::new(vrid(), backup(1), host(1), &vips(256));
            assert_eq!(many, Err(Invalid::TooManyVips(255)));
            let vips = (0..91).map(fe80).collect::<Vec<_>>();
            let many = Params::new(vrid(), backup(1), fe80(1000), &vips);
            assert_eq!(many, Err(Invalid::TooManyVips(90)));
        },
        || {
            let vips = (0..255).map(vip4).collect::<Vec<_>>();
            let most = Params::new(vrid(), backup(1), host(1), &vips).expect("parameters");
            assert_eq!(sent(&most).len(), 8 + 255 * 4);
            let vips = (0..90).map(fe80).collect::<Vec<_>>();
            let most = Params::new(vrid(), backup(1), fe80(1000), &vips).expect("parameters");
            assert_eq!(sent(&most).len(), 1448);
        },
    ),
    row(
        "5.2.6: the Reserve field MUST be 0 when sent",
        || {
            let longest = params(1).with_interval(Interval::MAX);
            assert_eq!(sent(&longest)[4..6], [0x0f, 0xff]);
        },
        || assert!(Interval::from_centis(4096).is_none()),
    ),
    row(
        "5.2.7: Max Advertise Interval is in centiseconds",
        || {
            let fastest = params(1).with_interval(interval(1));
            assert_eq!(sent(&fastest)[4..6], [0, 1]);
        },
        || assert_eq!(sent(&params(1))[4..6], [0, 100]),
    ),
    row(
        "5.2.9, erratum 8300: the first IPv6 address MUST be link-local",
        || {
            let global = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
            let second = Params::new(vrid(), backup(1), fe80(1), &[global, fe80(2)]);
            assert_eq!(second, Err(Invalid::NoLinkLocal));
        },
        || {
            let global = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
            let both = Params::new(vrid(), backup(1), fe80(1), &[fe80(2), global]);
            assert_eq!(sent(&both.expect("parameters"))[8..10], [0xfe, 0x80]);
        },
    ),
    row(
        "5.2.9: addresses MUST be of the family that the advert is sent over",
        || {
            let mixed = Params::new(vrid(), backup(1), host(1), &[VIP, fe80(2)]);
            assert_eq!(mixed, Err(Invalid::OtherFamily(fe80(2))));
            let mixed = Params::new(vrid(), backup(1), fe80(1), &[VIP]);
            assert_eq!(mixed, Err(Invalid::OtherFamily(VIP)));
        },
        || assert!(Params::new(vrid(), backup(1), fe80(1), &[fe80(2)]).is_ok()),
    ),
    row(
        "7.2: over IPv6 the source MUST be link-local",
        || {
            let global = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
            let from_global = Params::new(vrid(), backup(1), global, &[fe80(2)]);
            assert_eq!(from_global, Err(Invalid::PrimaryNotLinkLocal));
        },
        || {
            let last = IpAddr::V6(Ipv6Addr::new(0xfebf, 0xffff, 0, 0, 0, 0, 0, 1));
            assert!(Params::new(vrid(), backup(1), last, &[fe80(2)]).is_ok());
        },
    ),
    row(
        "7.3: the virtual router's MAC is 00-00-5E-00-01-VRID, over IPv6 00-00-5E-00-02-VRID",
        || assert_eq!(vrid().mac(Family::V4), [0, 0, 0x5e, 0, 1, 51]),
        || assert_eq!(vrid().mac(Family::V6), [0, 0, 0x5e, 0, 2, 51]),
    ),
    row(
        "6.4.1 and 6.4.2, erratum 7949: gratuitous ARP has the VIP and the announced MAC twice",
        || {
            let mac = vrid().mac(Family::V4);
            let frame = gratuitous_arp(mac, Ipv4Addr::new(10, 77, 0, 100));
            let expected = "ffffffffffff 00005e000133 0806 0001 0800 06 04 0001 \
                00005e000133 0a4d0064 00005e000133 0a4d0064";
            assert_eq!(hex(&frame), expected.replace(' ', ""));
        },
        || {
            let own = [2, 0, 0, 0, 0, 9];
            let frame = gratuitous_arp(own, Ipv4Addr::new(10, 77, 0, 100));
            assert!(!hex(&frame).contains("00005e"), "another MAC was asked for");
        },
    ),
    row(
        "6.4.1 and 6.4.2: an unsolicited NA has Router and Override set, Solicited clear",
        || {
            let mac = vrid().mac(Family::V6);
            let vip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100);
            let frame = hex(&neighbour_advertisement(mac, vip));
            let vip = "fe800000000000000000000000000100";
            let ethernet = "333300000001 00005e000233 86dd ";
            let ip = format!("60000000 0020 3a ff {vip} ff020000000000000000000000000001");

            let start = format!("{ethernet}{ip}8800").replace(' ', "");
            assert!(frame.starts_with(&start), "{frame}");
            let rest = format!("a0000000 {vip} 0201 00005e000233").replace(' ', "");
            assert!(frame.ends_with(&rest), "{frame}");
            assert_eq!(frame.len(), start.len() + 4 + rest.len());
            assert_eq!(icmp_sum(&frame), 0xffff);
        },
        || {
            let vip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            let frame = hex(&neighbour_advertisement([2, 0, 0, 0, 0, 9], vip));
            assert!(!frame.contains("00005e"), "another MAC was asked for");
            assert_eq!(icmp_sum(&frame), 0xffff);
        },
    ),
];

#[test]
fn the_table_of_sending() {
    run(TABLE);
}

fn vrid() -> Vrid {
    Vrid::new(51).expect("not 0")
}

fn backup(priority: u8) -> Priority {
    Priority::backup(priority).expect("1 to 254")
}

fn fe80(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last))
}

fn vip4(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(192, 0, high, low))
}

fn sent(params: &Params) -> Vec<u8> {
    let router = Router::new(params.clone());
    let ends = Ends::multicast(params.primary());
    let mut buffer = [0xee; MAX_LEN];
    router
        .encode(Some(params.priority()), ends, &mut buffer)
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of an ICMPv6 frame in hexadecimal, folded: all ones when the checksum is right.
fn icmp_sum(frame: &str) -> u64 {
    let covered = frame.as_bytes()[44..].chunks(4);
    let words = covered.map(|word| {
        let word = std::str::from_utf8(word).expect("digits");
        u64::from_str_radix(word, 16).expect("hexadecimal")
    });
    let mut sum = words.sum::<u64>() + 32 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
