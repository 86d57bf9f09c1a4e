//! Rules between services: what each may say alone and two may not say together.
//!
//! Not here: rules of one service.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use daemon::diagnostic::Diagnostic;
use toml::Spanned;

use super::{
    findings::Findings,
    service::Draft,
    words::{Method, Protocol},
};

/// Notes what clashes.
pub(super) fn check(drafts: &[Draft], findings: &mut Findings) {
    names(drafts, findings);
    endpoints(drafts, findings);
    reals_at_vips(drafts, findings);
    nat_replies(drafts, findings);
}

fn names(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(first) = seen.get(name.get_ref().as_str()) {
            let message = format!("service `{}` is defined twice", name.get_ref());
            findings.push(
                Diagnostic::error(name.span(), message)
                    .help("give each service a name of its own")
                    .note(first.clone(), "first defined here"),
            );
        } else {
            seen.insert(name.get_ref(), name.span());
        }
    }
}

/// VIP, port and protocol say which service a packet is for.
fn endpoints(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<(IpAddr, u16, Protocol), Range<usize>> = BTreeMap::new();
    for draft in drafts {
        let (Some(vip), Some(port), Some(protocol)) = (&draft.vip, &draft.port, draft.protocol)
        else {
            continue;
        };
        let (address, number) = (*vip.get_ref(), *port.get_ref());
        if let Some(first) = seen.get(&(address, number, protocol)) {
            let endpoint = SocketAddr::new(address, number);
            let message = format!("overlapping services: {endpoint} {protocol} is served already");
            findings.push(
                Diagnostic::error(vip.span(), message)
                    .help("another VIP, port or protocol, or one service with all real servers")
                    .note(first.clone(), "served here"),
            );
        } else {
            seen.insert((address, number, protocol), vip.span());
        }
    }
}

/// A packet to a VIP is for the director: a real server there would get none, or all in a circle.
fn reals_at_vips(drafts: &[Draft], findings: &mut Findings) {
    let mut vips: BTreeMap<IpAddr, Range<usize>> = BTreeMap::new();
    for vip in drafts.iter().filter_map(|draft| draft.vip.as_ref()) {
        vips.entry(*vip.get_ref()).or_insert_with(|| vip.span());
    }
    for address in drafts
        .iter()
        .flat_map(|d| &d.reals)
        .filter_map(|real| real.address.as_ref())
    {
        if let Some(vip) = vips.get(address.get_ref()) {
            let message = format!("real server {} has the address of a VIP", address.get_ref());
            findings.push(
                Diagnostic::error(address.span(), message)
                    .help("write the real server's own address")
                    .note(vip.clone(), "the VIP"),
            );
        }
    }
}

/// Replies from a nat real server carry its address and port only, so these must lead to one service
/// (they are rewritten without a look at the flow).
fn nat_replies(drafts: &[Draft], findings: &mut Findings) {
    let mut seen: BTreeMap<(SocketAddr, Protocol), (usize, Range<usize>)> = BTreeMap::new();
    for (nth, draft) in drafts.iter().enumerate() {
        let (Some(Method::Nat), Some(protocol)) = (draft.method, draft.protocol) else {
            continue;
        };
        for real in &draft.reals {
            let (Some(address), Some(port)) = (&real.address, real.port) else {
                continue;
            };
            let endpoint = SocketAddr::new(*address.get_ref(), port);
            match seen.get(&(endpoint, protocol)) {
                // Twice in one service is told there.
                Some((other, _)) if *other == nth => {}
                Some((_, first)) => {
                    findings.push(shared(address, endpoint, protocol, first.clone()));
                }
                None => {
                    seen.insert((endpoint, protocol), (nth, address.span()));
                }
            }
        }
    }
}

fn shared(
    address: &Spanned<IpAddr>,
    endpoint: SocketAddr,
    protocol: Protocol,
    first: Range<usize>,
) -> Diagnostic {
    let message =
        format!("real server {endpoint} {protocol} is in two nat services: whose are its replies?");
    Diagnostic::error(address.span(), message)
        .help("let it listen at a port of its own for each service, or use method \"dr\"")
        .note(first, "first used here")
}
