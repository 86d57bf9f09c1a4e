//! What an operator or the service manager asks by signal.
//!
//! SIGTERM and SIGINT: stop. SIGHUP: read the site file again. Not here: what stopping and reloading
//! mean to a daemon.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals of this process from the moment this is made. Several of a kind that arrive before
/// they are looked at are one.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to die. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// Where the system refuses a handler.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next one; stopping comes first. Dropping the future loses none.
    pub async fn recv(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal as Unix, raise};

    use super::{Signal, Signals};

    #[test]
    fn signals_become_what_they_ask_for() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut signals = Signals::new().unwrap();
            raise(Unix::SIGHUP).unwrap();
            assert_eq!(signals.recv().await, Signal::Reload);
            raise(Unix::SIGINT).unwrap();
            assert_eq!(signals.recv().await, Signal::Stop);
            raise(Unix::SIGTERM).unwrap();
            assert_eq!(signals.recv().await, Signal::Stop);
        });
    }
}
