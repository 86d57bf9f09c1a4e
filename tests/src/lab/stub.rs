//! The one-line XDP program (`viaduct_pass`) that the far end of a director's veth needs: see
//! `link::prepare_peer`. It comes from the same object as the balancer.
//!
//! Not here: the balancer's own program; `viaduct-lb` loads that.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{
        Xdp,
        xdp::{XdpLink, XdpMode},
    },
};

use super::{find, netns};

/// The program's name in the object.
const PROGRAM: &str = "viaduct_pass";

/// The program, loaded once for all labs of this process.
static LOADED: Mutex<Option<Ebpf>> = Mutex::new(None);

/// Keeps a stub attached; detaches it when dropped.
#[derive(Debug)]
pub struct StubLink(#[expect(dead_code, reason = "held for its Drop")] XdpLink);

/// Attaches the stub to an interface of a host, natively.
///
/// # Errors
/// When the eBPF object is not built, or the kernel refuses it.
pub fn attach(netns: &str, interface: &str) -> Result<StubLink> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if loaded.is_none() {
        *loaded = Some(load()?);
    }
    let object = loaded.as_mut().context("the stub was just loaded")?;
    let program: &mut Xdp = object
        .program_mut(PROGRAM)
        .context("no such program")?
        .try_into()?;
    netns::within(netns, || {
        let id = program.attach(interface, XdpMode::Driver)?;
        Ok(StubLink(program.take_link(id)?))
    })
    .with_context(|| format!("cannot attach XDP_PASS to {interface}"))
}

fn load() -> Result<Ebpf> {
    let path = find::ebpf_object()?;
    let mut object = Ebpf::load_file(&path)
        .with_context(|| format!("cannot load the eBPF object {}", path.display()))?;
    // The balancer's tables come with the object; the stub uses none of them.
    let maps: Vec<String> = object.maps().map(|(name, _)| name.to_owned()).collect();
    for map in maps {
        drop(object.take_map(&map));
    }
    let program: &mut Xdp = object
        .program_mut(PROGRAM)
        .with_context(|| format!("{} has no program `{PROGRAM}`", path.display()))?
        .try_into()?;
    program
        .load()
        .with_context(|| format!("the kernel refused `{PROGRAM}`"))?;
    Ok(object)
}
