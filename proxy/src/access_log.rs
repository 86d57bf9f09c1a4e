//! The access log: a line for each request, in the format of Apache and nginx or as JSON.
//!
//! Each thread writes lines into memory and hands them over a block at a time to one that has the file.
//! If that falls behind, lines are lost and counted: a slow disk does not slow clients. Not here: which
//! requests.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use crate::config::{Log, LogFormat};

/// Bytes that a thread gathers before it hands them over.
const BLOCK: usize = 32 << 10;
/// Blocks that may wait for the file.
const BLOCKS_MAX: usize = 64;

/// What a line tells.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Whose request it was.
    pub client: IpAddr,
    /// When it was answered, as the format has it, without fractions.
    pub time: &'a str,
    /// The method, the target and the version, as they came; empty if they could not be read.
    pub method: &'a [u8],
    /// See `method`.
    pub target: &'a [u8],
    /// See `method`.
    pub version: &'a str,
    /// The host it was for.
    pub host: &'a [u8],
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub agent: &'a [u8],
    /// How long it took.
    pub took: Duration,
    /// Its route.
    pub route: &'a str,
    /// The server that answered.
    pub server: Option<SocketAddr>,
    /// How often it was sent again.
    pub retries: u8,
    /// By what it is known.
    pub id: &'a [u8],
    /// What its limits said, and the zone that did; if any applied.
    pub limit: Option<(&'a str, &'a str)>,
}

impl Entry<'_> {
    /// Writes the line.
    ///
    /// # Errors
    /// Writing into memory never fails.
    pub fn write(&self, format: LogFormat, out: &mut Vec<u8>) -> io::Result<()> {
        match format {
            LogFormat::Combined => self.combined(out),
            LogFormat::Json => self.json(out),
        }
    }

    fn combined(&self, out: &mut Vec<u8>) -> io::Result<()> {
        write!(out, "{} - - [{}] \"", self.client, self.time)?;
        escaped(self.method, out)?;
        out.push(b' ');
        escaped(self.target, out)?;
        write!(out, " {}\" {} {} \"", self.version, self.status, self.sent)?;
        escaped(or_dash(self.referer), out)?;
        out.extend_from_slice(b"\" \"");
        escaped(or_dash(self.agent), out)?;
        out.extend_from_slice(b"\"\n");
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        write!(
            out,
            "{{\"time\":\"{}Z\",\"client\":\"{}\"",
            self.time, self.client
        )?;
        let texts = [
            ("method", self.method),
            ("host", self.host),
            ("target", self.target),
            ("route", self.route.as_bytes()),
            ("request_id", self.id),
            ("referer", self.referer),
            ("user_agent", self.agent),
        ];
        for (name, text) in texts {
            write!(out, ",\"{name}\":\"")?;
            json_text(text, out)?;
            out.push(b'"');
        }
        write!(
            out,
            ",\"status\":{},\"bytes\":{},\"microseconds\":{},\"retries\":{}",
            self.status,
            self.sent,
            self.took.as_micros(),
            self.retries
        )?;
        if let Some(server) = self.server {
            write!(out, ",\"server\":\"{server}\"")?;
        }
        if let Some((word, zone)) = self.limit {
            write!(out, ",\"limit\":\"{word}\",\"zone\":\"{zone}\"")?;
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

/// As nginx does: what could end the field or the line becomes `\xNN`.
fn escaped(text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let is_plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| !is_plain(b)) {
        out.extend_from_slice(&rest[..at]);
        write!(out, "\\x{:02X}", rest[at])?;
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Bytes that are no UTF-8 come out as Latin-1: JSON has no other way.
fn json_text(text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    Ok(())
}

enum Message {
    Lines(Vec<u8>),
    Reopen,
}

/// A way to the file; each thread has its own lines in memory.
#[derive(Clone, Debug)]
pub struct Writer(SyncSender<Message>);

impl Writer {
    /// Opens the log and starts the thread that writes it; it ends when the last writer is dropped and
    /// everything is written.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(log: &Log) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let sink = Sink::open(log.file.as_deref())?;
        let (sender, messages) = sync_channel(BLOCKS_MAX);
        let path = log.file.clone();
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(sink, path.as_ref(), &messages))?;
        Ok((Self(sender), thread))
    }

    /// Opens the file again by its name: it was moved away.
    pub fn reopen(&self) {
        // A full queue is being written: it will be asked again.
        drop(self.0.try_send(Message::Reopen));
    }

    /// Hands over a block of lines; gives how many were lost.
    fn send(&self, lines: Vec<u8>) -> u64 {
        match self.0.try_send(Message::Lines(lines)) {
            Ok(()) => 0,
            Err(
                TrySendError::Full(Message::Lines(lines))
                | TrySendError::Disconnected(Message::Lines(lines)),
            ) => lines.iter().filter(|&&b| b == b'\n').count() as u64,
            Err(
                TrySendError::Full(Message::Reopen) | TrySendError::Disconnected(Message::Reopen),
            ) => 0,
        }
    }
}

enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::File(file))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(lines),
            Self::File(file) => file.write_all(lines),
        }
    }
}

