//! The daemon's life: what its end means for traffic, how it comes back, and how it refuses to
//! start.
//!
//! Not here: reloads (`reload`).

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tests::{
    lab::{
        Lab,
        director::{Director, Files},
        find, netns,
        process::{Process, ended_by},
        site::{Service, Site},
        stub,
        topology::{LB1, Method, one_director},
        wait::eventually,
    },
    require,
};

/// How long what is about to happen may take.
const SOON: Duration = Duration::from_secs(10);

const WEBS: u8 = 3;

fn site(method: Method) -> Site {
    Site::new(vec![Service::web(method, WEBS)])
}

/// Whether an XDP program is on the director's interface.
fn has_xdp(lab: &Lab) -> Result<bool> {
    let out = netns::command(&lab.netns(LB1), "ip")
        .args(["-d", "link", "show", "eth0"])
        .output()?;
    Ok(String::from_utf8(out.stdout)?.contains("prog/xdp"))
}

/// Ends the daemon under load, then starts it again: no request may notice either.
fn comes_and_goes(method: Method, end: impl Fn(&Director<'_>) -> Result<()>) -> Result<()> {
    goes_and(method, end, |director| director.start_again())
}

/// The same, `back` being how it comes back.
fn goes_and(
    method: Method,
    end: impl Fn(&Director<'_>) -> Result<()>,
    back: impl Fn(&mut Director<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let mut director = Director::start(&lab, LB1, site(method))?;
    director.wait_serving("web")?;
    let (kept, fresh) = (lab.load(12, true)?, lab.load(4, false)?);
    let more = || kept.more(50).and_then(|()| fresh.more(50));
    more()?;
    end(&director)?;
    assert!(director.daemon().exit()?.is_some(), "it still runs");
    more()?;
    assert!(has_xdp(&lab)?, "the data plane went with the daemon");
    back(&mut director)?;
    director.wait_serving("web")?;
    more()?;
    for outcome in [kept.stop()?, fresh.stop()?] {
        assert!(outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.lost_connections, 0, "{outcome:?}");
    }
    lab.finish()
}

fn terminated(director: &Director<'_>) -> Result<()> {
    let status = director.stop()?;
    assert!(status.success(), "{status}: {}", director.daemon().story());
    Ok(())
}

fn killed(director: &Director<'_>) -> Result<()> {
    let status = director.daemon().kill()?;
    assert!(ended_by(status, Signal::SIGKILL), "{status}");
    Ok(())
}

#[test]
fn sigterm_leaves_the_data_plane_forwarding_and_a_restart_takes_it_over() -> Result<()> {
    require!(root, tools, xdp, daemon);
    comes_and_goes(Method::Dr, terminated)
}

#[test]
fn kill_9_leaves_the_data_plane_forwarding_and_a_restart_takes_it_over() -> Result<()> {
    require!(root, tools, xdp, daemon);
    comes_and_goes(Method::Dr, killed)
}

#[test]
fn kill_9_leaves_nat_forwarding_and_a_restart_takes_it_over() -> Result<()> {
    require!(root, tools, xdp, daemon);
    comes_and_goes(Method::Nat, killed)
}

/// An upgrade: another file, with the same layout of maps, takes over under load. Its programs come
/// into force link by link, with stages of their own.
#[test]
fn another_binary_takes_the_data_plane_over_under_load() -> Result<()> {
    require!(root, tools, xdp, daemon);
    goes_and(Method::Nat, terminated, |director| {
        let copy = director.files().config.with_file_name("viaduct-lb-new");
        fs::copy(find::program("viaduct-lb")?, &copy)?;
        director.start_again_from(&copy)
    })
}

#[test]
fn the_file_as_it_is_at_the_restart_holds() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, WEBS))?;
    lab.webs(Method::Dr, WEBS)?;
    let mut director = Director::start(&lab, LB1, site(Method::Dr))?;
    director.wait_serving("web")?;
    director.stop()?;
    director
        .files()
        .write_site(Site::new(vec![Service::web(Method::Dr, 1)]))?;
    director.start_again()?;
    director.wait_serving("web")?;
    let outcome = lab.requests(60)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(outcome.servers.len(), 1, "{outcome:?}");
    lab.finish()
}

