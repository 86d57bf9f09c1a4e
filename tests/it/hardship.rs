//! Hardship: floods of notifications, strange names, flows that outlive their ring's change.
//!
//! Not here: what is wrong with site files or with single packets.

use std::{fs, process::Command, time::Duration};

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        find, link, netns,
        site::{Service, Site},
        topology::{LB1, Method, nat_between, one_director},
        wait::eventually,
    },
    require,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn detach_refuses_a_place_without_pins_and_leaves_what_is_there() -> Result<()> {
    require!(root, daemon);
    let dir = std::env::temp_dir().join(format!("viaduct-detach-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("site.toml"), "precious")?;
    let detach = Command::new(find::program("viaduct-lb")?)
        .args(["detach", "--pin-dir"])
        .arg(&dir)
        .output()?;
    assert!(!detach.status.success());
    let said = String::from_utf8_lossy(&detach.stderr);
    assert!(said.contains("not on a BPF file system"), "{said}");
    assert_eq!(fs::read_to_string(dir.join("site.toml"))?, "precious");
    Ok(fs::remove_dir_all(&dir)?)
}

#[test]
fn an_interface_with_a_dot_in_its_name_is_served_and_left() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 2))?;
    lab.webs(Method::Dr, 2)?;
    let rename = ["set eth0 down", "set eth0 name eth0.5", "set eth0.5 up"];
    link::ip(
        &lab.netns(LB1),
        &rename.map(|command| format!("link {command}")),
    )?;
    let site = Site::new(vec![Service::web(Method::Dr, 2)]).on(&["eth0.5"]);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("web")?;
    let outcome = lab.requests(40)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(outcome.servers.len(), 2, "{outcome:?}");
    director.stop()?;
    director.detach()?;
    let links = netns::command(&lab.netns(LB1), "ip")
        .args(["link"])
        .output()?;
    assert!(!String::from_utf8_lossy(&links.stdout).contains("xdp"));
    drop(director);
    // `finish` looks for the counters of `eth0`.
    let back = ["set eth0.5 down", "set eth0.5 name eth0", "set eth0 up"];
    link::ip(
        &lab.netns(LB1),
        &back.map(|command| format!("link {command}")),
    )?;
    lab.finish()
}

/// Whether an XDP program is on an interface of the director.
fn has_xdp(lab: &Lab, interface: &str) -> Result<bool> {
    let link = netns::command(&lab.netns(LB1), "ip")
        .args(["link", "show", interface])
        .output()?;
    Ok(String::from_utf8_lossy(&link.stdout).contains("xdp"))
}

#[test]
fn the_program_follows_the_name_when_interfaces_are_renamed() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(nat_between(1))?;
    let director = Director::start(&lab, LB1, Site::new(vec![Service::web(Method::Nat, 1)]))?;
    assert!(has_xdp(&lab, "eth0")? && !has_xdp(&lab, "eth1")?);
    let rename = |names: [(&str, &str); 2]| -> Result<()> {
        let down = ["eth0", "eth1", "old0"].map(|name| name.to_owned());
        let is_used = |name: &&String| names.iter().any(|(from, _)| from == *name);
        let mut batch: Vec<String> = down
            .iter()
            .filter(is_used)
            .map(|name| format!("link set {name} down"))
            .collect();
        batch.extend(names.map(|(from, to)| format!("link set {from} name {to}")));
        batch.extend(names.map(|(_, to)| format!("link set {to} up")));
        link::ip(&lab.netns(LB1), &batch)
    };
    rename([("eth0", "old0"), ("eth1", "eth0")])?;
    eventually(SOON, "the program to be on the new eth0 alone", || {
        Ok((has_xdp(&lab, "eth0")? && !has_xdp(&lab, "old0")?).then_some(()))
    })?;
    assert_eq!(director.stop()?.code(), Some(0));
    director.detach()?;
    assert!(!has_xdp(&lab, "eth0")?, "detach removes it");
    drop(director);
    // `finish` looks for the counters of both by their names.
    rename([("eth0", "eth1"), ("old0", "eth0")])?;
    lab.finish()
}

#[test]
fn a_flood_of_route_changes_leaves_the_daemon_alive() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 2))?;
    lab.webs(Method::Dr, 2)?;
    let director = Director::start(&lab, LB1, Site::new(vec![Service::web(Method::Dr, 2)]))?;
    director.wait_serving("web")?;
    let route = |verb: &str, n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        format!("route {verb} 10.{}.{b}.{c}/32 via 10.77.0.1", 100 + a)
    };
    for _ in 0..2 {
        for verb in ["add", "del"] {
            let batch: Vec<String> = (0..20_000).map(|n| route(verb, n)).collect();
            link::ip(&lab.netns(LB1), &batch)?;
        }
    }
    assert_eq!(director.status()?.last_error(), None);
    let outcome = lab.requests(40)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(director.stop()?.code(), Some(0), "SIGTERM is heard");
    drop(director);
    lab.finish()
}

#[test]
fn connections_in_use_stay_when_the_slots_around_them_settle() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 2))?;
    lab.webs(Method::Dr, 2)?;
    let site = |weight| {
        let service = Service::web(Method::Dr, 2).weight(1, weight);
        let site = Site::new(vec![service]).to_string();
        site.replacen(
            "protocol = \"tcp\"",
            "protocol = \"tcp\"\ntimeout = \"2s\"",
            1,
        )
    };
    let director = Director::start(&lab, LB1, site(100))?;
    director.wait_serving("web")?;
    let load = lab.load(32, true)?;
    load.more(100)?;
    director.apply(site(0))?;
    let slots = || -> Result<u64> {
        let status = director.status()?;
        Ok(status.service("web")["unsettled_slots"]
            .as_u64()
            .unwrap_or_default())
    };
    let before = slots()?;
    assert!(before > 1000, "{before} slots changed hands");
    eventually(SOON, "slots to settle", || {
        Ok((slots()? < before / 2).then_some(()))
    })?;
    load.more(100)?;
    let outcome = load.stop()?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(
        (outcome.connections, outcome.lost_connections),
        (32, 0),
        "{outcome:?}"
    );
    assert!(outcome.servers.contains_key("web1"), "{outcome:?}");
    drop(director);
    lab.finish()
}
