//! The sentences: what of all that stood in the maps decided.
//!
//! They follow [`lb_ebpf::track`] step by step, and are told by what it came to.

use lb_ebpf::abi::{FlowEvent, Reason, Slot, TRACKED, method, scheduler, state};
use lb_ebpf::flow::Found;
use lb_ebpf::wire::tcp::Tcp;
use lb_ebpf::{Lookups as _, Verdict, select};

use super::{Before, Case};

/// Why a packet to a virtual router's VIP goes no further.
pub(super) const NOT_ACTIVE: &str = "the VIP is a virtual router's, and this director is not its Active \
     router: it has no lease now, and leaves the VIP to another";

impl<const MASK: u32> Case<'_, MASK> {
    /// Why the packet goes where it goes.
    pub(super) fn because(
        &self,
        before: &Before,
        after: Option<&Found>,
        verdict: Verdict,
    ) -> Vec<String> {
        let mut because = Vec::new();
        if self.service.quic_len != 0 {
            because.push(
                "a connection id with the server id of a real server would decide before all this"
                    .to_owned(),
            );
        }
        let Some((_, slot)) = before.slot else {
            because.push("the service has no ring: no real server is up and willing".to_owned());
            return because;
        };
        if self.service.flags & TRACKED == 0 && !slot.is_unsettled() {
            because
                .push("its slot is settled: the ring alone decides, no entry is asked".to_owned());
            return because;
        }
        because.push(self.why_asked(slot));
        if let Some(found) = &before.entry {
            match self.why_not_followed(found, before.is_open) {
                None => {
                    because.push("the flow has an entry, which decides".to_owned());
                    return because;
                }
                Some(why) => because.push(format!("the flow has an entry, not followed: {why}")),
            }
        }
        because.push(self.without_entry(before, slot, after, verdict));
        let is_full = self
            .maps
            .events
            .borrow()
            .contains_key(&FlowEvent::Untracked);
        if is_full && after.is_none() {
            because.push(
                "the flow table has no room for it: it goes by the ring, and is asked about anew"
                    .to_owned(),
            );
        }
        because
    }

    /// Why entries are asked.
    fn why_asked(&self, slot: Slot) -> String {
        let why = if self.service.flags & TRACKED != 0 {
            "every flow of the service has an entry"
        } else {
            "its slot is unsettled: flows of a former owner may be alive"
        };
        match slot.is_unsettled() && self.service.flags & TRACKED != 0 {
            true => format!("{why}, and its slot is unsettled"),
            false => why.to_owned(),
        }
    }

    /// Why an entry is not followed; `None` where it is.
    fn why_not_followed(&self, found: &Found, is_open: bool) -> Option<&'static str> {
        let is_over = matches!(found.way.state(), state::CLOSING | state::CLOSED);
        if self.packet.is_syn() && is_over {
            return Some("that connection is over, and a SYN begins another");
        }
        let is_up = self
            .maps
            .real(found.flow.real)
            .is_some_and(|real| select::is_up(real, &self.service));
        if !is_up {
            return Some("its real server is down or gone");
        }
        if self.service.method == method::FULLNAT && !is_open {
            return Some("the entry of its way back is gone");
        }
        None
    }

    /// Where a packet goes whose flow has no entry that is followed.
    fn without_entry(
        &self,
        before: &Before,
        slot: Slot,
        after: Option<&Found>,
        verdict: Verdict,
    ) -> String {
        let is_new = self.packet.is_syn() || self.packet.protocol != Tcp::PROTOCOL;
        let service = &self.service;
        if service.method == method::FULLNAT && !is_new {
            return "fullnat goes on only with flows that have an entry, and this packet begins none"
                .to_owned();
        }
        if verdict.reason == Reason::NoRealServer {
            return "no real server is up and willing".to_owned();
        }
        if !is_new {
            return self.by_slot(slot, false);
        }
        let real = after.map(|found| found.flow.real);
        if let Some(client) = before.client.filter(|c| Some(c.flow.real) == real) {
            let left = self.moment.seconds_until(client.way.expires());
            return format!(
                "its client has been here and stays with its real server (for {left} s more, if it \
                 did not come)"
            );
        }
        match service.scheduler {
            scheduler::TURNS => "a new flow: it is this real server's turn".to_owned(),
            scheduler::LEAST => {
                "a new flow: this real server has the fewest connections".to_owned()
            }
            scheduler::WEIGHTED_LEAST => {
                "a new flow: this real server has the fewest connections for its weight".to_owned()
            }
            _ if self.packet.is_syn() && service.persistence == 0 => {
                "a new flow: the ring's owner of its slot takes it".to_owned()
            }
            _ => self.by_slot(slot, true),
        }
    }

    /// Where a packet goes by its slot that may be of a flow older than the slot's last change.
    fn by_slot(&self, slot: Slot, willing: bool) -> String {
        if !slot.is_unsettled() {
            return "the ring's owner of its slot takes it".to_owned();
        }
        let settled = select::member(self.maps, &self.service, slot.settled_owner());
        let stays = settled
            .and_then(|id| self.maps.real(id))
            .is_some_and(|real| match willing {
                true => select::is_willing(real, &self.service),
                false => select::is_up(real, &self.service),
            });
        if stays {
            "the flow may be older than the slot's last change: it stays with whom the slot had then"
                .to_owned()
        } else {
            "whom the slot had before its last change is not there any more: its owner now takes it"
                .to_owned()
        }
    }
}