#[test]
fn detach_removes_program_and_pins() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, WEBS))?;
    let director = Director::start(&lab, LB1, site(Method::Dr))?;
    director.stop()?;
    let pins = &director.files().pins;
    assert!(has_xdp(&lab)?);
    assert!(fs::read_dir(pins)?.count() > 0);
    director.detach()?;
    assert!(!has_xdp(&lab)?);
    let left = fs::read_dir(pins).map_or(0, Iterator::count);
    assert_eq!(left, 0, "pins are left in {}", pins.display());
    lab.finish()
}

/// Starts a daemon that must refuse, and gives the log that says why.
fn refusal(lab: &Lab, files: &Files) -> Result<String> {
    let program = find::program("viaduct-lb")?;
    refused(&lab.spawn(LB1, "viaduct-lb", program, &files.run_args(LB1))?)
}

fn refused(daemon: &Process) -> Result<String> {
    let status = daemon
        .wait_exit()
        .context("it should have refused to start")?;
    assert!(!status.success(), "it ended as if all were well");
    assert!(status.code().is_some(), "{status}");
    let log = daemon.log()?;
    assert!(!log.contains("panicked"), "{log}");
    Ok(log)
}

#[test]
fn a_second_daemon_refuses_and_the_first_goes_on() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, WEBS))?;
    lab.webs(Method::Dr, WEBS)?;
    let director = Director::start(&lab, LB1, site(Method::Dr))?;
    director.wait_serving("web")?;
    let log = refusal(&lab, director.files())?;
    assert!(log.contains("running") || log.contains("in use"), "{log}");
    assert_eq!(director.status()?.generation(), 1);
    assert_eq!(lab.requests(20)?.ok, 20);
    lab.finish()
}

#[test]
fn an_interface_that_carries_another_xdp_program_is_refused() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let other = stub::attach(&lab.netns(LB1), "eth0")?;
    let files = Files::of(&lab, LB1)?;
    files.write_site(site(Method::Dr))?;
    let log = refusal(&lab, &files)?;
    assert!(log.contains("eth0") && log.contains("XDP program"), "{log}");
    assert!(has_xdp(&lab)?, "the other program was removed");
    drop(other);
    // A child that another test has just forked may hold the link for a moment.
    eventually(
        SOON,
        "the other program to be gone, and none left by the daemon",
        || Ok((!has_xdp(&lab)?).then_some(())),
    )?;
    lab.finish()
}

#[test]
fn an_interface_that_does_not_exist_is_refused_by_name() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let files = Files::of(&lab, LB1)?;
    files.write_site(Site {
        interfaces: vec!["eth7"],
        ..site(Method::Dr)
    })?;
    let log = refusal(&lab, &files)?;
    assert!(log.contains("eth7"), "{log}");
    lab.finish()
}

#[test]
fn without_permission_the_daemon_says_what_it_needs() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let files = Files::of(&lab, LB1)?;
    files.write_site(site(Method::Dr))?;
    // Where `nobody` may read it: the target directory may be in someone's home.
    let program = lab.dir().join("viaduct-lb");
    fs::copy(find::program("viaduct-lb")?, &program)?;
    let mut args = vec!["--reuid=nobody".to_owned(), "--clear-groups".to_owned()];
    args.push(program.to_string_lossy().into_owned());
    args.extend(files.run_args(LB1));
    let log = refused(&lab.spawn(LB1, "viaduct-lb", "setpriv", &args)?)?;
    assert!(log.contains("root") || log.contains("CAP_"), "{log}");
    lab.finish()
}

#[test]
fn a_bad_site_file_at_the_start_is_refused_with_its_line() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let files = Files::of(&lab, LB1)?;
    files.write_site(site(Method::Dr).to_string().replace("protocol", "protokol"))?;
    let program = find::program("viaduct-lb")?;
    let daemon = lab.spawn(LB1, "viaduct-lb", program, &files.run_args(LB1))?;
    let log = refused(&daemon)?;
    assert!(
        log.contains("site.toml:") && log.contains("protokol"),
        "{log}"
    );
    assert_eq!(daemon.exit()?.and_then(|status| status.code()), Some(64));
    assert!(!has_xdp(&lab)?);
    lab.finish()
}
