//! `login`: the bytes are packets of the beginning of a connection. What is read of one is written and
//! read again as the same.

use anyhow::{Context as _, Result, ensure};
use sqlproxy::wire::auth::Switch;
use sqlproxy::wire::handshake::{ChangeUser, Greeting, Response};
use sqlproxy::wire::status::{EofPacket, ErrPacket, OkPacket};
use sqlproxy::wire::{Capabilities, Command};

/// Reads the bytes as each packet there is.
///
/// # Errors
/// Says what cannot be.
pub fn login(bytes: &[u8]) -> Result<()> {
    if let Ok(greeting) = Greeting::read(bytes) {
        let mut out = Vec::new();
        greeting.put(&mut out);
        let again = Greeting::read(&out).context("a greeting of our own")?;
        // Extended capabilities are written where they are read, but for servers that have none.
        let low = |greeting: &Greeting| greeting.capabilities.low();
        ensure!(low(&again) == low(&greeting), "its capabilities");
        ensure!(again.nonce == greeting.nonce, "its nonce");
        ensure!(again.version == greeting.version, "its version");
    }
    if let Ok(Response::Login(login)) = Response::read(bytes) {
        let mut out = Vec::new();
        login.put(&mut out);
        // The proof's length has one byte without PLUGIN_AUTH_LENENC, or ends with a NUL.
        let has_length = Capabilities::PLUGIN_AUTH_LENENC;
        if login.wishes.capabilities.has(has_length) {
            let again = Response::read(&out).context("a login of our own")?;
            ensure!(again == Response::Login(login), "a login changed");
        }
    }
    let switch = Switch::read(bytes);
    if let Ok(switch) = switch {
        let mut out = Vec::new();
        switch.put(&mut out);
        ensure!(out == bytes, "a switch changed");
    }
    let all = Capabilities::SUPPORTED;
    let _: bool = ChangeUser::read(bytes, all).is_ok() && Command::read(bytes).is_ok();
    let _: bool = EofPacket::read(bytes).is_ok() && ErrPacket::read(bytes).is_ok();
    short(bytes, all)?;
    short(bytes, Capabilities::NONE)
}

fn short(bytes: &[u8], capabilities: Capabilities) -> Result<()> {
    let Ok(ok) = OkPacket::read(bytes, capabilities) else {
        return Ok(());
    };
    ensure!(
        ok.changes.iter().count() <= bytes.len(),
        "changes of nothing"
    );
    let mut out = Vec::new();
    ok.put(&mut out, 0, capabilities);
    let again = OkPacket::read(&out, capabilities).context("an OK of our own")?;
    ensure!(
        again.info == ok.info && again.changes == ok.changes,
        "an OK changed"
    );
    Ok(())
}
