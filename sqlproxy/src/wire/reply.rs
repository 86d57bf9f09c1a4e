//! Follows a server's answer to its end, by its bytes: rows and column definitions are passed over,
//! the short packets between them are read.
//!
//! ```text
//!  Query, Execute   OK | ERR | LOCAL INFILE … | count definitions [EOF] rows EOF, again while
//!                   MORE_RESULTS is set in the last OK or EOF
//!  Prepare          head, parameters [EOF], columns [EOF]
//!  Rows             rows EOF                      (COM_STMT_FETCH)
//!  List             definitions EOF               (COM_FIELD_LIST)
//!  Login            (switch | more)… OK | ERR      (COM_CHANGE_USER)
//! ```
//! `[EOF]` is left out, and the other EOFs are OK packets that begin with 0xfe, where DEPRECATE_EOF is
//! agreed. The caller owns the bytes: it shows what it has, and is told what to do with the front of
//! it. Nothing is held here, so memory is the caller's buffer, which need never be larger than
//! [`HELD_MAX`] (a row of a gigabyte passes through it in pieces).
//!
//! Source: MySQL's "Command Phase", "Text Resultset", "COM_STMT_PREPARE Response". Not here: sending
//! it on; MariaDB's progress reports and cached metadata, and MySQL's optional metadata, which are
//! not agreed to.

use super::{
    Capabilities, WireError,
    fields::Fields,
    packet::{HEADER, Header},
    prepared::Prepared,
    status::{EofPacket, ErrPacket, OkPacket, Status},
};

/// Bytes of a packet that has to be read whole at most; with its header.
pub const HELD_MAX: usize = 1 << 20;

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// COM_QUERY, COM_PROCESS_INFO: results, perhaps several.
    Query,
    /// COM_STMT_EXECUTE: as a query; a cursor may be opened instead of rows.
    Execute,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_FETCH: rows.
    Rows,
    /// COM_FIELD_LIST: column definitions.
    List,
    /// OK, ERR or EOF.
    Short,
    /// COM_STATISTICS: a text.
    Text,
    /// COM_CHANGE_USER: an exchange.
    Login,
    /// No answer at all: COM_QUIT, COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA.
    Nothing,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Query,
        Self::Execute,
        Self::Prepare,
        Self::Rows,
        Self::List,
        Self::Short,
        Self::Text,
        Self::Login,
        Self::Nothing,
    ];
}

/// A packet that means something to who forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A result without rows, or the end of rows; `first` is its first byte.
    Ok {
        /// 0x00, or 0xfe where it stands for EOF.
        first: u8,
        /// What it says.
        ok: OkPacket<'a>,
    },
    /// The end of rows.
    Eof(EofPacket),
    /// The end of everything.
    Err(ErrPacket<'a>),
    /// The server wants this file from the client: forward it, then the client's packets up to an
    /// empty one, then [`Follower::resume`].
    File(&'a [u8]),
    /// The statement's number, to be mapped.
    Prepared(Prepared),
    /// An authentication switch (the payload): the client answers, then [`Follower::resume`].
    Switch(&'a [u8]),
    /// More of the authentication (the payload): the client may have to answer.
    More(&'a [u8]),
}

/// What to do with the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing: come again with at least so many.
    Need(usize),
    /// So many go on as they are.
    Pass(usize),
    /// So many are a packet with its header, which may go on as it is.
    Packet {
        /// How many.
        len: usize,
        /// The sequence in its header.
        sequence: u8,
        /// What it is.
        packet: Packet<'a>,
    },
    /// The other end's turn: see [`Packet::File`] and [`Packet::Switch`].
    Wait,
    /// The answer is over; what stands here, if anything, is not part of it.
    Done,
}

/// What an answer was, for statistics and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Results that ended.
    pub results: u32,
    /// Rows that passed.
    pub rows: u64,
    /// Bytes that passed.
    pub bytes: u64,
    /// Flags of the last OK or EOF.
    pub status: Status,
    /// The error that ended it.
    pub error: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first packet of a result.
    First,
    /// This many definitions, at least one.
    Definitions(u64, After),
    /// The EOF after definitions.
    DefinitionsEnd(After),
    /// Rows up to an EOF.
    Rows,
    /// Definitions up to an EOF.
    List,
    /// The other end's turn.
    Wait,
    /// Over, once the packet is.
    Done,
}

/// What comes after definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Rows,
    /// Definitions of the statement's columns.
    Columns(u16),
    End,
}

/// How to treat a packet by its beginning.
enum Kind {
    /// Its content means nothing here.
    Opaque,
    /// It is read whole.
    Whole,
}

/// Follows one answer. See the module.
#[derive(Clone, Debug)]
pub struct Follower {
    shape: Shape,
    capabilities: Capabilities,
    at: At,
    /// Due next.
    sequence: u8,
    /// Payload of an opaque packet still to come.
    skip: usize,
    /// Another packet continues that one.
    continues: bool,
    tally: Tally,
}

