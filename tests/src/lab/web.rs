//! The lab's web servers: `viaduct-demo web` on a host.
//!
//! Not here: what they serve (`guest::web`).

use anyhow::Result;

use super::{
    Lab, find,
    process::Process,
    topology::{Method, VIP, web},
};

impl Lab {
    /// Starts the web server of host `web<number>` and waits until it listens: HTTP on port 80 of
    /// every address, UDP echo on port 7 of the address that clients send to.
    ///
    /// # Errors
    /// When it does not listen soon.
    pub fn web(&self, method: Method, number: u8) -> Result<Process> {
        let name = web(number);
        // A UDP answer must come from the address that was asked; TCP sees to that by itself.
        let udp = match method {
            Method::Dr => format!("{VIP}:7"),
            Method::Nat => "0.0.0.0:7".to_owned(),
        };
        let args = [
            "web",
            "--listen",
            "0.0.0.0:80",
            "--udp",
            &udp,
            "--name",
            &name,
        ];
        let server = self.spawn(&name, &name, find::program("viaduct-demo")?, &args)?;
        server.wait_for_log("`listening`", |line| line.starts_with("listening"))?;
        Ok(server)
    }

    /// Starts the web servers 1 to `webs`.
    ///
    /// # Errors
    /// As [`Lab::web`].
    pub fn webs(&self, method: Method, webs: u8) -> Result<Vec<Process>> {
        (1..=webs).map(|number| self.web(method, number)).collect()
    }
}
