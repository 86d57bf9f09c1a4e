//! The short answers: OK, ERR and EOF packets, read and written, and the status flags in them.
//!
//! Source: MySQL's "Generic Response Packets". Not here: which of them ends an answer
//! ([`super::reply`]).

use super::{
    Capabilities, WireError,
    fields::{Fields, put_lenenc, put_lenenc_bytes},
    track::Changes,
};

/// Flags of a session, in every OK and EOF packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Status(pub u16);

impl Status {
    /// A transaction is open.
    pub const IN_TRANSACTION: u16 = 1;
    /// autocommit is on.
    pub const AUTOCOMMIT: u16 = 2;
    /// Another result follows this one.
    pub const MORE_RESULTS: u16 = 8;
    /// A cursor is open, and its rows are to be fetched.
    pub const CURSOR: u16 = 0x40;
    /// The cursor's last row was sent.
    pub const LAST_ROW: u16 = 0x80;
    /// The database was dropped.
    pub const DATABASE_DROPPED: u16 = 0x100;
    /// NO_BACKSLASH_ESCAPES is in sql_mode.
    pub const NO_BACKSLASH: u16 = 0x200;
    /// The open transaction is READ ONLY.
    pub const IN_READ_ONLY: u16 = 0x2000;
    /// An OK packet tells of changes.
    pub const SESSION_CHANGED: u16 = 0x4000;
    /// ANSI_QUOTES is in sql_mode (MariaDB alone tells).
    pub const ANSI_QUOTES: u16 = 0x8000;

    /// Whether any of these flags is set.
    #[must_use]
    pub fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
}

/// An OK packet, also where it stands for EOF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OkPacket<'a> {
    /// Rows changed, or found.
    pub affected: u64,
    /// First id of AUTO_INCREMENT.
    pub last_insert_id: u64,
    /// Flags.
    pub status: Status,
    /// Warnings.
    pub warnings: u16,
    /// "Rows matched: 1  Changed: 0".
    pub info: &'a [u8],
    /// What changed in the session.
    pub changes: Changes<'a>,
}

impl<'a> OkPacket<'a> {
    /// Reads a payload that begins with 0x00 or 0xfe.
    ///
    /// # Errors
    /// A packet cut short.
    pub fn read(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "OK");
        fields.u8()?;
        let affected = fields.lenenc()?;
        let last_insert_id = fields.lenenc()?;
        let status = Status(fields.u16()?);
        let warnings = fields.u16()?;
        let mut ok = Self {
            affected,
            last_insert_id,
            status,
            warnings,
            ..Self::default()
        };
        if capabilities.has(Capabilities::SESSION_TRACK) {
            // Both servers leave the text out where nothing follows it.
            if !fields.is_empty() {
                ok.info = fields.lenenc_bytes()?;
            }
            if status.has(Status::SESSION_CHANGED) {
                ok.changes = Changes(fields.lenenc_bytes()?);
            }
        } else {
            ok.info = fields.rest();
        }
        Ok(ok)
    }

    /// Appends the payload; `first` is 0x00, or 0xfe where it stands for EOF.
    pub fn put(&self, out: &mut Vec<u8>, first: u8, capabilities: Capabilities) {
        let tracks = capabilities.has(Capabilities::SESSION_TRACK);
        let mut status = self.status.0 & !Status::SESSION_CHANGED;
        if tracks && !self.changes.is_empty() {
            status |= Status::SESSION_CHANGED;
        }
        out.push(first);
        put_lenenc(out, self.affected);
        put_lenenc(out, self.last_insert_id);
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if !tracks {
            out.extend_from_slice(self.info);
        } else if !self.info.is_empty() || !self.changes.is_empty() {
            put_lenenc_bytes(out, self.info);
            if !self.changes.is_empty() {
                put_lenenc_bytes(out, self.changes.0);
            }
        }
    }
}

/// An ERR packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// MySQL's number.
    pub code: u16,
    /// SQLSTATE; `HY000` where the server sends none (before the login, "Too many connections").
    pub state: [u8; 5],
    /// The text.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Reads a payload that begins with 0xff.
    ///
    /// # Errors
    /// A packet cut short.
    pub fn read(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "ERR");
        fields.u8()?;
        let code = fields.u16()?;
        let mut state = *b"HY000";
        if fields.peek().first() == Some(&b'#') {
            fields.u8()?;
            state.copy_from_slice(fields.bytes(5)?);
        }
        let message = fields.rest();
        Ok(Self {
            code,
            state,
            message,
        })
    }

    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(0xff);
        out.extend_from_slice(&self.code.to_le_bytes());
        out.push(b'#');
        out.extend_from_slice(&self.state);
        out.extend_from_slice(self.message);
    }
}

/// An EOF packet: ends column definitions and rows where DEPRECATE_EOF is not agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EofPacket {
    /// Warnings.
    pub warnings: u16,
    /// Flags.
    pub status: Status,
}

impl EofPacket {
    /// Reads a payload that begins with 0xfe.
    ///
    /// # Errors
    /// A packet cut short.
    pub fn read(payload: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "EOF");
        fields.u8()?;
        let warnings = fields.u16()?;
        let status = Status(fields.u16()?);
        Ok(Self { warnings, status })
    }

    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(0xfe);
        out.extend_from_slice(&self.warnings.to_le_bytes());
        out.extend_from_slice(&self.status.0.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ok_is_read_as_it_was_written_and_loses_only_what_the_client_cannot_read() {
        let ok = OkPacket {
            affected: 300,
            last_insert_id: 1 << 40,
            status: Status(Status::AUTOCOMMIT | Status::SESSION_CHANGED),
            warnings: 2,
            info: b"Records: 3",
            changes: Changes(b"\x01\x03\x02ab"),
        };
        let tracking = Capabilities::SESSION_TRACK;
        let mut out = Vec::new();
        ok.put(&mut out, 0, tracking);
        assert_eq!(OkPacket::read(&out, tracking), Ok(ok));
        for cut in 0..out.len() {
            // Up to the text nothing is optional.
            let is_whole = cut == 15;
            assert_eq!(
                OkPacket::read(&out[..cut], tracking).is_ok(),
                is_whole && !ok.status.has(0x4000),
                "{cut}"
            );
        }
        out.clear();
        ok.put(&mut out, 0xfe, Capabilities::NONE);
        let plain = OkPacket {
            status: Status(Status::AUTOCOMMIT),
            changes: Changes::default(),
            ..ok
        };
        assert_eq!(OkPacket::read(&out, Capabilities::NONE), Ok(plain));
    }

    #[test]
    fn an_error_has_a_state_or_a_general_one() {
        let with = ErrPacket::read(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!((with.code, &with.state), (1045, b"28000"));
        assert_eq!(with.message, b"Access denied");
        let mut out = Vec::new();
        with.put(&mut out);
        assert_eq!(out, b"\xff\x15\x04#28000Access denied");
        let without = ErrPacket::read(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((without.code, &without.state), (1040, b"HY000"));
        assert_eq!(
            ErrPacket::read(b"\xff\x10"),
            Err(WireError::Truncated("ERR"))
        );
        assert!(ErrPacket::read(b"\xff\x10\x04#280").is_err());
    }
}
