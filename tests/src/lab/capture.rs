//! Packet captures, started on demand and kept when the test fails.
//!
//! Not here: reading them; that is for a person with tcpdump or Wireshark.

use anyhow::Result;

use super::{Lab, plan::SWITCH, process::Process};

impl Lab {
    /// Captures everything that crosses a bridge, until the lab ends: each frame once.
    ///
    /// # Errors
    /// When tcpdump is missing or cannot start.
    pub fn capture(&self, bridge: &str) -> Result<Process> {
        let file = self.dir.join(format!("{bridge}.pcap"));
        let file = file.to_string_lossy();
        // As root, since the directory is; each packet written as it comes; headers suffice.
        let args = ["-i", bridge, "-U", "-Z", "root", "-s", "256", "-w", &*file];
        let tcpdump = self.spawn(SWITCH, "tcpdump", "tcpdump", &args)?;
        tcpdump.wait_for_log("its start", |line| line.contains("listening on"))?;
        Ok(tcpdump)
    }
}
