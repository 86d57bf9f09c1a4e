//! `preamble`: the bytes begin a connection that another proxy opened. However they come, they are read the
//! same; nothing behind a header is taken; and what is understood can be written and read again.

use anyhow::{Result, ensure};
use proxy::preamble::{Read, Version, Wrong, read, write};

/// Reads a header in the pieces it asks for, and looks at what every beginning of it says.
///
/// # Errors
/// Says what cannot be.
pub fn preamble(bytes: &[u8]) -> Result<()> {
    let (mut have, mut found) = (0, read(&[]));
    while let Ok(Read::Needs(more)) = found {
        ensure!(more > 0, "needs nothing and is not whole");
        if have + more > bytes.len() {
            break;
        }
        have += more;
        found = read(&bytes[..have]);
    }
    let whole = read(bytes);
    match found {
        Ok(Read::Whole(_)) => ensure!(
            whole == found,
            "what follows changes {found:?} to {whole:?}"
        ),
        Ok(Read::Needs(_)) => {}
        Err(_) => ensure!(
            whole.is_err(),
            "taken whole and refused in pieces: {found:?}"
        ),
    }
    for end in 0..have {
        let early = read(&bytes[..end]);
        ensure!(
            !matches!(early, Ok(Read::Whole(_))),
            "whole before its end, at {end}"
        );
        if let (Ok(Read::Whole(_)), Ok(Read::Needs(more))) = (found, early) {
            ensure!(end + more <= have, "asks for what is behind it, at {end}");
        }
        if found.is_ok() {
            ensure!(early.is_ok(), "{early:?} at {end} and then {found:?}");
        }
    }
    let Ok(Read::Whole(Some(ends))) = found else {
        return Ok(());
    };
    for version in [Version::V1, Version::V2] {
        let mut again = Vec::new();
        write(version, Some(ends), &mut again);
        let again = read(&again);
        let Ok(Read::Whole(Some(same))) = again else {
            anyhow::bail!("{ends:?} is written as {again:?}");
        };
        ensure!(
            same.source.ip().to_canonical() == ends.source.ip().to_canonical()
                && same.destination.port() == ends.destination.port(),
            "{ends:?} became {same:?}"
        );
    }
    ensure!(Wrong::ALL.len() == 4, "a reason without a metric");
    Ok(())
}
