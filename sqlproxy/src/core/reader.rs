//! A session that is tied to a server that only reads: by a READ ONLY transaction, or by what was done in it.
//!
//! What ends such a transaction without a word (`BEGIN`, `LOCK TABLES`, `SET autocommit`) ends it there, and is
//! done where it belongs; what would write is never done there. Not here: all other sessions.

use super::session::Session;
use crate::{
    lexer::{Class, SessionChange, Statement, Traits, Transaction},
    refusal::Refusal,
    session::Pin,
    wire::status::Status,
};

impl Session {
    /// Sees to it that nothing is written on a server that is not the writer: why it cannot be done, if it
    /// cannot.
    pub(super) async fn mind_reader(&mut self, told: &Statement) -> Option<Refusal> {
        let place = self.state.held.as_ref()?.life.place();
        if self.core.local().writer() == Some(place) {
            return None;
        }
        let pins = self.state.journal.pins();
        let is_in_transaction = pins.has(Pin::Transaction);
        let is_off = !self.state.journal.autocommit();
        if is_in_transaction && ends_silently(told, is_off) {
            let mut held = self.state.held.take()?;
            self.state.journal.rolled_back();
            self.state.status.0 &= !(Status::IN_TRANSACTION | Status::IN_READ_ONLY);
            let ended = async {
                held.send(&[b"\x03COMMIT"]).await?;
                held.ok(&self.client.watch).await
            };
            if matches!(ended.await, Ok(Ok(_))) {
                self.keep(held);
            }
            return self.tied(told);
        }
        // In a READ ONLY transaction the server itself says what cannot be done.
        if is_in_transaction {
            return None;
        }
        self.tied(told)
    }

    /// A statement that may write, of a session that is tied to a reader by something else.
    fn tied(&self, told: &Statement) -> Option<Refusal> {
        let pins = self.state.journal.pins();
        let pin = pins.iter().find(|pin| *pin != Pin::Previous)?;
        let may = match told.class {
            Class::Session(SessionChange::Lock) => false,
            Class::Read | Class::Session(_) | Class::Kill => true,
            Class::Transaction(
                Transaction::Commit
                | Transaction::Rollback
                | Transaction::BeginReadOnly
                | Transaction::Savepoint,
            ) => true,
            Class::Transaction(Transaction::Begin | Transaction::Next | Transaction::Xa)
            | Class::Write
            | Class::Unknown => false,
        };
        (!may || told.traits.any(Traits::WRITES)).then(|| Refusal::tied_to_reader(pin.word()))
    }
}

/// It commits what is open before it does anything; autocommit does where it was off.
fn ends_silently(told: &Statement, is_off: bool) -> bool {
    let begins = matches!(
        told.class,
        Class::Transaction(Transaction::Begin | Transaction::BeginReadOnly)
    );
    let switches = is_off && told.traits.any(Traits::AUTOCOMMIT);
    begins || switches || told.traits.any(Traits::TABLE_LOCK)
}