impl Follower {
    /// Of an answer of this shape on a connection with these capabilities, whose first packet has
    /// this sequence: one more than the last packet of the command.
    #[must_use]
    pub fn new(shape: Shape, capabilities: Capabilities, sequence: u8) -> Self {
        let at = match shape {
            Shape::Query | Shape::Execute | Shape::Prepare => At::First,
            Shape::Short | Shape::Text | Shape::Login => At::First,
            Shape::Rows => At::Rows,
            Shape::List => At::List,
            Shape::Nothing => At::Done,
        };
        Self {
            shape,
            capabilities,
            at,
            sequence,
            skip: 0,
            continues: false,
            tally: Tally::default(),
        }
    }

    /// Whether the answer is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at == At::Done && !self.is_inside()
    }

    /// Whether anything of the answer was seen: an answer that has begun cannot be begun elsewhere.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.tally.bytes > 0
    }

    /// Whether nothing of a packet was passed that is not all passed: another packet could stand here.
    #[must_use]
    pub fn is_between(&self) -> bool {
        !self.is_inside()
    }

    /// The sequence that is due next.
    #[must_use]
    pub fn next_sequence(&self) -> u8 {
        self.sequence
    }

    /// What has come so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The other end has done its part; the next packet has this sequence.
    pub fn resume(&mut self, sequence: u8) {
        if self.at == At::Wait {
            self.at = At::First;
            self.sequence = sequence;
        }
    }

    fn is_inside(&self) -> bool {
        self.skip > 0 || self.continues
    }

    /// Looks at the front of the bytes and takes what it tells of: the next call gets what follows.
    ///
    /// # Errors
    /// Bytes that are no answer of this shape: the connection is lost.
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, WireError> {
        let mut passed = 0;
        let step = loop {
            let rest = &bytes[passed..];
            if self.skip > 0 {
                let taken = self.skip.min(rest.len());
                self.skip -= taken;
                passed += taken;
                if self.skip > 0 {
                    break Step::Need(1);
                }
                continue;
            }
            if !self.continues && self.at == At::Done {
                break Step::Done;
            }
            if !self.continues && self.at == At::Wait {
                break Step::Wait;
            }
            let Some(header) = Header::read(rest) else {
                break Step::Need(HEADER);
            };
            let first = rest.get(HEADER).filter(|_| header.len > 0).copied();
            if first.is_none() && header.len > 0 && !self.continues {
                break Step::Need(HEADER + 1);
            }
            let kind = match self.due(header).and_then(|()| self.kind(header, first)) {
                Ok(kind) => kind,
                // What was passed over goes first, as it does where it comes by itself; the next call
                // meets the mistake again.
                Err(_) if passed > 0 => break Step::Need(HEADER),
                Err(error) => return Err(error),
            };
            match kind {
                Kind::Opaque => {
                    self.sequence = self.sequence.wrapping_add(1);
                    if !self.continues {
                        self.opaque();
                    }
                    self.skip = header.len;
                    self.continues = header.continues();
                    passed += HEADER;
                }
                // What was passed over goes first: a packet is told alone.
                Kind::Whole if passed > 0 => break Step::Need(HEADER),
                Kind::Whole => {
                    let len = HEADER + header.len;
                    let Some(payload) = rest.get(HEADER..len) else {
                        break Step::Need(len);
                    };
                    self.sequence = self.sequence.wrapping_add(1);
                    let Some(packet) = self.whole(payload)? else {
                        passed += len;
                        continue;
                    };
                    self.tally.bytes += len as u64;
                    let sequence = header.sequence;
                    return Ok(Step::Packet {
                        len,
                        sequence,
                        packet,
                    });
                }
            }
        };
        self.tally.bytes += passed as u64;
        Ok(if passed > 0 { Step::Pass(passed) } else { step })
    }

    fn due(&self, header: Header) -> Result<(), WireError> {
        let (expected, got) = (self.sequence, header.sequence);
        let is_due = (got == expected).then_some(());
        is_due.ok_or(WireError::Sequence { expected, got })
    }

    fn kind(&self, header: Header, first: Option<u8>) -> Result<Kind, WireError> {
        if self.continues {
            return Ok(Kind::Opaque);
        }
        let is_whole = match self.at {
            At::First => !(self.shape == Shape::Text && first != Some(0xff)),
            At::Definitions(..) => first == Some(0xff),
            At::DefinitionsEnd(_) => true,
            At::Rows | At::List => match first {
                Some(0xff) => true,
                Some(0xfe) => self.is_end(header.len),
                Some(_) | None => false,
            },
            At::Wait | At::Done => false,
        };
        if !is_whole {
            return Ok(Kind::Opaque);
        }
        let (len, max) = (header.len, HELD_MAX - HEADER);
        if len > max {
            let what = "a packet of an answer";
            return Err(WireError::TooLong { what, len, max });
        }
        Ok(Kind::Whole)
    }

    /// Whether a packet that begins with 0xfe ends rows. A row does so only if its first value has
    /// 16 MB or more, which one packet cannot hold.
    fn is_end(&self, len: usize) -> bool {
        if self.deprecates_eof() {
            len < super::packet::FULL
        } else {
            len < 9
        }
    }

    fn deprecates_eof(&self) -> bool {
        self.capabilities.has(Capabilities::DEPRECATE_EOF)
    }

    /// A packet that is not read has begun.
    fn opaque(&mut self) {
        match self.at {
            At::Definitions(left, after) if left > 1 => {
                self.at = At::Definitions(left - 1, after);
            }
            At::Definitions(_, after) if self.deprecates_eof() => self.after(after),
            At::Definitions(_, after) => self.at = At::DefinitionsEnd(after),
            At::Rows => self.tally.rows += 1,
            // The one text of Shape::Text.
            At::First => self.at = At::Done,
            At::DefinitionsEnd(_) | At::List | At::Wait | At::Done => {}
        }
    }

    fn after(&mut self, after: After) {
        self.at = match after {
            After::Rows => At::Rows,
            After::Columns(0) | After::End => At::Done,
            After::Columns(columns) => At::Definitions(u64::from(columns), After::End),
        };
    }

    /// Reads a packet; `None` if it goes on as it is.
    fn whole<'a>(&mut self, payload: &'a [u8]) -> Result<Option<Packet<'a>>, WireError> {
        let first = payload.first().copied();
        if first == Some(0xff) {
            let err = ErrPacket::read(payload)?;
            self.tally.error = Some(err.code);
            self.at = At::Done;
            return Ok(Some(Packet::Err(err)));
        }
        match self.at {
            At::First => self.first(payload),
            At::DefinitionsEnd(after) => {
                let eof = self.eof(payload)?;
                let opens_cursor = self.shape == Shape::Execute && after == After::Rows;
                if opens_cursor && eof.status.has(Status::CURSOR) {
                    self.ended(eof.status);
                    return Ok(Some(Packet::Eof(eof)));
                }
                self.after(after);
                Ok(None)
            }
            At::Rows | At::List => self.end(payload).map(Some),
            At::Definitions(..) | At::Wait | At::Done => {
                Err(WireError::Unexpected("an answer", first.unwrap_or(0)))
            }
        }
    }

    fn first<'a>(&mut self, payload: &'a [u8]) -> Result<Option<Packet<'a>>, WireError> {
        let Some(&first) = payload.first() else {
            return Err(WireError::Truncated("an answer"));
        };
        match (self.shape, first) {
            (Shape::Prepare, 0) => {
                let head = Prepared::read(payload)?;
                let columns = After::Columns(head.columns);
                match head.parameters {
                    0 => self.after(columns),
                    some => self.at = At::Definitions(u64::from(some), columns),
                }
                Ok(Some(Packet::Prepared(head)))
            }
            (_, 0) => self.end(payload).map(Some),
            (Shape::Query | Shape::Execute, 0xfb) => {
                self.at = At::Wait;
                Ok(Some(Packet::File(&payload[1..])))
            }
            (Shape::Query | Shape::Execute, _) => {
                let mut fields = Fields::new(payload, "a column count");
                let count = fields.lenenc()?;
                if count == 0 || !fields.is_empty() {
                    return Err(WireError::Unexpected("a column count", first));
                }
                self.at = At::Definitions(count, After::Rows);
                Ok(None)
            }
            (Shape::Short, 0xfe) => self.end(payload).map(Some),
            (Shape::Login, 0xfe) => {
                self.at = At::Wait;
                Ok(Some(Packet::Switch(payload)))
            }
            (Shape::Login, 1) => {
                // 3: the scramble was enough, and OK follows. After anything else the client answers.
                if payload != [1, 3] {
                    self.at = At::Wait;
                }
                Ok(Some(Packet::More(payload)))
            }
            _ => Err(WireError::Unexpected("an answer", first)),
        }
    }

    /// An OK or EOF that ends a result.
    fn end<'a>(&mut self, payload: &'a [u8]) -> Result<Packet<'a>, WireError> {
        let first = payload.first().copied().unwrap_or(0);
        // An OK has seven bytes at least; COM_SET_OPTION of MariaDB answers by an EOF whatever is
        // agreed.
        let is_ok = first == 0 || (self.deprecates_eof() && payload.len() >= 7);
        if is_ok {
            let ok = OkPacket::read(payload, self.capabilities)?;
            self.ended(ok.status);
            return Ok(Packet::Ok { first, ok });
        }
        let eof = self.eof(payload)?;
        self.ended(eof.status);
        Ok(Packet::Eof(eof))
    }

    fn eof(&self, payload: &[u8]) -> Result<EofPacket, WireError> {
        match payload.first() {
            Some(0xfe) if payload.len() < 9 => EofPacket::read(payload),
            first => {
                let first = first.copied().unwrap_or(0);
                Err(WireError::Unexpected("the end of definitions", first))
            }
        }
    }

    fn ended(&mut self, status: Status) {
        self.tally.results += 1;
        self.tally.status = status;
        let several = matches!(self.shape, Shape::Query | Shape::Execute);
        self.at = if several && status.has(Status::MORE_RESULTS) {
            At::First
        } else {
            At::Done
        };
    }
}

#[cfg(test)]
mod tests;
