//! Proofs of a password: mysql_native_password and caching_sha2_password, made and checked, and the
//! packets that lead from one to the other.
//!
//! ```text
//! native        SHA1(p) xor SHA1(nonce + SHA1(SHA1(p)));       stored: SHA1(SHA1(p))
//! caching_sha2  SHA256(p) xor SHA256(SHA256(SHA256(p)) + nonce); cached: SHA256(SHA256(p))
//!               stored: SHA-crypt of p ([`super::sha_crypt`]), which only the password itself can be
//!               checked against: it is sent once, in TLS, by a unix socket, or RSA-encrypted.
//! ```
//! Source: MySQL's "Native Authentication" and "Caching_sha2_password information". MariaDB 10.11
//! stores native hashes alone; MySQL 9 caching_sha2 alone.
//!
//! Not here: RSA itself (a driver does it with a library that keeps its timing to itself); who may
//! connect.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    WireError,
    fields::{Fields, put_nul_bytes},
};

/// Random bytes of a greeting.
pub const NONCE: usize = 20;

/// The ways of proving a password that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// MySQL up to 8.4, MariaDB.
    Native,
    /// MySQL from 8.0.
    CachingSha2,
    /// The password itself; in TLS or by a unix socket only.
    Clear,
}

impl Plugin {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Clear => "mysql_clear_password",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        [Self::Native, Self::CachingSha2, Self::Clear]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }

    /// The proof of a password; empty for an empty one, as every plugin has it. The clear one's ends
    /// with a NUL.
    #[must_use]
    pub fn proof(self, password: &[u8], nonce: &[u8]) -> Vec<u8> {
        match self {
            Self::Clear => [password, &[0]].concat(),
            Self::Native | Self::CachingSha2 if password.is_empty() => Vec::new(),
            Self::Native => native(password, nonce).to_vec(),
            Self::CachingSha2 => caching_sha2(password, nonce).to_vec(),
        }
    }
}

fn sha1(parts: [&[u8]; 2]) -> [u8; 20] {
    let hash = parts.iter().fold(Sha1::new(), Sha1::chain_update);
    hash.finalize().into()
}

fn sha256(parts: [&[u8]; 2]) -> [u8; 32] {
    let hash = parts.iter().fold(Sha256::new(), Sha256::chain_update);
    hash.finalize().into()
}

fn xor<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    std::array::from_fn(|at| a[at] ^ b[at])
}

fn native(password: &[u8], nonce: &[u8]) -> [u8; 20] {
    let once = sha1([password, b""]);
    xor(once, sha1([nonce, &sha1([&once, b""])]))
}

fn caching_sha2(password: &[u8], nonce: &[u8]) -> [u8; 32] {
    let once = sha256([password, b""]);
    xor(once, sha256([&sha256([&once, b""]), nonce]))
}

/// What a native password is checked against: `*` and 40 hexadecimal digits in `mysql.user`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NativeHash([u8; 20]);

impl NativeHash {
    /// Of a password.
    #[must_use]
    pub fn of(password: &[u8]) -> Self {
        Self(sha1([&sha1([password, b""]), b""]))
    }

    /// From `*` and 40 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('*')?;
        if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; 20];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Whether the proof is of the password with this hash.
    #[must_use]
    pub fn accepts(&self, proof: &[u8], nonce: &[u8]) -> bool {
        let Ok(proof) = <[u8; 20]>::try_from(proof) else {
            return false;
        };
        let once = xor(proof, sha1([nonce, &self.0]));
        sha1([&once, b""]).ct_eq(&self.0).into()
    }
}

/// What a caching_sha2 proof is checked against, once the password itself was seen. Kept in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CachedHash([u8; 32]);

/// Without the hash.
impl std::fmt::Debug for CachedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CachedHash")
    }
}

impl CachedHash {
    /// Of a password.
    #[must_use]
    pub fn of(password: &[u8]) -> Self {
        Self(sha256([&sha256([password, b""]), b""]))
    }

    /// Whether the proof is of the password with this hash.
    #[must_use]
    pub fn accepts(&self, proof: &[u8], nonce: &[u8]) -> bool {
        let Ok(proof) = <[u8; 32]>::try_from(proof) else {
            return false;
        };
        let once = xor(proof, sha256([&self.0, nonce]));
        sha256([&once, b""]).ct_eq(&self.0).into()
    }
}

/// The password with its NUL, mixed with the nonce over and over: what is RSA-encrypted (OAEP, SHA-1)
/// towards a server, and, the other way, what decryption gives.
#[must_use]
pub fn mixed(password_and_nul: &[u8], nonce: &[u8; NONCE]) -> Vec<u8> {
    let nonce = nonce.iter().cycle();
    let bytes = password_and_nul.iter().zip(nonce);
    bytes.map(|(byte, nonce)| byte ^ nonce).collect()
}

