//! The far end of a tunnel, on a real server: attached once, pinned, and on its own from then on.
//!
//! Not here: what else a real server needs ([`crate::realserver`]).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use aya::maps::{HashMap, Map, MapData, MapError};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_ebpf::abi::{Addr, name};

use super::{Error, Mode, attach, lock, object, prepare, remove};

/// A far end as it is pinned: empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarEnd {
    /// Where it is attached.
    pub interfaces: BTreeSet<String>,
    /// What it takes out of tunnels: packets to these addresses.
    pub vips: BTreeSet<IpAddr>,
}

/// Every map of the object: all are pinned under their own names.
pub(super) const MAPS: [&str; 2] = [name::DECAP_VIPS, name::DECAPPED];

/// Takes packets to `vips` out of tunnels that end at `interface`; an earlier attachment is
/// updated in place, and VIPs that are not named any more are forgotten.
///
/// # Errors
/// As [`super::Datapath::open`] and [`super::Datapath::attach`]; where nothing was pinned before,
/// nothing is left.
pub fn decap(pins: &Path, interface: &str, vips: &BTreeSet<IpAddr>) -> Result<Mode, Error> {
    if object::DECAP.is_empty() {
        return Err(Error::NoObject);
    }
    let is_new = prepare(pins)?;
    let _lock = lock(pins)?;
    let mode = put(pins, interface, vips);
    if is_new && mode.is_err() {
        remove(pins)?;
    }
    mode
}

/// What is pinned in `pins`.
///
/// # Errors
/// The pins cannot be read: no permission, most likely.
pub fn far_end(pins: &Path) -> Result<FarEnd, Error> {
    let map = pins.join(name::DECAP_VIPS);
    let is_there = map.try_exists().map_err(|source| Error::Pin {
        path: map.clone(),
        source,
    })?;
    if !is_there {
        return Ok(FarEnd::default());
    }
    let map = MapData::from_pin(&map).map_err(Error::map)?;
    let map: HashMap<MapData, Addr, u32> = Map::HashMap(map).try_into().map_err(Error::map)?;
    let vips: Result<BTreeSet<Addr>, _> = map.keys().collect();
    let mut interfaces = attach::pinned(pins)?;
    interfaces.retain(|interface| attach::is_live(pins, interface));
    Ok(FarEnd {
        interfaces: interfaces.into_iter().collect(),
        vips: vips
            .map_err(Error::map)?
            .into_iter()
            .map(IpAddr::from)
            .collect(),
    })
}

/// Takes back a part of a far end: its link at `interface`, if one is named, and these VIPs. What is
/// then attached nowhere is removed whole. Whether a link was taken away.
///
/// # Errors
/// The pins are in use, or cannot be written.
pub fn narrow(
    pins: &Path,
    interface: Option<&str>,
    vips: &BTreeSet<IpAddr>,
) -> Result<bool, Error> {
    if !pins.exists() {
        return Ok(false);
    }
    let _lock = lock(pins)?;
    let mut is_detached = false;
    if let Some(interface) = interface {
        let link = attach::pin(pins, interface);
        match std::fs::remove_file(&link) {
            Ok(()) => is_detached = true,
            Err(none) if none.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Pin { path: link, source }),
        }
    }
    if attach::pinned(pins)?.is_empty() {
        return remove(pins).map(|_| is_detached);
    }
    let map = MapData::from_pin(pins.join(name::DECAP_VIPS)).map_err(Error::map)?;
    let mut map: HashMap<MapData, Addr, u32> = Map::HashMap(map).try_into().map_err(Error::map)?;
    for vip in vips {
        match map.remove(&Addr::from(*vip)) {
            Err(MapError::KeyNotFound) | Ok(()) => {}
            Err(other) => return Err(Error::map(other)),
        }
    }
    Ok(is_detached)
}

fn put(pins: &Path, interface: &str, vips: &BTreeSet<IpAddr>) -> Result<Mode, Error> {
    let mut loader = EbpfLoader::new();
    for map in MAPS {
        loader.map_pin_path(map, pins.join(map));
    }
    let mut ebpf = loader.load(object::DECAP).map_err(Error::load)?;
    set_vips(&mut ebpf, vips)?;
    let program = ebpf
        .program_mut(name::PROGRAM_DECAP)
        .ok_or(Error::Missing(name::PROGRAM_DECAP))?;
    let program: &mut Xdp = program.try_into().map_err(Error::program)?;
    program.load().map_err(Error::program)?;
    let ifindex =
        nix::net::if_::if_nametoindex(interface).map_err(|_errno| Error::NoInterface {
            interface: interface.to_owned(),
        })?;
    attach::attach(program, pins, interface, ifindex)
}

/// Makes the map hold these VIPs and no others.
fn set_vips(ebpf: &mut Ebpf, vips: &BTreeSet<IpAddr>) -> Result<(), Error> {
    // Not taken out: the program is loaded with the map that stays in the object.
    let map = ebpf
        .map_mut(name::DECAP_VIPS)
        .ok_or(Error::Missing(name::DECAP_VIPS))?;
    let mut map: HashMap<&mut MapData, Addr, u32> = map.try_into().map_err(Error::map)?;
    let wanted: BTreeSet<Addr> = vips.iter().map(|vip| Addr::from(*vip)).collect();
    for vip in &wanted {
        map.insert(vip, 1, 0).map_err(Error::map)?;
    }
    let held: Vec<Addr> = map.keys().collect::<Result<_, _>>().map_err(Error::map)?;
    for vip in held.iter().filter(|vip| !wanted.contains(vip)) {
        map.remove(vip).map_err(Error::map)?;
    }
    Ok(())
}
