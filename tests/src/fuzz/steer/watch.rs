//! What holds of every story: packets go to a real server of the service they are for, found by
//! looking through the whole site; and the flow table counts what it holds, and loses nothing that
//! is established.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::Verdict;
use lb_ebpf::abi::{Addr, FlowKey, REAL_UP, Real, Reason, kind, method, state};
use lb_ebpf::decap;
use lb_user::tables::flows::Entry;
use lb_user::tables::lookups::{HostFrame, HostMaps};
use lb_user::tables::{ServiceWish, Vip};

use super::script::Sent;
use super::tables::Stand;
use crate::packet::anatomy;

/// Where a frame went is right for what came.
pub(super) fn road(
    maps: &HostMaps,
    stand: &Stand,
    sent: &Sent,
    verdict: &Verdict,
    left: &[u8],
) -> Result<()> {
    let services = maps.service_traffic.borrow();
    let reals = maps.real_traffic.borrow();
    let wanted = wanted(stand, &sent.frame);
    if verdict.reason == Reason::NoService {
        ensure!(wanted.is_none(), "{wanted:?} was not found");
    }
    ensure!(services.len() == reals.len(), "{services:?}, {reals:?}");
    let (Some((service, traffic)), Some((id, same))) =
        (services.iter().next(), reals.iter().next())
    else {
        return Ok(());
    };
    ensure!(
        services.len() == 1 && traffic == same,
        "{services:?}, {reals:?}"
    );
    let real = maps.tables.reals.get(id).context("no such real server")?;
    ensure!(
        real.service == *service,
        "it is another service's: {real:?}"
    );
    if traffic.packets == 0 {
        return Ok(());
    }
    ensure!(real.flags & REAL_UP != 0, "it is down: {real:?}");
    let packet = anatomy::of(&sent.frame).context("counted, and no packet")?;
    ensure!(traffic.bytes == packet.len() as u64, "{traffic:?}");
    if let Some(wanted) = wanted.filter(|_| !packet.is_later) {
        ensure!(
            stand.ids.get(&wanted.key) == Some(service),
            "it is for {:?}",
            wanted.key
        );
        if verdict.reason != Reason::ForwardedLocal {
            arrives(stand, wanted, real, &sent.frame, left)?;
        }
    }
    Ok(())
}

/// The service that a frame is for: of those at its address and port, the most special one.
fn wanted<'a>(stand: &'a Stand, frame: &[u8]) -> Option<&'a ServiceWish> {
    let packet = anatomy::of(frame)?;
    let addresses = frame.get(packet.addresses())?;
    let to = addresses.get(addresses.len() / 2..)?;
    let to: IpAddr = match to.first_chunk::<16>() {
        Some(octets) => IpAddr::from(*octets),
        None => IpAddr::from(*to.first_chunk::<4>()?),
    };
    let port = frame.get(packet.l4 + 2..packet.l4 + 4)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    if packet.is_later || !matches!(packet.protocol, 6 | 17) {
        return None;
    }
    let at = |service: &&ServiceWish| {
        let key = service.key;
        key.protocol == packet.protocol
            && key.vip.contains(&Vip::single(to))
            && (key.first..=key.last).contains(&port)
    };
    let services = stand.wish.services.iter().filter(at);
    services.max_by_key(|service| {
        let key = service.key;
        (key.vip.bits, Reverse(key.last - key.first))
    })
}

