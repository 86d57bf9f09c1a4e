//! Rules on `Cargo.toml`s: which package may know which, reasons, one place for versions.
//!
//! Not here: licences and sources of dependencies (`deny.toml`).

use toml::{Table, Value};

use super::{Checked, File};

/// What packages may not depend on (optional dependencies may: a feature is a choice).
///
/// Purity is enforced by what `[dependencies]` lacks: who cannot name a socket cannot open one.
const ARROWS: &[(&str, &[&str], &str)] = &[
    ("lb-ebpf", TOUCH, "it decides; its callers read and write"),
    (
        "lb-user/health",
        TOUCH,
        "it decides; its probes are behind the feature `probe`",
    ),
    (
        "lb-user/health",
        &["daemon", "lb-ebpf", "lb-user"],
        "it knows no packets and no processes",
    ),
    (
        "lb-user/vrrp",
        TOUCH,
        "it decides; its driver has the sockets and the clock",
    ),
    (
        "lb-user/vrrp",
        &["daemon", "health", "lb-ebpf", "lb-user"],
        "it knows one protocol and nothing of who speaks it",
    ),
    (
        "lb-user/health",
        &["vrrp"],
        "whether a server is up has nothing to do with who is active",
    ),
    (
        "lb-user/election",
        TOUCH,
        "it decides; its channel is behind the feature `channel`",
    ),
    (
        "lb-user/election",
        &["health", "lb-ebpf", "lb-user", "sqlproxy", "vrrp"],
        "it knows who the writer is, and nothing of who asks",
    ),
    (
        "lb-user/daemon",
        &["election", "health", "lb-ebpf", "lb-user", "vrrp"],
        "it is the same for every daemon",
    ),
    (
        "lb-user/daemon",
        &["aya", "rtnetlink"],
        "it knows no packets",
    ),
    (
        "proxy",
        &["aya", "election", "lb-ebpf", "lb-user", "rtnetlink", "vrrp"],
        "it needs no root and knows no packets",
    ),
    (
        "sqlproxy",
        &["aya", "lb-ebpf", "lb-user", "rtnetlink"],
        "it runs without root and knows no packets",
    ),
];

/// Everything by which a package reaches the world outside it.
const TOUCH: &[&str] = &[
    "aya",
    "aya-ebpf",
    "hyper",
    "hyper-util",
    "mio",
    "netlink-packet-route",
    "nix",
    "rtnetlink",
    "socket2",
    "tokio",
];

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// [`ARROWS`] hold.
pub(super) fn arrows(files: &[File]) -> Checked {
    ARROWS
        .iter()
        .fold(Checked::default(), |mut checked, (package, banned, why)| {
            let path = format!("{package}/Cargo.toml");
            match files.iter().find(|file| file.path == path) {
                Some(file) => {
                    checked.looked_at += 1;
                    checked.findings.extend(against(file, banned, why));
                }
                None => checked
                    .findings
                    .push(format!("{path}: is missing, and a rule is about it")),
            }
            checked
        })
}

fn against(file: &File, banned: &[&str], why: &str) -> Vec<String> {
    let manifest = match parse(file) {
        Ok(manifest) => manifest,
        Err(finding) => return vec![finding],
    };
    let always = manifest
        .get("dependencies")
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default();
    let by_default = default_features(&manifest);
    always
        .iter()
        .filter(|(name, _)| banned.contains(&name.as_str()))
        .filter(|(name, value)| !is_set(value, "optional") || by_default.contains(name))
        .map(|(name, _)| format!("{}: may not depend on {name}: {why}", file.path))
        .collect()
}

