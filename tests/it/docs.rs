//! The documents against the code: snippets pass or run, lists are complete, links lead somewhere.
//!
//! Every fenced block has a kind: `text`; `toml`, which must pass `viaduct check`; `toml site`, the
//! guide's site file; `toml proxy`, which must pass `viaduct-proxy check`; `toml fragment`, of which only
//! keys may be missing; `sh HOST…`, which is run on
//! those hosts of a lab ([`guide`], [`realservers`]); and `sh` alone, which must be in [`NOT_RUN`].
//!
//! Not here: whether the documents are any good.

mod guide;
mod markdown;
mod metrics;
mod proxy;
mod realservers;
mod room;
mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use lb_ebpf::abi::{self, Reason};
use tests::{lab::find, require};

use markdown::{Document, Snippet};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const GUIDE: &str = "docs/operators-guide.md";
const SQLPROXY: &str = "docs/sqlproxy.md";
const REALSERVERS: &str = "docs/realservers.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Commands of documents that no test runs, each with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "cargo xtask run",
        "it is what `demo` tests, without building in a test",
    ),
    ("cargo xtask test", "it is what runs this test"),
    (
        "cargo xtask fuzz",
        "it prints a list, and needs the whole of cargo to",
    ),
    (
        "cargo xtask fuzz steer --for 600",
        "it takes ten minutes, and installs cargo-fuzz; the corpora are replayed by `tests::fuzz`",
    ),
    (
        "cargo xtask fuzz steer --for 600 --keep",
        "the same, and it writes into the tree",
    ),
    (
        "cargo xtask fuzz steer --differential",
        "datapath::fuzz plays random stories in every run",
    ),
    (
        "cargo xtask build --release",
        "a build within a build waits for itself",
    ),
    (
        "viaduct-lb decap --interface eth0 --vip 10.77.0.100",
        "`tunnel` runs it, with pins of the lab's own",
    ),
    (
        "viaduct-lb detach --pin-dir /sys/fs/bpf/viaduct-decap",
        "the same",
    ),
    (
        "ip address add fd77::100/128 dev eth0 preferred_lft 0",
        "`topology::dual` does it for `ipv6`",
    ),
    ("sysctl -w net.ipv6.conf.all.forwarding=1", "the same"),
    (
        "viaduct resign",
        "`vrrp::pair` runs it, which has the other director that it takes",
    ),
    ("viaduct rejoin", "the same"),
    (
        "ethtool -K eth0 rxvlan off",
        "links of the lab have no such offload",
    ),
];

/// All documents.
fn documents() -> Result<Vec<Document>> {
    let mut paths: Vec<PathBuf> = vec![];
    for dir in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(Path::new(ROOT).join(dir))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    ensure!(paths.len() >= 7, "only {paths:?} were found");
    paths.sort();
    paths
        .iter()
        .map(|path| Document::read(Path::new(ROOT), path))
        .collect()
}

fn document(name: &str) -> Result<Document> {
    Document::read(Path::new(ROOT), &Path::new(ROOT).join(name))
}

fn snippets(kind: &str) -> Result<Vec<Snippet>> {
    let all = documents()?;
    let found = all.iter().flat_map(Document::snippets);
    Ok(found.filter(|snippet| snippet.kind() == kind).collect())
}

/// Runs `viaduct check` on a file.
fn check(file: &Path) -> Result<Output> {
    check_by("viaduct", file)
}

/// Runs the `check` of a program on a file.
fn check_by(program: &str, file: &Path) -> Result<Output> {
    let mut check = Command::new(find::program(program)?);
    let out = check.arg("check").arg(file).output();
    out.with_context(|| format!("cannot run {program}"))
}

/// `viaduct check` for a text; gives whether it passed, and what was said.
fn check_text(text: &str, name: &str) -> Result<(bool, String)> {
    check_text_by("viaduct", text, name)
}

/// The same by another program.
fn check_text_by(program: &str, text: &str, name: &str) -> Result<(bool, String)> {
    let dir = scratch(name)?;
    let file = dir.join("site.toml");
    fs::write(&file, text)?;
    let out = check_by(program, &file)?;
    fs::remove_dir_all(dir)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Ok((out.status.success(), said))
}

