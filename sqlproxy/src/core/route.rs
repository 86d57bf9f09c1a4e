//! Which of several servers a read goes to.
//!
//! Not here: whether a statement is a read ([`crate::session::place()`]); whether the server is up to date
//! (`acquire`).

use std::sync::atomic::Ordering::Relaxed;

use super::Local;
use crate::{
    config::{Balance, Readers, Role},
    election::Server,
};

/// Whose turn it is: what each server has to its credit (smooth weighted round robin, as nginx's).
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<i64>);

impl Turns {
    fn next(&mut self, candidates: impl Iterator<Item = (usize, u16)>) -> Option<usize> {
        let (mut total, mut best) = (0, None);
        for (server, weight) in candidates {
            if self.0.len() <= server {
                self.0.resize(server + 1, 0);
            }
            self.0[server] += i64::from(weight);
            total += i64::from(weight);
            if best.is_none_or(|best: usize| self.0[server] > self.0[best]) {
                best = Some(server);
            }
        }
        if let Some(best) = best {
            self.0[best] -= total;
        }
        best
    }
}

impl Local {
    /// Whether a server may answer reads, and how much of them.
    fn reads(&self, server: usize, writer: Option<usize>) -> Option<u16> {
        let configured = self.plan.site.servers.get(server)?;
        let place = u8::try_from(server).ok()?;
        let state = self.plan.board.state(Server(place));
        let is_writer = writer == Some(server);
        let is_asked = match self.plan.site.settings.readers {
            Readers::Writer => is_writer,
            Readers::Others => !is_writer,
            Readers::All => true,
            Readers::Replicas => configured.role == Role::Replica,
        };
        let is_good = state.is_up && (state.serves_reads || is_writer) && !state.is_drained;
        (is_asked && is_good && configured.weight > 0).then_some(configured.weight)
    }

    /// The server for a read: the one that the session read from last if it `stays`, else by balance; the
    /// writer where nobody else answers.
    pub(super) fn reader(&self, last: Option<usize>, without: &[usize]) -> Option<usize> {
        let writer = self.writer();
        let may = |server: usize| {
            let weight = self.reads(server, writer)?;
            (!without.contains(&server)).then_some((server, weight))
        };
        if let Some(last) = last.filter(|last| may(*last).is_some()) {
            return Some(last);
        }
        let candidates = (0..self.plan.servers.len()).filter_map(may);
        let chosen = match self.plan.site.settings.balance {
            Balance::RoundRobin => self.turns.borrow_mut().next(candidates),
            Balance::LeastConnections => candidates
                .min_by_key(|&(server, weight)| {
                    let busy = u64::from(self.plan.servers[server].busy.load(Relaxed));
                    (busy + 1) * 10_000 / u64::from(weight)
                })
                .map(|(server, _)| server),
        };
        chosen.or_else(|| writer.filter(|writer| !without.contains(writer)))
    }

    /// Any server that answers, the writer before others.
    pub(super) fn any(&self) -> Option<usize> {
        self.writer()
            .or_else(|| self.reader(None, &[]))
            .or_else(|| (0..self.plan.servers.len()).find(|server| self.is_up(*server)))
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    #[test]
    fn turns_are_taken_by_weight_and_smoothly() {
        let mut turns = Turns::default();
        let servers = [(0, 5), (1, 1), (2, 1)];
        let taken: Vec<_> = (0..7)
            .filter_map(|_| turns.next(servers.into_iter()))
            .collect();
        assert_eq!(taken, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns.next([].into_iter()), None);
        let taken: Vec<_> = (0..4)
            .filter_map(|_| turns.next([(1, 9), (2, 9)].into_iter()))
            .collect();
        assert_eq!(taken.iter().filter(|server| **server == 1).count(), 2);
    }
}
