//! Records the sessions from a server, and shows on the way that logins and answers are understood:
//! a command after an answer that was cut short or read too far would fail.
//!
//! Not here: the default run; it is ignored there, for want of a server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail, ensure};
use sqlproxy::wire::auth::{Plugin, Switch};
use sqlproxy::wire::handshake::{Greeting, Login, Wishes};
use sqlproxy::wire::knock::{Account, Knock, Say};
use sqlproxy::wire::packet::{HEADER, put_message, whole};
use sqlproxy::wire::reply::{Packet, Step};
use sqlproxy::wire::{Capabilities, Command, Follower, Shape};

use crate::exchanges::{self, Exchange};
use crate::golden::Session;

/// A connection and what came of it that was not looked at.
pub(crate) struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
    capabilities: Capabilities,
}

impl Client {
    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 65536];
        let read = self.stream.read(&mut buffer)?;
        ensure!(read > 0, "the server closed the connection");
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    fn payload(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((_, payload, len)) = whole(&self.bytes, 1 << 20, "a packet")? {
                let payload = payload.to_vec();
                self.bytes.drain(..len);
                return Ok(payload);
            }
            self.more()?;
        }
    }

    fn send(&mut self, sequence: u8, payload: &[u8]) -> Result<u8> {
        let mut out = Vec::new();
        let next = put_message(&mut out, sequence, payload);
        self.stream.write_all(&out)?;
        Ok(next)
    }

    fn login(address: &str, capabilities: Capabilities) -> Result<(Self, Vec<u8>, Greeting)> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let bytes = Vec::new();
        let mut client = Self {
            stream,
            bytes,
            capabilities,
        };
        let payload = client.payload()?;
        let greeting = Greeting::read(&payload)?;
        ensure!(
            greeting
                .capabilities
                .has(capabilities.without(Capabilities::MYSQL))
        );
        let login = Login {
            wishes: Wishes {
                capabilities,
                max_packet: 1 << 30,
                collation: 45,
            },
            user: b"viaduct".to_vec(),
            proof: Plugin::Native.proof(exchanges::PASSWORD, &greeting.nonce),
            database: None,
            plugin: Plugin::Native.name().into(),
            attributes: Vec::new(),
        };
        let mut out = Vec::new();
        login.put(&mut out);
        client.send(1, &out)?;
        let answer = client.payload()?;
        ensure!(
            answer[0] == 0,
            "refused: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok((client, payload, greeting))
    }

    /// In the way a proxy does it.
    pub(crate) fn knock(address: &str, pool: Capabilities) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            bytes: Vec::new(),
            capabilities: pool,
        };
        let mut knock = Knock::new(Account {
            user: b"viaduct".to_vec(),
            password: exchanges::PASSWORD.to_vec(),
            database: None,
            collation: 45,
            pool,
            attributes: Vec::new(),
            is_local: false,
            wants_tls: false,
            needs_tls: false,
            takes_key: false,
        });
        let (mut said, mut sequence) = (knock.heard(&client.payload()?)?, 1);
        loop {
            match said {
                Say::In(_) => break,
                Say::Send(packet) => sequence = client.send(sequence, &packet)?,
                Say::Wait => {}
                Say::Tls(_) | Say::Encrypt { .. } => bail!("neither was asked for"),
            }
            said = knock.heard(&client.payload()?)?;
            sequence = sequence.wrapping_add(1);
        }
        client.capabilities = knock.capabilities();
        Ok(client)
    }

    /// Asks, and takes the answer: in pieces, around an upload.
    pub(crate) fn ask(&mut self, exchange: &Exchange) -> Result<(Vec<Vec<u8>>, Follower)> {
        let shape = Command::read(&exchange.payload)?.shape();
        let next = self.send(0, &exchange.payload)?;
        let mut follower = Follower::new(shape, self.capabilities, next);
        let mut pieces = vec![Vec::new()];
        loop {
            let step = follower.step(&self.bytes)?;
            let taken = match step {
                Step::Need(_) => {
                    self.more()?;
                    continue;
                }
                Step::Done => break,
                Step::Wait => bail!("whose turn is it?"),
                Step::Pass(len) | Step::Packet { len, .. } => len,
            };
            // What the client sends then, and under which number.
            let upload = match step {
                Step::Packet {
                    packet, sequence, ..
                } => upload(exchange, &packet)?.map(|packets| (packets, sequence.wrapping_add(1))),
                Step::Need(_) | Step::Pass(_) | Step::Wait | Step::Done => None,
            };
            let last = pieces.last_mut().context("a piece")?;
            last.extend(self.bytes.drain(..taken));
            if let Some((packets, mut sequence)) = upload {
                for packet in packets {
                    sequence = self.send(sequence, &packet)?;
                }
                follower.resume(sequence);
                pieces.push(Vec::new());
            }
        }
        ensure!(self.bytes.is_empty(), "{} bytes too many", self.bytes.len());
        Ok((pieces, follower))
    }
}