fn scratch(name: &str) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("viaduct-docs-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

#[test]
fn every_snippet_is_of_a_kind_that_is_tested() -> Result<()> {
    for snippet in documents()?.iter().flat_map(Document::snippets) {
        let words: Vec<&str> = snippet.info.iter().map(String::as_str).collect();
        let known = matches!(
            words[..],
            ["text"] | ["toml"] | ["toml", "site" | "fragment" | "proxy" | "sqlproxy"] | ["sh", ..]
        );
        assert!(
            known,
            "{snippet}: nobody knows what to do with it: {words:?}"
        );
    }
    Ok(())
}

#[test]
fn toml_snippets_and_examples_pass_viaduct_check() -> Result<()> {
    require!(daemon);
    let (mut whole, mut fragments) = (0, 0);
    for snippet in snippets("toml")? {
        if snippet.info.iter().any(|word| word.ends_with("proxy")) {
            continue;
        }
        let (passed, said) = check_text(&snippet.text, "snippet")?;
        if snippet.info.iter().any(|word| word == "fragment") {
            fragments += 1;
            assert!(!passed, "{snippet}: whole; take `fragment` off");
            let mistakes = said.lines().filter(|line| line.contains(": error: "));
            let others = mistakes.filter(|line| !line.contains("missing key"));
            assert_eq!(others.count(), 0, "{snippet}:\n{said}");
        } else {
            whole += 1;
            assert!(passed && !said.contains("warning"), "{snippet}:\n{said}");
        }
    }
    assert!(whole >= 1 && fragments >= 1, "{whole} and {fragments}");
    let mut examples = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("docs/examples"))? {
        let path = entry?.path();
        let out = check(&path)?;
        let said = String::from_utf8_lossy(&out.stderr);
        let passed = out.status.success() && !said.contains("warning");
        assert!(passed, "{}:\n{said}", path.display());
        examples += 1;
    }
    assert!(examples >= 1, "no example was found");
    Ok(())
}

#[test]
fn snippets_for_the_sqlproxy_pass_its_check() -> Result<()> {
    require!(sqlproxy);
    let mut checked = 0;
    for snippet in snippets("toml")? {
        if snippet.info.iter().any(|word| word == "sqlproxy") {
            let (passed, said) = check_text_by("viaduct-sqlproxy", &snippet.text, "sql-snippet")?;
            assert!(passed && !said.contains("warning"), "{snippet}:\n{said}");
            checked += 1;
        }
    }
    assert!(checked >= 2, "only {checked} were found");
    Ok(())
}

#[test]
fn commands_that_no_host_is_named_for_are_listed_with_a_reason() -> Result<()> {
    let mut found = BTreeSet::new();
    for snippet in snippets("sh")? {
        if snippet.info.len() > 1 {
            continue;
        }
        for line in snippet.text.lines() {
            let command = line.split('#').next().unwrap_or_default().trim();
            let known = NOT_RUN.iter().find(|(known, _)| *known == command);
            assert!(known.is_some(), "{snippet}: `{command}` is run nowhere");
            found.insert(command.to_owned());
        }
    }
    for (command, reason) in NOT_RUN {
        assert!(found.contains(*command), "`{command}` is in no document");
        assert!(!reason.is_empty());
    }
    Ok(())
}

#[test]
fn every_command_of_viaduct_is_in_a_document() -> Result<()> {
    require!(daemon);
    let out = Command::new(find::program("viaduct")?)
        .arg("--help")
        .output()?;
    let help = String::from_utf8(out.stdout)?;
    let commands = help.split_once("Commands:\n").context("no list")?.1;
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 6, "{help}");
    let documents = documents()?;
    for command in commands {
        let words = format!("viaduct {command}");
        let named = documents
            .iter()
            .any(|document| document.text.contains(&words));
        assert!(named, "`{words}` is in no document");
    }
    Ok(())
}

#[test]
fn every_verb_of_xtask_that_is_named_exists() -> Result<()> {
    let mut named = 0;
    for document in documents()? {
        for rest in document.text.split("cargo xtask ").skip(1) {
            let verb: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            let file = format!("{ROOT}/xtask/src/{verb}.rs");
            assert!(Path::new(&file).exists(), "{}: `{verb}`", document.path);
            named += 1;
        }
    }
    assert!(named >= 5, "only {named} were found");
    Ok(())
}

/// A key that no table has: the answer lists those it has.
const UNKNOWN: &str = "zzzz = 1\n";

/// The keys that a program knows in a table.
fn known_keys(program: &str, header: &str) -> Result<BTreeSet<String>> {
    let (_, said) = check_text_by(program, &format!("{header}{UNKNOWN}"), "keys")?;
    let known = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("= help: known here: "))
        .with_context(|| format!("{header}: keys are not told: {said}"))?;
    Ok(known.split(", ").map(str::to_owned).collect())
}

#[test]
fn the_guide_names_every_key_of_the_site_file_and_no_other() -> Result<()> {
    require!(daemon);
    let tables = [
        ("At the top", ""),
        ("`[hosts.NAME]`", "[hosts.a]\n"),
        ("`[hosts.NAME.director]`", "[hosts.a.director]\n"),
        (
            "`[hosts.NAME.director.virtual_router.ROUTER]`",
            "[hosts.a.director.virtual_router.b]\n",
        ),
        ("`[director]`", "[director]\n"),
        ("`[[virtual_router]]`", "[[virtual_router]]\n"),
        (
            "`[virtual_router.announce]`",
            "[[virtual_router]]\n[virtual_router.announce]\n",
        ),
        (
            "`[[virtual_router.track]]`",
            "[[virtual_router]]\n[[virtual_router.track]]\n",
        ),
        ("`[[service]]`", "[[service]]\n"),
        ("`[service.quic]`", "[[service]]\n[service.quic]\n"),
        ("`[service.health]`", "[[service]]\n[service.health]\n"),
        ("`[[service.real]]`", "[[service]]\n[[service.real]]\n"),
    ];
    let guide = document(GUIDE)?;
    for (heading, header) in tables {
        let header = match header {
            _ if header.starts_with("[virtual_router.")
                || header.starts_with("[[virtual_router.") =>
            {
                format!("[[virtual_router]]\n{header}")
            }
            _ => header.to_owned(),
        };
        let known = known_keys("viaduct", &header)?;
        assert_eq!(guide.names_under(heading)?, known, "{GUIDE}, {heading}");
    }
    Ok(())
}

