//! `flow`: the bytes are operations on a flow table of two buckets, so that keys meet. After each, the
//! table says what a model says that is a plain list.

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{Addr, Be16, Flow, FlowEvent, FlowKey, WAYS, Way, kind, state};
use lb_ebpf::flow::{self, New};
use lb_user::tables::flows::{FlowTable, Sweeper};

use self::tiny::{PLACES, REALS, Tiny};
use super::reader::Reader;

mod tiny;

/// Operations at most: each looks at the whole table.
const LONGEST: usize = 200;

/// Plays the operations that the bytes are.
///
/// # Errors
/// Says what cannot be.
pub fn flow(bytes: &[u8]) -> Result<()> {
    let mut reader = Reader(bytes);
    // Ticks wrap in the middle of some inputs.
    let now = u32::MAX - u32::from(reader.byte());
    let mut model = Model {
        table: Tiny::default(),
        entries: [None; PLACES],
        sweeper: Sweeper::default(),
        now,
        reused: 0,
        displaced: 0,
        recorded: 0,
    };
    for at in 0..LONGEST {
        let Some(operation) = reader.next_byte() else {
            break;
        };
        model
            .play(operation, &mut reader)
            .and_then(|()| model.agree())
            .with_context(|| format!("operation {at}, {operation:#04x}"))?;
    }
    Ok(())
}

/// An entry as the model has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    key: FlowKey,
    flow: Flow,
    state: u8,
    expires: u32,
}

impl Known {
    /// How gladly its place is taken: the lower the more.
    fn rank(&self, now: u32) -> Option<u8> {
        match self.state {
            _ if self.is_expired(now) => Some(1),
            state::CLOSED => Some(2),
            state::NEW => Some(3),
            _ => None,
        }
    }

    fn is_expired(&self, now: u32) -> bool {
        Way::new(0, self.state, self.expires).is_expired(now)
    }
}

struct Model {
    table: Tiny,
    entries: [Option<Known>; PLACES],
    sweeper: Sweeper,
    now: u32,
    reused: u64,
    displaced: u64,
    recorded: u64,
}

impl Model {
    fn play(&mut self, operation: u8, reader: &mut Reader<'_>) -> Result<()> {
        match operation & 7 {
            0..=2 => self.record(reader),
            3 => self.find(reader.byte()).map(|_| ()),
            4 => self.keep(reader),
            5 => {
                self.forget(reader.byte());
                Ok(())
            }
            6 => {
                self.now = self.now.wrapping_add(1 << (reader.byte() & 15));
                Ok(())
            }
            _ if operation & 8 == 0 => self.set_peer(reader),
            _ => self.sweep(),
        }
    }

    /// Records a flow where it is not known: those who record look first.
    fn record(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let key = key(reader.byte());
        let [real, ticks] = [reader.byte(), reader.byte()];
        if flow::find(&self.table, &key, self.now).is_some() {
            return Ok(());
        }
        let new = New {
            flow: Flow {
                service: u32::from(real),
                real: u32::from(real) % REALS,
                port: Be16::new(u16::from(ticks)),
                ..Flow::default()
            },
            expires: self.now.wrapping_add(u32::from(ticks) << 4),
        };
        let before = self.entries;
        let place = flow::record(&self.table, &key, &new, self.now);
        let Some(at) = place else {
            return self.has_no_room(&key);
        };
        self.recorded += 1;
        let victim = before.get(at as usize).context("a place behind the end")?;
        let best = self.ranks(at / WAYS);
        match victim {
            None => ensure!(best == Some(0), "a free place, but {best:?} is best"),
            Some(victim) => {
                ensure!(victim.rank(self.now) == best, "{victim:?} gave way");
                let expired = victim.is_expired(self.now);
                let count = if expired {
                    &mut self.reused
                } else {
                    &mut self.displaced
                };
                *count += 1;
            }
        }
        self.entries[at as usize] = Some(Known {
            key,
            flow: new.flow,
            state: state::NEW,
            expires: new.expires,
        });
        Ok(())
    }

    /// The lowest rank in a bucket.
    fn ranks(&self, bucket: u32) -> Option<u8> {
        let ways = self.entries.chunks(WAYS as usize).nth(bucket as usize)?;
        let rank = |entry: &Option<Known>| entry.map_or(Some(0), |known| known.rank(self.now));
        ways.iter().filter_map(rank).min()
    }

    /// There is no room in one of the buckets at least.
    fn has_no_room(&self, key: &FlowKey) -> Result<()> {
        let all = self.entries.len() / WAYS as usize;
        let mut buckets = 0..u32::try_from(all)?;
        ensure!(
            buckets.any(|bucket| self.ranks(bucket).is_none()),
            "{key:?} has no room, though there is some everywhere"
        );
        Ok(())
    }

