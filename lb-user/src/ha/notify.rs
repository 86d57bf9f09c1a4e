//! Notify scripts, with keepalived's arguments: `INSTANCE`, the virtual router's name, `MASTER`,
//! `BACKUP`, `FAULT` or `STOP`, and the priority.
//!
//! One after the other for each router, so that the last one told is where it stands; keepalived runs
//! them at once, in any order. While one runs, the newest word waits, and no older one. Not here: what a
//! change of state is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use crate::script;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a script is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is active.
    Master,
    /// It is not.
    Backup,
    /// It takes no part, because something that it needs or tracks fails.
    Fault,
    /// It takes no part any more.
    Stop,
}

impl Word {
    const fn text(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }
}

#[derive(Debug)]
struct Call {
    program: PathBuf,
    word: Word,
    arguments: [String; 4],
}

/// What is told of one router: a call that runs, and one that waits, at most.
#[derive(Debug, Default)]
struct Turns {
    runs: bool,
    waiting: Option<Call>,
}

/// What is told of one router, and by whom.
#[derive(Debug)]
struct Queue {
    turns: Arc<Mutex<Turns>>,
    task: JoinHandle<()>,
    is_forgotten: bool,
}

/// The scripts' queues.
#[derive(Debug, Default)]
pub struct Notifier {
    queues: BTreeMap<Arc<str>, Queue>,
}

impl Notifier {
    /// Has a script told of a change, after the one of the same router that is being told. One that still
    /// waits is not told any more: it is over.
    pub fn notify(&mut self, program: PathBuf, router: &Arc<str>, word: Word, priority: u8) {
        self.sweep();
        let arguments = [
            "INSTANCE".to_owned(),
            router.to_string(),
            word.text().to_owned(),
            priority.to_string(),
        ];
        let call = Call {
            program,
            word,
            arguments,
        };
        let Some(queue) = self.queues.get_mut(router) else {
            let queue = Queue::begin(Arc::default(), call);
            self.queues.insert(Arc::clone(router), queue);
            return;
        };
        queue.is_forgotten = false;
        let mut turns = turns_of(&queue.turns);
        if !turns.runs {
            drop(turns);
            *queue = Queue::begin(Arc::clone(&queue.turns), call);
        } else if let Some(over) = turns.waiting.replace(call) {
            let (over, now) = (over.word.text(), word.text());
            warn!(%router, %over, %now, "notify script is too slow: it is not told of a state that is over");
        }
    }

    /// A router that there is no more. What is being told of it, and what waits, goes on to its end.
    pub fn forget(&mut self, router: &str) {
        if let Some(queue) = self.queues.get_mut(router) {
            queue.is_forgotten = true;
        }
        self.sweep();
    }

    /// Drops what is left of routers that there are no more.
    fn sweep(&mut self) {
        let is_over = |queue: &Queue| queue.is_forgotten && !turns_of(&queue.turns).runs;
        self.queues.retain(|_, queue| !is_over(queue));
    }

    /// Waits until all have been told, but not for longer than `most`.
    pub async fn finish(self, most: Duration) {
        let finish = async {
            for queue in self.queues.into_values() {
                // It has ended, one way or the other.
                drop(queue.task.await);
            }
        };
        if tokio::time::timeout(most, finish).await.is_err() {
            warn!("notify scripts are still running; not waiting for them");
        }
    }
}

impl Queue {
    /// Runs a call, and those that come meanwhile.
    fn begin(turns: Arc<Mutex<Turns>>, call: Call) -> Self {
        turns_of(&turns).runs = true;
        Self {
            task: tokio::spawn(work(Arc::clone(&turns), call)),
            turns,
            is_forgotten: false,
        }
    }
}