#[test]
fn the_page_of_the_sqlproxy_names_every_key_and_no_other() -> Result<()> {
    require!(sqlproxy);
    let page = document(SQLPROXY)?;
    for (table, heading) in [
        ("[hosts.NAME.sqlproxy]", "`[hosts.NAME.sqlproxy]`"),
        ("[sqlproxy]", "`[sqlproxy]`"),
        ("[[sqlproxy.server]]", "`[[sqlproxy.server]]`"),
        ("[[sqlproxy.user]]", "`[[sqlproxy.user]]`"),
    ] {
        let known = known_keys("viaduct-sqlproxy", &format!("{table}\n"))?;
        assert_eq!(page.names_under(heading)?, known, "{SQLPROXY}, {heading}");
    }
    Ok(())
}

#[test]
fn the_guide_explains_every_reason_and_what_becomes_of_the_packet() -> Result<()> {
    let rows = document(GUIDE)?.rows_under("Reasons")?;
    let labels: Vec<String> = rows.iter().map(|row| markdown::name(&row[0])).collect();
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels, known);
    for (row, reason) in rows.iter().zip(Reason::ALL) {
        let fate = |text: &str| text.split([' ', ':', ',']).next().map(str::to_owned);
        assert_eq!(fate(&row[1]), fate(reason.meaning()), "{}", row[0]);
    }
    Ok(())
}

/// With a comma between thousands, as documents write it.
fn written(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

#[test]
fn limits_are_those_of_the_code() -> Result<()> {
    let limits: BTreeMap<&str, u32> = [
        ("virtual services", abi::SERVICES_MAX),
        ("real servers, over all services", abi::REALS_MAX),
        ("`RING_SLOTS`", abi::RING_SLOTS_MAX),
        ("`MEMBERS`", abi::MEMBERS_MAX),
        ("flow table", abi::FLOWS_MAX),
        ("interfaces", abi::INTERFACE_SLOTS),
        ("`UNRESOLVED`", abi::UNRESOLVED_BYTES),
    ]
    .into();
    let rows = document(ARCHITECTURE)?.rows_under("Everything is bounded")?;
    for (what, limit) in limits {
        let row = rows
            .iter()
            .find(|row| row[0] == what)
            .with_context(|| what.to_owned())?;
        assert_eq!(row[1].split(' ').next(), Some(&*written(limit)), "{what}");
    }
    let guide = document(GUIDE)?.text;
    let told = [
        abi::SERVICES_MAX,
        abi::REALS_MAX,
        abi::RING_SLOTS_MAX,
        abi::FLOWS_MAX,
    ];
    for limit in told.map(written) {
        assert!(guide.contains(&limit), "{GUIDE} does not tell {limit}");
    }
    Ok(())
}

#[test]
fn links_within_the_tree_lead_somewhere() -> Result<()> {
    let mut followed = 0;
    for from in documents()? {
        for link in from.links().filter(|link| !link.contains("://")) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let to = match path {
                "" => Path::new(ROOT).join(&from.path),
                _ => Path::new(ROOT).join(from.dir()).join(path),
            };
            assert!(to.exists(), "{}: {link} leads nowhere", from.path);
            if !heading.is_empty() {
                let headings = Document::read(Path::new(ROOT), &to)?.anchors();
                assert!(
                    headings.contains(heading),
                    "{}: no heading {link}",
                    from.path
                );
            }
            followed += 1;
        }
    }
    assert!(followed >= 20, "only {followed} links were found");
    Ok(())
}

#[test]
fn systemd_takes_the_units() -> Result<()> {
    require!(daemon, proxy, sqlproxy);
    if !tests::lab::require::is_installed("systemd-analyze") {
        // Past any capture of test output. Not required: a director need not have systemd.
        let skipped = "\n==== SKIPPED: systemd_takes_the_units: no systemd-analyze here ====";
        writeln!(std::io::stderr(), "{skipped}")?;
        return Ok(());
    }
    let dir = scratch("unit")?;
    let bin = find::program("viaduct-lb")?;
    let bin = bin.parent().context("a program is in a directory")?;
    let proxies = [
        "packaging/viaduct-proxy.service",
        "packaging/viaduct-sqlproxy.service",
    ];
    for name in [guide::UNIT].into_iter().chain(proxies) {
        let unit = fs::read_to_string(Path::new(ROOT).join(name))?;
        let here = unit.replace(guide::SBIN, &format!("{}/", bin.display()));
        assert_ne!(here, unit, "the unit starts nothing in {}", guide::SBIN);
        let file = dir.join(Path::new(name).file_name().context("a file has a name")?);
        fs::write(&file, here)?;
        let out = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.is_empty(), "{name}: {said}");
    }
    fs::remove_dir_all(dir)?;
    Ok(())
}
