//! What MySQL stores for caching_sha2_password: `$A$005$`, a salt of 20 bytes, and SHA-crypt with
//! SHA-256 in its 43 characters. Only the password itself can be checked against it, and that takes
//! some milliseconds: once for each user, then its [`super::auth::CachedHash`] answers.
//!
//! Source: U. Drepper, "Unix crypt using SHA-256 and SHA-512", and MySQL's `sha2_password_common.cc`:
//! the rounds are thousands in hexadecimal, and the salt is longer than crypt's 16.
//!
//! Not here: the proofs of every login ([`super::auth`]).

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const SALT: usize = 20;
const TEXT: usize = 43;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Longest password tried: MySQL's own limit.
const LONGEST: usize = 256;

/// What `mysql.user.authentication_string` has.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash {
    rounds: u32,
    salt: [u8; SALT],
    text: [u8; TEXT],
}

impl StoredHash {
    /// From the server's string of 70 bytes.
    #[must_use]
    pub fn parse(stored: &[u8]) -> Option<Self> {
        let rest = stored.strip_prefix(b"$A$")?;
        let (thousands, rest) = rest.split_first_chunk::<3>()?;
        let thousands = std::str::from_utf8(thousands).ok()?;
        let rest = rest.strip_prefix(b"$")?;
        let (salt, text) = rest.split_first_chunk::<SALT>()?;
        let rounds = match u32::from_str_radix(thousands, 16).ok()? {
            0..5 => return None,
            thousands => thousands * 1000,
        };
        let text = <[u8; TEXT]>::try_from(text).ok()?;
        let (salt, is_known) = (*salt, text.iter().all(|byte| ALPHABET.contains(byte)));
        is_known.then_some(Self { rounds, salt, text })
    }

    /// Whether this is the password.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        if password.len() > LONGEST {
            return false;
        }
        let text = encode(&crypt(password, &self.salt, self.rounds));
        text.ct_eq(&self.text).into()
    }
}

/// Drepper's steps by their numbers.
fn crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    // 4 to 8.
    let b = hash(&[password, salt, password]);
    // 1 to 3, 9 to 12.
    let mut a = Sha256::new();
    a.update(password);
    a.update(salt);
    a.update(stretched(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        a.update(if bits & 1 == 1 { &b[..] } else { password });
        bits >>= 1;
    }
    let mut a: [u8; 32] = a.finalize().into();
    // 13 to 16.
    let every = password.iter().cycle();
    let all: Vec<u8> = every
        .take(password.len() * password.len())
        .copied()
        .collect();
    let p = stretched(&hash(&[&all]), password.len());
    // 17 to 20.
    let all = salt.repeat(16 + usize::from(a[0]));
    let s = stretched(&hash(&[&all]), salt.len());
    // 21.
    for round in 0..rounds {
        let (odd, three, seven) = (round & 1 == 1, round % 3 != 0, round % 7 != 0);
        a = hash(&[
            if odd { &p } else { &a },
            if three { &s } else { b"" },
            if seven { &p } else { b"" },
            if odd { &a } else { &p },
        ]);
    }
    a
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let hash = parts.iter().fold(Sha256::new(), Sha256::chain_update);
    hash.finalize().into()
}

fn stretched(digest: &[u8; 32], len: usize) -> Vec<u8> {
    digest.iter().cycle().take(len).copied().collect()
}

/// 22: groups of three bytes in an order of their own, six bits a character, the lowest first.
fn encode(digest: &[u8; 32]) -> [u8; TEXT] {
    let mut text = [0; TEXT];
    let mut at = 0;
    let mut put = |a: u8, b: u8, c: u8, characters: usize| {
        let mut bits = u32::from_be_bytes([0, a, b, c]);
        for _ in 0..characters {
            text[at] = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
            at += 1;
        }
    };
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        put(digest[a], digest[b], digest[c], 4);
        (a, b, c) = ((a + 21) % 30, (b + 21) % 30, (c + 21) % 30);
    }
    put(0, digest[31], digest[30], 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// glibc's, which takes 16 bytes of salt at most.
    #[test]
    fn it_is_the_crypt_of_everybody() {
        for (password, salt, rounds, text) in [
            (
                "secret",
                "saltstring",
                5000,
                "C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
            ),
            (
                "",
                "0123456789abcdef",
                5000,
                "Zn36wCiXtVKLQsl4EZaBU/Ag5FUHHzFRXevhCLkg7x/",
            ),
            (
                "a password of more than thirty-two bytes, indeed",
                "abc",
                10_000,
                "7YHf6ZhxIbDCYeuVe3nmUPBWdme.sHysELqs0URXJFB",
            ),
        ] {
            let made = encode(&crypt(password.as_bytes(), salt.as_bytes(), rounds));
            assert_eq!(made, text.as_bytes(), "{password}");
        }
    }

    #[test]
    fn a_stored_hash_accepts_its_password_alone() {
        let salt = *b"abcdefghijklmnopqrst";
        let text = encode(&crypt(b"secret", &salt, 5000));
        let stored = [&b"$A$005$"[..], &salt, &text].concat();
        let hash = StoredHash::parse(&stored).unwrap();
        assert!(hash.accepts(b"secret"));
        assert!(!hash.accepts(b"Secret") && !hash.accepts(b"") && !hash.accepts(&[b'x'; 300]));
        for cut in 0..stored.len() {
            assert!(StoredHash::parse(&stored[..cut]).is_none());
        }
        assert!(StoredHash::parse(&[&b"$A$004$"[..], &salt, &text].concat()).is_none());
        assert!(StoredHash::parse(&[&b"$B$005$"[..], &salt, &text].concat()).is_none());
    }
}
