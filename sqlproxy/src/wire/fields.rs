//! Integers and strings as packets have them: fixed length, length-encoded, to the next NUL, or to
//! the end of the packet.
//!
//! Source: MySQL's "Protocol Basics, Data Types". Not here: what the fields mean.

use super::WireError;

/// The rest of a packet, read field by field.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// Of a payload; `what` is what errors call the packet.
    #[must_use]
    pub fn new(payload: &'a [u8], what: &'static str) -> Self {
        Self {
            rest: payload,
            what,
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without taking it.
    #[must_use]
    pub fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`], as all of these, where there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        if len > self.rest.len() {
            return Err(WireError::Truncated(self.what));
        }
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(WireError::Truncated(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, little-endian as all integers of this protocol.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length-encoded integer. `0xfb` (NULL in a text row) and `0xff` (an ERR packet) are none.
    ///
    /// # Errors
    /// As [`Fields::bytes`], or [`WireError::Unexpected`].
    pub fn lenenc(&mut self) -> Result<u64, WireError> {
        match self.u8()? {
            small @ 0..=0xfa => Ok(u64::from(small)),
            0xfc => self.u16().map(u64::from),
            0xfd => {
                let [a, b, c] = self.array()?;
                Ok(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xfe => self.u64(),
            byte @ (0xfb | 0xff) => Err(WireError::Unexpected(self.what, byte)),
        }
    }

    /// A string after its length-encoded length.
    ///
    /// # Errors
    /// As [`Fields::lenenc`].
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.lenenc()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.bytes(len)
    }

    /// A string up to the next NUL, which is taken too.
    ///
    /// # Errors
    /// As [`Fields::bytes`], where there is no NUL.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.rest).ok_or(WireError::Truncated(self.what))?;
        let taken = self.bytes(end)?;
        self.bytes(1)?;
        Ok(taken)
    }

    /// A string up to the next NUL or to the end: servers leave the last NUL out now and then.
    pub fn nul_or_rest(&mut self) -> &'a [u8] {
        self.nul_bytes().unwrap_or_else(|_| self.rest())
    }
}

/// Appends a length-encoded integer.
pub fn put_lenenc(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xfa => out.push(bytes[0]),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Appends a string after its length-encoded length.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, text: &[u8]) {
    put_lenenc(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends a string and a NUL. What stands behind a NUL in `text` is left out: it would become the
/// next field.
pub fn put_nul_bytes(out: &mut Vec<u8>, text: &[u8]) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    out.extend_from_slice(&text[..end]);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_change_their_form_where_the_protocol_says() {
        for (value, bytes) in [
            (0xfa, 1),
            (0xfb, 3),
            (0xffff, 3),
            (0x1_0000, 4),
            (0xff_ffff, 4),
            (0x100_0000, 9),
        ] {
            let mut out = Vec::new();
            put_lenenc(&mut out, value);
            assert_eq!(out.len(), bytes, "{value:#x}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        let lenenc = |bytes: &[u8]| Fields::new(bytes, "x").lenenc();
        assert_eq!(lenenc(&[0xfb]), Err(WireError::Unexpected("x", 0xfb)));
        assert_eq!(lenenc(&[0xff]), Err(WireError::Unexpected("x", 0xff)));
        assert_eq!(lenenc(&[0xfc, 1]), Err(WireError::Truncated("x")));
        let huge = [0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let mut fields = Fields::new(&huge, "x");
        assert_eq!(fields.lenenc_bytes(), Err(WireError::Truncated("x")));
    }

    #[test]
    fn a_nul_in_a_name_does_not_start_the_next_field() {
        let mut out = Vec::new();
        put_nul_bytes(&mut out, b"root\0mysql");
        assert_eq!(out, b"root\0");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64, text: Vec<u8>) {
            let mut out = Vec::new();
            put_lenenc(&mut out, value);
            put_lenenc_bytes(&mut out, &text);
            let mut fields = Fields::new(&out, "x");
            prop_assert_eq!(fields.lenenc(), Ok(value));
            prop_assert_eq!(fields.lenenc_bytes(), Ok(&*text));
            prop_assert!(fields.is_empty());
        }
    }
}
