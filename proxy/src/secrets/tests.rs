//! Files that can be used and files that cannot, in words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{files::Watched, *};
use crate::config::Certificate;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("viaduct-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, text: &str) -> Named {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        Named { path, span: 0..0 }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Made by `openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj /CN=a.example`, with that name.
const CHAIN: &str = include_str!("tests/a.pem");
const KEY: &str = include_str!("tests/a.key");
/// A key of another certificate.
const OTHER: &str = include_str!("tests/b.key");

fn certificate(chain: Named, key: Named) -> Result<(), String> {
    let files = Certificate {
        chain,
        key,
        names: Vec::new(),
    };
    let read = files::certificate(&files);
    read.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_needs_its_own_key() {
    let dir = Dir::new("pairs");
    let chain = || dir.file("a.pem", CHAIN);
    assert_eq!(certificate(chain(), dir.file("a.key", KEY)), Ok(()));
    for (chain, key, words) in [
        (
            chain(),
            dir.file("b.key", OTHER),
            "b.key: keys may not be consistent",
        ),
        (
            chain(),
            dir.file("c.key", CHAIN),
            "c.key: there is no private key in it",
        ),
        (
            chain(),
            dir.file("d.key", "-----BEGIN PRIVATE KEY-----\n!\n"),
            "d.key: no PEM",
        ),
        (
            dir.file("e.pem", KEY),
            dir.file("a.key", KEY),
            "e.pem: there is no certificate in it",
        ),
        (
            chain(),
            Named {
                path: "/nowhere".into(),
                span: 0..0,
            },
            "/nowhere: No such file",
        ),
    ] {
        let error = certificate(chain, key).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
        assert!(!error.contains("MC4C"), "a key in an error: {error}");
    }
}

#[test]
fn keys_of_tickets_are_a_line_each() {
    let dir = Dir::new("tickets");
    let line = "00".repeat(31) + "fF";
    let text = format!("# the newest\n{line}\n\n{line}\n");
    let keys = tickets::read(&dir.file("good", &text)).unwrap();
    assert_eq!((keys.len(), keys[0][31]), (2, 255));
    for (text, words) in [
        ("", "there is no key in it"),
        (&format!("{line}\nabc\n"), "line 2 is no key"),
        (&"zz".repeat(32), "line 1 is no key"),
    ] {
        let error = tickets::read(&dir.file("bad", text))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_file_has_changed_once_it_rests() {
    let dir = Dir::new("watched");
    let path = |named: Named| named.path;
    let files = vec![path(dir.file("one", "1")), path(dir.file("two", "2"))];
    let mut watched = Watched::new(files.clone());
    assert!(!watched.have_changed());
    replace(&files[0], "another");
    assert!(!watched.have_changed(), "the second may follow");
    replace(&files[1], "another");
    assert!(!watched.have_changed());
    assert!(watched.have_changed());
    assert!(!watched.have_changed(), "once");
    fs::remove_file(&files[0]).unwrap();
    assert!(!watched.have_changed());
    assert!(watched.have_changed(), "that it is gone is told as well");
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}
