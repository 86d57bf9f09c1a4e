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
            "nginx",
            "the web server behind the proxy in its tests; the rate limiter is compared with it",
            "nginx",
            SAME,
        ),
        need(
            "util-linux",
            "nsenter: entering the lab's hosts",
            "nsenter",
            SAME,
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
        assert!(
            lab.iter()
                .all(|need| !need.why.is_empty() && need.program.is_some())
        );
    }

    #[test]
    fn the_linkers_llvm_is_named_once_known() {
        assert_eq!(linker(Some(22))[0].package, "llvm-22-dev");
        assert_eq!(linker(None)[0].package, "llvm-N-dev");
    }
}
