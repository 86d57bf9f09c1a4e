//! `viaduct realserver`: a host that nobody prepared serves after `setup`, and is after `undo` what it
//! was before.
//!
//! Not here: what is decided from which facts (`lb-user`), and load on servers so prepared; every other
//! test of dr and tunnel has them from the same command.

use std::{collections::BTreeSet, fs, process::Output};

use anyhow::{Context as _, Result, ensure};
use tests::{
    lab::{
        Lab,
        director::Director,
        find,
        link::{ip, sysctls},
        netns,
        plan::{Host, Plan, Port},
        site::{Service, Site},
        topology::{
            CLIENT, CLIENT_ADDRESS, Encapsulation, LB1, LB1_ADDRESS, LB1_INSIDE, Method, VIP, dual,
            one_director, web_address,
        },
        wait::{SOON, eventually},
    },
    require,
};

const WEB: &str = "web1";
const IPIP: Method = Method::Tunnel(Encapsulation::Ipip);
const GUE: Method = Method::Tunnel(Encapsulation::Gue);

/// As a shell without procps does it.
const SYSCTL: &str = r#"
    set -eu
    command -v sysctl >/dev/null ||
        sysctl() { echo "${2#*=}" > "/proc/sys/$(echo "${2%%=*}" | tr . /)"; }
"#;

/// All that setup could have changed: addresses, links with their XDP programs, routes, switches, and
/// the files of the host.
fn look(lab: &Lab) -> Result<String> {
    let show = |what: &str| {
        let mut command = netns::command(&lab.netns(WEB), "ip");
        let out = command.args(what.split(' ')).output()?;
        ensure!(out.status.success(), "`ip {what}` failed");
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    // A link that has just been made comes up by itself, a little later.
    eventually(SOON, "eth0 to be up", || {
        let is_up = show("address show eth0")?.contains("inet6 fe80");
        Ok(is_up.then_some(()))
    })?;
    let mut seen = show("-details address show")?;
    seen.push_str(&show("-4 route show table all")?);
    seen.push_str(&show("-6 route show table all")?);
    let switches = netns::within(&lab.netns(WEB), || {
        let mut lines = vec![];
        for family in ["ipv4", "ipv6"] {
            for interface in fs::read_dir(format!("/proc/sys/net/{family}/conf"))? {
                for switch in fs::read_dir(interface?.path())? {
                    let path = switch?.path();
                    // Some can only be written.
                    let value = fs::read_to_string(&path).unwrap_or_default();
                    lines.push(format!("{} {}", path.display(), value.trim()));
                }
            }
        }
        lines.sort();
        ensure!(lines.len() > 100, "only {} switches", lines.len());
        Ok(lines.join("\n"))
    })?;
    for dir in [lab.host_dir(WEB)?, lab.bpffs(WEB)?] {
        for entry in fs::read_dir(dir)? {
            seen.push_str(&format!("{}\n", entry?.path().display()));
        }
    }
    Ok(unnumbered(&seen) + &switches)
}

/// Without the numbers of XDP programs, which say no more than when they were loaded.
fn unnumbered(text: &str) -> String {
    let line = |line: &str| match line.split_once("xdp/id:") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}xdp{after}\n")
        }
        None if line.contains("prog/xdp") => "    prog/xdp\n".to_owned(),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Asserts that a host looks as it did, and tells the lines that differ.
fn assert_as_before(lab: &Lab, before: &str) -> Result<()> {
    let now = look(lab)?;
    let lines = |text: &'_ str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (was, is) = (lines(before), lines(&now));
    let gone: Vec<_> = was.difference(&is).collect();
    let new: Vec<_> = is.difference(&was).collect();
    assert!(now == before, "gone: {gone:#?}, new: {new:#?}");
    Ok(())
}

/// The word for a method.
fn word(method: Method) -> &'static str {
    match method {
        Method::Tunnel(_) => "tunnel",
        Method::Dr => "dr",
        Method::Nat => "nat",
        Method::Fullnat => "fullnat",
    }
}

