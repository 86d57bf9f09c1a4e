//! Scripts that are tracked: run again and again, each by a task of its own, judged as probes are
//! ([`health::Monitor`]): a row of failures makes it fail, a row of successes good again.
//!
//! Until its first verdict a script counts as good, as in keepalived without `init_fail`. One that several
//! virtual routers track in the same way is run once. Not here: what a failing script does to a virtual
//! router ([`super::priority`]).

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use health::{Action, Failure, Input, Monitor, Outcome, Spec, Verdict};
use nix::libc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::Event;
use crate::{script, time};

/// What is run, and how it is judged. Exit status 0 is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The program, by its absolute path, and its arguments.
    pub command: Vec<String>,
    /// How often, how long, and how many results make a verdict.
    pub spec: Spec,
}

/// All scripts that are tracked.
#[derive(Debug, Default)]
pub struct Scripts {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    script: Arc<Script>,
    verdict: Verdict,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripts {
    /// Runs these and no others. Those that stay keep their verdict; so does a program that is only to
    /// be judged otherwise.
    pub fn follow(&mut self, wanted: impl Iterator<Item = Script>, events: &mpsc::Sender<Event>) {
        let mut before = std::mem::take(&mut self.running);
        for script in wanted {
            if self.running.iter().any(|running| *running.script == script) {
                continue;
            }
            let same = before.iter().position(|old| *old.script == script);
            let running = match same {
                Some(place) => before.swap_remove(place),
                None => {
                    let mut old = before.iter();
                    let old = old.find(|old| old.script.command == script.command);
                    let verdict = old.map_or(Verdict::Checking, |old| old.verdict);
                    let script = Arc::new(script);
                    let work = watch(Arc::clone(&script), verdict, events.clone());
                    Running {
                        script,
                        verdict,
                        task: tokio::spawn(work),
                    }
                }
            };
            self.running.push(running);
        }
    }

    /// Notes a verdict; whether it is news.
    pub fn note(&mut self, script: &Script, verdict: Verdict) -> bool {
        let mut running = self.running.iter_mut();
        let Some(running) = running.find(|running| *running.script == *script) else {
            return false;
        };
        std::mem::replace(&mut running.verdict, verdict) != verdict
    }

    /// Whether a script fails.
    pub fn is_failing(&self, command: &[String], spec: &Spec) -> bool {
        self.running.iter().any(|running| {
            running.verdict == Verdict::Down
                && running.script.command == command
                && running.script.spec == *spec
        })
    }
}

/// Runs a script for ever, and tells of each change of its verdict.
async fn watch(script: Arc<Script>, verdict: Verdict, events: mpsc::Sender<Event>) {
    let mut monitor = Monitor::resume(script.spec, verdict, time::now(), Duration::ZERO);
    loop {
        tokio::time::sleep_until(monitor.deadline().into()).await;
        let mut actions = monitor.handle(time::now(), Input::Timer);
        if actions.contains(&Action::StartProbe) {
            let outcome = run(&script).await;
            actions = monitor.handle(time::now(), Input::Result(outcome));
        }
        for action in actions {
            if let Action::Changed { to, reason, .. } = action {
                let event = Event::Tracked {
                    script: Arc::clone(&script),
                    verdict: to,
                    reason,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Runs it once; it is killed when its time is over, with all that it has started.
async fn run(script: &Script) -> Outcome {
    let Some((program, arguments)) = script.command.split_first() else {
        return Outcome::Failed(Failure::Local);
    };
    let most = script.spec.timeout;
    let status = match script::run(program, arguments, Stdio::null(), most).await {
        Ok(None) => return Outcome::Failed(Failure::Timeout),
        Err(error) => return Outcome::Failed(cannot_run(&error)),
        Ok(Some(status)) => status,
    };
    match status.code() {
        Some(0) => Outcome::Passed,
        Some(code) => Outcome::Failed(Failure::Status(u16::try_from(code).unwrap_or(u16::MAX))),
        None => Outcome::Failed(Failure::Closed),
    }
}

/// A script that is not there, or is none, fails; a shortage of this host's says nothing.
fn cannot_run(error: &std::io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Failure::Local,
        _ => Failure::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(command: &[&str]) -> Script {
        Script {
            command: command.iter().map(ToString::to_string).collect(),
            spec: Spec {
                interval: Duration::from_millis(10),
                timeout: Duration::from_secs(10),
                rise: std::num::NonZeroU32::MIN,
                fall: std::num::NonZeroU32::MIN,
            },
        }
    }

    fn outcome(script: &Script) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(script))
    }

    #[test]
    fn the_exit_status_is_the_verdict() {
        assert_eq!(outcome(&script(&["/bin/true"])), Outcome::Passed);
        let three = script(&["/bin/sh", "-c", "exit 3"]);
        assert_eq!(outcome(&three), Outcome::Failed(Failure::Status(3)));
        let killed = script(&["/bin/sh", "-c", "kill -9 $$"]);
        assert_eq!(outcome(&killed), Outcome::Failed(Failure::Closed));
        let missing = script(&["/nonexistent/check"]);
        assert_eq!(outcome(&missing), Outcome::Failed(Failure::Refused));
    }

    #[test]
    fn a_script_that_hangs_is_killed_and_fails() {
        let mut hangs = script(&["/bin/sleep", "1000"]);
        hangs.spec.timeout = Duration::from_millis(50);
        assert_eq!(outcome(&hangs), Outcome::Failed(Failure::Timeout));
    }

    #[test]
    fn changes_are_told_and_kept_over_a_reload() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (events, mut inbox) = mpsc::channel(8);
            let mut scripts = Scripts::default();
            let fails = script(&["/bin/false"]);
            let is_failing =
                |scripts: &Scripts, of: &Script| scripts.is_failing(&of.command, &of.spec);
            let twice = [fails.clone(), fails.clone()];
            scripts.follow(twice.into_iter(), &events);
            assert_eq!(scripts.running.len(), 1);
            assert!(!is_failing(&scripts, &fails), "not judged yet");
            let Some(Event::Tracked {
                script,
                verdict,
                reason,
            }) = inbox.recv().await
            else {
                panic!("a verdict");
            };
            assert_eq!((&*script, verdict), (&fails, Verdict::Down));
            assert_eq!(reason, Outcome::Failed(Failure::Status(1)));
            assert!(scripts.note(&script, verdict));
            assert!(!scripts.note(&script, verdict), "no news");
            assert!(is_failing(&scripts, &fails));
            let slower = Script {
                spec: Spec {
                    interval: Duration::from_secs(60),
                    ..fails.spec
                },
                ..fails
            };
            scripts.follow([slower.clone()].into_iter(), &events);
            assert!(is_failing(&scripts, &slower), "as before");
            scripts.follow(std::iter::empty(), &events);
            assert!(!is_failing(&scripts, &slower));
        });
    }
}
