//! How the daemon goes: after everybody who sends it requests was told, or after another process has
//! taken its place.
//!
//! | | stop (SIGTERM) | succession (SIGUSR2) |
//! |---|---|---|
//! | `health` says | draining, at once | ok: the new process says so |
//! | listeners | accept for `announce`, then close | are the new process's at once |
//! | kept connections | end with their next answer; idle ones after `announce` | the same |
//! | the rest | is waited for, `drain` at most | the same |
//!
//! Not here: how sockets are passed (`handover`).

use std::{
    ffi::OsString,
    future::pending,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use daemon::{
    notify,
    signals::{Signal, Signals},
};
use nix::{
    sys::signal::{Signal as Kill, kill},
    unistd::Pid,
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::Control;
use crate::{
    core::thread::Order,
    handover::{Handed, Heir, Role},
};

/// How often the end of connections is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Why it goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    /// It was told to stop.
    Stop,
    /// The process of this number serves.
    Succeeded(u32),
}

/// A new process that does not serve yet.
#[derive(Debug)]
pub(super) struct HandOver {
    pid: u32,
    settling: JoinHandle<Result<u32, String>>,
}

impl HandOver {
    /// Ends the new process.
    pub(super) fn give_up(self) {
        let ended = i32::try_from(self.pid).map(|pid| kill(Pid::from_raw(pid), Kill::SIGKILL));
        tracing::warn!(
            pid = self.pid,
            ?ended,
            "a new process that did not serve yet is ended"
        );
    }
}

/// What became of a new process; waits for ever where there is none.
pub(super) async fn outcome(handing: &mut Option<HandOver>) -> Result<u32, String> {
    let Some(one) = handing else {
        return pending().await;
    };
    let outcome = (&mut one.settling).await;
    *handing = None;
    outcome.unwrap_or_else(|error| Err(error.to_string()))
}

impl Control {
    /// Starts the program anew, as it is on disk now, and gives it the listeners.
    pub(super) async fn begin_hand_over(&mut self, handing: &mut Option<HandOver>) {
        if handing.is_some() {
            tracing::warn!("a new process has been started already");
            return;
        }
        match self.hand_over().await {
            Ok(begun) => {
                tracing::info!(pid = begun.pid, "a new process takes over");
                *handing = Some(begun);
            }
            Err(error) => self.not_succeeded(format!("{error:#}")),
        }
    }

    async fn hand_over(&self) -> anyhow::Result<HandOver> {
        let sockets = self.lend().await.context("the listeners")?;
        // As it was called: where a path leads now is what is to run.
        let mut args = std::env::args_os();
        let program = args.next().context("this process has no name")?;
        let args: Vec<OsString> = args.collect();
        let name = program.display().to_string();
        let heir = Heir::start(&program, &args).context(name)?;
        Ok(HandOver {
            pid: heir.pid(),
            settling: tokio::task::spawn_blocking(move || heir.settle(&sockets)),
        })
    }

    /// Copies of all sockets that listen.
    async fn lend(&self) -> anyhow::Result<Vec<Handed>> {
        let mut sockets = Vec::new();
        for thread in &self.threads {
            let (to, lent) = oneshot::channel();
            thread.tell(Order::Lend(to));
            for (address, socket) in lent.await?? {
                sockets.push(Handed {
                    role: Role::Listener,
                    address,
                    socket,
                });
            }
        }
        let address = self.status.local_addr()?;
        sockets.push(Handed {
            role: Role::Status,
            address,
            socket: self.status.try_clone()?.into(),
        });
        Ok(sockets)
    }

    /// Goes on, and says why.
    pub(super) fn not_succeeded(&self, error: String) {
        tracing::error!("no other process takes over, this one goes on: {error}");
        self.told.lock().1 = Some(error);
    }

    /// Leaves so that no client notices. A second signal ends the waiting.
    pub(super) async fn leave(&mut self, leave: Leave, signals: &mut Signals) {
        let timeouts = self.told.lock().0.site.settings.timeouts;
        let shared = Arc::clone(&self.told.shared);
        match leave {
            Leave::Stop => notify::stopping(),
            Leave::Succeeded(pid) => {
                tracing::info!(pid, "another process serves");
                notify::succeeded_by(pid);
                // Who asks for status is to reach that one.
                self.answering.drain(..).for_each(|task| task.abort());
                shared.succeeded.store(true, Relaxed);
            }
        }
        shared.draining.store(true, Relaxed);
        tracing::info!(announce = ?timeouts.announce, "draining");
        if matches!(leave, Leave::Succeeded(_)) {
            self.close_listeners();
        }
        tokio::select! {
            () = tokio::time::sleep(timeouts.announce) => {}
            () = self.all_gone(), if matches!(leave, Leave::Succeeded(_)) => {}
            () = stop_again(signals) => return,
        }
        if matches!(leave, Leave::Stop) {
            self.close_listeners();
        }
        let gone = async {
            self.all_gone_but(|| {
                let threads = self.threads.iter();
                threads.for_each(|thread| thread.tell(Order::CloseIdle));
            })
            .await;
        };
        tokio::select! {
            () = gone => tracing::info!("all connections have ended"),
            () = tokio::time::sleep(timeouts.drain) => {
                let left = shared.connections.load(Relaxed);
                tracing::warn!(left, "connections are broken off");
            }
            () = stop_again(signals) => {}
        }
    }

    fn close_listeners(&self) {
        for thread in &self.threads {
            thread.tell(Order::Listen(Vec::new()));
        }
        tracing::info!("listeners are closed");
    }

    /// Waits until no client is connected.
    async fn all_gone(&self) {
        self.all_gone_but(|| {}).await;
    }

    /// The same, and does something about it each time there still is one.
    async fn all_gone_but(&self, act: impl Fn()) {
        while self.told.shared.connections.load(Relaxed) > 0 {
            tokio::time::sleep(LOOK).await;
            act();
        }
    }
}

async fn stop_again(signals: &mut Signals) {
    while signals.recv().await != Signal::Stop {}
}