/// Runs `viaduct` on the host.
fn viaduct(lab: &Lab, args: &str) -> Result<Output> {
    netns::command(&lab.netns(WEB), find::program("viaduct")?)
        .args(args.split(' '))
        .output()
        .context("cannot run viaduct")
}

/// Runs it, and expects to be refused; gives what was said.
fn refused(lab: &Lab, args: &str) -> Result<String> {
    let out = viaduct(lab, args)?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(!out.status.success() && out.stdout.is_empty(), "{out:?}");
    Ok(said)
}

/// From a host that nobody prepared to one that serves, and back.
fn there_and_back(service: &Service, lab: &Lab) -> Result<()> {
    let method = word(service.method);
    let served = |count| lab.requests_at((service.vip, service.port).into(), count);
    lab.serve(WEB, &[])?;
    let director = Director::start(lab, LB1, Site::new(vec![service.clone()]))?;
    director.wait_serving(&service.name)?;
    let before = look(lab)?;
    assert_eq!(served(1)?.ok, 0);
    let (is_well, said) = lab.try_realserver(WEB, "check", Some(method), &[])?;
    assert!(!is_well && said.contains("wrong"), "{said}");
    assert_as_before(lab, &before)?;

    lab.realserver(WEB, "setup", Some(method))?;
    let outcome = served(50)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    let said = lab.realserver(WEB, "check", Some(method))?;
    assert!(!said.contains("wrong"), "{said}");

    lab.realserver(WEB, "undo", None)?;
    assert_as_before(lab, &before)?;
    assert_eq!(served(1)?.ok, 0);
    let said = lab.realserver(WEB, "undo", None)?;
    assert!(said.contains("setup has changed nothing here"), "{said}");
    Ok(())
}

#[test]
fn dr_over_ipv4_from_an_unprepared_host_and_back() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    there_and_back(&Service::web(Method::Dr, 1), &lab)?;
    lab.finish()
}

#[test]
fn dr_over_ipv6_from_an_unprepared_host_and_back() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(Method::Dr, 1)))?;
    there_and_back(&Service::web(Method::Dr, 1).vip6().reals6(), &lab)?;
    lab.finish()
}

#[test]
fn a_tunnel_over_ipv4_to_an_unprepared_host_with_a_strict_filter_and_back() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(IPIP, 1))?;
    sysctls(&lab.netns(WEB), &[("ipv4/conf/all/rp_filter", "1")])?;
    there_and_back(&Service::web(IPIP, 1), &lab)?;
    lab.finish()
}

#[test]
fn a_tunnel_over_ipv6_to_an_unprepared_host_and_back() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(GUE, 1)))?;
    there_and_back(&Service::web(GUE, 1).vip6().reals6(), &lab)?;
    lab.finish()
}

/// The director's packets come in by one interface, answers to clients leave by another.
#[test]
fn packets_from_a_tunnel_pass_a_strict_filter_where_answers_leave_by_another_interface()
-> Result<()> {
    require!(root, tools, xdp, daemon);
    let inside = web_address(Method::Nat, 1);
    let client = Host::new(CLIENT).port(Port::new("eth0", "br0", CLIENT_ADDRESS));
    let towards_clients = Port::new("eth0", "br0", LB1_ADDRESS).xdp();
    let director = Host::new(LB1)
        .port(towards_clients.address(format!("{VIP}/32")))
        .port(Port::new("eth1", "br1", LB1_INSIDE).xdp());
    let real = Host::new(WEB)
        .port(Port::new("eth0", "br1", inside))
        .port(Port::new("eth1", "br0", web_address(Method::Dr, 1)))
        .vip(VIP);
    let lab = Lab::build(Plan::default().host(client).host(director).host(real))?;
    let strict = [("ipv4/conf/eth0/rp_filter", "1")];
    sysctls(&lab.netns(WEB), &strict)?;
    lab.serve(WEB, &[])?;
    let site = Site::new(vec![Service::web(IPIP, 0).real(inside)]).on(&["eth0", "eth1"]);
    Director::start(&lab, LB1, site)?.wait_serving("web")?;
    lab.realserver(WEB, "setup", Some("tunnel"))?;
    let outcome = lab.requests(50)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");

    sysctls(&lab.netns(WEB), &strict)?;
    assert_eq!(lab.requests(1)?.ok, 0, "the filter did not matter");
    let (is_well, said) = lab.try_realserver(WEB, "check", Some("tunnel"), &[])?;
    assert!(!is_well && said.contains("rp_filter=2"), "{said}");
    lab.finish()
}

