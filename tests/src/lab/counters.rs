//! Kernel counters that stay 0 in a healthy lab, whatever a test does: packets received with a
//! bad checksum, frames that XDP_TX could not hand over.
//!
//! Not here: the balancer's own counters (`status`).

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{Lab, netns, plan::Host};

/// Checks every host.
pub(super) fn check(lab: &Lab) -> Result<()> {
    let bad: Vec<_> = read(lab)?
        .into_iter()
        .filter(|(_, _, value)| *value > 0)
        .collect();
    if !bad.is_empty() {
        bail!("packets were lost on their way: {bad:?}");
    }
    Ok(())
}

/// All the counters, a line each, for a failure's report.
pub(super) fn table(lab: &Lab) -> Vec<String> {
    match read(lab) {
        Ok(counters) => counters
            .into_iter()
            .filter(|(_, _, value)| *value > 0)
            .map(|(host, name, value)| format!("---- {host}: {name} = {value}"))
            .collect(),
        Err(error) => vec![format!("---- no counters: {error:#}")],
    }
}

/// Host, counter, value.
type Counter = (String, String, u64);

fn read(lab: &Lab) -> Result<Vec<Counter>> {
    let mut counters = Vec::new();
    for host in &lab.plan.hosts {
        let of_host = checksum_errors(&lab.netns(&host.name))?.into_iter();
        let of_host = of_host.chain(xdp_tx_errors(lab, host)?);
        counters.extend(of_host.map(|(name, value)| (host.name.clone(), name, value)));
    }
    Ok(counters)
}

/// `TcpInCsumErrors`, `UdpInCsumErrors` and the like (snmp_counter.rst of the kernel).
fn checksum_errors(netns: &str) -> Result<Vec<(String, u64)>> {
    netns::within(netns, || {
        // Not /proc/net: that is the view of the process's first thread.
        let base = Path::new("/proc/thread-self/net");
        let mut all = fields(&fs::read_to_string(base.join("snmp"))?);
        all.extend(fields(&fs::read_to_string(base.join("netstat"))?));
        all.retain(|(name, _)| name.ends_with("InCsumErrors"));
        if !all.iter().any(|(name, _)| name == "TcpInCsumErrors") {
            bail!("this kernel does not count TcpInCsumErrors");
        }
        Ok(all)
    })
}

/// The files hold pairs of lines: `Tcp: InSegs InCsumErrors`, `Tcp: 12 0`.
fn fields(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<_> = text.lines().collect();
    let mut fields = Vec::new();
    for pair in lines.chunks_exact(2) {
        let [names, values] = [pair[0], pair[1]].map(|line| line.split_whitespace());
        for (name, value) in names.clone().zip(values).skip(1) {
            let group = names
                .clone()
                .next()
                .unwrap_or_default()
                .trim_end_matches(':');
            // Some values are -1: "no limit". They are no counters.
            fields.extend(
                value
                    .parse()
                    .ok()
                    .map(|value| (format!("{group}{name}"), value)),
            );
        }
    }
    fields
}

fn xdp_tx_errors(lab: &Lab, host: &Host) -> Result<Vec<(String, u64)>> {
    let mut errors = Vec::new();
    for port in host.ports.iter().filter(|port| port.xdp) {
        let mut ethtool = netns::command(&lab.netns(&host.name), "ethtool");
        let text = netns::output(ethtool.args(["-S", port.name]))?;
        let sum = sum_of(&text, "xdp_tx_errors");
        let sum = sum.with_context(|| format!("{} has no xdp_tx_errors", port.name))?;
        errors.push((format!("{} xdp_tx_errors", port.name), sum));
    }
    Ok(errors)
}

/// The sum over all queues of a counter in the output of `ethtool -S`; none when it has none.
fn sum_of(ethtool: &str, counter: &str) -> Option<u64> {
    let of_queue = |line: &str| {
        let (name, value) = line.trim().split_once(": ")?;
        name.ends_with(counter).then(|| value.parse::<u64>().ok())?
    };
    ethtool
        .lines()
        .filter_map(of_queue)
        .fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_group_and_name() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn InCsumErrors\nTcp: -1 7\n";
        let fields = fields(text);
        assert!(
            fields.contains(&("TcpInCsumErrors".to_owned(), 7)),
            "{fields:?}"
        );
        assert!(
            fields.contains(&("IpDefaultTTL".to_owned(), 64)),
            "{fields:?}"
        );
    }

    #[test]
    fn queues_are_summed_and_an_absent_counter_is_not_zero() {
        let text =
            "NIC statistics:\n     rx_queue_0_xdp_tx_errors: 2\n     rx_queue_1_xdp_tx_errors: 3\n";
        assert_eq!(sum_of(text, "xdp_tx_errors"), Some(5));
        assert_eq!(sum_of(text, "xdp_drops"), None);
    }
}
