//! What a director says of itself: `GET /status` over its unix socket, and the questions tests
//! ask of the answer.
//!
//! Not here: the daemon's own status types; the tests read the JSON that users read.

use std::{
    fmt::{self, Display},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// A director's answer to `GET /status`.
#[derive(Clone, Debug, PartialEq)]
pub struct Status(pub Value);

impl Status {
    /// How many site files were applied.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0["site"]["generation"].as_u64().unwrap_or_default()
    }

    /// Why the last site file was refused; none when it was not.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.0["site"]["last_error"].as_str()
    }

    /// A service by its name; `Null` when there is none.
    #[must_use]
    pub fn service(&self, name: &str) -> &Value {
        find(&self.0["services"], |service| service["name"] == name)
    }

    /// A real server of a service; `Null` when there is none.
    #[must_use]
    pub fn real(&self, service: &str, address: impl Display) -> &Value {
        let address = address.to_string();
        find(&self.service(service)["reals"], |real| {
            real["address"] == *address
        })
    }

    /// `up`, `down`, `checking` or `unchecked`; empty when there is no such real server.
    #[must_use]
    pub fn health(&self, service: &str, address: impl Display) -> &str {
        self.real(service, address)["health"]
            .as_str()
            .unwrap_or_default()
    }

    /// Whether the director knows where to send the packets of each of a service's real servers.
    #[must_use]
    pub fn resolved(&self, service: &str) -> bool {
        let reals = self.service(service)["reals"].as_array();
        reals.is_some_and(|reals| {
            !reals.is_empty() && reals.iter().all(|real| real["next_hop"] != "unresolved")
        })
    }

    /// Whether each of a service's real servers is up, or not checked at all.
    #[must_use]
    pub fn serving(&self, service: &str) -> bool {
        let reals = self.service(service)["reals"].as_array();
        reals.is_some_and(|reals| {
            reals
                .iter()
                .all(|real| real["health"] == "up" || real["health"] == "unchecked")
        })
    }

    /// Whether all virtual routers are in this state; one at least.
    #[must_use]
    pub fn is(&self, state: &str) -> bool {
        let routers = self.0["routers"].as_array();
        routers.is_some_and(|routers| {
            !routers.is_empty() && routers.iter().all(|router| router["state"] == state)
        })
    }

    /// Whether it serves all of its virtual routers.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is("active")
    }

    /// How many packets left with this verdict.
    #[must_use]
    pub fn verdict(&self, name: &str) -> u64 {
        self.0["verdicts"][name].as_u64().unwrap_or_default()
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

fn find(list: &Value, wanted: impl Fn(&Value) -> bool) -> &Value {
    list.as_array()
        .and_then(|all| all.iter().find(|one| wanted(one)))
        .unwrap_or(&Value::Null)
}

/// Asks a director for its status.
///
/// # Errors
/// When nobody answers on the socket, or not as the status endpoint does.
pub fn ask(socket: &Path) -> Result<Status> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let body = runtime.block_on(get(socket, "/status"))?;
    let value = serde_json::from_slice(&body).context("the status is not JSON")?;
    Ok(Status(value))
}

/// `GET path` over a unix socket.
async fn get(socket: &Path, path: &str) -> Result<Bytes> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("nobody answers on {}", socket.display()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("host", "director")
        .body(Empty::<Bytes>::new())?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            bail!("GET {path}: {status}");
        }
        Ok(body)
    };
    let driver = tokio::spawn(connection);
    let body = exchange.await;
    driver.abort();
    body
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_questions_find_their_answers() {
        let reals = json!([{ "address": "10.77.0.11", "health": "up", "next_hop": "unresolved" }]);
        let status = Status(json!({ "services": [{ "name": "web", "reals": reals }] }));
        let web1 = Ipv4Addr::new(10, 77, 0, 11);
        assert_eq!(status.health("web", web1), "up");
        assert_eq!(status.health("web", Ipv4Addr::LOCALHOST), "");
        assert!(!status.resolved("web"));
        assert!(!status.resolved("absent"), "nothing is not resolved");
    }
}
