//! What a client asks: the commands, what answer each gets, and what each does to its session.
//!
//! Source: MySQL's "Command Phase" and `include/my_command.h`; MariaDB's `mysql_com.h`. Not here: the
//! SQL in COM_QUERY and COM_STMT_PREPARE ([`crate::lexer`]).

use super::{Shape, WireError, fields::Fields};

/// Longest head of a command that [`Command::read`] looks at: what follows may still be on its way.
/// COM_INIT_DB, COM_CHANGE_USER and COM_FIELD_LIST are short by nature and have to be whole.
pub const HEAD: usize = 10;

/// A statement by its number. Of `u32::MAX` MariaDB's clients mean the one prepared last, before they
/// have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u32);

impl StatementId {
    /// MariaDB: the statement prepared last.
    pub const LAST: Self = Self(u32::MAX);
}

/// A command, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The connection ends.
    Quit,
    /// `USE`.
    InitDb(&'a [u8]),
    /// Statements as text, or as much of it as has come.
    Query(&'a [u8]),
    /// Columns of a table; MariaDB and old clients. MySQL 9 has it no more.
    FieldList(&'a [u8]),
    /// A line of figures.
    Statistics,
    /// Is anybody there?
    Ping,
    /// `KILL n`.
    Kill(u32),
    /// Another user on the same connection.
    ChangeUser(&'a [u8]),
    /// As if the connection were new.
    Reset,
    /// Multi-statements on (0) or off (1).
    SetOption(u16),
    /// `SHOW PROCESSLIST`.
    ProcessInfo,
    /// Prepares a text.
    Prepare(&'a [u8]),
    /// Executes a statement, with flags: 1 to 4 ask for a cursor.
    Execute(StatementId, u8),
    /// A piece of a parameter.
    LongData(StatementId),
    /// Forgets a statement.
    Close(StatementId),
    /// Forgets the pieces sent, and closes the cursor.
    ResetStatement(StatementId),
    /// So many rows of a cursor.
    Fetch(StatementId, u32),
    /// Anything that is not forwarded, by its number.
    Refused(u8),
}

/// What a command does to the session it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The session has another default database.
    Schema,
    /// Multi-statements are on or off.
    Options,
    /// Everything of the session is gone.
    Fresh,
    /// And it has another user.
    User,
    /// The text says.
    ByText,
    /// A statement comes, changes or goes.
    Statement,
    /// The connection ends.
    End,
}

impl<'a> Command<'a> {
    /// Reads the payload of a command, or its beginning.
    ///
    /// # Errors
    /// A command cut short of what it must have.
    pub fn read(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "a command");
        let code = fields.u8()?;
        Ok(match code {
            0x01 => Self::Quit,
            0x02 => Self::InitDb(fields.rest()),
            0x03 => Self::Query(fields.rest()),
            0x04 => Self::FieldList(fields.rest()),
            0x09 => Self::Statistics,
            0x0a => Self::ProcessInfo,
            0x0c => Self::Kill(fields.u32()?),
            0x0e => Self::Ping,
            0x11 => Self::ChangeUser(fields.rest()),
            0x16 => Self::Prepare(fields.rest()),
            0x17 => Self::Execute(StatementId(fields.u32()?), fields.u8()?),
            0x18 => Self::LongData(StatementId(fields.u32()?)),
            0x19 => Self::Close(StatementId(fields.u32()?)),
            0x1a => Self::ResetStatement(StatementId(fields.u32()?)),
            0x1b => Self::SetOption(fields.u16()?),
            0x1c => Self::Fetch(StatementId(fields.u32()?), fields.u32()?),
            0x1f => Self::Reset,
            other => Self::Refused(other),
        })
    }

    /// What the server answers.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::Query(_) | Self::ProcessInfo => Shape::Query,
            Self::Execute(..) => Shape::Execute,
            Self::Prepare(_) => Shape::Prepare,
            Self::Fetch(..) => Shape::Rows,
            Self::FieldList(_) => Shape::List,
            Self::Statistics => Shape::Text,
            Self::ChangeUser(_) => Shape::Login,
            Self::Quit | Self::LongData(_) | Self::Close(_) => Shape::Nothing,
            Self::InitDb(_)
            | Self::Ping
            | Self::Kill(_)
            | Self::Reset
            | Self::SetOption(_)
            | Self::ResetStatement(_)
            | Self::Refused(_) => Shape::Short,
        }
    }

    /// What it does to the session.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::Quit => Effect::End,
            Self::InitDb(_) => Effect::Schema,
            Self::Query(_) => Effect::ByText,
            Self::ChangeUser(_) => Effect::User,
            Self::Reset => Effect::Fresh,
            Self::SetOption(_) => Effect::Options,
            Self::Prepare(_)
            | Self::Execute(..)
            | Self::LongData(_)
            | Self::Close(_)
            | Self::ResetStatement(_)
            | Self::Fetch(..) => Effect::Statement,
            Self::FieldList(_)
            | Self::Statistics
            | Self::Ping
            | Self::Kill(_)
            | Self::ProcessInfo
            | Self::Refused(_) => Effect::None,
        }
    }

    /// The error for what is not forwarded, as MySQL numbers it (1047, 08S01), and why.
    #[must_use]
    pub fn refusal(code: u8) -> &'static str {
        match code {
            0x00 | 0x0b | 0x0f | 0x10 | 0x13 | 0x1d => "this command is for servers alone",
            0x05 | 0x06 => "COM_CREATE_DB and COM_DROP_DB are gone: use CREATE DATABASE",
            0x07 | 0x08 | 0x0d => "a proxy refreshes, stops and debugs no server: connect to it",
            0x12 | 0x14 | 0x15 | 0x1e | 0x20 => "replication does not go through the proxy",
            0xfa | 0xfb | 0xfe => "bulks are not forwarded: the greeting does not offer them",
            _ => "Unknown command",
        }
    }
}

