//! The director as a real server of its own service: packets for it go to its own stack.
//!
//! Not here: single packets and their verdicts; the packet tables of lb-ebpf have those.

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        find,
        site::{Service, Site},
        topology::{LB1, LB1_ADDRESS, Method, one_director},
    },
    require,
};

#[test]
fn the_director_serves_beside_its_real_servers_and_status_says_so() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    lab.webs(Method::Dr, 1)?;
    lab.serve(LB1, &[])?;
    let service = Service::web(Method::Dr, 1).real(LB1_ADDRESS);
    let site = Site::new(vec![service.http_health("/health")]);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_serving("web")?;

    let outcome = lab.requests(200)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    for server in ["web1", LB1] {
        // Half of them, but for six standard deviations.
        let got = outcome.servers.get(server).copied().unwrap_or(0);
        assert!((56..=144).contains(&got), "{server}: {outcome:?}");
    }
    let status = director.status()?;
    assert_eq!(status.real("web", LB1_ADDRESS)["next_hop"], "this host");
    let own = outcome.servers.get(LB1).copied().unwrap_or(0);
    assert_eq!(status.real("web", LB1_ADDRESS)["connections"], own);
    assert!(status.verdict("forwarded_local") >= 4 * own, "{status}");

    let socket = director.files().socket.to_string_lossy().into_owned();
    let args = ["status", "--socket", &socket];
    let table = lab.spawn(LB1, "status", find::program("viaduct")?, &args)?;
    table.wait_exit()?;
    let table = table.output()?;
    let row = table.lines().find(|line| line.contains("10.77.0.2:80"));
    assert!(
        row.is_some_and(|row| row.contains("up, this host")),
        "{table}"
    );
    lab.finish()
}

/// Method `local`: the director's own server is all there is, and what it gets is counted.
#[test]
fn a_service_of_method_local_is_the_directors_own_and_counted() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(one_director(Method::Dr, 1))?;
    lab.serve(LB1, &[])?;
    let text = Site::new(vec![Service::web(Method::Dr, 0)]).to_string();
    let text = text.replace("method = \"dr\"", "method = \"local\"");
    let director = Director::start(&lab, LB1, text)?;
    let outcome = lab.requests(50)?;
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(outcome.servers.get(LB1), Some(&50), "{outcome:?}");
    let status = director.status()?;
    assert_eq!(status.service("web")["connections"], 50, "{status}");
    lab.finish()
}
