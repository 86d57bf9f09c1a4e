//! `viaduct-proxy` between curl, the lab's clients, nginx and the lab's web servers.
//!
//! Not here: HTTP as bytes, which the package `proxy` tests without sockets.

mod basics;
mod differential;
mod failures;
mod faults;
mod frames;
mod grpc;
mod http2;
mod life;
mod limits;
mod malformed;
mod operator;
mod overload;
mod preamble;
mod raw;
mod routing;
mod site;
mod tls;
mod upgrade;
mod upstreams;

use anyhow::Result;
use tests::lab::{
    Lab,
    proxy::{PROXY_ADDRESS, Proxy, proxied},
};

/// What an nginx in these tests serves.
const LOCATIONS: &str = "location / { return 200 \"$request_method $request_uri $http_host \
    $http_x_forwarded_for $http_x_forwarded_proto\\n\"; }";

/// Runs `test` with nginx on so many web servers and a proxy before them.
fn with_nginx(
    webs: u8,
    site: &str,
    test: impl FnOnce(&Lab, &Proxy<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(proxied(webs))?;
    for number in 1..=webs {
        lab.nginx(number, LOCATIONS)?;
    }
    let proxy = Proxy::start(&lab, site)?;
    test(&lab, &proxy)?;
    lab.finish()
}

fn url(path: &str) -> String {
    format!("http://{PROXY_ADDRESS}{path}")
}
