//! `sql`: the bytes are how a session reads its texts, and a statement. What is said of it does not
//! change with what no server looks at, and a replica never gets what another reader finds unfit.

use anyhow::{Result, ensure};
use sqlproxy::lexer::{Dialect, Multibyte, Parts, Route, assignments, classify};

use super::reader::Reader;

/// Classifies a statement, and others that mean the same.
///
/// # Errors
/// Says what cannot be.
pub fn sql(bytes: &[u8]) -> Result<()> {
    let mut reader = Reader(bytes);
    let how = reader.byte();
    let dialect = Dialect {
        ansi_quotes: how & 1 == 1,
        no_backslash: how & 2 == 2,
        multibyte: match how >> 2 & 3 {
            0 => Multibyte::Safe,
            1 => Multibyte::Sjis,
            2 => Multibyte::Gbk,
            _ => Multibyte::Big5,
        },
    };
    let text = reader.0;
    let told = classify(text, dialect, true);
    let cut = classify(text, dialect, false);
    ensure!(
        cut.route != Route::Any,
        "what is not seen whole goes to a replica"
    );
    if let Some(blank) = &told.blank {
        ensure!(
            text.get(blank.clone()).is_some(),
            "blanks what is not there"
        );
    }
    ensure!(assignments(text, dialect).count() <= text.len());
    let before = [b" /* x */ -- y\n\t;".as_slice(), text].concat();
    let again = classify(&before, dialect, true);
    let what =
        |told: &sqlproxy::lexer::Statement| (told.class, told.reason, told.route, told.traits);
    ensure!(
        what(&again) == what(&told),
        "{told:?}, and behind a comment {again:?}"
    );
    let parts: Vec<_> = Parts::of(text, dialect).collect();
    if told.route == Route::Any {
        ensure!(
            parts.len() == 1,
            "{} statements go to a replica",
            parts.len()
        );
        alone(text)?;
    }
    Ok(())
}

/// A replica's statement begins, after signs and comments, with one of a few words.
fn alone(text: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let has = |word: &str| text.contains(word);
    let begins = [
        "select", "with", "show", "desc", "explain", "table", "values", "help", "analyze",
    ];
    let is_start = has("start") && has("read") && has("only");
    ensure!(begins.iter().any(|word| has(word)) || is_start, "{text}");
    Ok(())
}