/// Nothing that can panic is done while it is held.
fn turns_of(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(turns: Arc<Mutex<Turns>>, first: Call) {
    let mut next = Some(first);
    while let Some(call) = next {
        run(call).await;
        let mut turns = turns_of(&turns);
        next = turns.waiting.take();
        turns.runs = next.is_some();
    }
}

async fn run(
    Call {
        program, arguments, ..
    }: Call,
) {
    let told = arguments.join(" ");
    let path = program.display();
    match script::run(&program, &arguments, Stdio::inherit(), PATIENCE).await {
        Ok(None) => warn!(script = %path, %told, "notify script was killed after {PATIENCE:?}"),
        Err(error) => warn!(script = %path, %told, %error, "notify script cannot be run"),
        Ok(Some(status)) if !status.success() => {
            warn!(script = %path, %told, %status, "notify script failed");
        }
        Ok(Some(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A directory with a script that says what it is told, and then does this in the directory.
    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str, and_then: &str) -> Self {
            let name = format!("viaduct-notify-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let at = dir.display();
            let text = format!("#!/bin/sh\ncd {at}\necho \"$*\" >> said\n{and_then}\n");
            std::fs::write(dir.join("notify"), text).unwrap();
            let permissions = Permissions::from_mode(0o755);
            std::fs::set_permissions(dir.join("notify"), permissions).unwrap();
            Self(dir)
        }

        fn script(&self) -> PathBuf {
            self.0.join("notify")
        }

        fn said(&self) -> String {
            std::fs::read_to_string(self.0.join("said")).unwrap()
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work)
    }

    /// Lets a script that reads this pipe go on; waits until there is one.
    async fn let_go(pipe: PathBuf) {
        let write = move || std::fs::write(pipe, "\n").unwrap();
        tokio::task::spawn_blocking(write).await.unwrap();
    }

    fn make_pipe(pipe: &Path) {
        nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }

    #[test]
    fn a_script_is_told_in_order_with_keepalived_s_arguments() {
        let scene = Scene::new("order", "");
        let router = Arc::from("site");
        for (word, priority) in [
            (Word::Backup, 100),
            (Word::Master, 100),
            (Word::Fault, 50),
            (Word::Stop, 50),
        ] {
            block_on(async {
                let mut notifier = Notifier::default();
                notifier.notify(scene.script(), &router, word, priority);
                notifier.finish(LONG).await;
            });
        }
        let expected = "INSTANCE site BACKUP 100\nINSTANCE site MASTER 100\n\
                        INSTANCE site FAULT 50\nINSTANCE site STOP 50\n";
        assert_eq!(scene.said(), expected);
    }

    #[test]
    fn of_words_that_wait_the_newest_is_told_and_it_alone() {
        let scene = Scene::new("newest", "read -r _ < pipe");
        let pipe = scene.0.join("pipe");
        make_pipe(&pipe);
        let (router, other) = (Arc::from("site"), Arc::from("other"));
        block_on(async {
            let mut notifier = Notifier::default();
            for word in [Word::Backup, Word::Fault, Word::Backup, Word::Master] {
                notifier.notify(scene.script(), &router, word, 100);
            }
            // One's waiting is nothing to another.
            let quick = Scene::new("quick", "");
            notifier.notify(quick.script(), &other, Word::Backup, 100);
            let_go(pipe.clone()).await;
            let_go(pipe).await;
            notifier.finish(LONG).await;
            assert_eq!(quick.said(), "INSTANCE other BACKUP 100\n");
        });
        let expected = "INSTANCE site BACKUP 100\nINSTANCE site MASTER 100\n";
        assert_eq!(scene.said(), expected);
    }

    #[test]
    fn a_router_that_is_gone_is_forgotten_once_it_is_told() {
        let scene = Scene::new("forgotten", "read -r _ < pipe");
        let pipe = scene.0.join("pipe");
        make_pipe(&pipe);
        let router = Arc::from("site");
        block_on(async {
            let mut notifier = Notifier::default();
            notifier.notify(scene.script(), &router, Word::Master, 100);
            notifier.notify(scene.script(), &router, Word::Stop, 100);
            notifier.forget(&router);
            assert_eq!(notifier.queues.len(), 1, "not all is told");
            let_go(pipe.clone()).await;
            let_go(pipe.clone()).await;
            let task = &mut notifier.queues.get_mut(&router).unwrap().task;
            task.await.unwrap();
            // One that was told all is forgotten at once.
            notifier.forget("another");
            assert!(notifier.queues.is_empty());
            notifier.notify(scene.script(), &router, Word::Backup, 90);
            let_go(pipe).await;
            notifier.finish(LONG).await;
        });
        let expected = "INSTANCE site MASTER 100\nINSTANCE site STOP 100\n\
                        INSTANCE site BACKUP 90\n";
        assert_eq!(scene.said(), expected);
    }
}
