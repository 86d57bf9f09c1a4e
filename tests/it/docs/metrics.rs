//! The metrics of virtual routers, which the guide's own site has none of, beside the guide's table.
//!
//! Not here: all others ([`super::guide`]).

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::Result;
use tests::{
    lab::{
        Lab,
        director::Director,
        router::VirtualRouter,
        site::{Service, Site},
        status::Status,
        topology::{LB1, Method, two_directors},
    },
    require,
};

use super::{GUIDE, document};

/// Whether a metric is one of virtual routers: the guide's own site has none.
pub(super) fn is_of_routers(name: &str) -> bool {
    name.starts_with("viaduct_lb_router_") || name.starts_with("viaduct_lb_vrrp_")
}

#[test]
fn the_metrics_of_virtual_routers_are_those_of_the_guide() -> Result<()> {
    require!(root, tools, xdp, daemon);
    let lab = Lab::build(two_directors(Method::Dr, 1))?;
    let router = VirtualRouter::new(Duration::from_millis(100));
    let site = Site::new(vec![Service::web(Method::Dr, 1)]).router(router);
    let director = Director::start(&lab, LB1, site)?;
    director.wait_status("the director to be active", Status::is_active)?;
    let socket = director.files().socket.as_os_str();
    let out = Command::new("curl")
        .args(["-sS", "http://localhost/metrics", "--unix-socket"])
        .arg(socket)
        .output()?;
    let text = String::from_utf8(out.stdout)?;
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let names = series.filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned));
    let found: BTreeSet<String> = names.filter(|name| is_of_routers(name)).collect();
    let mut table = document(GUIDE)?.names_under("Metrics")?;
    table.retain(|name| is_of_routers(name));
    assert_eq!(found, table, "{GUIDE}: the table of metrics");
    lab.finish()
}
