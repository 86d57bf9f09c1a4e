//! `viaduct drain` and `viaduct undrain`: the order over the daemon's socket, and waiting for the
//! connections to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use daemon::http::{get, post};

use super::order::{Answer, Named, Order};
use crate::cli::SOCKET;
use crate::status::Status;
use crate::status::view::{ConnectionsStatus, RealStatus};
use crate::time;

/// The longest wait: a week, as the longest timeout of a flow.
const WAIT_MAX: u64 = 7 * 24 * 3600;
/// How often the daemon is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(250);

/// Options of `viaduct drain`.
#[derive(Debug, clap::Args)]
pub struct Drain {
    #[command(flatten)]
    which: Which,
    /// Wait until it has no active connections left, this many seconds at most; exits with 3 when
    /// there are some then.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=WAIT_MAX))]
    wait: Option<u64>,
}

/// Options of `viaduct undrain`.
#[derive(Debug, clap::Args)]
pub struct Undrain {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The service's name in the site file.
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The real server's address, with its port where the service has several at that address.
    #[arg(value_name = "REAL[:PORT]")]
    real: Named,
    /// The daemon's socket.
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// To be printed.
    pub line: String,
    /// What the operator should know besides.
    pub warnings: Vec<String>,
    /// Active connections that are left when the time to wait is over.
    pub is_over: bool,
}

impl Drain {
    /// Drains, and waits if it was told to.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn run(&self) -> anyhow::Result<Done> {
        let started = time::now();
        let answer = self.which.order(true).await?;
        let name = self.which.name(&answer);
        let mut warnings = warnings(&self.which.service, &answer);
        let Some(seconds) = self.wait else {
            let how = if answer.changed {
                "drained"
            } else {
                "was drained already"
            };
            let now = self.which.now(&answer).await?;
            return Ok(Done {
                line: format!("{name}: {how}; active connections: {}", told(&now)),
                warnings,
                is_over: false,
            });
        };
        let deadline = started + Duration::from_secs(seconds);
        loop {
            let now = self.which.now(&answer).await?;
            if now.active == 0 {
                let line = format!("{name}: drained; no active connections are left");
                return Ok(Done {
                    line,
                    warnings,
                    is_over: false,
                });
            }
            if time::now() >= deadline {
                warnings.push("it stays drained; `viaduct undrain` ends that".to_owned());
                let line = format!(
                    "{name}: drained; after {seconds} s active connections are left: {}",
                    told(&now)
                );
                return Ok(Done {
                    line,
                    warnings,
                    is_over: true,
                });
            }
            tokio::time::sleep_until(deadline.min(time::now() + AGAIN).into()).await;
        }
    }
}

impl Undrain {
    /// Lets it have new flows again.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn run(&self) -> anyhow::Result<Done> {
        let answer = self.which.order(false).await?;
        let how = if answer.changed {
            "gets new flows again"
        } else {
            "was not drained"
        };
        Ok(Done {
            line: format!("{}: {how}", self.which.name(&answer)),
            warnings: warnings(&self.which.service, &answer),
            is_over: false,
        })
    }
}

impl Which {
    /// Sends the order.
    async fn order(&self, drain: bool) -> anyhow::Result<Answer> {
        let order = Order {
            service: self.service.clone(),
            real: self.real,
            drain,
        };
        let reply = post(&self.socket, "/drain", serde_json::to_vec(&order)?).await?;
        if reply.status != 200 {
            bail!("{}", reply.body.trim());
        }
        serde_json::from_str(&reply.body).with_context(|| other_version(&self.socket))
    }

    /// What the real server has open now.
    async fn now(&self, answer: &Answer) -> anyhow::Result<ConnectionsStatus> {
        let reply = get(&self.socket, "/status").await?;
        if reply.status != 200 {
            bail!("{}: {}", self.socket.display(), reply.body.trim());
        }
        let status: Status =
            serde_json::from_str(&reply.body).with_context(|| other_version(&self.socket))?;
        let service = status.services.iter().find(|s| s.name == self.service);
        let is_it = |real: &&RealStatus| (real.address, real.port) == (answer.address, answer.port);
        let real = service.and_then(|service| service.reals.iter().find(is_it));
        let real =
            real.with_context(|| format!("{}: the site file no longer has it", self.name(answer)))?;
        if !real.drained {
            bail!("{}: it is no longer drained", self.name(answer));
        }
        Ok(real.connections_now)
    }

    /// Service and real server, for people.
    fn name(&self, answer: &Answer) -> String {
        let Answer { address, port, .. } = *answer;
        format!("{} {}", self.service, Named { address, port })
    }
}

fn other_version(socket: &Path) -> String {
    format!("{}: the daemon is of another version", socket.display())
}

/// About how many, where they are not counted one by one.
fn told(now: &ConnectionsStatus) -> String {
    let about = if now.connections_estimated { "~" } else { "" };
    format!("{about}{}", now.active)
}

fn warnings(service: &str, answer: &Answer) -> Vec<String> {
    let problem = answer.problem.as_ref();
    let problem = problem.map(|problem| {
        format!("the data plane does not do it yet, the daemon tries again: {problem}")
    });
    let nobody = (answer.serving == 0)
        .then(|| format!("no real server of {service} gets new flows: new clients are dropped"));
    problem.into_iter().chain(nobody).collect()
}