/// caching_sha2's packets after the proof; the server's stand behind 0x01.
pub mod caching {
    /// The proof was enough; OK follows.
    pub const FAST: &[u8] = &[1, 3];
    /// The password itself is needed.
    pub const FULL: &[u8] = &[1, 4];
    /// The client asks for the server's RSA key, which comes as PEM behind 0x01.
    pub const KEY: &[u8] = &[2];
}

/// "Prove it by this plugin, with this nonce."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch<'a> {
    /// The plugin's name.
    pub plugin: &'a [u8],
    /// Usually a nonce of 20 bytes and a NUL.
    pub data: &'a [u8],
}

impl<'a> Switch<'a> {
    /// Reads a payload that begins with 0xfe. One byte alone asks for the hash of before 4.1, which is
    /// refused.
    ///
    /// # Errors
    /// Such a one, or one cut short.
    pub fn read(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "an authentication switch");
        match fields.u8()? {
            0xfe => {}
            other => return Err(WireError::Unexpected("an authentication switch", other)),
        }
        let plugin = fields.nul_bytes()?;
        let data = fields.rest();
        Ok(Self { plugin, data })
    }

    /// The data without its last NUL.
    #[must_use]
    pub fn nonce(&self) -> &'a [u8] {
        self.data.strip_suffix(&[0]).unwrap_or(self.data)
    }

    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(0xfe);
        put_nul_bytes(out, self.plugin);
        out.extend_from_slice(self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 20] = *b"0123456789abcdefghij";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `SELECT PASSWORD('secret')` of MariaDB 10.11.
    #[test]
    fn a_native_hash_is_the_servers() {
        let hash = NativeHash::parse("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7").unwrap();
        assert!(hash == NativeHash::of(b"secret"));
        let bad = [
            "",
            "*",
            "14E65567ABDB5135D0CFD9A70B3032C179A49EE7*",
            "*14E65567ABDB5135D0CFD9A70B3032C179A49EÉ",
        ];
        assert!(bad.iter().all(|text| NativeHash::parse(text).is_none()));
    }

    /// From an implementation of its own: Python's hashlib by the formulas of the documentation.
    #[test]
    fn proofs_are_those_of_the_documentation() {
        assert_eq!(
            hex(&Plugin::Native.proof(b"secret", &NONCE)),
            "f5cac3f3b3df2133feb57db682c71e6ed433a988"
        );
        assert_eq!(
            hex(&Plugin::CachingSha2.proof(b"secret", &NONCE)),
            "7e4adda2f2d5ef09b4147518becb0cee2939376203650a8c2bb2815959364bd0"
        );
        assert_eq!(Plugin::CachingSha2.proof(b"", &NONCE), b"");
        assert_eq!(Plugin::Clear.proof(b"secret", &NONCE), b"secret\0");
    }

    #[test]
    fn a_proof_is_accepted_with_its_nonce_and_password_alone() {
        let (native, cached) = (NativeHash::of(b"secret"), CachedHash::of(b"secret"));
        let proof = |plugin: Plugin, password: &[u8]| plugin.proof(password, &NONCE);
        let right = proof(Plugin::Native, b"secret");
        assert!(native.accepts(&right, &NONCE));
        assert!(!native.accepts(&right, b"0123456789abcdefghiJ"));
        assert!(!native.accepts(&proof(Plugin::Native, b"Secret"), &NONCE));
        let right = proof(Plugin::CachingSha2, b"secret");
        assert!(cached.accepts(&right, &NONCE));
        assert!(!cached.accepts(&right, b"0123456789abcdefghiJ"));
        assert!(!cached.accepts(&proof(Plugin::CachingSha2, b"Secret"), &NONCE));
        for nothing in [&b""[..], &[0], &[0; 20], &[0; 32]] {
            assert!(!native.accepts(nothing, &NONCE) && !cached.accepts(nothing, &NONCE));
        }
    }

    #[test]
    fn mixing_twice_gives_the_password_back() {
        let long = b"a password that is longer than the nonce\0";
        assert_eq!(mixed(&mixed(long, &NONCE), &NONCE), long);
        assert_ne!(mixed(long, &NONCE), long);
    }

    #[test]
    fn a_switch_is_read_as_it_was_written() {
        let switch = Switch {
            plugin: b"mysql_native_password",
            data: b"0123456789abcdefghij\0",
        };
        let mut out = Vec::new();
        switch.put(&mut out);
        assert_eq!(Switch::read(&out), Ok(switch.clone()));
        assert_eq!(switch.nonce(), NONCE);
        assert!(Switch::read(&[0xfe]).is_err());
        assert_eq!(Plugin::named(switch.plugin), Some(Plugin::Native));
        assert_eq!(Plugin::named(b"dialog"), None);
    }
}