/// What a client answers to a packet that wants an answer.
fn upload(exchange: &Exchange, packet: &Packet<'_>) -> Result<Option<Vec<Vec<u8>>>> {
    Ok(match packet {
        Packet::File(_) if exchange.file.is_empty() => Some(vec![Vec::new()]),
        Packet::File(_) => Some(vec![exchange.file.to_vec(), Vec::new()]),
        Packet::Switch(payload) => {
            let switch = Switch::read(payload)?;
            let plugin = Plugin::named(switch.plugin).context("a plugin")?;
            Some(vec![plugin.proof(exchanges::PASSWORD, switch.nonce())])
        }
        Packet::Ok { .. } | Packet::Eof(_) | Packet::Err(_) => None,
        Packet::Prepared(_) | Packet::More(_) => None,
    })
}

/// Whether an answer is what the table says.
pub(crate) fn expect(exchange: &Exchange, follower: &Follower) -> Result<()> {
    let tally = follower.tally();
    let came = (tally.results, tally.rows, tally.error);
    ensure!(
        came == exchange.expect,
        "{}: {came:?} came, due was {:?}",
        exchange.name,
        exchange.expect
    );
    Ok(())
}

#[test]
#[ignore = "needs a server: see the head of main.rs"]
fn record() -> Result<()> {
    let address =
        std::env::var("VIADUCT_SQL_RECORD").context("VIADUCT_SQL_RECORD names no server")?;
    for (name, capabilities) in exchanges::sessions() {
        let (mut client, payload, greeting) = Client::login(&address, capabilities)?;
        let mut session = Session {
            greeting: payload,
            answers: Vec::new(),
        };
        for exchange in exchanges::all(&greeting.nonce) {
            let (pieces, follower) = client.ask(&exchange).context(exchange.name)?;
            expect(&exchange, &follower)?;
            session.answers.push((exchange.name.to_owned(), pieces));
        }
        let version = String::from_utf8_lossy(&greeting.version).into_owned();
        session.write(
            name,
            &format!("{version}, as a client that is {name} sees it"),
        )?;
    }
    Ok(())
}

/// 40 MB in one row: three packets, passed through a buffer that the socket fills.
#[test]
#[ignore = "needs a server: see the head of main.rs"]
fn record_nothing_of_a_row_that_needs_several_packets() -> Result<()> {
    let address =
        std::env::var("VIADUCT_SQL_RECORD").context("VIADUCT_SQL_RECORD names no server")?;
    let (_, capabilities) = exchanges::sessions()[0];
    let mut client = Client::knock(&address, capabilities)?;
    let long = |name, text: &str, expect| Exchange {
        name,
        payload: [b"\x03", text.as_bytes()].concat(),
        file: b"",
        expect,
    };
    for size in [
        0xff_fff0_usize,
        0xff_fffa,
        0xff_fffb,
        0xff_ffff,
        0x100_0000,
        40_000_000,
    ] {
        let text = format!("SELECT REPEAT('x', {size}) UNION ALL SELECT 'y'");
        let exchange = long("a long row", &text, (1, 2, None));
        let (pieces, follower) = client.ask(&exchange)?;
        expect(&exchange, &follower)?;
        ensure!(pieces[0].len() > size + HEADER);
        let text = format!("SELECT LENGTH('{}')", "x".repeat(size));
        let exchange = long("a long query", &text, (1, 1, None));
        let (_, follower) = client.ask(&exchange)?;
        expect(&exchange, &follower)?;
        ensure!(Command::read(b"\x0e")?.shape() == Shape::Short);
    }
    Ok(())
}
