//! The far end of a tunnel, on a real server: attached once, pinned, and on its own from then on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use aya::maps::{HashMap, MapData};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_ebpf::abi::{Addr, name};

use super::{Error, Mode, attach, lock, object, prepare, remove};

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
