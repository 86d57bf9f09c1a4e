//! A network namespace without a name, for the interfaces, routes and neighbours that the loaded
//! program asks the kernel for. It ends with the thread that has it: nothing is left to remove.
//!
//! Not here: frames on these interfaces; none are sent.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};

use super::site::{DIRECTOR, DIRECTOR6, LAN, LAN_VLAN, LB, LB_WAN, ROUTES, UNSERVED, WAN};

/// Runs `work` on a thread with the network of the packet table.
pub(super) fn within<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        build().context("cannot build the network of the packet table")?;
        work()
    };
    match std::thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Lets this namespace forward packets, or not.
pub(super) fn set_forwarding(on: bool) -> Result<()> {
    let value = if on { "1" } else { "0" };
    // In /proc/sys/net the namespace of the thread is seen, not that of the process.
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{setting}"), value)
            .with_context(|| format!("cannot set {setting}"))?;
    }
    Ok(())
}

fn build() -> Result<()> {
    set_forwarding(true)?;
    for (name, ifindex, mac) in [
        ("lan", LAN, LB.to_string()),
        ("wan", WAN, LB_WAN.to_string()),
        ("other", UNSERVED, LB.to_string()),
        // To the routes a VLAN is an interface as any; not every kernel has the module.
        ("lan-vlan", LAN_VLAN, LB.to_string()),
    ] {
        let far = format!("{name}-far");
        ip(&format!(
            "link add {name} index {ifindex} address {mac} type veth peer name {far}"
        ))?;
        ip(&format!("link set {name} up"))?;
        ip(&format!("link set {far} up"))?;
    }
    ip(&format!("address add {DIRECTOR}/32 dev lan"))?;
    ip(&format!("-6 address add {DIRECTOR6}/128 dev lan nodad"))?;
    for way in &ROUTES {
        let dev = match way.ifindex {
            WAN => "wan",
            LAN_VLAN => "lan-vlan",
            _ => "lan",
        };
        let via = way
            .via
            .map(|router| format!("via {router} onlink"))
            .unwrap_or_default();
        let family = if way.to.is_ipv4() { "-4" } else { "-6" };
        ip(&format!("{family} route add {} {via} dev {dev}", way.to))?;
        if let Some(mac) = way.neighbour {
            let neighbour = way.via.unwrap_or(way.to);
            ip(&format!(
                "neighbour add {neighbour} lladdr {mac} nud permanent dev {dev}"
            ))?;
        }
    }
    Ok(())
}

fn ip(words: &str) -> Result<()> {
    let out = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .context("cannot run `ip`")?;
    ensure!(
        out.status.success(),
        "`ip {words}`: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(())
}
