//! How large the programs are, as a snapshot that shows in review: instructions after the kernel's
//! translation, and those that its verifier went through.
//!
//! The figures are one kernel's and one compiler's; elsewhere they are not compared, and that is said.
//! Not here: what they cost in time, which is `cargo xtask bench datapath`.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, programs::Xdp};
use lb_ebpf::abi::name;
use lb_user::datapath::load_stages;
use tests::{lab::find, require};

/// The snapshot.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/datapath/instructions.txt");

/// By how many percent a figure may be above the snapshot's; below is as welcome as it is to be noted.
const GROWTH: u32 = 5;

/// Figures of each program: translated, verified.
type Figures = BTreeMap<String, [u32; 2]>;

/// What the figures hold for, and they.
#[derive(Debug, PartialEq)]
struct Snapshot {
    kernel: String,
    rustc: String,
    figures: Figures,
}

impl Snapshot {
    /// Of the objects that are built, on this kernel.
    fn taken() -> Result<Self> {
        let object = find::ebpf_object()?;
        let mut lb = Ebpf::load_file(&object)?;
        let mut figures = Figures::new();
        for name in [name::PROGRAM, name::PROGRAM_CLOCK, name::PROGRAM_PASS] {
            program(&mut lb, name)?.load()?;
        }
        let _stages = load_stages(&mut lb)?;
        note(&mut lb, &mut figures)?;
        let mut decap = Ebpf::load_file(object.with_file_name("lb-decap"))?;
        program(&mut decap, name::PROGRAM_DECAP)?.load()?;
        note(&mut decap, &mut figures)?;
        Ok(Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            rustc: rustc(&object)?,
            figures,
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut named = |name: &str| -> Result<String> {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            Ok(line
                .with_context(|| format!("no line `{name}`"))?
                .trim()
                .to_owned())
        };
        let (kernel, rustc) = (named("kernel ")?, named("rustc ")?);
        let figure = |line: &str| -> Result<(String, [u32; 2])> {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, translated, verified] = words[..] else {
                anyhow::bail!("`{line}`: a name and two figures are wanted");
            };
            Ok((name.to_owned(), [translated.parse()?, verified.parse()?]))
        };
        Ok(Self {
            kernel,
            rustc,
            figures: lines.map(figure).collect::<Result<_>>()?,
        })
    }

    fn render(&self) -> String {
        let mut text = format!(
            "# Instructions of each program: translated by the kernel, gone through by its verifier.\n\
             kernel {}\nrustc {}\n",
            self.kernel, self.rustc
        );
        for (name, [translated, verified]) in &self.figures {
            text += &format!("{name:<24} {translated:>8} {verified:>8}\n");
        }
        text
    }

    /// What has grown too much since `before`, or is not the same programs.
    fn grown(&self, before: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let names = self.figures.keys().chain(before.figures.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let (Some(now), Some(then)) = (self.figures.get(name), before.figures.get(name)) else {
                told.push(format!("{name} is in one of the two only"));
                continue;
            };
            for (what, (now, then)) in ["translated", "verified"].iter().zip(now.iter().zip(then)) {
                if u64::from(*now) * 100 > u64::from(*then) * u64::from(100 + GROWTH) {
                    told.push(format!("{name}: {now} instructions {what}, were {then}"));
                }
            }
        }
        told
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("no {name}"))?;
    Ok(program.try_into()?)
}

/// The figures of all programs of an object; each must be loaded.
fn note(ebpf: &mut Ebpf, figures: &mut Figures) -> Result<()> {
    for (name, program) in ebpf.programs() {
        let info = program
            .info()
            .with_context(|| format!("{name} is not loaded"))?;
        let translated = info.size_translated().context("no size")? / 8;
        let verified = info.verified_instruction_count().context("no count")?;
        figures.insert(name.to_owned(), [translated, verified]);
    }
    Ok(())
}

/// The compiler's version, as the object tells it.
fn rustc(object: &Path) -> Result<String> {
    const BEFORE: &[u8] = b"(rustc version ";
    let bytes = fs::read(object)?;
    let at = bytes
        .windows(BEFORE.len())
        .position(|window| window == BEFORE);
    let rest = &bytes[at.context("the object does not tell its compiler")? + BEFORE.len()..];
    let version = rest.split(|byte| b" )".contains(byte)).next();
    Ok(String::from_utf8(version.unwrap_or_default().to_vec())?)
}

#[test]
fn no_program_has_grown_beyond_its_snapshot() -> Result<()> {
    require!(root, tools, xdp);
    let now = Snapshot::taken()?;
    if std::env::var_os("VIADUCT_INSTRUCTIONS").is_some_and(|value| value == "renew") {
        fs::write(FILE, now.render())?;
        return Ok(());
    }
    let before = Snapshot::parse(&fs::read_to_string(FILE)?)?;
    if (&now.kernel, &now.rustc) != (&before.kernel, &before.rustc) {
        writeln!(
            std::io::stderr(),
            "\n==== NOT COMPARED: sizes of programs: the snapshot is of kernel {} and rustc {}, here \
             are {} and {} ====",
            before.kernel,
            before.rustc,
            now.kernel,
            now.rustc
        )?;
        return Ok(());
    }
    let grown = now.grown(&before);
    ensure!(
        grown.is_empty(),
        "more than {GROWTH} % beyond {FILE}:\n{}\nIf that is meant, renew it and have it reviewed:\n\
         VIADUCT_INSTRUCTIONS=renew cargo test --workspace --test it -- --exact \
         datapath::instructions::no_program_has_grown_beyond_its_snapshot",
        grown.join("\n")
    );
    Ok(())
}

#[test]
fn growth_and_other_programs_are_found() -> Result<()> {
    let of = |figures: &str| Snapshot::parse(&format!("# x\nkernel 6.1\nrustc 1.90.0\n{figures}"));
    let before = of("a 100 1000\nb 10 10\n")?;
    assert_eq!(Snapshot::parse(&before.render())?, before);
    assert_eq!(before.grown(&before), [""; 0]);
    assert_eq!(of("a 105 900\nb 1 1\n")?.grown(&before), [""; 0]);
    assert_eq!(
        of("a 106 1051\nc 1 1\n")?.grown(&before),
        [
            "a: 106 instructions translated, were 100",
            "a: 1051 instructions verified, were 1000",
            "b is in one of the two only",
            "c is in one of the two only",
        ]
    );
    Ok(())
}