/// The statement number in COM_STMT_EXECUTE, RESET, CLOSE, FETCH and SEND_LONG_DATA stands in bytes 1
/// to 4 of the payload: writes another there.
pub fn renumber(payload: &mut [u8], id: StatementId) {
    if let Some(place) = payload.get_mut(1..5) {
        place.copy_from_slice(&id.0.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_by_their_first_bytes() {
        for (payload, command, shape, effect) in [
            (&b"\x01"[..], Command::Quit, Shape::Nothing, Effect::End),
            (
                b"\x02shop",
                Command::InitDb(b"shop"),
                Shape::Short,
                Effect::Schema,
            ),
            (
                b"\x03SELECT",
                Command::Query(b"SELECT"),
                Shape::Query,
                Effect::ByText,
            ),
            (
                b"\x04t\0%",
                Command::FieldList(b"t\0%"),
                Shape::List,
                Effect::None,
            ),
            (b"\x09", Command::Statistics, Shape::Text, Effect::None),
            (
                b"\x0c\x07\0\0\0",
                Command::Kill(7),
                Shape::Short,
                Effect::None,
            ),
            (b"\x0e", Command::Ping, Shape::Short, Effect::None),
            (
                b"\x11r\0",
                Command::ChangeUser(b"r\0"),
                Shape::Login,
                Effect::User,
            ),
            (
                b"\x16DO 1",
                Command::Prepare(b"DO 1"),
                Shape::Prepare,
                Effect::Statement,
            ),
            (
                b"\x17\x01\0\0\0\x01\x01\0\0\0",
                Command::Execute(StatementId(1), 1),
                Shape::Execute,
                Effect::Statement,
            ),
            (
                b"\x18\x01\0\0\0\0\0xx",
                Command::LongData(StatementId(1)),
                Shape::Nothing,
                Effect::Statement,
            ),
            (
                b"\x1c\x01\0\0\0\x05\0\0\0",
                Command::Fetch(StatementId(1), 5),
                Shape::Rows,
                Effect::Statement,
            ),
            (b"\x1f", Command::Reset, Shape::Short, Effect::Fresh),
            (b"\x12", Command::Refused(0x12), Shape::Short, Effect::None),
            (b"\xfa", Command::Refused(0xfa), Shape::Short, Effect::None),
        ] {
            let read = Command::read(payload).unwrap();
            assert_eq!(
                (read, read.shape(), read.effect()),
                (command, shape, effect)
            );
        }
    }

    #[test]
    fn a_command_cut_short_is_refused() {
        for payload in [
            &b""[..],
            b"\x0c\x01",
            b"\x17\x01\0\0\0",
            b"\x19\0",
            b"\x1b\0",
        ] {
            assert_eq!(
                Command::read(payload),
                Err(WireError::Truncated("a command"))
            );
        }
    }

    #[test]
    fn a_statement_is_renumbered_in_its_place() {
        let mut payload = *b"\x17\x01\0\0\0\0\x01\0\0\0";
        renumber(&mut payload, StatementId(0x0403_0201));
        assert_eq!(&payload, b"\x17\x01\x02\x03\x04\0\x01\0\0\0");
        renumber(&mut [0x19, 0], StatementId(5));
    }
}
