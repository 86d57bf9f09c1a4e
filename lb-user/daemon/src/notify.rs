//! Tells the service manager where the daemon stands (`sd_notify(3)`).
//!
//! Without `NOTIFY_SOCKET` in the environment nothing happens. A manager that cannot be told is no
//! reason to stop serving: failures are logged, and that is all. Not here: the watchdog.

use sd_notify::NotifyState;

/// Started, or done reloading: traffic is served by the site file as it is.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Reading the site file again; to be followed by [`ready`], whether it was taken or not.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // systemd 253 wants the time with it, and ends a service that leaves it out.
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => failed(&error),
    }
}

/// Another process is the daemon from now on.
pub fn succeeded_by(pid: u32) {
    send(&[NotifyState::MainPid(pid)]);
}

/// On the way out.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        failed(&error);
    }
}

fn failed(error: &std::io::Error) {
    tracing::warn!(%error, "the service manager cannot be told");
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

    /// Set for the child only: what it says goes to its own `NOTIFY_SOCKET`.
    const CHILD: &str = "VIADUCT_TEST_NOTIFY_CHILD";

    /// Run by the other test, in a process with an environment of its own.
    #[test]
    fn child() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        super::ready();
        super::reloading();
        super::status("3 services");
        super::succeeded_by(42);
        super::stopping();
    }

    #[test]
    fn the_manager_hears_every_step() {
        let path = env::temp_dir().join(format!("viaduct-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "notify::tests::child"])
            .env(CHILD, "1")
            .env("NOTIFY_SOCKET", &path)
            .output();
        fs::remove_file(&path).unwrap();
        assert!(child.unwrap().status.success());
        let mut buffer = [0; 256];
        let mut next = || {
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(next(), "READY=1\n");
        let reloading = next();
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading:?}"
        );
        assert_eq!(next(), "STATUS=3 services\n");
        assert_eq!(next(), "MAINPID=42\n");
        assert_eq!(next(), "STOPPING=1\n");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        super::ready();
        super::status("");
    }
}
