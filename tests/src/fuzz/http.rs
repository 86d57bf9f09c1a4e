//! `http`: the bytes are a stream of requests or an answer, and where reads cut it. What the proxy sends
//! on is the same wherever they do, and a simple reader finds no other messages in it.

use anyhow::{Context as _, Result, ensure};
use proxy::{
    forward::Delivery,
    h1::Version,
    replay::{KEEPS, Message, Replayed, requests, response},
};

/// Plays a stream whole, byte by byte, and cut as the first bytes say.
///
/// # Errors
/// Says what cannot be.
pub fn http(bytes: &[u8]) -> Result<()> {
    let [kind, cut, stream @ ..] = bytes else {
        return Ok(());
    };
    let delivery = match kind & 4 {
        0 => KEEPS,
        _ => Delivery {
            version: Version::Http10,
            keep_alive: false,
        },
    };
    let play = |cuts: &[usize]| match kind & 1 {
        0 => requests(stream, cuts),
        _ => response(stream, cuts, delivery, kind & 2 != 0),
    };
    let whole = play(&[]);
    ensure!(play(&vec![1; stream.len()]) == whole, "byte by byte");
    let step = usize::from(*cut) + 1;
    ensure!(
        play(&vec![step; stream.len() / step]) == whole,
        "cut at {step}"
    );
    if kind & 1 == 0 {
        sound(&whole)?;
    }
    Ok(())
}

/// What any server has to find in requests that were sent on.
fn sound(replayed: &Replayed) -> Result<()> {
    for message in &replayed.messages {
        let lines = one_head(message)?;
        let named = |name: &'static str| {
            let is = move |line: &&String| line.to_ascii_lowercase().starts_with(name);
            lines.iter().filter(is)
        };
        ensure!(named("host:").count() == 1, "not one Host: {lines:?}");
        ensure!(named("connection:").count() <= 1, "several: {lines:?}");
        let lengths: Vec<&String> = named("content-length:").collect();
        let codings = named("transfer-encoding:").count();
        ensure!(lengths.len() + codings <= 1, "several framings: {lines:?}");
        if let Some(line) = lengths.first() {
            let (_, value) = line.split_once(':').context("a line without a colon")?;
            let announced: usize = value.trim().parse()?;
            ensure!(
                announced == message.body.len(),
                "{announced} bytes announced"
            );
        } else {
            ensure!(
                codings == 1 || message.body.is_empty(),
                "an unannounced body"
            );
        }
    }
    Ok(())
}

/// The lines of a head that ends where its message's head ends and nowhere before.
fn one_head(message: &Message) -> Result<Vec<String>> {
    let head = String::from_utf8_lossy(&message.head);
    let head = head
        .strip_suffix("\r\n\r\n")
        .context("a head without an end")?;
    ensure!(!head.contains("\r\n\r\n"), "a head in a head");
    let lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    let is_dirty = |line: &String| line.contains(['\r', '\n', '\0']);
    ensure!(!lines.iter().any(is_dirty), "a line in a line: {lines:?}");
    Ok(lines)
}
