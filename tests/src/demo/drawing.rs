//! The picture of a lab, and commands to paste that show what the site does.
//!
//! Not here: the status that changes (`live`).

use std::fmt::Write as _;

use anyhow::Result;

use crate::lab::{
    Lab,
    director::Director,
    find, netns,
    plan::{Host, SWITCH},
    process::Process,
    require::is_installed,
    topology::{CLIENT, Method, VIP},
};

/// The hosts on their switch, with addresses, namespaces and processes.
#[must_use]
pub fn picture(lab: &Lab, method: Method, processes: &[&Process]) -> String {
    let mut text = format!(
        "\nA site on this machine, each host a network namespace; two directors share the VIP {VIP}, \
         forwarding by {method}.\n\n"
    );
    let rows: Vec<[String; 3]> = lab
        .plan()
        .hosts
        .iter()
        .map(|host| row(lab, host, processes))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (name, addresses) = (width(0), width(1));
    let last = rows.len().saturating_sub(1);
    writeln!(
        text,
        "  switch (br0)  {}",
        netns::path(&lab.netns(SWITCH)).display()
    )
    .unwrap_or_default();
    for (index, [host, where_, what]) in rows.iter().enumerate() {
        let branch = if index == last {
            "└──"
        } else {
            "├──"
        };
        writeln!(
            text,
            "    {branch} {host:name$}  {where_:addresses$}  {what}"
        )
        .unwrap_or_default();
    }
    text
}

/// Name, addresses, and what runs there.
fn row(lab: &Lab, host: &Host, processes: &[&Process]) -> [String; 3] {
    let on_ports = host.ports.iter().flat_map(|port| &port.addresses);
    let mut addresses: Vec<_> = on_ports.map(|text| bare(text)).collect();
    let vips: Vec<_> = host.vips.iter().map(ToString::to_string).collect();
    addresses.extend(vips.iter().map(String::as_str));
    let here = processes
        .iter()
        .filter(|process| process.host() == host.name);
    let programs: Vec<_> = here
        .map(|process| format!("{} (pid {})", process.name(), process.life().pid))
        .collect();
    let mut what = netns::path(&lab.netns(&host.name)).display().to_string();
    if !programs.is_empty() {
        write!(what, "  {}", programs.join(", ")).unwrap_or_default();
    }
    [host.name.clone(), addresses.join(" "), what]
}

/// The address without its prefix length.
fn bare(address: &str) -> &str {
    address
        .split_once('/')
        .map_or(address, |(address, _)| address)
}

/// Commands that work when pasted into another terminal.
///
/// # Errors
/// When one of the programs they name is not built.
pub fn what_to_try(lab: &Lab, directors: &[Director<'_>], webs: &[Process]) -> Result<String> {
    let demo = find::program("viaduct-demo")?.display().to_string();
    let viaduct = find::program("viaduct")?.display().to_string();
    let on = |host: &str| format!("nsenter --net={}", netns::path(&lab.netns(host)).display());
    let client = on(CLIENT);
    let get = if is_installed("curl") {
        "curl -s".to_owned()
    } else {
        format!("{demo} fetch")
    };
    let mut text = String::from("Try, in another terminal:\n");
    let mut advise = |what: &str, command: &str| {
        write!(text, "\n  # {what}\n  {command}\n").unwrap_or_default();
    };
    advise(
        "ask the site, as its client",
        &format!("{client} {get} http://{VIP}/"),
    );
    advise(
        "ask it 1000 times and count who answered",
        &format!("{client} {demo} load --target {VIP}:80 --count 1000"),
    );
    for director in directors {
        let (host, socket) = (director.host(), director.files().socket.display());
        advise(
            &format!("what the director {host} says"),
            &format!("{viaduct} status --socket {socket}"),
        );
    }
    if let Some(web) = webs.get(1) {
        let (pid, host) = (web.life().pid, web.host());
        advise(
            "kill a web server: it goes down below, the site does not",
            &format!("kill {pid}"),
        );
        advise(
            "start it again",
            &format!("{} {demo} web --name {host} --listen 0.0.0.0:80", on(host)),
        );
    }
    advise(
        "watch the site: a request each 10 ms for a minute; then, beside it, one of the next three",
        &format!("{client} {demo} load --target {VIP}:80 --for 60 --rate 100"),
    );
    if let Some(first) = directors.first() {
        let (host, socket) = (first.host(), first.files().socket.display());
        advise(
            &format!("hand over from {host} as planned: no request fails"),
            &format!("{viaduct} resign --socket {socket}"),
        );
        advise("and back", &format!("{viaduct} rejoin --socket {socket}"));
        advise(
            &format!("kill {host}'s daemon: its lease runs out, the other takes over"),
            &format!("kill -9 {}", first.daemon().life().pid),
        );
        let daemon = find::program("viaduct-lb")?;
        let args = first.files().run_args(host).join(" ");
        advise(
            "start it again: it takes the VIP back",
            &format!("{} {} {args}", on(host), daemon.display()),
        );
    }
    text.push_str("\nCtrl-C ends it and removes all of this.\n");
    Ok(text)
}
