//! What an OK packet says has changed in the session: variables, the database, transactions, GTIDs.
//!
//! Source: MySQL's "Protocol::OK_Packet, Session State Information"; MariaDB's "OK_Packet". MySQL
//! tells the GTID of a write as a change of its own (`session_track_gtids = OWN_GTID`); MariaDB as
//! the variable `last_gtid`, if `session_track_system_variables` lists it.
//!
//! Not here: what is done with it ([`crate::session`]).

use super::{
    WireError,
    fields::{Fields, put_lenenc_bytes},
};

/// One change. Names and values are bytes: they come in the session's character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A system variable has this value now.
    Variable {
        /// Its name.
        name: &'a [u8],
        /// The value as text.
        value: &'a [u8],
    },
    /// The default database, empty where there is none.
    Schema(&'a [u8]),
    /// Something of the session changed that a new connection would lack ("1"): variables, user
    /// variables, temporary tables, prepared statements.
    State(bool),
    /// GTIDs of this session's writes (MySQL).
    Gtids(&'a [u8]),
    /// The statements that would start the transaction as it is.
    Characteristics(&'a [u8]),
    /// What the transaction has done, one letter for each: `T`/`I` explicit or implicit, `r`/`R`,
    /// `w`/`W` read or written (unsafe, transactional), `s` unsafe statements, `S` result sets, `L` locked tables.
    Transaction(&'a [u8]),
    /// A kind that this proxy does not know; it is skipped.
    Other(u8, &'a [u8]),
}

/// The changes of one OK packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Changes<'a>(pub(super) &'a [u8]);

impl<'a> Changes<'a> {
    /// Of the bytes that a packet has of it.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One after the other; the first that is malformed ends them.
    pub fn iter(self) -> impl Iterator<Item = Result<Change<'a>, WireError>> {
        let mut fields = Fields::new(self.0, "session state");
        // MariaDB may put several variables into one entry.
        let mut variables = Fields::new(&[], "session state");
        let mut is_broken = false;
        std::iter::from_fn(move || {
            if is_broken || (fields.is_empty() && variables.is_empty()) {
                return None;
            }
            let next = next(&mut fields, &mut variables);
            is_broken = next.is_err();
            Some(next)
        })
    }
}

fn next<'a>(fields: &mut Fields<'a>, variables: &mut Fields<'a>) -> Result<Change<'a>, WireError> {
    if variables.is_empty() {
        let kind = fields.u8()?;
        let mut entry = Fields::new(fields.lenenc_bytes()?, "session state");
        return Ok(match kind {
            0 => {
                *variables = entry;
                return variable(variables);
            }
            1 => Change::Schema(entry.lenenc_bytes()?),
            // The byte alone, without a length of its own: what MySQL's page draws otherwise.
            2 => Change::State(entry.rest() == b"1"),
            3 => {
                // The encoding: 0 is text, the only one there is.
                entry.u8()?;
                Change::Gtids(entry.lenenc_bytes()?)
            }
            4 => Change::Characteristics(entry.lenenc_bytes()?),
            5 => Change::Transaction(entry.lenenc_bytes()?),
            other => Change::Other(other, entry.rest()),
        });
    }
    variable(variables)
}

fn variable<'a>(fields: &mut Fields<'a>) -> Result<Change<'a>, WireError> {
    let name = fields.lenenc_bytes()?;
    let value = fields.lenenc_bytes()?;
    Ok(Change::Variable { name, value })
}

/// Appends a change as an OK packet has it.
pub fn put_change(out: &mut Vec<u8>, change: Change<'_>) {
    let mut entry = Vec::new();
    let kind = match change {
        Change::Variable { name, value } => {
            put_lenenc_bytes(&mut entry, name);
            put_lenenc_bytes(&mut entry, value);
            0
        }
        Change::Schema(name) => {
            put_lenenc_bytes(&mut entry, name);
            1
        }
        Change::State(is_changed) => {
            entry.push(if is_changed { b'1' } else { b'0' });
            2
        }
        Change::Gtids(gtids) => {
            entry.push(0);
            put_lenenc_bytes(&mut entry, gtids);
            3
        }
        Change::Characteristics(text) => {
            put_lenenc_bytes(&mut entry, text);
            4
        }
        Change::Transaction(text) => {
            put_lenenc_bytes(&mut entry, text);
            5
        }
        Change::Other(kind, bytes) => {
            entry.extend_from_slice(bytes);
            kind
        }
    };
    out.push(kind);
    put_lenenc_bytes(out, &entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_read_as_it_was_written() {
        let changes = [
            Change::Variable {
                name: b"autocommit",
                value: b"OFF",
            },
            Change::Schema(b"shop"),
            Change::State(true),
            Change::Gtids(b"3E11FA47-71CA-11E1-9E33-C80AA9429562:23"),
            Change::Characteristics(b"START TRANSACTION READ ONLY;"),
            Change::Transaction(b"T_______"),
            Change::Other(9, b"?"),
        ];
        let mut bytes = Vec::new();
        for change in changes {
            put_change(&mut bytes, change);
        }
        let read: Result<Vec<_>, _> = Changes::new(&bytes).iter().collect();
        assert_eq!(read.unwrap(), changes);
        for cut in 1..bytes.len() {
            // Never more than there is, and no panic.
            assert!(Changes::new(&bytes[..cut]).iter().count() <= changes.len());
        }
    }

    #[test]
    fn several_variables_in_one_entry_are_all_told() {
        let bytes = b"\0\x08\x01a\x01b\x01c\x01d";
        let read: Vec<_> = Changes::new(bytes).iter().map(Result::unwrap).collect();
        let variable = |name, value| Change::Variable { name, value };
        assert_eq!(read, [variable(&b"a"[..], &b"b"[..]), variable(b"c", b"d")]);
    }

    #[test]
    fn what_is_malformed_ends_the_changes() {
        let mut changes = Changes::new(b"\x01\x02\x05x\x01\x01\0").iter();
        assert_eq!(
            changes.next(),
            Some(Err(WireError::Truncated("session state")))
        );
        assert_eq!(changes.next(), None);
    }
}
