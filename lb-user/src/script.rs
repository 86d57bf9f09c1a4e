//! Programs of the operator's that are run as root: with little that they inherit, and an end.
//!
//! Each is the head of a process group of its own; where its time is over, or nobody waits for it any
//! more, all of the group are killed, whatever it has started. Not here: what is run when, and what its
//! exit status means ([`crate::ha`]); who may write to it ([`crate::preflight`]).

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// What `PATH` is; there is nothing else in its environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a program for no longer than `most`; `None` where it was killed then. It reads nothing, what it
/// prints is lost, and what it complains of goes to `stderr`. Where this is dropped, it is killed too.
///
/// # Errors
/// It cannot be run.
pub(crate) async fn run(
    program: impl AsRef<OsStr>,
    arguments: &[String],
    stderr: Stdio,
    most: Duration,
) -> io::Result<Option<ExitStatus>> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(stderr).process_group(0);
    let mut group = Group::of(command.spawn()?);
    match tokio::time::timeout(most, group.child.wait()).await {
        Ok(status) => {
            group.id = None;
            status.map(Some)
        }
        Err(_elapsed) => Ok(None),
    }
}

/// A program that runs, and what it has started.
struct Group {
    child: Child,
    /// `None` once the program has ended by itself: what it leaves behind then, it means to.
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // The daemon is the last that may go where memory is short (its unit's OOMScoreAdjust), and
            // not for the sake of a script. Where the host does not let us say so, it stays as it is.
            drop(std::fs::write(format!("/proc/{id}/oom_score_adj"), "0"));
        }
        Self {
            child,
            id: id.map(Pid::from_raw),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody has waited for the head of the group, so its number is nobody else's.
        if let Some(id) = self.id {
            // There may be none of them left.
            let _gone = killpg(id, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work)
    }

    fn is_true(script: &str) -> bool {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let status = block_on(run("/bin/sh", &arguments, Stdio::inherit(), LONG));
        status.unwrap().unwrap().success()
    }

    #[test]
    fn it_finds_a_path_in_its_environment_and_nothing_else() {
        assert!(std::env::vars_os().count() > 1, "there is more to inherit");
        let is_alone = format!("test \"$(tr '\\0' '\\n' < /proc/$$/environ)\" = PATH={PATH}");
        assert!(is_true(&is_alone));
    }

    #[test]
    fn it_is_the_head_of_its_group() {
        // The fifth word of a process's state is its group's number.
        assert!(is_true(
            "read -r _ _ _ _ group _ < /proc/$$/stat; test \"$group\" = $$"
        ));
    }

    #[test]
    fn it_may_be_killed_for_want_of_memory_as_any_other() {
        let own = "/proc/self/oom_score_adj";
        let before = std::fs::read_to_string(own).unwrap();
        // What it would inherit.
        std::fs::write(own, "1").unwrap();
        let is_reset =
            is_true("until read -r a < /proc/$$/oom_score_adj && test $a = 0; do :; done");
        drop(std::fs::write(own, before));
        assert!(is_reset);
    }

    #[test]
    fn what_a_program_has_started_is_killed_with_it() {
        let dir = std::env::temp_dir().join(format!("viaduct-group-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!(
            "exec 3> {}; (sleep 10; echo late >&3) & echo up >&3; wait",
            pipe.display()
        );
        let rest = block_on(async {
            let arguments = ["-c".to_owned(), script];
            let running =
                tokio::spawn(
                    async move { run("/bin/sh", &arguments, Stdio::inherit(), LONG).await },
                );
            let mut pipe = tokio::task::spawn_blocking(move || {
                let mut pipe = File::open(pipe).unwrap();
                pipe.read_exact(&mut [0; 3]).unwrap();
                pipe
            })
            .await
            .unwrap();
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
            // It ends when the last one that could write to it is gone.
            let rest = move || pipe.read_to_end(&mut Vec::new()).unwrap();
            tokio::task::spawn_blocking(rest).await.unwrap()
        });
        assert_eq!(rest, 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