    /// What is found of a key is what is known of it.
    fn find(&self, number: u8) -> Result<Option<flow::Found>> {
        let key = key(number);
        let found = flow::find(&self.table, &key, self.now);
        let is_it = |(_, known): &(usize, &Option<Known>)| {
            known.is_some_and(|known| known.key == key && !known.is_expired(self.now))
        };
        let known = self.entries.iter().enumerate().find(is_it);
        match (found, known) {
            (None, None) => {}
            (Some(found), Some((at, Some(known)))) => {
                ensure!(found.at as usize == at, "{found:?} is at {at}");
                ensure!(found.flow == known.flow, "{found:?}, but {known:?}");
                let seen = (found.way.state(), found.way.expires());
                ensure!(seen == (known.state, known.expires), "{found:?}: {known:?}");
                let read = flow::at(&self.table, found.at, self.now);
                ensure!(read == Some((key, found)), "{read:?} by its place");
            }
            (found, known) => anyhow::bail!("found {found:?}, known {known:?}"),
        }
        Ok(found)
    }

    fn keep(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let number = reader.byte();
        let found = self.find(number)?;
        let word = reader.byte();
        let Some(found) = found else {
            return Ok(());
        };
        let new = state::NEW + (word & 3);
        let expires = self.now.wrapping_add(u32::from(word) << 3);
        if key(number).kind == kind::FLOW {
            flow::keep(&self.table, &found, new, expires);
        } else {
            let _: bool = flow::keep_uncounted(&self.table, &found, new, expires);
        }
        if let Some(known) = &mut self.entries[found.at as usize] {
            (known.state, known.expires) = (new, expires);
        }
        Ok(())
    }

    /// Forgets what is at a place, whatever it is.
    fn forget(&mut self, at: u8) {
        let at = usize::from(at) % PLACES;
        flow::forget(&self.table, u32::try_from(at).unwrap_or(0));
        self.entries[at] = None;
    }

    fn set_peer(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let at = usize::from(reader.byte()) % PLACES;
        let peer = u32::from(reader.byte()) << 24 | 1;
        // Only entries of ours get one.
        if let Some(known) = &mut self.entries[at] {
            flow::set_peer(&self.table, u32::try_from(at)?, peer);
            known.flow.peer = peer;
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        let swept = self.sweeper.sweep(table(&self.table), self.now);
        let mut freed = 0;
        for entry in &mut self.entries {
            if entry.is_some_and(|known| known.is_expired(self.now)) {
                *entry = None;
                freed += 1;
            }
        }
        let left = self.entries.iter().flatten().count();
        ensure!(
            (swept.freed, swept.left) == (freed, u32::try_from(left)?),
            "{swept:?}, not {freed} and {left}"
        );
        Ok(())
    }

    /// The table holds what the model does, and counts it.
    fn agree(&self) -> Result<()> {
        let mut there = [None; PLACES];
        for (at, way, key, flow) in table(&self.table).entries() {
            there[at as usize] = Some(Known {
                key,
                flow,
                state: way.state(),
                expires: way.expires(),
            });
        }
        ensure!(there == self.entries, "{there:?}, not {:?}", self.entries);
        let flows = self.entries.iter().flatten();
        let flows: Vec<_> = flows.filter(|known| known.key.kind == kind::FLOW).collect();
        for real in 0..REALS {
            let of_real = flows.iter().filter(|known| known.flow.real == real);
            let is_active = |known: &&&Known| known.state == state::ESTABLISHED;
            let active = of_real.clone().filter(is_active).count();
            let counted = self.table.count(real);
            let wanted = (active, of_real.count() - active);
            ensure!(counted == wanted, "{real} has {counted:?}, not {wanted:?}");
        }
        for (event, wanted) in [
            (FlowEvent::Recorded, self.recorded),
            (FlowEvent::Reused, self.reused),
            (FlowEvent::Displaced, self.displaced),
        ] {
            let counted = self.table.events.borrow().get(&event).copied();
            ensure!(counted.unwrap_or(0) == wanted, "{event:?}: {counted:?}");
        }
        Ok(())
    }
}

fn table(tiny: &Tiny) -> FlowTable<'_> {
    FlowTable {
        ways: &tiny.ways,
        entries: &tiny.entries,
        connections: &tiny.connections,
    }
}

/// One of 64 keys; of each four, one is no flow.
fn key(number: u8) -> FlowKey {
    let port = u16::from(number & 63);
    FlowKey {
        source: Addr::from_v4_octets([10, 0, 0, number & 7]),
        destination: Addr::from_v4_octets([10, 0, 1, 1]),
        source_port: Be16::new(port),
        destination_port: Be16::new(80),
        protocol: 6,
        kind: if number & 3 == 3 {
            kind::RETURN
        } else {
            kind::FLOW
        },
        _pad: 0,
    }
}