/// It left for this real server, in the way of its service.
fn arrives(
    stand: &Stand,
    service: &ServiceWish,
    real: &Real,
    came: &[u8],
    left: &[u8],
) -> Result<()> {
    let packet = anatomy::of(left).context("it left as no packet")?;
    ensure!(left[..6] == real.next_hop.0, "to another next hop");
    ensure!(left[6..12] == real.source.0, "from another interface");
    let addresses = &left[packet.addresses()];
    let (from, to) = addresses.split_at(addresses.len() / 2);
    let is = |address: Addr, bytes: &[u8]| address.v6_octets().concat().ends_with(bytes);
    let first = anatomy::of(came).context("no packet came")?;
    let ends = &came[first.addresses()];
    let (client, vip) = ends.split_at(ends.len() / 2);
    match service.method {
        method::DR => ensure!(from == client && to == vip, "addresses changed by dr"),
        method::NAT => ensure!(from == client && is(real.address, to), "addresses of nat"),
        method::FULLNAT => {
            let own = stand.wish.pool.iter().find(|own| is(own.address, from));
            let own = own.context("not from an address of the pool")?;
            let port = u16::from_be_bytes([left[packet.l4], left[packet.l4 + 1]]);
            let ports = own.first..own.first + own.count;
            ensure!(ports.contains(&port), "from port {port}");
            ensure!(is(real.address, to), "not to its real server");
        }
        _ => {
            ensure!(is(real.address, to), "not to its real server");
            opens(came, left)?;
        }
    }
    Ok(())
}

/// Everything is a VIP.
struct Anything;

impl decap::Ends for Anything {
    fn is_vip(&self, _: &Addr) -> bool {
        true
    }
}

/// The far end of a tunnel takes out what came, one hop older.
fn opens(came: &[u8], left: &[u8]) -> Result<()> {
    let mut frame = HostFrame(left.to_vec());
    ensure!(decap::open(&mut frame, &Anything), "the far end leaves it");
    let packet = anatomy::of(came).context("no packet came")?;
    let inside = frame.0.get(14..).context("nothing is inside")?;
    let rest = &came[packet.l3..];
    ensure!(inside.len() == rest.len(), "{} bytes inside", inside.len());
    let hops = packet.hops() - packet.l3;
    for (at, (inside, came)) in std::iter::zip(inside, rest).enumerate() {
        // The hops and the checksum over them.
        let changes = at == hops || !packet.is_v6 && (10..12).contains(&at);
        ensure!(changes || inside == came, "byte {at} inside");
    }
    Ok(())
}

/// Established entries stay while their real server is up, whatever else comes.
pub(super) fn kept(maps: &HostMaps, before: &[Entry], now: u32) -> Result<()> {
    let after: BTreeSet<(u32, FlowKey)> = maps
        .flows()
        .entries()
        .map(|(at, _, key, _)| (at, key))
        .collect();
    for (at, way, key, flow) in before {
        let is_safe = way.state() == state::ESTABLISHED
            && !way.is_expired(now)
            && key.kind == kind::FLOW
            && flow.peer == 0;
        let real = maps.tables.reals.get(&flow.real);
        let is_up = real.is_some_and(|r| r.service == flow.service && r.flags & REAL_UP != 0);
        ensure!(
            !is_safe || !is_up || after.contains(&(*at, *key)),
            "an established flow is gone: {key:?}, {flow:?}"
        );
    }
    Ok(())
}

/// Keys are unique among what lives, and connections are counted as they are.
pub(super) fn table(maps: &HostMaps, now: u32) -> Result<()> {
    let mut counts: BTreeMap<u32, [u32; 2]> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for (_, way, key, flow) in maps.flows().entries() {
        if !way.is_expired(now) {
            ensure!(keys.insert(key), "twice in the table: {key:?}");
        }
        if key.kind == kind::FLOW {
            let count = counts.entry(flow.real).or_default();
            count[usize::from(way.state() != state::ESTABLISHED)] += 1;
        }
    }
    for id in maps.tables.reals.keys() {
        let counted = maps.connections[*id as usize]
            .each_ref()
            .map(|count| count.load(Relaxed));
        let wanted = counts.remove(id).unwrap_or_default();
        ensure!(
            counted == wanted,
            "real server {id} has {counted:?} connections, not {wanted:?}"
        );
    }
    ensure!(counts.is_empty(), "entries of nobody: {counts:?}");
    Ok(())
}
