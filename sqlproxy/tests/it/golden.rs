//! Recordings as files: a line each for the greeting, and for each exchange its name and what the
//! server sent, in hexadecimal; before and after an upload where there is one.
//!
//! Not here: what they mean.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// A recorded session.
#[derive(Default)]
pub(crate) struct Session {
    /// The greeting's payload.
    pub(crate) greeting: Vec<u8>,
    /// Names and what came: one piece, or two around an upload.
    pub(crate) answers: Vec<(String, Vec<Vec<u8>>)>,
}

fn path(name: &str) -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.join(format!("tests/golden/{name}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2), "half a byte");
    let digits = |at| text.get(at..at + 2).context("not ASCII");
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(digits(at)?, 16)?))
        .collect()
}

impl Session {
    /// Writes it down.
    pub(crate) fn write(&self, name: &str, about: &str) -> Result<()> {
        let mut text = format!("# {about}\ngreeting: {}\n", hex(&self.greeting));
        for (name, pieces) in &self.answers {
            let pieces: Vec<String> = pieces.iter().map(|piece| hex(piece)).collect();
            writeln!(text, "{name}: {}", pieces.join(" "))?;
        }
        fs::write(path(name), text)?;
        Ok(())
    }

    /// Reads it.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let text =
            fs::read_to_string(path(name)).with_context(|| format!("no recording {name}"))?;
        let mut session = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, bytes) = line.split_once(": ").with_context(|| line.to_owned())?;
            let pieces = bytes.split(' ').map(unhex).collect::<Result<Vec<_>>>()?;
            match name {
                "greeting" => session.greeting = pieces.concat(),
                _ => session.answers.push((name.to_owned(), pieces)),
            }
        }
        ensure!(session.answers.len() > 40, "hardly anything in {name}");
        Ok(session)
    }
}
