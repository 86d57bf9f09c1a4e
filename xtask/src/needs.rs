//! What Viaduct needs of a machine besides Rust: each package with the reason it is needed, and
//! its names on distributions we do not install on.
//!
//! Not here: finding out what is installed (`apt`) and installing it (`setup`).

use crate::host::Family;

/// Something to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Debian's package.
    pub(crate) package: String,
    /// Why.
    pub(crate) why: &'static str,
    /// The program that shows, on any distribution, that it is there; libraries have none.
    pub(crate) program: Option<&'static str>,
    fedora: &'static str,
    arch: &'static str,
}

impl Need {
    /// Its name where packages have the names of `family`.
    pub(crate) fn name(&self, family: Family) -> &str {
        match family {
            Family::Debian | Family::Unknown => &self.package,
            Family::Fedora => self.fedora,
            Family::Arch => self.arch,
        }
    }
}

/// What the lab and its tests call.
pub(crate) fn lab() -> Vec<Need> {
    let mut all = tools();
    all.extend(peers());
    all
}

/// What hosts of the lab are made and looked at with.
fn tools() -> Vec<Need> {
    vec![
        need(
            "iproute2",
            "ip: the lab's hosts, links and routes",
            "ip",
            ["iproute", "iproute2"],
        ),
        need(
            "ethtool",
            "offloads of the lab's links off, their counters read",
            "ethtool",
            SAME,
        ),
        need("tcpdump", "captures of a failed test", "tcpdump", SAME),
        need("curl", "requests to the demonstration site", "curl", SAME),
        need(
            "util-linux",
            "nsenter: entering the lab's hosts",
            "nsenter",
            SAME,
        ),
        need(
            "strace",
            "`cargo xtask bench proxy` counts system calls",
            "strace",
            SAME,
        ),
    ]
}

/// Servers and clients of other makes: what ours stand before, behind and beside.
fn peers() -> Vec<Need> {
    vec![
        need(
            "nginx",
            "the web server behind the proxy in its tests; the rate limiter is compared with it",
            "nginx",
            SAME,
        ),
        need(
            "apache2-bin",
            "the other web server behind the proxy in its tests",
            "apache2",
            ["httpd", "apache"],
        ),
        need(
            "haproxy",
            "a proxy before and beside ours in its tests and measurements",
            "haproxy",
            SAME,
        ),
        need(
            "openssl",
            "certificates for the proxy's tests, and a client of TLS",
            "openssl",
            SAME,
        ),
        need(
            "nghttp2-client",
            "h2load: many requests over HTTP/2 in the proxy's tests",
            "h2load",
            ["nghttp2", "nghttp2"],
        ),
        need(
            "mariadb-server",
            "the servers behind the SQL proxy in its tests: mariadbd, mariadb-install-db",
            "mariadbd",
            ["mariadb-server", "mariadb"],
        ),
        need(
            "mariadb-client",
            "mariadb: what tests ask those servers with",
            "mariadb",
            ["mariadb", "mariadb-clients"],
        ),
        library(
            "python3-pymysql".to_owned(),
            "a client whose sessions are compared, direct and through the SQL proxy",
            ["python3-PyMySQL", "python-pymysql"],
        ),
        need(
            "keepalived",
            "the peer that our VRRP must get on with and is measured beside",
            "keepalived",
            SAME,
        ),
    ]
}

/// Debian's Rust with a `core` built for eBPF.
pub(crate) fn rustc_web() -> Vec<Need> {
    let why = [
        "compiles the eBPF object",
        "cargo of that compiler",
        "`core` built for eBPF",
    ];
    let names = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
    std::iter::zip(names, why)
        .map(|(name, why)| library(name.to_owned(), why, SAME))
        .collect()
}

/// What bpf-linker is built with; `llvm` is none where apt's lists are yet to be fetched.
pub(crate) fn linker(llvm: Option<u32>) -> Vec<Need> {
    let llvm = llvm.map_or_else(
        || "llvm-N-dev".to_owned(),
        |llvm| format!("llvm-{llvm}-dev"),
    );
    vec![
        library(
            llvm,
            "bpf-linker is built with the compiler's LLVM",
            ["llvm-devel", "llvm"],
        ),
        library(
            "libzstd-dev".to_owned(),
            "LLVM's libraries need it when linked",
            ["libzstd-devel", "zstd"],
        ),
        library(
            "zlib1g-dev".to_owned(),
            "LLVM's libraries need it when linked",
            ["zlib-devel", "zlib"],
        ),
        need(
            "g++",
            "LLVM is C++: its standard library is linked",
            "g++",
            ["gcc-c++", "gcc"],
        ),
    ]
}

/// A name that Fedora and Arch share with Debian, filled in by [`need`] and [`library`].
const SAME: [&str; 2] = ["", ""];

fn need(
    package: &'static str,
    why: &'static str,
    program: &'static str,
    elsewhere: [&'static str; 2],
) -> Need {
    let [fedora, arch] = elsewhere.map(|name| if name.is_empty() { package } else { name });
    Need {
        package: package.to_owned(),
        why,
        program: Some(program),
        fedora,
        arch,
    }
}

fn library(package: String, why: &'static str, [fedora, arch]: [&'static str; 2]) -> Need {
    Need {
        package,
        why,
        program: None,
        fedora,
        arch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_family() {
        let lab = lab();
        let ip = &lab[0];
        assert_eq!(ip.name(Family::Debian), "iproute2");
        assert_eq!(ip.name(Family::Fedora), "iproute");
        let ethtool = &lab[1];
        assert_eq!(ethtool.name(Family::Arch), "ethtool");
        assert!(lab.iter().all(|need| !need.why.is_empty()));
        let silent: Vec<&str> = lab
            .iter()
            .filter(|need| need.program.is_none())
            .map(|need| &*need.package)
            .collect();
        assert_eq!(silent, ["python3-pymysql"]);
    }

    #[test]
    fn the_linkers_llvm_is_named_once_known() {
        assert_eq!(linker(Some(22))[0].package, "llvm-22-dev");
        assert_eq!(linker(None)[0].package, "llvm-N-dev");
    }
}
