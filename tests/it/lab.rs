//! The lab itself: hosts reach each other, and nothing is left of a lab, however it ends.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tests::{
    guest::blob::Blob,
    lab::{
        Lab, find, netns,
        owner::{Life, ROOT},
        topology::{CLIENT, Method, VIP, no_director, one_director, web_address},
        wait::{SOON, eventually},
    },
    require,
};

use crate::traces::Traces;

#[test]
fn hosts_reach_each_other_and_a_download_has_the_right_hash() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(no_director(1))?;
    lab.webs(Method::Dr, 1)?;
    let web1 = web_address(Method::Dr, 1);
    let got = lab.fetch(&format!("http://{web1}/blob/10000000?7"))?;
    assert_eq!(
        (got.bytes, got.server.as_deref()),
        (10_000_000, Some("web1"))
    );
    assert_eq!(got.sha256, Blob::new(7, 10_000_000).sha256());
    lab.finish()
}

#[test]
fn a_web_server_keeps_silent_about_the_vip_on_its_loopback() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(no_director(1))?;
    lab.webs(Method::Dr, 1)?;
    let outcome = lab.requests(1)?;
    assert_eq!(outcome.ok, 0, "a real server answered ARP for {VIP}");
    assert_eq!(outcome.failures.len(), 1);
    lab.finish()
}

#[test]
fn health_of_a_web_server_is_switched_off_and_on() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(no_director(1))?;
    lab.webs(Method::Dr, 1)?;
    let health = || lab.fetch(&format!("http://{}/health", web_address(Method::Dr, 1)));
    assert_eq!(health()?.status, 200);
    lab.set_health("web1", false)?;
    assert_eq!(health()?.status, 503);
    lab.set_health("web1", true)?;
    assert_eq!(health()?.status, 200);
    lab.finish()
}

#[test]
fn the_far_end_of_a_director_s_interface_is_ready_for_xdp() -> Result<()> {
    require!(root, tools, xdp);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let on_switch = |program: &str, args: &[&str]| -> Result<String> {
        let out = netns::command(&lab.netns("switch"), program)
            .args(args)
            .output()?;
        Ok(String::from_utf8(out.stdout)?)
    };
    let link = on_switch("ip", &["-d", "link", "show", "lb1.eth0"])?;
    assert!(link.contains("prog/xdp"), "{link}");
    let offloads = on_switch("ethtool", &["-k", "lb1.eth0"])?;
    assert!(offloads.contains("tx-checksumming: off"), "{offloads}");
    assert!(
        offloads.contains("generic-receive-offload: on"),
        "{offloads}"
    );
    lab.finish()
}

#[test]
fn nothing_is_left_of_a_lab_that_succeeded() -> Result<()> {
    require!(root, tools, daemon);
    let (id, lives) = {
        let lab = Lab::build(no_director(2))?;
        let webs = lab.webs(Method::Dr, 2)?;
        lab.capture("br0")?;
        lab.bpffs("web1")?;
        let id = lab.id().to_string();
        let there = Traces::of(&id)?;
        assert_eq!(there.namespaces.len(), 4, "{there:?}");
        assert!(there.directory && there.processes.len() >= 3 && !there.mounts.is_empty());
        let lives: Vec<Life> = webs.iter().map(|web| web.life()).collect();
        lab.finish()?;
        (id, lives)
    };
    assert_eq!(Traces::of(&id)?, Traces::default());
    assert!(lives.iter().all(|life| !life.goes_on()));
    Ok(())
}

#[test]
fn nothing_is_left_of_a_lab_that_failed_but_its_logs_and_captures() -> Result<()> {
    require!(root, tools);
    let id = {
        let lab = Lab::build(no_director(1))?;
        lab.capture("br0")?;
        lab.requests(1)?;
        lab.id().to_string()
        // Dropped without `finish`: it failed.
    };
    assert_eq!(Traces::of(&id)?, Traces::default());
    let kept = std::env::temp_dir().join("viaduct-lab-failures").join(&id);
    let capture = fs::metadata(kept.join("br0.pcap")).context("no capture was kept")?;
    assert!(capture.len() > 100, "the capture is empty");
    fs::remove_dir_all(kept)?;
    Ok(())
}

#[test]
fn hosts_of_two_labs_do_not_see_each_other() -> Result<()> {
    require!(root, tools, daemon);
    let (first, second) = (Lab::build(no_director(1))?, Lab::build(no_director(1))?);
    first.webs(Method::Dr, 1)?;
    let url = format!("http://{}/", web_address(Method::Dr, 1));
    assert!(first.fetch(&url).is_ok());
    assert!(
        second.fetch(&url).is_err(),
        "the second lab has no web server, yet one answered"
    );
    first.finish()?;
    second.finish()
}

#[test]
fn the_next_start_removes_what_a_killed_owner_left() -> Result<()> {
    require!(root, tools, daemon);
    // An owner of its own, to be killed: the demonstration's `hold` keeps a lab until it ends.
    let mut owner = Command::new(find::program("viaduct-demo")?)
        .arg("hold")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let id = format!("{}-0", owner.id());
    let built = eventually(SOON, "the lab to stand", || {
        let ready = fs::exists(format!("{ROOT}/{id}/holding"))?;
        Ok(ready.then_some(()))
    });
    let there = Traces::of(&id)?;
    let recorded = fs::read_to_string(format!("{ROOT}/{id}/processes")).unwrap_or_default();
    // What a person started on a host does not end with the owner.
    let mut guest = netns::command(&format!("vd{id}-{CLIENT}"), "sleep")
        .arg("60")
        .spawn()?;
    owner.kill()?;
    owner.wait()?;
    built?;
    assert!(
        there.namespaces.len() >= 3 && !there.mounts.is_empty(),
        "{there:?}"
    );
    assert!(!there.processes.is_empty(), "{there:?}");

    Lab::sweep()?;
    let ended = guest.try_wait()?;
    guest.kill()?;
    guest.wait()?;
    assert!(ended.is_some(), "a process on a host was left");
    assert_eq!(Traces::of(&id)?, Traces::default());
    let lives = recorded
        .lines()
        .map(str::parse)
        .collect::<Result<Vec<Life>>>()?;
    assert!(!lives.is_empty() && lives.iter().all(|life| !life.goes_on()));
    Ok(())
}

#[test]
fn a_sweep_leaves_living_labs_alone() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(no_director(1))?;
    let web1 = lab.web(Method::Dr, 1)?;
    let swept = Lab::sweep()?;
    assert!(!swept.contains(&lab.id().to_string()));
    assert!(
        lab.fetch(&format!("http://{}/", web_address(Method::Dr, 1)))
            .is_ok()
    );
    web1.signal(Signal::SIGTERM)?;
    assert!(netns::named(&lab.netns(CLIENT))?.len() == 1);
    lab.finish()
}
