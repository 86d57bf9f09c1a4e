//! Who could put something else into the place of a program that is run as root: a tracked script, or one
//! that is told of changes.
//!
//! Doubts, not wants: whoever else may write there may be trusted. Looking is apart from judging.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::{Site, TrackTarget};

/// A file or a directory, as its metadata tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its owner's number.
    pub uid: u32,
    /// Its kind and its permissions (`st_mode`).
    pub mode: u32,
}

/// What makes a program doubtful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptDoubt {
    /// It is not there, or cannot be looked at.
    #[error("{} is to be run as root, and cannot be: {error}; put it there, or name another", program.display())]
    Missing {
        /// The program.
        program: PathBuf,
        /// What the host says.
        error: String,
    },
    /// Its owner may change it.
    #[error(
        "{} is run as root, and {} is user {uid}'s: `chown root {}`",
        program.display(), path.display(), path.display()
    )]
    Owned {
        /// The program.
        program: PathBuf,
        /// It, or a directory on its path.
        path: PathBuf,
        /// Whose that is.
        uid: u32,
    },
    /// Others may change it.
    #[error(
        "{} is run as root, and others than root may write to {}: `chmod go-w {}`",
        program.display(), path.display(), path.display()
    )]
    Writable {
        /// The program.
        program: PathBuf,
        /// It, or a directory on its path.
        path: PathBuf,
    },
}

/// Group and others may write.
const SHARED: u32 = 0o022;
/// Of a directory: what is in it may only be replaced by its owner.
const RESTRICTED: u32 = 0o1000;

/// What is doubtful about a program with these on its path, itself among them.
pub fn doubts(program: &Path, entries: &[Entry]) -> Vec<ScriptDoubt> {
    let doubt = |entry: &Entry| {
        let (program, path) = (program.to_owned(), entry.path.clone());
        if entry.uid != 0 {
            let uid = entry.uid;
            return Some(ScriptDoubt::Owned { program, path, uid });
        }
        let is_restricted = entry.path != program && entry.mode & RESTRICTED != 0;
        let is_shared = entry.mode & SHARED != 0 && !is_restricted;
        is_shared.then_some(ScriptDoubt::Writable { program, path })
    };
    entries.iter().filter_map(doubt).collect()
}

/// What is doubtful about the programs that this host runs for its virtual routers.
pub fn doubts_of(site: &Site, host: &str) -> Vec<ScriptDoubt> {
    let found = programs(site, host).into_iter().map(|program| {
        let entries = entries(&program).map_err(|error| ScriptDoubt::Missing {
            program: program.clone(),
            error: error.to_string(),
        });
        match entries {
            Ok(entries) => doubts(&program, &entries),
            Err(missing) => vec![missing],
        }
    });
    found.flatten().collect()
}

/// The programs, each once.
fn programs(site: &Site, host: &str) -> BTreeSet<PathBuf> {
    let mut programs = BTreeSet::new();
    for (router, _) in site.routers_of(host) {
        programs.extend(router.notify.clone());
        for track in site.tracks_of(router) {
            if let TrackTarget::Script { argv, .. } = &track.what {
                programs.extend(argv.first().map(PathBuf::from));
            }
        }
    }
    programs
}

