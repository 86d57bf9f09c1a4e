//! "Who has this address?" as a frame, and what an answer to it says: ARP (RFC 826) and Neighbour
//! Discovery (RFC 4861).
//!
//! Not here: sending it (`whohas`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Options of Neighbour Discovery, with their length in units of 8 bytes.
const SOURCE_LINK: [u8; 2] = [1, 1];
const TARGET_LINK: [u8; 2] = [2, 1];

/// The question, and how to tell its answers from everything else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// ARP.
    V4 {
        mac: Mac,
        from: Ipv4Addr,
        target: Ipv4Addr,
    },
    /// A neighbour solicitation.
    V6 {
        mac: Mac,
        from: Ipv6Addr,
        target: Ipv6Addr,
    },
}

impl Question {
    /// Asked by a host with this MAC and this address.
    ///
    /// # Errors
    /// When the addresses are not of the same family.
    pub(super) fn new(mac: Mac, from: IpAddr, target: IpAddr) -> Result<Self> {
        match (from, target) {
            (IpAddr::V4(from), IpAddr::V4(target)) => Ok(Self::V4 { mac, from, target }),
            (IpAddr::V6(from), IpAddr::V6(target)) => Ok(Self::V6 { mac, from, target }),
            _ => bail!("{from} cannot ask for {target}"),
        }
    }

    /// The frame that asks.
    pub(super) fn frame(&self) -> Vec<u8> {
        match self {
            Self::V4 { mac, from, target } => {
                let mut frame = [&[0xff; 6], mac, &ARP[..]].concat();
                // Ethernet, IPv4, their lengths, request.
                frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
                frame.extend([&mac[..], &from.octets(), &[0; 6], &target.octets()].concat());
                frame
            }
            Self::V6 { mac, from, target } => {
                let [.., a, b, c] = target.octets();
                let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
                let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
                message.extend(target.octets());
                message.extend([&SOURCE_LINK[..], mac].concat());
                let sum = checksum(&[&pseudo(*from, group, message.len()), &message[..]].concat());
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let [.., high, low] = message.len().to_be_bytes();
                let header = [0x60, 0, 0, 0, high, low, ICMPV6, 255];
                [
                    &[0x33, 0x33, 0xff, a, b, c],
                    &mac[..],
                    &IPV6,
                    &header,
                    &from.octets(),
                    &group.octets(),
                    &message,
                ]
                .concat()
            }
        }
    }

    /// The MAC that a frame says has the address; none when it is no answer to us.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Mac> {
        let (to, kind) = (frame.get(..6)?, frame.get(12..14)?);
        match self {
            Self::V4 { mac, target, .. } => {
                let arp = frame.get(14..42)?;
                let reply = arp[6..8] == [0, 2] && arp[14..18] == target.octets();
                (kind == ARP && to == mac && reply).then(|| arp[8..14].try_into().ok())?
            }
            Self::V6 { mac, target, .. } => {
                let message = frame.get(54..78)?;
                let ours = kind == IPV6 && to == mac && frame[20] == ICMPV6;
                if !ours || message[0] != ADVERTISEMENT || message[8..24] != target.octets() {
                    return None;
                }
                // Without the option it is the one who sent it.
                let option = frame
                    .get(78..86)
                    .and_then(|rest| rest.strip_prefix(&TARGET_LINK));
                match option {
                    Some(mac) => mac,
                    None => &frame[6..12],
                }
                .try_into()
                .ok()
            }
        }
    }
}

/// The pseudo-header of ICMPv6 (RFC 8200 8.1).
fn pseudo(from: Ipv6Addr, to: Ipv6Addr, length: usize) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    let tail = [0, 0, high, low, 0, 0, 0, ICMPV6];
    [&from.octets()[..], &to.octets(), &tail].concat()
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Mac = [2, 0, 0, 0, 0, 6];
    const THEM: Mac = [2, 0, 0, 0, 0, 9];

    fn v4() -> Question {
        let [from, target] = ["10.77.0.6", "10.77.0.100"].map(|text| text.parse().unwrap());
        Question::new(US, from, target).unwrap()
    }

    fn v6() -> Question {
        let [from, target] = ["fd77::6", "fd77::100"].map(|text| text.parse().unwrap());
        Question::new(US, from, target).unwrap()
    }

    #[test]
    fn a_question_in_arp_is_a_broadcast_of_42_bytes() {
        let frame = v4().frame();
        assert_eq!((frame.len(), &frame[..6]), (42, &[0xff; 6][..]));
        assert_eq!(frame[38..], [10, 77, 0, 100]);
        assert_eq!(v4().answer(&frame), None, "a question is no answer");
    }

    #[test]
    fn a_solicitation_goes_to_the_targets_group_with_a_good_checksum() {
        let frame = v6().frame();
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0, 1, 0]);
        assert_eq!(
            frame[38..54],
            "ff02::1:ff00:100".parse::<Ipv6Addr>().unwrap().octets()
        );
        let from = "fd77::6".parse().unwrap();
        let to = "ff02::1:ff00:100".parse().unwrap();
        let whole = [&pseudo(from, to, 32)[..], &frame[54..]].concat();
        assert_eq!(checksum(&whole), 0);
    }

    #[test]
    fn an_arp_reply_to_us_for_the_target_is_an_answer() {
        let mut reply = [&US[..], &THEM, &ARP, &[0, 1, 8, 0, 6, 4, 0, 2]].concat();
        reply.extend([&THEM[..], &[10, 77, 0, 100], &US, &[10, 77, 0, 6]].concat());
        assert_eq!(v4().answer(&reply), Some(THEM));
        let mut other = reply.clone();
        other[31] = 101;
        assert_eq!(v4().answer(&other), None, "for another address");
        reply[5] = 7;
        assert_eq!(v4().answer(&reply), None, "to someone else");
        assert_eq!(v4().answer(&reply[..41]), None, "cut short");
    }

    #[test]
    fn an_advertisement_names_the_mac_in_its_option_or_by_its_sender() {
        let [from, to]: [Ipv6Addr; 2] = ["fd77::100", "fd77::6"].map(|text| text.parse().unwrap());
        let mut frame = [&US[..], &THEM, &IPV6, &[0x60, 0, 0, 0, 0, 32, ICMPV6, 255]].concat();
        frame.extend(
            [
                &from.octets()[..],
                &to.octets(),
                &[ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0],
            ]
            .concat(),
        );
        frame.extend(from.octets());
        assert_eq!(v6().answer(&frame), Some(THEM));
        frame.extend([&TARGET_LINK[..], &[2, 0, 0, 0, 0, 5]].concat());
        assert_eq!(v6().answer(&frame), Some([2, 0, 0, 0, 0, 5]));
        frame[54] = SOLICITATION;
        assert_eq!(v6().answer(&frame), None);
    }
}
