//! Counters, summed over the CPUs, read without stopping traffic.

use std::collections::BTreeMap;

use aya::maps::{MapData, MapError, PerCpuArray};
use lb_ebpf::abi::{Connections, FlowEvent, Reason, Traffic};

use super::{Error, Maps};

/// The counters of the data plane at one moment (more or less: packets go on meanwhile).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Packets by the reason they left for, in the order of [`Reason::ALL`].
    pub verdicts: Vec<(Reason, u64)>,
    /// Events of the flow table, in the order of [`FlowEvent::ALL`].
    pub flow_events: Vec<(FlowEvent, u64)>,
    /// By service id.
    pub services: BTreeMap<u32, Traffic>,
    /// By real server id.
    pub reals: BTreeMap<u32, Traffic>,
    /// Connections that have entries, by real server id.
    pub connections: BTreeMap<u32, Connections>,
}

impl Maps {
    /// Reads the counters of these services and real servers, of all verdicts and of the flow table.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn counters(
        &self,
        services: impl Iterator<Item = u32>,
        reals: impl Iterator<Item = u32> + Clone,
    ) -> Result<Counters, Error> {
        let verdict = |reason: &Reason| {
            let values = self.verdicts.get(&(*reason as u32), 0)?;
            Ok((*reason, values.iter().sum()))
        };
        let event = |event: &FlowEvent| {
            let values = self.flow_events.get(&(*event as u32), 0)?;
            Ok((*event, values.iter().sum()))
        };
        let read = || -> Result<Counters, MapError> {
            Ok(Counters {
                verdicts: Reason::ALL
                    .iter()
                    .map(verdict)
                    .collect::<Result<_, MapError>>()?,
                flow_events: FlowEvent::ALL
                    .iter()
                    .map(event)
                    .collect::<Result<_, MapError>>()?,
                services: sums(&self.service_traffic, services)?,
                connections: reals.clone().map(|id| (id, self.connections(id))).collect(),
                reals: sums(&self.real_traffic, reals.clone())?,
            })
        };
        read().map_err(Error::map)
    }
}

fn sums(
    map: &PerCpuArray<MapData, Traffic>,
    ids: impl Iterator<Item = u32>,
) -> Result<BTreeMap<u32, Traffic>, MapError> {
    ids.map(|id| Ok((id, sum(map.get(&id, 0)?.iter()))))
        .collect()
}

/// The sum over CPUs.
fn sum<'a>(values: impl Iterator<Item = &'a Traffic>) -> Traffic {
    values.fold(Traffic::default(), |sum, cpu| Traffic {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
        connections: sum.connections + cpu.connections,
        ended: sum.ended + cpu.ended,
        reply_packets: sum.reply_packets + cpu.reply_packets,
        reply_bytes: sum.reply_bytes + cpu.reply_bytes,
    })
}