/// The dependencies that the default features switch on.
fn default_features(manifest: &Table) -> Vec<String> {
    let empty = Table::new();
    let features = manifest
        .get("features")
        .and_then(Value::as_table)
        .unwrap_or(&empty);
    let mut reached = vec!["default".to_owned()];
    let mut next = 0;
    while let Some(name) = reached.get(next).cloned() {
        next += 1;
        let on = features
            .get(&name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let on = on.iter().filter_map(Value::as_str).map(dependency);
        let new = on
            .filter(|name| !reached.contains(name))
            .collect::<Vec<_>>();
        reached.extend(new);
    }
    reached
}

/// `tokio`, of `dep:tokio`, `tokio/net` and `tokio?/net`.
fn dependency(feature: &str) -> String {
    let name = feature.strip_prefix("dep:").unwrap_or(feature);
    name.split(['/', '?']).next().unwrap_or(name).to_owned()
}

/// A comment stands above every workspace dependency; one of a family (`tracing-subscriber` after
/// `tracing`) and packages of our own share theirs.
pub(super) fn reasons(files: &[File]) -> Checked {
    let Some(root) = files.iter().find(|file| file.path == "Cargo.toml") else {
        return Checked::default();
    };
    let mut checked = Checked::default();
    let mut above = String::new();
    let section = root
        .lines()
        .skip_while(|(_, line)| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['));
    for (at, line) in section {
        if let Some(name) = entry(line) {
            checked.looked_at += 1;
            let family = entry(&above).is_some_and(|before| name.starts_with(before));
            if !above.starts_with('#') && !family && !line.contains("path = ") {
                checked
                    .findings
                    .push(root.at(at, &format!("say above why {name} is here")));
            }
        }
        line.clone_into(&mut above);
    }
    checked
}

/// The dependency's name, of a line that begins one.
fn entry(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim().trim_end_matches(".workspace");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!name.is_empty() && !line.starts_with(char::is_whitespace) && name.chars().all(plain))
        .then_some(name)
}

/// Members take every dependency from the workspace.
pub(super) fn inherited(files: &[File]) -> Checked {
    let members = files
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && file.path != "Cargo.toml")
        // A fuzz package is a workspace of its own, as cargo-fuzz wants it.
        .filter(|file| !file.path.split('/').any(|part| part == "fuzz"));
    members.fold(Checked::default(), |mut checked, file| {
        checked.looked_at += 1;
        match parse(file) {
            Ok(manifest) => checked.findings.extend(own_versions(file, &manifest)),
            Err(finding) => checked.findings.push(finding),
        }
        checked
    })
}

fn own_versions(file: &File, manifest: &Table) -> Vec<String> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default();
    let targets = targets.values().filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| {
            SECTIONS
                .iter()
                .filter_map(|section| table.get(*section)?.as_table())
        })
        .flatten()
        .filter(|(_, value)| !is_set(value, "workspace"))
        .map(|(name, _)| format!("{}: write `{name}.workspace = true`", file.path))
        .collect()
}

fn is_set(dependency: &Value, key: &str) -> bool {
    dependency
        .get(key)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

fn parse(file: &File) -> Result<Table, String> {
    file.text
        .parse()
        .map_err(|error| format!("{}: {error}", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn touches(text: &str) -> usize {
        against(&file("p/Cargo.toml", text), &["tokio"], "it is pure").len()
    }

    #[test]
    fn a_pure_package_may_have_the_world_behind_a_feature_only() {
        assert_eq!(touches("[dependencies]\nzerocopy = \"1\"\n"), 0);
        assert_eq!(touches("[dependencies]\ntokio.workspace = true\n"), 1);
        let optional = "[dependencies]\ntokio = { workspace = true, optional = true }\n";
        assert_eq!(touches(optional), 0);
        assert_eq!(touches("[dev-dependencies]\ntokio.workspace = true\n"), 0);
        let default = "[features]\ndefault = [\"net\"]\nnet = [\"dep:tokio\"]\n".to_owned();
        assert_eq!(
            touches(&(default + optional)),
            1,
            "by default it is not optional"
        );
        assert_eq!(touches("[dependencies\n"), 1, "what does not parse is told");
    }

    #[test]
    fn a_rule_about_a_package_that_is_gone_is_told() {
        assert_eq!(arrows(&[]).findings.len(), ARROWS.len());
    }

    #[test]
    fn each_dependency_has_a_comment_or_a_family() {
        let root = |text: &str| {
            reasons(&[file(
                "Cargo.toml",
                &format!("[workspace.dependencies]\n{text}\n[other]\n"),
            )])
        };
        let good = root("# Types.\nserde = \"1\"\nserde_json = \"1\"\n\nown = { path = \"own\" }");
        assert_eq!((good.looked_at, good.findings.len()), (3, 0));
        assert_eq!(
            root("# Types.\nserde = \"1\"\ntokio = \"1\"")
                .findings
                .len(),
            1
        );
        assert_eq!(
            root("# Types.\n\nserde = \"1\"").findings.len(),
            1,
            "above means above"
        );
        assert_eq!(reasons(&[file("Cargo.toml", "[workspace]\n")]).looked_at, 0);
    }

    #[test]
    fn versions_in_members_are_found() {
        let member = |text: &str| inherited(&[file("a/Cargo.toml", text)]).findings.len();
        assert_eq!(
            member("[dependencies]\na.workspace = true\nb = { workspace = true }\n"),
            0
        );
        assert_eq!(
            member("[dependencies]\na = \"1\"\n[dev-dependencies]\nb = { path = \"b\" }\n"),
            2
        );
        assert_eq!(member("[target.'cfg(unix)'.dependencies]\na = \"1\"\n"), 1);
    }
}
