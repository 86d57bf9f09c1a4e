//! One word for each idea: `docs/glossary.md` has tables with the columns `word`, `meaning` and
//! `not`; what stands in `not`, separated by commas (remarks in parentheses are skipped), may not
//! occur as a word of an identifier, comment or text in `.rs` and `.toml` files.
//!
//! Not here: the words themselves, and prose in other files, which may tell of other systems.

use super::{Checked, File};

/// Where the words are.
const GLOSSARY: &str = "docs/glossary.md";

/// Places where a word that is not ours is right: path (or its beginning), word, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("xtask/src/tidy/glossary.rs", VERB, "this list"),
    ("xtask/src/tidy/glossary.rs", KEEPALIVEDS[0], "this list"),
    ("xtask/src/tidy/glossary.rs", KEEPALIVEDS[1], "this list"),
    ("xtask/src/tidy/glossary.rs", KEEPALIVEDS[2], "this list"),
    ("tests/src/lab/keepalived.rs", KEEPALIVEDS[0], ITS_OWN),
    ("tests/src/lab/keepalived.rs", KEEPALIVEDS[1], ITS_OWN),
    ("tests/src/lab/keepalived.rs", KEEPALIVEDS[2], ITS_OWN),
    ("lb-user/src/realserver/", VERB, VERB_IS),
    ("lb-user/src/lib.rs", VERB, VERB_IS),
    ("lb-user/src/preflight/", VERB, VERB_IS),
    ("lb-user/src/bin/viaduct.rs", VERB, VERB_IS),
    ("lb-user/src/datapath/decap.rs", VERB, VERB_IS),
    ("tests/src/lab/", VERB, VERB_IS),
    ("tests/it/", VERB, VERB_IS),
    ("xtask/src/tidy/glossary.rs", PAIR, "this list"),
    ("proxy/src/", PAIR, PAIR_IS),
    ("tests/it/docs/proxy.rs", PAIR, PAIR_IS),
    ("tests/src/lab/proxy.rs", PAIR, PAIR_IS),
    ("xtask/src/tidy/glossary.rs", "discard", "this list"),
    (
        "proxy/src/core/tls/mod.rs",
        "discard",
        "a field of rustls: bytes that are done with",
    ),
    ("xtask/src/tidy/glossary.rs", "slave", "this list"),
    (
        "sqlproxy/",
        "slave",
        "a word of SQL, and of hints that users write",
    ),
    ("tests/src/lab/mariadb", "slave", SQL),
    ("tests/src/lab/mariadb", "heartbeat", SQL),
    ("xtask/src/tidy/glossary.rs", "heartbeat", "this list"),
    ("tests/it/mariadb.rs", "slave", SQL),
    ("tests/it/sqlproxy/", "slave", SQL),
];

/// What servers are told in their own words.
const SQL: &str = "a word of SQL";

/// Words of keepalived's configuration and log.
const KEEPALIVEDS: [&str; 3] = ["advert int", "configuration file", "master state"];
const ITS_OWN: &str = "keepalived's own words";

/// A word of the command line.
const VERB: &str = "realserver";
const VERB_IS: &str = "the command `viaduct realserver`, its room, and who runs it";

/// Two words of the site file that stand beside each other.
const PAIR: &str = "upstream server";
const PAIR_IS: &str = "the table of the servers of an upstream";

/// A word not to be used.
#[derive(Debug, PartialEq)]
struct Banned {
    /// As a sequence of lower-case words.
    words: Vec<String>,
    /// What to write instead.
    instead: String,
}

/// No banned word in Rust or TOML.
pub(super) fn words(files: &[File]) -> Checked {
    let Some(glossary) = files.iter().find(|file| file.path == GLOSSARY) else {
        return Checked {
            looked_at: 0,
            findings: vec![format!("{GLOSSARY}: is missing")],
        };
    };
    let banned = parse(&glossary.text);
    if banned.is_empty() {
        let what = "no table with the columns `word` and `not`, or nothing in it";
        return Checked {
            looked_at: 0,
            findings: vec![glossary.at(1, what)],
        };
    }
    let texts = files
        .iter()
        .filter(|file| file.is_rust() || file.path.ends_with(".toml"));
    texts.fold(Checked::default(), |mut checked, file| {
        checked.looked_at += 1;
        checked.findings.extend(in_file(file, &banned));
        checked
    })
}

