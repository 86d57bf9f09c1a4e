//! `cargo xtask setup`: names what this machine lacks, each with its reason, then installs it on
//! Debian 12 or newer; elsewhere it says what to install and stops.
//!
//! Not here: the list itself (`needs`), apt (`apt`), the machine's kernel (`host`).

use anyhow::{Result, bail};

use crate::host::{self, Distribution, Family};
use crate::needs::{self, Need};
use crate::process;
use crate::toolchain::{self, Toolchain};
use crate::{apt, linker};

/// Arguments of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only name what is missing; exit 1 if anything is.
    #[arg(long)]
    check: bool,
}

/// What the machine is to be ready for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Building, which an ordinary user can do.
    Build,
    /// Building, and running the lab as root.
    Lab,
}

/// Runs the verb.
///
/// # Errors
/// When something is missing and cannot be, or is not to be, installed.
pub(crate) fn verb(args: &Args) -> Result<()> {
    if args.check {
        return check();
    }
    ensure(Scope::Lab)?;
    eprintln!("everything is there; next: `cargo xtask test`, `cargo xtask run`");
    Ok(())
}

/// Makes the machine ready for `scope`.
///
/// # Errors
/// As [`verb`]; the remedy is named.
pub(crate) fn ensure(scope: Scope) -> Result<()> {
    if scope == Scope::Lab {
        host::require()?;
    }
    let distribution = Distribution::detect();
    match &distribution {
        Distribution::Debian => install(scope)?,
        Distribution::Other { name, family } => refuse(scope, name, *family)?,
    }
    let toolchain = toolchain::require()?;
    linker::ensure(&toolchain)?;
    Ok(())
}

fn check() -> Result<()> {
    let mut lacks = host::problems();
    let missing = match Distribution::detect() {
        Distribution::Debian => missing_packages(Scope::Lab)?,
        Distribution::Other { .. } => missing_programs(Scope::Lab),
    };
    lacks.extend(missing.iter().map(line));
    match Toolchain::present().first() {
        Some(toolchain) if !linker::is_cached(toolchain.facts.llvm) => {
            lacks.push(format!(
                "bpf-linker {}: built by `cargo xtask setup`",
                linker::VERSION
            ));
        }
        Some(toolchain) => eprintln!("eBPF toolchain: {toolchain}"),
        None => lacks.push(format!(
            "no Rust here compiles for eBPF: {}",
            toolchain::remedy()
        )),
    }
    if !lacks.is_empty() {
        bail!(
            "this machine lacks (see `cargo xtask setup`):\n  - {}",
            lacks.join("\n  - ")
        );
    }
    eprintln!("everything is there");
    Ok(())
}

fn install(scope: Scope) -> Result<()> {
    if missing_packages(scope)?.is_empty() {
        return Ok(());
    }
    if !host::is_root() {
        list("packages are missing", &missing_packages(scope)?);
        bail!("installing them needs root: {}", host::AS_ROOT);
    }
    eprintln!("packages are missing; asking apt what it has");
    apt::update()?;
    // Asked again: which LLVM it is may have been unknown without the lists.
    let missing = missing_packages(scope)?;
    list(
        "these Debian packages are missing and will be installed",
        &missing,
    );
    let names = names(&missing);
    if let Some(name) = names.iter().find(|name| !apt::offers(name)) {
        bail!(
            "apt has no package {name}: it is in the section main of Debian 12 and newer, with \
             its updates and security suites; are they in /etc/apt/sources.list? Otherwise: {}",
            toolchain::remedy()
        );
    }
    let removals = apt::removals(&names);
    if !removals.is_empty() {
        eprintln!(
            "apt will remove, because they replace them: {}",
            removals.join(" ")
        );
    }
    apt::install(&names)
}

/// On a distribution we do not install on.
fn refuse(scope: Scope, distribution: &str, family: Family) -> Result<()> {
    let missing = missing_programs(scope);
    let mut lines = missing
        .iter()
        .map(|need| format!("{}: {}", need.name(family), need.why))
        .collect::<Vec<_>>();
    match usable(&Toolchain::present()) {
        Some(_) => {}
        None if Toolchain::present().is_empty() => {
            lines.push(format!(
                "a Rust that compiles for eBPF: {}",
                toolchain::remedy()
            ));
        }
        None => lines.extend(
            needs::linker(
                Toolchain::present()
                    .first()
                    .map(|toolchain| toolchain.facts.llvm),
            )
            .iter()
            .map(|need| format!("{}: {}", need.name(family), need.why)),
        ),
    }
    if lines.is_empty() {
        return Ok(());
    }
    let command = match family {
        Family::Debian => "apt-get install",
        Family::Fedora => "dnf install",
        Family::Arch => "pacman -S",
        Family::Unknown => "your package manager (the names are Debian's)",
    };
    bail!(
        "packages are installed only on Debian 12 and newer, this is {distribution}; install by \
         {command}, then call this again:\n  - {}",
        lines.join("\n  - ")
    )
}

/// The first toolchain whose linker is there or can be built from what is installed.
fn usable(present: &[Toolchain]) -> Option<&Toolchain> {
    present.iter().find(|toolchain| {
        let llvm = toolchain.facts.llvm;
        linker::is_cached(llvm) || (linker::supports(llvm) && linker::llvm_tools(llvm).is_some())
    })
}

fn wanted(scope: Scope) -> Vec<Need> {
    let mut wanted = if scope == Scope::Lab {
        needs::lab()
    } else {
        Vec::new()
    };
    let present = Toolchain::present();
    let llvm = match present.first() {
        Some(toolchain) => Some(toolchain.facts.llvm),
        None => {
            wanted.extend(needs::rustc_web());
            apt::llvm_of_rustc_web()
        }
    };
    if !llvm.is_some_and(linker::is_cached) {
        wanted.extend(needs::linker(llvm));
    }
    wanted
}

fn missing_packages(scope: Scope) -> Result<Vec<Need>> {
    let wanted = wanted(scope);
    let installed = apt::installed(&names(&wanted))?;
    Ok(wanted
        .into_iter()
        .filter(|need| !installed.contains(&need.package))
        .collect())
}

fn missing_programs(scope: Scope) -> Vec<Need> {
    let wanted = if scope == Scope::Lab {
        needs::lab()
    } else {
        Vec::new()
    };
    let has = |need: &Need| {
        need.program
            .is_none_or(|program| process::find(program).is_some())
    };
    wanted.into_iter().filter(|need| !has(need)).collect()
}

fn names(needs: &[Need]) -> Vec<String> {
    needs.iter().map(|need| need.package.clone()).collect()
}

fn line(need: &Need) -> String {
    format!("{:<24} {}", need.package, need.why)
}

fn list(title: &str, needs: &[Need]) {
    let lines = needs.iter().map(line).collect::<Vec<_>>();
    eprintln!("{title}:\n  {}", lines.join("\n  "));
}