#[test]
fn setup_twice_does_what_setup_once_does() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(GUE, 1)))?;
    let before = look(&lab)?;
    lab.realserver(WEB, "setup", Some("dr"))?;
    let said = lab.realserver(WEB, "setup", Some("dr"))?;
    assert!(said.contains("nothing was to be done"), "{said}");
    let said = lab.realserver(WEB, "setup", Some("tunnel"))?;
    assert!(said.contains("attached natively"), "{said}");
    let once = look(&lab)?;
    let said = lab.realserver(WEB, "setup", Some("tunnel"))?;
    assert!(said.contains("updated"), "{said}");
    assert_as_before(&lab, &once)?;
    lab.realserver(WEB, "undo", None)?;
    assert_as_before(&lab, &before)?;
    lab.finish()
}

#[test]
fn what_somebody_else_prepared_stays_after_undo() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(GUE, 1)))?;
    let netns = lab.netns(WEB);
    ip(&netns, &[format!("address add {VIP}/32 dev lo")])?;
    sysctls(&netns, &[("ipv4/conf/all/arp_ignore", "1")])?;
    lab.decap(WEB, &["10.77.0.200"])?;
    let before = look(&lab)?;
    lab.realserver(WEB, "setup", Some("tunnel"))?;
    let said = lab.realserver(WEB, "check", Some("tunnel"))?;
    assert!(!said.contains("wrong"), "{said}");
    let said = lab.realserver(WEB, "undo", None)?;
    assert!(!said.contains("net.ipv4.conf.all.arp_ignore"), "{said}");
    assert!(!said.contains(&VIP.to_string()), "{said}");
    assert_as_before(&lab, &before)?;
    let pins = lab.bpffs(WEB)?.join("decap");
    let far_end = netns::within(&netns, || Ok(lb_user::datapath::far_end(&pins)?))?;
    assert_eq!(far_end.interfaces, BTreeSet::from(["eth0".to_owned()]));
    assert_eq!(far_end.vips, BTreeSet::from([[10, 77, 0, 200].into()]));
    lab.finish()
}

#[test]
fn a_setup_that_fails_half_way_leaves_nothing_behind() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(GUE, 1))?;
    let state = lab.host_dir(WEB)?.join("realserver.json");
    let setup = format!(
        "realserver setup --method tunnel --vip {VIP} --interface eth0 --state {}",
        state.display()
    );
    let before = look(&lab)?;
    let nowhere = lab.host_dir(WEB)?.join("pins");
    let said = refused(&lab, &format!("{setup} --pin-dir {}", nowhere.display()))?;
    assert!(said.contains("is not on a BPF file system"), "{said}");
    assert!(said.contains("what was done before is undone"), "{said}");
    assert_as_before(&lab, &before)?;

    // Another program is there already.
    lab.decap(WEB, &[VIP])?;
    let before = look(&lab)?;
    let other = lab.bpffs(WEB)?.join("other");
    let said = refused(&lab, &format!("{setup} --pin-dir {}", other.display()))?;
    assert!(said.contains("another XDP program"), "{said}");
    assert_as_before(&lab, &before)?;
    lab.finish()
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_changed() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(one_director(Method::Nat, 1))?;
    let state = lab.host_dir(WEB)?.join("realserver.json");
    let before = look(&lab)?;
    for (args, wanted) in [
        ("--vip 127.0.0.1 --interface eth0", "a loopback address"),
        ("--vip 10.77.0.100 --interface eth9", "it has lo, eth0"),
        (
            "--vip 10.77.1.11 --interface eth0",
            "`ip address del 10.77.1.11/24 dev eth0`",
        ),
        ("--vip 10.77.0.100/24 --interface eth0", "--vip <ADDRESS>"),
    ] {
        let setup = format!(
            "realserver setup --method dr --state {} {args}",
            state.display()
        );
        let said = refused(&lab, &setup)?;
        assert!(said.contains(wanted), "{said}");
        assert_as_before(&lab, &before)?;
    }
    fs::write(&state, "{")?;
    let with_file = look(&lab)?;
    let setup = "realserver setup --method dr --vip 10.77.0.100 --interface eth0";
    let said = refused(&lab, &format!("{setup} --state {}", state.display()))?;
    assert!(said.contains(&*state.to_string_lossy()), "{said}");
    assert_as_before(&lab, &with_file)?;
    lab.finish()
}

