//! The recordings, shown to a follower in every way that a socket could.
//!
//! Not here: how they were made.

use anyhow::{Context as _, Result, ensure};
use sqlproxy::wire::auth::Plugin;
use sqlproxy::wire::handshake::Greeting;
use sqlproxy::wire::reply::{Packet, Step};
use sqlproxy::wire::track::Change;
use sqlproxy::wire::{Capabilities, Command, Follower};

use crate::exchanges::{self, Exchange};
use crate::golden::Session;
use crate::record::expect;

/// Follows an answer whose bytes come up to these cuts first. Gives what the packets were.
fn follow(
    exchange: &Exchange,
    capabilities: Capabilities,
    pieces: &[Vec<u8>],
    cuts: &[usize],
) -> Result<(Follower, Vec<String>)> {
    let shape = Command::read(&exchange.payload)?.shape();
    let mut follower = Follower::new(shape, capabilities, 1);
    let mut told = Vec::new();
    for (nth, piece) in pieces.iter().enumerate() {
        let (mut from, mut passed) = (0, 0);
        let ends = cuts.iter().copied().chain([piece.len()]);
        let mut ends = ends.filter(|&cut| cut <= piece.len());
        let mut to = ends.next().context("an end")?;
        loop {
            match follower.step(&piece[from..to])? {
                Step::Need(more) => {
                    ensure!(
                        more > to - from || more == 1 && to == from,
                        "enough was there"
                    );
                    match ends.next() {
                        Some(next) => to = next,
                        None => break,
                    }
                }
                Step::Pass(len) => {
                    ensure!(len > 0 && from + len <= to);
                    from += len;
                    passed += len;
                }
                Step::Packet { len, packet, .. } => {
                    told.push(format!("{packet:?}"));
                    from += len;
                    passed += len;
                }
                Step::Wait => {
                    ensure!(nth + 1 < pieces.len(), "no more of {}", exchange.name);
                    let packets = if exchange.file.is_empty() { 1 } else { 2 };
                    follower.resume(pieces[nth + 1][3]);
                    ensure!(pieces[nth + 1][3] == 2 + packets);
                    break;
                }
                Step::Done => break,
            }
        }
        ensure!(passed == piece.len(), "{passed} of {} bytes", piece.len());
    }
    ensure!(follower.is_done(), "{} does not end", exchange.name);
    Ok((follower, told))
}

