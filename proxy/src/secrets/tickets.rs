//! Session tickets: what a client keeps so that its next connection needs no full handshake (RFC 8446
//! section 4.6.1), sealed with keys that all threads, and all proxies of a site, know.
//!
//! A ticket is the name of its key, a nonce, and the session sealed by AES-256-GCM. Keys come from a file,
//! a line each, of which the first one seals and all open; or they are the process's own and change by
//! themselves. Not here: what is in a session.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::server::ProducesTickets;

use super::{Error, files};
use crate::{clock, config::Named};

/// Bytes of a key's name in a ticket.
const NAME: usize = 16;
/// Bytes of a key.
const KEY: usize = 32;
/// How long the process's own keys seal; they open for twice as long.
const TURN: Duration = Duration::from_secs(6 * 3600);
/// Keys in a file at most.
const KEYS_MAX: usize = 16;

/// A key as it is in a file.
pub(super) type Raw = [u8; KEY];

/// Reads keys.
///
/// # Errors
/// The file cannot be read, or a line is no key.
pub(super) fn read(named: &Named) -> Result<Vec<Raw>, Error> {
    let path = || named.path.clone();
    let text = files::bytes(&named.path)?;
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty() && line[0] != b'#');
    let keys = lines.map(|(place, line)| {
        let line_number = place + 1;
        key(line.trim_ascii()).ok_or_else(|| Error::Ticket {
            path: path(),
            line: line_number,
        })
    });
    let keys: Vec<Raw> = keys.take(KEYS_MAX).collect::<Result<_, _>>()?;
    match keys.is_empty() {
        true => Err(Error::Nothing {
            path: path(),
            what: "key",
        }),
        false => Ok(keys),
    }
}

fn key(digits: &[u8]) -> Option<Raw> {
    let mut key = [0; KEY];
    if digits.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

/// Keys of the process's own, of which the newest comes first.
#[derive(Debug)]
pub(super) struct Own(RwLock<(Instant, Vec<Raw>)>);

impl Default for Own {
    fn default() -> Self {
        Self(RwLock::new((clock::now(), fresh().into_iter().collect())))
    }
}

fn fresh() -> Option<Raw> {
    let mut key = [0; KEY];
    SystemRandom::new().fill(&mut key).ok()?;
    Some(key)
}

impl Own {
    pub(super) fn keys(&self) -> Vec<Raw> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.1.clone()
    }

    /// A new key where the newest has sealed for long enough.
    pub(super) fn refresh(&self) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        if now - keys.0 < TURN {
            return;
        }
        keys.0 = now;
        keys.1.splice(0..0, fresh());
        keys.1.truncate(3);
    }
}

/// Seals and opens tickets of one kind of listener.
pub(super) struct Tickets {
    /// Sessions of a listener that asks clients for certificates must be good for no other.
    label: Vec<u8>,
    keys: RwLock<Arc<Vec<Key>>>,
}

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Tickets {
    /// With these keys, for listeners of this kind.
    pub(super) fn new(raw: &[Raw], label: Vec<u8>) -> Self {
        let tickets = Self {
            label,
            keys: RwLock::default(),
        };
        tickets.set(raw);
        tickets
    }

    /// With these keys from now on.
    pub(super) fn set(&self, raw: &[Raw]) {
        let keys = raw.iter().filter_map(|raw| Key::new(raw, &self.label));
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(keys.collect());
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }
}

impl Key {
    fn new(raw: &Raw, label: &[u8]) -> Option<Self> {
        let raw = hmac::Key::new(hmac::HMAC_SHA256, raw);
        let derived = |purpose: &[u8]| {
            let mut context = hmac::Context::with_key(&raw);
            context.update(purpose);
            context.update(label);
            context.sign()
        };
        let mut name = [0; NAME];
        name.copy_from_slice(derived(b"name").as_ref().get(..NAME)?);
        let key = UnboundKey::new(&AES_256_GCM, derived(b"seal").as_ref()).ok()?;
        Some(Self {
            name,
            key: LessSafeKey::new(key),
        })
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys().is_empty()
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * TURN.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let Key { name, key } = keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(sealing, Aad::from(name), &mut sealed)
            .ok()?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys();
        let key = keys.iter().find(|key| key.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = key.key.open_in_place(nonce, Aad::from(name), &mut sealed);
        plain.ok().map(|plain| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &[Raw], label: &[u8]) -> Tickets {
        Tickets::new(keys, label.to_vec())
    }

    #[test]
    fn a_ticket_is_opened_by_whoever_knows_its_key() {
        let (old, new) = ([1; KEY], [2; KEY]);
        let ticket = tickets(&[old], b"").encrypt(b"session").expect("a ticket");
        let after = tickets(&[new, old], b"");
        assert_eq!(after.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(&[new], b"").decrypt(&ticket), None);
        assert_ne!(
            after.encrypt(b"session").map(|new| new[..NAME].to_vec()),
            Some(ticket[..NAME].to_vec())
        );
    }

    #[test]
    fn a_ticket_is_good_for_listeners_of_its_kind_only() {
        let ticket = tickets(&[[1; KEY]], b"")
            .encrypt(b"session")
            .expect("a ticket");
        assert_eq!(tickets(&[[1; KEY]], b"asks").decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_none() {
        let all = tickets(&[[1; KEY]], b"");
        let ticket = all.encrypt(b"session").expect("a ticket");
        for at in 0..ticket.len() {
            assert_eq!(all.decrypt(&ticket[..at]), None, "cut at {at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(all.decrypt(&changed), None, "changed at {at}");
        }
    }
}