#[test]
fn an_interface_that_is_down_is_told_and_fails_setup_once_all_else_is_done() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let netns = lab.netns(WEB);
    ip(&netns, &["link set eth0 down".to_owned()])?;
    let state = lab.host_dir(WEB)?.join("realserver.json");
    let setup = format!(
        "realserver setup --method dr --vip {VIP} --interface eth0 --state {}",
        state.display()
    );
    let out = viaduct(&lab, &setup)?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let told = "wrong  eth0 is down\n       mend: ip link set eth0 up";
    assert!(said.contains(told), "{said}");

    ip(&netns, &["link set eth0 up".to_owned()])?;
    lab.realserver(WEB, "check", Some("dr"))?;
    let out = viaduct(&lab, &setup)?;
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && !said.contains("wrong"), "{said}");
    lab.finish()
}

#[test]
fn without_rights_nothing_is_tried_and_it_says_who_may() -> Result<()> {
    require!(root, tools, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let state = lab.host_dir(WEB)?.join("realserver.json");
    let before = look(&lab)?;
    let out = netns::command(&lab.netns(WEB), "setpriv")
        .args(["--bounding-set=-all", "--"])
        .arg(find::program("viaduct")?)
        .args("realserver setup --method dr --vip 10.77.0.100 --interface eth0".split(' '))
        .arg("--state")
        .arg(&state)
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "{said}");
    assert!(said.contains("CAP_NET_ADMIN; run it as root"), "{said}");
    assert_as_before(&lab, &before)?;
    lab.finish()
}

/// What `check` says to do, done by hand, until it says nothing any more.
#[test]
fn the_commands_that_check_names_mend_what_it_finds() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(dual(one_director(IPIP, 1)))?;
    let netns = lab.netns(WEB);
    sysctls(&netns, &[("ipv4/conf/all/rp_filter", "1")])?;
    // At the wrong place, and mute.
    ip(&netns, &[format!("address add {VIP}/32 dev eth0")])?;
    ip(&netns, &["link set eth0 down".to_owned()])?;
    let bin = find::program("viaduct-lb")?;
    let bin = bin.parent().context("a program is in a directory")?;
    let mut mended = vec![];
    while let (false, said) = lab.try_realserver(WEB, "check", Some("tunnel"), &[])? {
        let mend = said.lines().find_map(|line| line.split_once("mend: "));
        let (_, mend) = mend.with_context(|| said.clone())?;
        ensure!(
            !mended.contains(&mend.to_owned()),
            "`{mend}` helps not: {said}"
        );
        let script = format!("PATH={}:$PATH\n{SYSCTL}\n{mend}\n", bin.display());
        let out = netns::command(&netns, "sh")
            .args(["-c", &script])
            .output()?;
        ensure!(out.status.success(), "`{mend}`: {out:?}");
        mended.push(mend.to_owned());
    }
    assert_eq!(mended.len(), 8, "{mended:#?}");
    lab.serve(WEB, &[])?;
    let director = Director::start(&lab, LB1, Site::new(vec![Service::web(IPIP, 1)]))?;
    director.wait_serving("web")?;
    let outcome = lab.requests(50)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    lab.finish()
}
