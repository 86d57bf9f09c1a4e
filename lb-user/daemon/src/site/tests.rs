//! Reading files of every kind.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A directory of the test's own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("viaduct-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let scratch = Scratch::new("read");
    let path = |name: &str| scratch.0.join(name);
    let message = |name: &str| {
        let text = read(&path(name)).unwrap_err().to_string();
        text.replace(&scratch.0.display().to_string(), "DIR")
    };
    assert_eq!(message("absent.toml"), "DIR/absent.toml: no such file");
    assert_eq!(message(""), "DIR/: not a regular file");
    fs::write(path("latin1.toml"), b"a = 1\nb = \"\xe9\"\n").unwrap();
    assert_eq!(
        message("latin1.toml"),
        "DIR/latin1.toml: not UTF-8 text: bad byte in line 2"
    );
    assert_eq!(message("latin1.toml/x"), "DIR/latin1.toml/x: no such file");
    fs::write(path("full.toml"), vec![b'#'; 4 << 20]).unwrap();
    assert!(read(&path("full.toml")).is_ok());
    fs::write(path("large.toml"), vec![b'#'; (4 << 20) + 1]).unwrap();
    assert_eq!(
        message("large.toml"),
        "DIR/large.toml: larger than the 4 MiB a site file may have"
    );
    let denied = refine(
        Path::new("x"),
        io::Error::from(io::ErrorKind::PermissionDenied),
    );
    assert_eq!(
        denied.to_string(),
        "x: permission denied; run as root or make it readable"
    );
}

#[test]
fn a_file_is_known_by_its_digest() {
    let scratch = Scratch::new("digest");
    let path = scratch.0.join("a.toml");
    fs::write(&path, "abc").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = read(&path).unwrap();
    assert_eq!(file.source.text(), "abc");
    // FIPS 180-2, appendix B.1.
    assert_eq!(
        file.digest.to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_ne!(file.digest, Digest::of(b"abd"));
}