fn every_exchange(
    mut check: impl FnMut(&Exchange, Capabilities, &[Vec<u8>]) -> Result<()>,
) -> Result<()> {
    for (name, capabilities) in exchanges::sessions() {
        let session = Session::read(name)?;
        let greeting = Greeting::read(&session.greeting)?;
        let all = exchanges::all(&greeting.nonce);
        ensure!(all.len() == session.answers.len(), "record anew");
        for (exchange, (recorded, pieces)) in all.iter().zip(&session.answers) {
            ensure!(exchange.name == recorded, "record anew");
            check(exchange, capabilities, pieces).with_context(|| format!("{name}: {recorded}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_answer_ends_where_the_server_ended_it_and_says_what_it_said() -> Result<()> {
    every_exchange(|exchange, capabilities, pieces| {
        let (follower, _) = follow(exchange, capabilities, pieces, &[])?;
        expect(exchange, &follower)
    })
}

#[test]
fn cuts_change_nothing() -> Result<()> {
    every_exchange(|exchange, capabilities, pieces| {
        let (whole, told) = follow(exchange, capabilities, pieces, &[])?;
        let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
        let every: Vec<usize> = (0..longest).collect();
        let one_cut = (0..longest).map(|cut| vec![cut]);
        for cuts in one_cut.chain([every]) {
            let (cut, told_cut) = follow(exchange, capabilities, pieces, &cuts)?;
            ensure!(cut.tally() == whole.tally(), "{cuts:?}");
            ensure!(told_cut == told, "{cuts:?}");
        }
        Ok(())
    })
}

#[test]
fn what_follows_an_answer_is_not_taken_for_a_part_of_it() -> Result<()> {
    every_exchange(|exchange, capabilities, pieces| {
        let mut longer = pieces.to_vec();
        let last = longer.last_mut().context("a piece")?;
        let len = last.len();
        last.extend_from_slice(b"\x07\0\0\x01\0\0\0\x02\0\0\0");
        let result = follow(exchange, capabilities, &longer, &[]);
        let error = result.err().context("the next answer was taken too")?;
        ensure!(
            error.to_string() == format!("{len} of {} bytes", len + 11),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn a_packet_out_of_turn_is_noticed() -> Result<()> {
    every_exchange(|exchange, capabilities, pieces| {
        let mut wrong = pieces.to_vec();
        if let Some(sequence) = wrong[0].get_mut(3) {
            *sequence ^= 1;
            let result = follow(exchange, capabilities, &wrong, &[]);
            ensure!(result.is_err(), "taken all the same");
        }
        Ok(())
    })
}

#[test]
fn the_greeting_is_that_of_mariadb() -> Result<()> {
    let session = Session::read("modern")?;
    let greeting = Greeting::read(&session.greeting)?;
    ensure!(greeting.version.starts_with(b"5.5.5-10.11."));
    ensure!(Plugin::named(&greeting.plugin) == Some(Plugin::Native));
    // MariaDB leaves this one out, and says so in the extended ones.
    ensure!(!greeting.capabilities.has(Capabilities::MYSQL));
    ensure!(
        greeting
            .capabilities
            .has(Capabilities::BULK | Capabilities::CACHE_METADATA)
    );
    let mut out = Vec::new();
    greeting.put(&mut out);
    ensure!(
        out == session.greeting,
        "written otherwise than MariaDB does"
    );
    Ok(())
}

#[test]
fn session_tracking_tells_of_gtids_variables_and_the_schema() -> Result<()> {
    let mut told = Vec::new();
    every_exchange(|exchange, capabilities, pieces| {
        let shape = Command::read(&exchange.payload)?.shape();
        let mut follower = Follower::new(shape, capabilities, 1);
        if let Step::Packet {
            packet: Packet::Ok { ok, .. },
            ..
        } = follower.step(&pieces[0])?
        {
            for change in ok.changes.iter() {
                match change? {
                    Change::Variable { name, value } => {
                        let name = String::from_utf8_lossy(name);
                        let value = String::from_utf8_lossy(value);
                        let value = if name == "last_gtid" {
                            "0-1-N".into()
                        } else {
                            value
                        };
                        told.push(format!("{}: {name}={value}", exchange.name));
                    }
                    Change::Schema(name) => {
                        let name = String::from_utf8_lossy(name);
                        told.push(format!("{}: use {name}", exchange.name));
                    }
                    Change::State(true) => told.push(format!("{}: changed", exchange.name)),
                    Change::Characteristics(text) => {
                        let text = String::from_utf8_lossy(text);
                        told.push(format!("{}: {text:?}", exchange.name));
                    }
                    Change::State(false) | Change::Gtids(_) => {}
                    Change::Transaction(_) | Change::Other(..) => {}
                }
            }
        }
        Ok(())
    })?;
    for line in [
        "init db: use viaduct_record",
        "insert: last_gtid=0-1-N",
        "set autocommit: autocommit=OFF",
        "use: use information_schema",
        "a user variable: changed",
        "a temporary table: changed",
        "a text prepared: changed",
        "a call that sets: changed",
        "an untracked variable: changed",
        "read only: \"START TRANSACTION READ ONLY;\"",
    ] {
        ensure!(
            told.iter().any(|told| told == line),
            "{line}\nis not in\n{}",
            told.join("\n")
        );
    }
    // What only the text tells: MariaDB says nothing of these.
    for silent in [
        "a user variable in a select",
        "a user variable by into",
        "a lock",
    ] {
        let is_silent = told
            .iter()
            .all(|told| !told.starts_with(&format!("{silent}:")));
        ensure!(is_silent, "{silent} is told now: {}", told.join("\n"));
    }
    Ok(())
}
