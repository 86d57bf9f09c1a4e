//! A server as the judge of the scanner: where it finds the end of a statement, so do we. Random texts
//! of quotes, backslashes, comments and halves of characters, in every sql_mode and character set that
//! changes how they are read; those that the server executes have as many results as we have parts.
//!
//! Not here: the default run; it is ignored there, for want of a server.

use anyhow::{Context as _, Result, ensure};
use sqlproxy::lexer::{Class, Dialect, Multibyte, Parts};

use crate::exchanges::{self, Exchange};
use crate::record::Client;

const PIECES: &[&[u8]] = &[
    b"'",
    b"'",
    b"\"",
    b"\"",
    b"`",
    b"\\",
    b"\\'",
    b"''",
    b"a",
    b" ",
    b";",
    b"; SELECT 2",
    b", 3",
    b"/*",
    b"*/",
    b"/*!",
    b"/*!40101 ",
    b"/*!99999 ",
    b"/*M!100100 ",
    b"-- ",
    b"--",
    b"#",
    b"\n",
    b"\xbf\x5c",
    b"\x95\x5c",
    b"\xa5\x5c",
    b"\xbf",
    b"\x81\x30",
    b"@a",
    b"@`b`",
    b"1e-5",
    b"0x41",
    b"AS ",
    b"COUNT(",
    b")",
    b"?",
    b"5--1",
];

fn query(text: &[u8]) -> Exchange {
    Exchange {
        name: "a random text",
        payload: [b"\x03", text].concat(),
        file: b"",
        expect: (0, 0, None),
    }
}

/// The next of a row of numbers.
fn next(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed % 1_000_003).unwrap_or(0)
}

#[test]
#[ignore = "needs a server: see the head of main.rs"]
fn statements_end_where_the_server_ends_them() -> Result<()> {
    let address =
        std::env::var("VIADUCT_SQL_RECORD").context("VIADUCT_SQL_RECORD names no server")?;
    let (_, capabilities) = exchanges::sessions()[0];
    let mut client = Client::knock(&address, capabilities)?;
    let charsets = [
        ("utf8mb4", Multibyte::Safe),
        ("latin1", Multibyte::Safe),
        ("gbk", Multibyte::Gbk),
        ("sjis", Multibyte::Sjis),
        ("big5", Multibyte::Big5),
    ];
    let (mut seed, mut judged, mut several) = (0x9e37_79b9_7f4a_7c15, 0, 0);
    for mode in 0..4 {
        let (ansi_quotes, no_backslash) = (mode & 1 == 1, mode & 2 == 2);
        let ansi = if ansi_quotes { "ANSI_QUOTES," } else { "" };
        let slash = if no_backslash {
            "NO_BACKSLASH_ESCAPES"
        } else {
            ""
        };
        client.ask(&query(format!("SET sql_mode='{ansi}{slash}'").as_bytes()))?;
        for (charset, multibyte) in charsets {
            client.ask(&query(format!("SET NAMES {charset}").as_bytes()))?;
            let dialect = Dialect {
                ansi_quotes,
                no_backslash,
                multibyte,
            };
            for _ in 0..4_000 {
                let mut text = b"SELECT 1 ".to_vec();
                for _ in 0..1 + next(&mut seed) % 9 {
                    text.extend_from_slice(PIECES[next(&mut seed) % PIECES.len()]);
                }
                let (_, follower) = client.ask(&query(&text))?;
                let tally = follower.tally();
                if tally.error.is_some() {
                    continue;
                }
                let parts: Vec<_> = Parts::of(&text, dialect).collect();
                let shown = String::from_utf8_lossy(&text);
                let results = usize::try_from(tally.results)?;
                // What only some versions execute is said to be so, and is nobody's to count.
                let is_known = parts.iter().all(|(_, told)| told.class != Class::Unknown);
                // Comments alone behind a `;` are an empty statement to MariaDB, and none to us.
                let longer = [&*text, b"\nSELECT 9"].concat();
                let is_open = Parts::of(&longer, dialect).count() == parts.len() + 1;
                let most = parts.len() + usize::from(is_open);
                ensure!(
                    !is_known || (parts.len()..=most).contains(&results),
                    "{charset}, mode {mode}: {results} results of {} parts: {shown:?} {text:x?}",
                    parts.len()
                );
                judged += 1;
                several += usize::from(results > 1);
            }
        }
    }
    ensure!(
        judged > 5_000 && several > 300,
        "{judged} texts, {several} of several"
    );
    eprintln!("{judged} texts, {several} of several");
    Ok(())
}
