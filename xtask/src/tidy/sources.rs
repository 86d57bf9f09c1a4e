//! Rules on single files: introductions, lengths, allowed lints, paths of a machine.
//!
//! Not here: words (`glossary`) and manifests (`manifests`).

use super::{Checked, File};

/// A file longer than this is two rooms.
const LONGEST: usize = 500;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// Directories that exist on the writer's machine only, in two halves: this file is checked too.
const MACHINE: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Use", "rs/"),
];

/// Every `.rs` begins with `//!`, but for those whose place says it all.
pub(super) fn introductions(files: &[File]) -> Checked {
    let rust = files
        .iter()
        .filter(|file| file.is_rust() && !is_plain(file));
    check(rust, |file| {
        let introduced = file.text.starts_with("//!");
        (!introduced)
            .then(|| file.at(1, "begin with `//!`: what it is for, then what is not here"))
            .into_iter()
            .collect()
    })
}

/// Fuzz targets, build scripts and test modules.
fn is_plain(file: &File) -> bool {
    matches!(file.name(), "build.rs" | "tests.rs")
        || file
            .path
            .split('/')
            .any(|part| matches!(part, "fuzz" | "fuzz_targets"))
}

/// No `.rs` is longer than [`LONGEST`], but for [`LONG`].
pub(super) fn lengths(files: &[File]) -> Checked {
    let rust = files.iter().filter(|file| file.is_rust());
    check(rust, |file| {
        let lines = file.text.lines().count();
        let known = LONG.iter().any(|(path, _)| *path == file.path);
        let long = format!("{lines} lines; split what has more than {LONGEST} by its nouns");
        (lines > LONGEST && !known)
            .then(|| file.at(LONGEST, &long))
            .into_iter()
            .collect()
    })
}

/// No `#[allow]`: `#[expect]` says why, and complains once it is not needed.
pub(super) fn allows(files: &[File]) -> Checked {
    let rust = files.iter().filter(|file| file.is_rust());
    check(rust, |file| {
        file.lines()
            .filter(|(_, line)| is_allow(line.trim_start()))
            .map(|(at, _)| file.at(at, "write `#[expect(lint, reason = \"…\")]`"))
            .collect()
    })
}

fn is_allow(line: &str) -> bool {
    let attribute = line.strip_prefix("#![").or_else(|| line.strip_prefix("#["));
    attribute.is_some_and(|rest| {
        rest.starts_with("allow(") || (rest.starts_with("cfg_attr(") && rest.contains(" allow("))
    })
}

/// No path of the machine this was written on, in any text.
pub(super) fn machine_paths(files: &[File]) -> Checked {
    let needles = MACHINE
        .iter()
        .map(|(a, b)| format!("{a}{b}"))
        .collect::<Vec<_>>();
    check(files.iter(), |file| {
        file.lines()
            .filter(|(_, line)| needles.iter().any(|needle| holds(line, needle)))
            .map(|(at, _)| file.at(at, "a path of one machine: others have no such directory"))
            .collect()
    })
}

/// Whether `path` occurs in `line` as the beginning of a path.
fn holds(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-.~}>".contains(c))
    })
}

fn check<'a>(
    files: impl Iterator<Item = &'a File>,
    rule: impl Fn(&File) -> Vec<String>,
) -> Checked {
    files.fold(Checked::default(), |mut checked, file| {
        checked.looked_at += 1;
        checked.findings.extend(rule(file));
        checked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&[File]) -> Checked, path: &str, text: &str) -> usize {
        rule(&[File {
            path: path.to_owned(),
            text: text.to_owned(),
        }])
        .findings
        .len()
    }

    #[test]
    fn an_introduction_comes_first() {
        assert_eq!(
            found(introductions, "a/src/lib.rs", "//! What for.\nfn a() {}\n"),
            0
        );
        assert_eq!(
            found(introductions, "a/src/lib.rs", "use b;\n//! What for.\n"),
            1
        );
        assert_eq!(found(introductions, "a/src/lib.rs", ""), 1);
        for plain in [
            "a/build.rs",
            "a/src/b/tests.rs",
            "a/fuzz/fuzz_targets/parse.rs",
        ] {
            assert_eq!(found(introductions, plain, "fn main() {}\n"), 0, "{plain}");
        }
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(found(lengths, "a.rs", &"\n".repeat(LONGEST)), 0);
        assert_eq!(found(lengths, "a.rs", &"\n".repeat(LONGEST + 1)), 1);
        assert_eq!(found(lengths, "a.md", &"\n".repeat(LONGEST + 1)), 0);
        assert!(LONG.iter().all(|(_, reason)| !reason.is_empty()));
    }

    #[test]
    fn allows_are_found_and_expects_are_not() {
        for text in [
            "#[allow(dead_code)]",
            "  #![allow(a)]",
            "#[cfg_attr(test, allow(a))]",
        ] {
            assert_eq!(found(allows, "a.rs", text), 1, "{text}");
        }
        for text in [
            "#[expect(a, reason = \"b\")]",
            "// no #[allow(a)] here",
            "[allow(a)]",
        ] {
            assert_eq!(found(allows, "a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn machine_paths_are_found_as_whole_directories() {
        let machine = MACHINE[0].0.to_owned() + MACHINE[0].1;
        for text in [
            format!("see {machine}main"),
            format!("\"{machine}x\""),
            machine.clone(),
        ] {
            assert_eq!(found(machine_paths, "a.md", &text), 1, "{text}");
        }
        for text in [
            format!("target{machine}x"),
            format!("..{machine}x"),
            "/workers/".to_owned(),
        ] {
            assert_eq!(found(machine_paths, "a.md", &text), 0, "{text}");
        }
    }
}
