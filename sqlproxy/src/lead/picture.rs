//! What the loop tells: the board, who the writer is and until when; and a picture for people.
//!
//! Not here: what follows from it.

use election::{Now, Server, View};

use super::{
    driver::Driver,
    told::{Told, ToldServer},
};

impl Driver {
    /// Tells the board, and whoever asks.
    pub(super) fn publish(&mut self) {
        let now = self.now();
        let office = self.office();
        let until = self
            .elector
            .writer_until(now)
            .filter(|_| !self.state.is_mute);
        let writer = until.map(|(server, until)| (self.place(server), self.origin + until));
        let place = |place: usize| Server(u8::try_from(place).unwrap_or_default());
        for at in 0..self.servers.len() {
            self.board.set(place(at), self.book.state(now, at, office));
        }
        self.board
            .set_writer(writer.map(|(at, until)| (place(at), until)));
        let writes = writer.map(|(at, _)| at);
        if writes != self.state.writer {
            match writes {
                Some(at) => tracing::info!(writer = self.servers[at].name, "takes writes"),
                None => tracing::warn!("no server takes writes"),
            }
            self.state.writer = writes;
        }
        let told = self.picture(now, office, writes);
        self.told.send_replace(told);
    }

    fn picture(&self, now: Now, office: usize, writes: Option<usize>) -> Told {
        let (epoch, server) = self.elector.office();
        let name = |place: usize| self.servers[place].name.clone();
        let servers = (0..self.servers.len()).map(|place| {
            let facts = self.book.facts(place).cloned();
            let errors = facts.iter().flat_map(|facts| &facts.channels);
            let error = errors
                .map(|channel| channel.error.clone())
                .find(|error| !error.is_empty());
            let view = self.book.view(now, place, office);
            ToldServer {
                name: name(place),
                seen: match view {
                    View::Up { .. } => "up",
                    View::Dead => "dead",
                    View::Reset => "reset",
                    View::Silent => "silent",
                },
                is_read_only: facts.as_ref().is_some_and(|facts| facts.is_read_only),
                has_lock: facts.as_ref().is_some_and(|facts| facts.lock.is_some()),
                waits_for_replica: facts.as_ref().is_some_and(|facts| facts.waits),
                is_current: matches!(
                    view,
                    View::Up {
                        is_current: true,
                        ..
                    }
                ),
                replication_error: error.unwrap_or_default(),
                stranded: self.state.stranded.get(&place).cloned().unwrap_or_default(),
                facts,
            }
        });
        Told {
            epoch: epoch.0,
            office: name(office),
            writer: writes.map(name),
            leases: self.elector.leases(now),
            is_moving: self.state.moving.is_some(),
            moves: self.state.moves,
            last_move: self.state.last_move.clone(),
            servers: servers.collect(),
            counts: self.state.counts.clone(),
            refused: self
                .link
                .as_ref()
                .map(|link| link.refused().clone())
                .unwrap_or_default(),
            term: Some((epoch, server, office)),
            writes,
            is_full: self.book.is_full(),
        }
    }
}
