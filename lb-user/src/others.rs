//! What the other daemons make of a site file: their own `check`, run as processes, since each daemon knows
//! its own tables only.
//!
//! Not here: what they check.

use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

/// Tables at the top of a site file, each with the program that reads it.
const READERS: [(&str, &str); 2] = [("proxy", "viaduct-proxy"), ("sqlproxy", "viaduct-sqlproxy")];

/// What came of one program's check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is good; what it says of that, and its warnings.
    Good {
        /// What it says.
        answer: String,
        /// Its warnings, often none.
        warnings: String,
    },
    /// It is not; all mistakes.
    Bad(String),
    /// Nobody can say.
    Unknown(String),
}

/// Has the readers of a site file's other tables check it. One whose tables the file does not have is not
/// asked; of a file that is no TOML there is nothing more to say.
#[must_use]
pub fn check(file: &Path) -> Vec<Said> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let Ok(tables) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let asked = READERS
        .iter()
        .filter(|(table, _)| tables.contains_key(*table));
    asked.map(|reader| ask(file, *reader)).collect()
}

fn ask(file: &Path, (table, program): (&str, &str)) -> Said {
    let unknown = |why: String| {
        Said::Unknown(format!(
            "{}: the table `{table}` is not checked: {why}",
            file.display()
        ))
    };
    let out = match Command::new(beside(program))
        .arg("check")
        .arg(file)
        .output()
    {
        Ok(out) => out,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return unknown(format!(
                "{program} is neither beside this program nor in PATH; check the file on a host that has it"
            ));
        }
        Err(error) => return unknown(format!("{program}: {error}")),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (out.status.success(), out.stderr.is_empty()) {
        (true, _) => Said::Good {
            answer: text(&out.stdout),
            warnings: text(&out.stderr),
        },
        (false, false) => Said::Bad(text(&out.stderr)),
        (false, true) => unknown(format!("{program} ended with {}", out.status)),
    }
}

/// The program of the same installation, else whatever has the name.
fn beside(program: &str) -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    let beside = own.with_file_name(program);
    match beside.is_file() {
        true => beside,
        false => program.into(),
    }
}

/// A report without what another one has told already: all daemons see the mistakes of what they share.
#[must_use]
pub fn new_in(report: &str, told: &str) -> String {
    let parts = |text: &str| text.trim_end().split("\n\n").map(str::to_owned).collect();
    let (parts_told, mut parts): (Vec<String>, Vec<String>) = (parts(told), parts(report));
    let count = parts.pop();
    // Each daemon lists what it knows in an order of its own.
    let what = |part: &str| part.split("= help:").next().map(str::to_owned);
    let told: Vec<_> = parts_told.iter().map(|part| what(part)).collect();
    parts.retain(|part| !told.contains(&what(part)));
    match parts.is_empty() {
        true => String::new(),
        false => {
            parts
                .into_iter()
                .chain(count)
                .collect::<Vec<_>>()
                .join("\n\n")
                + "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again() {
        let own = "a:1: error: x\n  | here\n\na: 1 error\n";
        assert_eq!(new_in(own, own), "");
        let more = "a:1: error: x\n  | here\n\na:2: error: y\n\na: 2 errors\n";
        assert_eq!(new_in(more, own), "a:2: error: y\n\na: 2 errors\n");
        assert_eq!(new_in(more, ""), more);
    }
}
