//! Reload: the site file changes under load and no request notices; a bad file changes nothing.
//!
//! Not here: what is wrong with bad files; the tests of the site file have those.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::{Director, Reload},
        load::Load,
        netns,
        site::{Service, Site},
        topology::{LB1, Method, one_director, web_address},
    },
    require,
};

/// How many web servers there are; the first three are in the site file at the start.
const WEBS: u8 = 4;

fn site(method: Method, webs: u8) -> Site {
    Site::new(vec![Service::web(method, webs)])
}

/// Two kinds of load at a time: connections that last, and connections for one request.
struct Loads {
    kept: Load,
    fresh: Load,
}

impl Loads {
    fn start(lab: &Lab) -> Result<Self> {
        let loads = Self {
            kept: lab.load(16, true)?,
            fresh: lab.load(4, false)?,
        };
        loads.more()?;
        Ok(loads)
    }

    fn more(&self) -> Result<()> {
        self.kept.more(60)?;
        self.fresh.more(60)
    }

    /// Ends both; nothing may have failed. Gives who served the fresh connections.
    fn assert_unharmed(self) -> Result<Vec<String>> {
        let (kept, fresh) = (self.kept.stop()?, self.fresh.stop()?);
        assert!(kept.failures.is_empty(), "{kept:?}");
        assert!(fresh.failures.is_empty(), "{fresh:?}");
        assert_eq!(
            (kept.connections, kept.lost_connections),
            (16, 0),
            "{kept:?}"
        );
        Ok(fresh.servers.into_keys().collect())
    }
}

fn under_load(
    method: Method,
    test: impl FnOnce(&Director<'_>, &Loads, &Lab) -> Result<()>,
) -> Result<Vec<String>> {
    let lab = Lab::build(one_director(method, WEBS))?;
    lab.webs(method, WEBS)?;
    let director = Director::start(&lab, LB1, site(method, 3))?;
    director.wait_serving("web")?;
    let loads = Loads::start(&lab)?;
    test(&director, &loads, &lab)?;
    loads.more()?;
    let servers = loads.assert_unharmed()?;
    lab.finish()?;
    Ok(servers)
}

fn server_added(method: Method) -> Result<()> {
    let servers = under_load(method, |director, _, lab| {
        let generation = director.apply(site(method, 4))?;
        assert_eq!(generation, 2);
        director.wait_serving("web")?;
        let after = lab.requests(100)?;
        assert!(after.servers.contains_key("web4"), "{after:?}");
        Ok(())
    })?;
    assert!(servers.len() >= 3, "{servers:?}");
    Ok(())
}

#[test]
fn a_server_is_added_under_load_and_every_connection_stays() -> Result<()> {
    require!(root, tools, xdp, daemon);
    server_added(Method::Dr)
}

#[test]
fn a_server_is_added_behind_nat_under_load_and_every_connection_stays() -> Result<()> {
    require!(root, tools, xdp, daemon);
    server_added(Method::Nat)
}

#[test]
fn weights_change_under_load_and_every_connection_stays() -> Result<()> {
    require!(root, tools, xdp, daemon);
    under_load(Method::Dr, |director, loads, _| {
        for (first, second) in [(10, 200), (200, 10), (100, 100)] {
            let service = Service::web(Method::Dr, 3)
                .weight(1, first)
                .weight(2, second);
            director.apply(Site::new(vec![service]))?;
            loads.more()?;
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_server_drained_by_weight_0_is_removed_without_a_failed_request() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 3))?;
    lab.webs(Method::Dr, 3)?;
    let director = Director::start(&lab, LB1, site(Method::Dr, 3))?;
    director.wait_serving("web")?;
    let load = lab.load(4, false)?;
    load.more(50)?;
    director.apply(Site::new(vec![Service::web(Method::Dr, 3).weight(3, 0)]))?;
    // As many requests as there are workers may have been under way on it: these are more.
    load.more(20)?;
    let drained = lab.requests(60)?;
    assert_eq!(drained.servers.get("web3"), None, "{drained:?}");
    director.apply(site(Method::Dr, 2))?;
    load.more(50)?;
    assert!(
        director
            .status()?
            .real("web", web_address(Method::Dr, 3))
            .is_null()
    );
    let outcome = load.stop()?;
    assert!(
        outcome.failures.is_empty() && drained.failures.is_empty(),
        "{outcome:?}"
    );
    lab.finish()
}

#[test]
fn a_connection_to_a_server_of_weight_0_stays() -> Result<()> {
    require!(root, tools, xdp, daemon);
    under_load(Method::Dr, |director, loads, _| {
        director.apply(Site::new(vec![Service::web(Method::Dr, 3).weight(3, 0)]))?;
        loads.more()
    })?;
    Ok(())
}

#[test]
fn a_bad_file_is_refused_and_nothing_changes() -> Result<()> {
    require!(root, tools, xdp, daemon);
    under_load(Method::Dr, |director, _, lab| {
        let before = director.status()?;
        let bad = site(Method::Dr, 1)
            .to_string()
            .replace("protocol", "protokol");
        let Reload::Refused(error) = director.reload(bad)? else {
            panic!("an unknown key was accepted");
        };
        assert!(error.contains("protokol"), "{error}");
        let after = director.status()?;
        assert_eq!(after.generation(), before.generation());
        let reals = |status: &tests::lab::status::Status| {
            status.service("web")["reals"].as_array().map(Vec::len)
        };
        assert_eq!(reals(&after), reals(&before));
        let outcome = lab.requests(100)?;
        assert_eq!(outcome.servers.len(), 3, "{outcome:?}");

        director.apply(site(Method::Dr, 3))?;
        assert_eq!(
            director.status()?.last_error(),
            None,
            "a good file clears the error"
        );
        Ok(())
    })?;
    Ok(())
}

/// The site with status served at another place.
fn with_status(address: &str) -> String {
    format!(
        "[director]\nstatus = \"{address}\"\n\n{}",
        site(Method::Dr, 1)
    )
}

#[test]
fn the_status_page_moves_with_the_site_file_or_the_file_is_refused() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    let director = Director::start(&lab, LB1, site(Method::Dr, 1))?;
    let mode = &director.status()?.0["interfaces"][0]["mode"];
    assert_eq!(mode, "native", "told right from the start");
    let answers = |address: &str| {
        let ask = |mut curl: std::process::Command| {
            curl.args(["-sf", &format!("http://{address}/healthz")])
                .output()
        };
        ask(netns::command(&lab.netns(LB1), "curl")).map(|output| output.stdout == b"ok\n")
    };
    assert!(answers("127.0.0.1:9144")?);

    director.apply(with_status("127.0.0.1:9145"))?;
    assert!(answers("127.0.0.1:9145")?);
    assert!(!answers("127.0.0.1:9144")?, "the old place is left");

    let generation = director.status()?.generation();
    // An address that this host does not have.
    let Reload::Refused(error) = director.reload(with_status("10.99.0.1:9146"))? else {
        panic!("an address of another host was accepted");
    };
    assert!(error.contains("10.99.0.1:9146"), "{error}");
    assert_eq!(director.status()?.generation(), generation);
    assert!(answers("127.0.0.1:9145")?, "the place in force stays");
    assert_eq!(director.stop()?.code(), Some(0));
    drop(director);
    lab.finish()
}