fn in_file(file: &File, banned: &[Banned]) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, line) in file.lines() {
        let line = split(line);
        for banned in banned.iter().filter(|banned| occurs(&line, &banned.words)) {
            let word = banned.words.join(" ");
            let allowed = |(path, allowed, _): &(&str, &str, &str)| {
                file.path.starts_with(path) && *allowed == word
            };
            if !ALLOWED.iter().any(allowed) {
                let what = format!("`{word}` is called `{}` here", banned.instead);
                findings.push(file.at(at, &what));
            }
        }
    }
    findings
}

/// Reads the tables of the glossary.
fn parse(text: &str) -> Vec<Banned> {
    let mut columns = None;
    let mut banned = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some(row) = line.strip_prefix('|') else {
            columns = None;
            continue;
        };
        let cells = row
            .trim_end_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>();
        match columns {
            None => columns = Some(find_columns(&cells)),
            Some(Some((word, not))) => {
                banned.extend(read_row(cells.get(word).copied(), cells.get(not).copied()));
            }
            Some(None) => {}
        }
    }
    banned
}

fn find_columns(cells: &[&str]) -> Option<(usize, usize)> {
    let find = |name| {
        cells
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case(name))
    };
    Some((find("word")?, find("not")?))
}

fn read_row(word: Option<&str>, not: Option<&str>) -> Vec<Banned> {
    let instead = word.unwrap_or_default().replace(['`', '*'], "");
    without_remarks(not.unwrap_or_default())
        .split(',')
        .map(split)
        .filter(|words| !words.is_empty())
        .map(|words| Banned {
            words,
            instead: instead.clone(),
        })
        .collect()
}

fn without_remarks(cell: &str) -> String {
    let mut depth = 0_usize;
    cell.chars()
        .filter(|c| {
            depth = match c {
                '(' => depth + 1,
                ')' => depth.saturating_sub(1),
                _ => return depth == 0,
            };
            false
        })
        .collect()
}

/// The words of a line, in lower case: `LoadBalancer`, `load_balancer` and `load balancer` alike.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before: Option<char> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let hump = c.is_uppercase()
            && (before.is_some_and(|b| b.is_lowercase() || b.is_ascii_digit())
                || before.is_some_and(char::is_uppercase)
                    && rest.peek().is_some_and(|next| next.is_lowercase()));
        if hump || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether `banned` occurs in `line` as consecutive words, the last perhaps in the plural.
fn occurs(line: &[String], banned: &[String]) -> bool {
    let Some((last, first)) = banned.split_last() else {
        return false;
    };
    line.windows(banned.len()).any(|window| {
        let Some((window_last, window_first)) = window.split_last() else {
            return false;
        };
        let ending = window_last.strip_prefix(last.as_str());
        window_first == first && matches!(ending, Some("" | "s" | "es"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIZMOS: &str = "# Words\n\n| word | meaning | not |\n|---|---|---|\n\
        | **gadget** | a thing | gizmo, `what sit` (someone's, word) |\n| plain | itself | |\n\n\
        | word | use |\n|---|---|\n| gadget | doohickey |\n";

    fn found(text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        words(&[file(GLOSSARY, GIZMOS), file("a/src/lib.rs", text)]).findings
    }

    #[test]
    fn the_tables_columns_are_read() {
        let banned = parse(GIZMOS);
        let words = banned
            .iter()
            .map(|banned| banned.words.join(" "))
            .collect::<Vec<_>>();
        assert_eq!(
            words,
            ["gizmo", "what sit"],
            "a table without `not` bans nothing"
        );
        assert!(banned.iter().all(|banned| banned.instead == "gadget"));
        let absent = File {
            path: GLOSSARY.to_owned(),
            text: "nothing\n".to_owned(),
        };
        assert_eq!(super::words(&[absent]).looked_at, 0);
    }

    #[test]
    fn words_are_found_however_they_are_written() {
        let texts = [
            "let gizmo = 1;",
            "// Two gizmos.",
            "struct GizmoState;",
            "MY_GIZMO",
            "fn what_sits()",
        ];
        for text in texts {
            let findings = found(text);
            assert_eq!(findings.len(), 1, "{text}");
            assert!(findings[0].starts_with("a/src/lib.rs:1: "), "{findings:?}");
        }
    }

    #[test]
    fn parts_of_words_are_not_words() {
        for text in [
            "gizmology",
            "agizmo",
            "what does it sit on",
            "someone",
            "gadget",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn humps_and_abbreviations_are_split() {
        assert_eq!(
            split("TCPStream of XdpContext"),
            ["tcp", "stream", "of", "xdp", "context"]
        );
        assert_eq!(split("real_server2: vip"), ["real", "server2", "vip"]);
    }
}
