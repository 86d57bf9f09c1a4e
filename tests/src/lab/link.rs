//! Bridges, veth pairs, addresses, routes and sysctls: builds what a `Plan` says.
//!
//! Not here: what the plans are (`topology`). Why the peer of an XDP interface is treated
//! specially is told at `prepare_peer`.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{
    netns,
    owner::LabId,
    plan::{Host, Plan, Port, SWITCH},
    stub::{self, StubLink},
};

/// Sysctls of every host before its interfaces exist: no address or route comes by itself, no
/// reply is dropped because it took another way back.
const EVERY_HOST: &[(&str, &str)] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    // Duplicate address detection would keep addresses unusable for a second or two.
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
];

/// Builds the network. The stubs returned must be kept for as long as the network is used.
pub(super) fn build(id: LabId, plan: &Plan) -> Result<Vec<StubLink>> {
    let switch = id.netns(SWITCH);
    netns::add(&switch)?;
    let mut batch = vec!["link set lo up".to_owned()];
    for bridge in plan.bridges() {
        batch.push(format!(
            "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ));
        batch.push(format!("link set {bridge} up"));
    }
    sysctls(&switch, EVERY_HOST)?;
    ip(&switch, &batch)?;

    let mut stubs = Vec::new();
    for host in &plan.hosts {
        stubs.extend(build_host(id, host).with_context(|| format!("host {}", host.name))?);
    }
    Ok(stubs)
}

fn build_host(id: LabId, host: &Host) -> Result<Vec<StubLink>> {
    let (name, switch) = (id.netns(&host.name), id.netns(SWITCH));
    netns::add(&name)?;
    sysctls(&name, EVERY_HOST)?;

    let mut stubs = Vec::new();
    for port in &host.ports {
        let peer = peer_name(host, port);
        ip(&switch, &peer_commands(&name, port, &peer))?;
        if port.xdp {
            stubs.push(prepare_peer(&switch, &peer)?);
        }
    }
    ip(&name, &host_commands(host))?;
    sysctls(&name, &host.sysctls)?;
    Ok(stubs)
}

/// The name of the bridge port at the other end of an interface.
#[must_use]
pub fn peer_name(host: &Host, port: &Port) -> String {
    format!("{}.{}", host.name, port.name)
}

fn peer_commands(netns: &str, port: &Port, peer: &str) -> Vec<String> {
    let Port {
        name, bridge, mac, ..
    } = port;
    vec![
        // One queue each: a peer with more transmit queues than this end has receive queues
        // makes attaching XDP fail (ENOSPC).
        format!(
            "link add {peer} numtxqueues 1 numrxqueues 1 type veth \
             peer name {name} netns {netns} address {mac} numtxqueues 1 numrxqueues 1"
        ),
        format!("link set {peer} master {bridge} up"),
    ]
}

fn host_commands(host: &Host) -> Vec<String> {
    let mut batch = vec!["link set lo up".to_owned()];
    for port in &host.ports {
        let name = port.name;
        batch.extend(
            port.addresses
                .iter()
                .map(|to| format!("address add {to} dev {name}")),
        );
        batch.push(format!("link set {name} up"));
    }
    batch.extend(
        host.gateway
            .map(|via| format!("route add default via {via}")),
    );
    batch.extend(
        host.gateway6
            .map(|via| format!("route add default via {via}")),
    );
    batch
}

/// Makes the far end of an interface fit for an XDP program on the near end:
/// - veth receives what XDP_TX sends only when the receiving end has an XDP program too; without,
///   frames count as sent and vanish. GRO on the far end does the same for XDP_REDIRECT;
/// - with checksum offload on at the far end, packets reach XDP with only the pseudo-header's sum
///   in place, XDP_TX loses the note that says so, and receivers drop them.
fn prepare_peer(switch: &str, peer: &str) -> Result<StubLink> {
    let stub = stub::attach(switch, peer)?;
    netns::run(netns::command(switch, "ethtool").args(["-K", peer, "tx", "off", "gro", "on"]))?;
    Ok(stub)
}

/// Runs `ip` commands on a host, all in one process.
///
/// # Errors
/// When one of them fails; the message says which.
pub fn ip(netns: &str, batch: &[String]) -> Result<()> {
    run_batch("ip", netns, batch)
}

/// Runs `bridge` commands on a host, all in one process.
///
/// # Errors
/// When one of them fails; the message says which.
pub fn bridge(netns: &str, batch: &[String]) -> Result<()> {
    run_batch("bridge", netns, batch)
}

fn run_batch(program: &str, netns: &str, batch: &[String]) -> Result<()> {
    let mut child = Command::new(program)
        .args(["-n", netns, "-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{program}`: is iproute2 installed?"))?;
    let mut stdin = child.stdin.take().context("no pipe to a child")?;
    stdin.write_all(batch.join("\n").as_bytes())?;
    stdin.write_all(b"\n")?;
    drop(stdin);
    let out = child.wait_with_output()?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!(
            "`{program} -n {netns}` failed: {}\n{}",
            said.trim(),
            batch.join("\n")
        );
    }
    Ok(())
}

/// Writes values under /proc/sys/net of a host.
///
/// # Errors
/// When the kernel has no such key or refuses the value.
pub fn sysctls(netns: &str, values: &[(&str, &str)]) -> Result<()> {
    netns::within(netns, || {
        for (key, value) in values {
            let path = Path::new("/proc/sys/net").join(key);
            fs::write(&path, value).with_context(|| format!("cannot set {key} to {value}"))?;
        }
        Ok(())
    })
}
