//! `viaduct-sqlproxy` between real clients and two real MariaDB servers.
//!
//! Not here: the protocol and the lexer as bytes, which the package `sqlproxy` tests without sockets.

mod basics;
mod failover;
mod faults;
mod life;
mod routing;
mod sessions;
mod tls;

use anyhow::Result;
use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use tests::lab::{
    Lab,
    mariadb::{APP, MariaDb, PASSWORD, SCHEMA, Setup},
    netns,
    proxy::{PROXY_ADDRESS, proxied},
    sqlproxy::{PORT, SqlProxy, site},
    topology::{CLIENT, Method, web, web_address},
};

/// A primary, its replica, and a proxy before them.
struct Site<'l> {
    lab: &'l Lab,
    primary: MariaDb<'l>,
    replica: MariaDb<'l>,
    proxy: SqlProxy<'l>,
}

/// Runs `test` with a primary, its replica and a proxy; `more` stands in `[sqlproxy]`.
fn with_site(
    more: &str,
    options: &[&str],
    test: impl FnOnce(&Site<'_>) -> Result<()>,
) -> Result<()> {
    let lab = Lab::build(proxied(2))?;
    let start = |number| {
        let setup = Setup::new(number, web_address(Method::Fullnat, number));
        lab.mariadb(
            &web(number),
            setup.options(&[
                "--general-log=0",
                "--local-infile=1",
                "--log-bin-trust-function-creators=1",
            ]),
        )
    };
    let (primary, replica) = (start(1)?, start(2)?);
    replica.replicate(&primary)?;
    primary.query(&format!(
        "CREATE TABLE {SCHEMA}.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT); \
         CREATE TABLE {SCHEMA}.me (id INT); \
         INSERT INTO {SCHEMA}.t (v) VALUES (1), (2), (3)"
    ))?;
    replica.catch_up(&primary)?;
    // Where a read was answered: each server has a row of its own.
    for server in [&primary, &replica] {
        server.query(&format!(
            "SET sql_log_bin = 0; INSERT INTO {SCHEMA}.me SELECT @@server_id"
        ))?;
    }
    let text = site(&lab, &[&primary, &replica], more)?;
    let proxy = SqlProxy::start(&lab, &text, options)?;
    test(&Site {
        lab: &lab,
        primary,
        replica,
        proxy,
    })?;
    lab.finish()
}

impl Site<'_> {
    /// Does something as a client of mysql_async, on the client's host.
    fn client<T: Send>(&self, work: impl AsyncFnOnce(Conn) -> Result<T> + Send) -> Result<T> {
        netns::within(&self.lab.netns(CLIENT), || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let to = OptsBuilder::default()
                    .ip_or_hostname(PROXY_ADDRESS.to_string())
                    .tcp_port(PORT)
                    .user(Some(APP))
                    .pass(Some(PASSWORD))
                    .db_name(Some(SCHEMA))
                    .prefer_socket(false);
                work(Conn::new(to).await?).await
            })
        })
    }
}

/// The server that answers a plain read of this session.
async fn reads_from(conn: &mut Conn) -> Result<u8> {
    let id = conn.query_first("SELECT id FROM me").await?;
    Ok(id.unwrap_or_default())
}
