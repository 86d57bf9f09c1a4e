//! HTTP/2 written frame by frame (RFC 9113 section 4.1): what no well-behaved client does.
//!
//! Not here: what the proxy has to say to it (`http2`).

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use anyhow::Result;
use tests::lab::{Lab, netns, proxy::PROXY_ADDRESS, topology::CLIENT, wait::SOON};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 section 7).
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub(super) fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Headers as literals without a place in the table (RFC 7541 section 6.2.2).
pub(super) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("a short text");
        assert!(length < 127, "a longer one is written in another way");
        [&[length][..], text.as_bytes()].concat()
    };
    let one = |&(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    headers.iter().flat_map(one).collect()
}

/// A connection to the proxy that has begun with the preface and settings.
pub(super) struct Raw(TcpStream);

impl Raw {
    pub(super) fn connect(lab: &Lab) -> Result<Self> {
        let mut stream = netns::within(&lab.netns(CLIENT), || {
            Ok(TcpStream::connect((PROXY_ADDRESS, 80))?)
        })?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        stream.set_nodelay(true)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        Ok(Self(stream))
    }

    /// The same connection, for another thread.
    pub(super) fn another(&self) -> Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Sends bytes; says whether the proxy still takes them.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<bool> {
        match self.0.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        // Bytes that nobody read any more make a reset of the end.
        if self.0.read_exact(&mut payload).is_err() {
            return Ok(None);
        }
        Ok(Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            payload,
        }))
    }

    /// Reads on until a frame is `wanted`, answering settings and pings.
    pub(super) fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        let mut seen = Vec::new();
        while let Some(frame) = self.next()? {
            if frame.flags & 1 == 0 && matches!(frame.kind, SETTINGS | PING) {
                let payload = if frame.kind == PING {
                    &frame.payload[..]
                } else {
                    &[]
                };
                self.send(&self::frame(frame.kind, 1, 0, payload))?;
            }
            if wanted(&frame) {
                return Ok(frame);
            }
            seen.push(frame);
        }
        anyhow::bail!("the connection ended after {seen:?}")
    }
}