/// A program and the directories on its path: as it is written, and as it is where links lead elsewhere.
fn entries(program: &Path) -> std::io::Result<Vec<Entry>> {
    let real = fs::canonicalize(program)?;
    let paths: BTreeSet<&Path> = program.ancestors().chain(real.ancestors()).collect();
    let entry = |path: &Path| {
        let found = fs::metadata(path)?;
        Ok(Entry {
            path: path.to_owned(),
            uid: found.uid(),
            mode: found.mode(),
        })
    };
    paths.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/etc/viaduct/notify";

    fn entry(path: &str, uid: u32, mode: u32) -> Entry {
        Entry {
            path: path.into(),
            uid,
            mode,
        }
    }

    fn told(entries: &[Entry]) -> Vec<String> {
        let doubts = doubts(Path::new(PROGRAM), entries);
        doubts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_only_root_may_write_is_not_doubted() {
        let path = [
            entry("/", 0, 0o040_755),
            entry("/etc", 0, 0o040_755),
            entry("/etc/viaduct", 0, 0o040_700),
            entry(PROGRAM, 0, 0o100_755),
        ];
        assert_eq!(told(&path), Vec::<String>::new());
    }

    #[test]
    fn whoever_else_may_write_on_its_path_is_named_with_the_remedy() {
        let own = [entry(PROGRAM, 1000, 0o100_755)];
        assert_eq!(
            told(&own),
            [
                "/etc/viaduct/notify is run as root, and /etc/viaduct/notify is user 1000's: \
                 `chown root /etc/viaduct/notify`"
            ]
        );
        for mode in [0o040_775, 0o040_757] {
            let shared = [entry("/etc/viaduct", 0, mode), entry(PROGRAM, 0, 0o100_755)];
            assert_eq!(
                told(&shared),
                [
                    "/etc/viaduct/notify is run as root, and others than root may write to \
                     /etc/viaduct: `chmod go-w /etc/viaduct`"
                ],
                "{mode:o}"
            );
        }
        let both = [
            entry("/etc/viaduct", 7, 0o040_755),
            entry(PROGRAM, 0, 0o100_775),
        ];
        assert_eq!(told(&both).len(), 2);
    }

    #[test]
    fn a_directory_may_be_shared_where_nobody_replaces_what_is_anothers() {
        assert_eq!(told(&[entry("/tmp", 0, 0o041_777)]), Vec::<String>::new());
        assert_eq!(told(&[entry(PROGRAM, 0, 0o101_777)]).len(), 1);
    }

    #[test]
    fn links_are_followed_and_what_is_not_there_is_told() {
        let dir = std::env::temp_dir().join(format!("viaduct-scripts-{}", std::process::id()));
        fs::create_dir_all(dir.join("real")).unwrap();
        fs::write(dir.join("real/check"), "").unwrap();
        let link = dir.join("check");
        std::os::unix::fs::symlink("real/check", &link).unwrap();
        let found: Vec<PathBuf> = entries(&link)
            .unwrap()
            .into_iter()
            .map(|e| e.path)
            .collect();
        for wanted in [
            &link,
            &dir.join("real"),
            &dir.join("real/check"),
            Path::new("/"),
        ] {
            assert!(found.iter().any(|path| path == wanted), "{wanted:?}");
        }
        fs::remove_dir_all(&dir).unwrap();
        assert!(entries(&link).is_err());
    }

    #[test]
    fn programs_of_this_hosts_routers_are_looked_at() {
        let text = "[hosts.a.director]\ninterfaces = [\"eth0\"]\n\
                    [hosts.a.director.virtual_router.site]\ninterface = \"eth0\"\n\
                    [hosts.b.director]\ninterfaces = [\"eth0\"]\n\
                    [[virtual_router]]\nname = \"site\"\nvrid = 51\nvips = [\"10.0.0.100\"]\n\
                    notify = \"/nowhere/notify\"\n\
                    [[virtual_router.track]]\nscript = [\"/nowhere/check\", \"-v\"]\n\
                    [[service]]\nname = \"web\"\nvip = \"10.0.0.100\"\nport = 80\n\
                    protocol = \"tcp\"\nmethod = \"dr\"\n\
                    [[service.real]]\naddress = \"10.0.0.11\"\n";
        let source = daemon::source::SourceFile::new("site.toml", text);
        let site = Site::parse(source).unwrap().site;
        let told: Vec<String> = doubts_of(&site, "a")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("/nowhere/check is to be run as root, and cannot be: No such"));
        assert!(told[1].starts_with("/nowhere/notify is"));
        assert_eq!(doubts_of(&site, "b"), []);
    }
}
