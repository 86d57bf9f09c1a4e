//! Rules of virtual routers with the rest of the file: services, real servers and pools.
//!
//! Not here: hosts, and tracked services (`track`).

use std::{collections::BTreeMap, net::IpAddr};

use daemon::diagnostic::Diagnostic;
use toml::Spanned;

use super::super::findings::Findings;
use super::{Around, Draft};

/// VIPs of routers, each with its place and its router.
type Vips<'a> = BTreeMap<IpAddr, (&'a Spanned<IpAddr>, &'a Draft)>;

/// Notes what clashes.
pub(super) fn check(drafts: &[Draft], around: &Around<'_>, findings: &mut Findings) {
    let vips: Vips<'_> = drafts
        .iter()
        .flat_map(|draft| draft.vips.iter().map(move |vip| (vip, draft)))
        .map(|(vip, draft)| (*vip.get_ref(), (vip, draft)))
        .collect();
    pools(&vips, around, findings);
    reals(&vips, around, findings);
    if !drafts.is_empty() && !findings.has_errors() {
        unmoved(&vips, around, findings);
    }
}

/// What a flow's replies are addressed to has to stay with the director that knows the flow.
fn pools(vips: &Vips<'_>, around: &Around<'_>, findings: &mut Findings) {
    for entry in around.directors.iter().flat_map(|director| &director.pool) {
        let address = entry.get_ref().address;
        if let Some((vip, draft)) = vips.get(&address) {
            let message = format!(
                "{address} moves with virtual router `{}`: the pool of one director cannot have it",
                draft.called()
            );
            findings.push(
                Diagnostic::error(entry.span(), message)
                    .help("take an address that stays with this director")
                    .note(vip.span(), "the VIP"),
            );
        }
    }
}

/// With a service at the VIP it is told there.
fn reals(vips: &Vips<'_>, around: &Around<'_>, findings: &mut Findings) {
    let at_services: Vec<_> = around
        .services
        .iter()
        .filter_map(|service| service.vip.as_ref())
        .map(|vip| *vip.get_ref())
        .collect();
    let reals = around.services.iter().flat_map(|service| &service.reals);
    for address in reals.filter_map(|real| real.address.as_ref()) {
        let Some((vip, _)) = vips.get(address.get_ref()) else {
            continue;
        };
        if at_services
            .iter()
            .any(|vip| vip.contains(*address.get_ref()))
        {
            continue;
        }
        let message = format!("real server {} has the address of a VIP", address.get_ref());
        findings.push(
            Diagnostic::error(address.span(), message)
                .help("write the real server's own address")
                .note(vip.span(), "the VIP"),
        );
    }
}

/// Services whose VIP nobody moves; networks are routed here, and a host's own address is answered
/// for by the host.
fn unmoved(vips: &Vips<'_>, around: &Around<'_>, findings: &mut Findings) {
    let mut told = BTreeMap::new();
    for vip in around
        .services
        .iter()
        .filter_map(|service| service.vip.as_ref())
    {
        let address = vip.get_ref().address;
        let is_known = vips.contains_key(&address) || around.owners.contains_key(&address);
        if !vip.get_ref().is_single() || is_known || told.insert(address, ()).is_some() {
            continue;
        }
        let message = format!(
            "VIP {address} is in no virtual router: it stays with whoever has it on an interface"
        );
        findings.push(
            Diagnostic::warning(vip.span(), message)
                .help("add it to the `vips` of a `[[virtual_router]]`"),
        );
    }
}