fn write_all(mut sink: Sink, path: Option<&PathBuf>, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            Message::Lines(lines) => {
                if let Err(error) = sink.write(&lines) {
                    tracing::error!(%error, "the access log cannot be written");
                }
            }
            Message::Reopen => match Sink::open(path.map(PathBuf::as_path)) {
                Ok(fresh) => sink = fresh,
                Err(error) => tracing::error!(%error, "the access log cannot be opened again"),
            },
        }
    }
}

/// The lines of one thread that are not handed over yet.
#[derive(Debug)]
pub struct Lines {
    writer: Writer,
    format: LogFormat,
    text: Vec<u8>,
}

impl Lines {
    /// No lines yet.
    #[must_use]
    pub fn new(writer: Writer, format: LogFormat) -> Self {
        Self {
            writer,
            format,
            text: Vec::with_capacity(BLOCK + (4 << 10)),
        }
    }

    /// How lines are written.
    #[must_use]
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// Adds a line; gives how many were lost.
    pub fn add(&mut self, entry: &Entry<'_>) -> u64 {
        // Writing into memory never fails.
        drop(entry.write(self.format, &mut self.text));
        match self.text.len() >= BLOCK {
            true => self.flush(),
            false => 0,
        }
    }

    /// Hands over what there is; gives how many lines were lost.
    pub fn flush(&mut self) -> u64 {
        if self.text.is_empty() {
            return 0;
        }
        let fresh = Vec::with_capacity(BLOCK + (4 << 10));
        self.writer.send(std::mem::replace(&mut self.text, fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        time: "06/Nov/1994:08:49:37 +0000",
        method: b"GET",
        target: b"/a\"b",
        version: "HTTP/1.1",
        host: b"www.example.com",
        status: 200,
        sent: 5,
        referer: b"",
        agent: b"curl\\\x01",
        took: Duration::from_micros(1500),
        route: "site",
        server: None,
        retries: 1,
        id: b"00",
        limit: None,
    };

    fn line(entry: &Entry<'_>, format: LogFormat) -> String {
        let mut out = vec![];
        entry.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn combined_is_that_of_apache_and_nothing_breaks_out_of_its_field() {
        assert_eq!(
            line(&ENTRY, LogFormat::Combined),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a\\x22b HTTP/1.1\" 200 5 \"-\" \
             \"curl\\x5C\\x01\"\n"
        );
    }

    #[test]
    fn json_is_json() {
        let entry = Entry {
            server: Some(([10, 0, 0, 1], 80).into()),
            limit: Some(("DELAYED", "login")),
            ..ENTRY
        };
        let text = line(&entry, LogFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["target"], "/a\"b");
        assert_eq!(value["user_agent"], "curl\\\u{1}");
        assert_eq!(value["server"], "10.0.0.1:80");
        assert_eq!(value["microseconds"], 1500);
        assert_eq!(
            (&value["limit"], &value["zone"]),
            (&"DELAYED".into(), &"login".into())
        );
    }

    #[test]
    fn a_queue_that_is_full_loses_lines_and_says_how_many() {
        let (sender, _kept) = sync_channel(1);
        let mut lines = Lines::new(Writer(sender), LogFormat::Combined);
        assert_eq!(lines.add(&ENTRY), 0);
        assert_eq!(lines.flush(), 0);
        assert_eq!(lines.add(&ENTRY) + lines.add(&ENTRY), 0);
        assert_eq!(lines.flush(), 2);
    }
}
