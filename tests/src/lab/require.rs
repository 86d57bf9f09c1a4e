//! What a test needs of the machine, and the loud skip where it is missing.
//!
//! Not here: installing it; that is xtask's work.

use std::io::Write as _;

use anyhow::{Result, bail};

use super::find;

/// Something a test cannot do without.
#[expect(
    non_camel_case_types,
    reason = "read as words in `require!(root, xdp)`"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to make network namespaces.
    root,
    /// The programs the lab calls.
    tools,
    /// The built eBPF object.
    xdp,
    /// The built `viaduct-lb` and `viaduct`.
    daemon,
    /// keepalived, to get on with.
    keepalived,
    /// MariaDB: its server and its client.
    mariadb,
    /// Python's client of MySQL, for sessions that are compared.
    pymysql,
    /// The built `viaduct-proxy`, and what stands before and behind it.
    proxy,
    /// What `bench proxy` measures ours beside, and pins processes with.
    bench,
    /// The built `viaduct-sqlproxy`.
    sqlproxy,
    /// Other makes beside it.
    peers,
}

/// Web server and clients of the proxy's tests, and the Debian package of each.
const HTTP_TOOLS: [(&str, &str); 4] = [
    ("nginx", "nginx"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("h2load", "nghttp2-client"),
];

/// Other makes of web server and proxy, and the Debian package of each.
const PEERS: [(&str, &str); 2] = [("apache2", "apache2-bin"), ("haproxy", "haproxy")];

/// MariaDB's programs, and the Debian package of each; mariadb-server keeps its own in /usr/sbin.
const MARIADB_TOOLS: [(&str, &str); 3] = [
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
    ("mariadb", "mariadb-client"),
];

/// What ours is measured beside, what pins processes and counts their system calls.
const BENCH_TOOLS: [(&str, &str); 3] = [
    ("haproxy", "haproxy"),
    ("taskset", "util-linux"),
    ("strace", "strace"),
];

/// The programs the lab calls, and the Debian package of each.
const TOOLS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
];

/// Whether anything is missing; then it was said on standard error, past any capture of test
/// output.
///
/// # Errors
/// Instead of a skip, when `VIADUCT_REQUIRE=1`: where all must run, as in CI.
pub fn missing(needs: &[Need]) -> Result<bool> {
    let lacks: Vec<_> = needs.iter().filter_map(|need| need.lack()).collect();
    if lacks.is_empty() {
        return Ok(false);
    }
    let lacks = lacks.join("; ");
    if std::env::var_os("VIADUCT_REQUIRE").is_some_and(|value| value == "1") {
        bail!("this must run (VIADUCT_REQUIRE=1) but cannot: {lacks}");
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    writeln!(std::io::stderr(), "\n==== SKIPPED: {test}: {lacks} ====")?;
    Ok(true)
}

/// The tools that are not installed, each with the package to install.
#[must_use]
pub fn missing_tools() -> Vec<String> {
    missing_of(&TOOLS)
}

fn missing_of(tools: &[(&str, &str)]) -> Vec<String> {
    let missing = tools.iter().filter(|(tool, _)| !is_installed(tool));
    missing
        .map(|(tool, package)| format!("`{tool}` (package {package})"))
        .collect()
}

/// Whether a program is found where the shell would look for it.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

impl Need {
    /// Why the need is not met; none when it is.
    #[must_use]
    pub fn lack(self) -> Option<String> {
        match self {
            Self::root => {
                (!nix::unistd::geteuid().is_root()).then(|| "it must run as root".to_owned())
            }
            Self::tools => {
                let missing = missing_tools();
                (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
            }
            Self::keepalived => (!is_installed("keepalived"))
                .then(|| "not installed: `keepalived` (package keepalived)".to_owned()),
            Self::bench => {
                let missing = missing_of(&BENCH_TOOLS);
                (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
            }
            Self::mariadb => {
                let missing = missing_of(&MARIADB_TOOLS);
                (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
            }
            Self::pymysql => {
                let mut python = std::process::Command::new("/usr/bin/python3");
                let is_there = python.args(["-c", "import pymysql"]).output();
                let is_there = is_there.is_ok_and(|out| out.status.success());
                (!is_there).then(|| "not installed: PyMySQL (package python3-pymysql)".to_owned())
            }
            Self::proxy => {
                let missing = missing_of(&HTTP_TOOLS);
                match find::program("viaduct-proxy") {
                    Err(error) => Some(error.to_string()),
                    Ok(_) if missing.is_empty() => None,
                    Ok(_) => Some(format!("not installed: {}", missing.join(", "))),
                }
            }
            Self::sqlproxy => {
                let found = find::program("viaduct-sqlproxy");
                found.err().map(|error| error.to_string())
            }
            Self::peers => {
                let missing = missing_of(&PEERS);
                (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
            }
            Self::xdp => find::ebpf_object().err().map(|error| error.to_string()),
            Self::daemon => ["viaduct-lb", "viaduct"]
                .iter()
                .find_map(|name| find::program(name).err())
                .map(|error| error.to_string()),
        }
    }
}
