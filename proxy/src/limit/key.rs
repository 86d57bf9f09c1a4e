//! Who counts as one client: the parts of a request that a limit tells clients apart by.
//!
//! A key is not stored but hashed, with a secret of the process, to 96 bits. Two clients would
//! share a limit where these agree: 1 in 10^29 for a pair, 1 in 10^17 for any pair of a million
//! clients, and nobody who does not know the secret can look for one.
//!
//! Not here: where the parts come from (the caller's [`Subject`]).

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The longest key nginx takes, in bytes: a longer one is not limited.
const LONGEST: usize = 65_535;

/// A request, as far as keys need it.
pub trait Subject {
    /// The client's address: behind trusted proxies, the one they name.
    fn address(&self) -> IpAddr;
    /// A header's value, by its name in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// A cookie's value.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
    /// The host asked for, without its port, in upper or lower case.
    fn host(&self) -> &[u8];
    /// The path, normalised, without the query.
    fn path(&self) -> &[u8];
}

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The client's address.
    Address,
    /// The network the client's address is in.
    Prefix {
        /// Bits of an IPv4 address that count.
        v4: u8,
        /// Bits of an IPv6 address that count.
        v6: u8,
    },
    /// The value of a header; the name is in lower case.
    Header(Box<str>),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// The host asked for.
    Host,
    /// The path.
    Path,
}

/// What a limit tells clients apart by: one part or several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Box<[Part]>);

/// Why a key is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such part.
    #[error("`{0}` is no part of a request that clients can be told apart by")]
    Unknown(String),
    /// `address/…` with impossible lengths.
    #[error("`{0}` does not name two prefix lengths")]
    Prefix(String),
    /// `header:` or `cookie:` without a usable name.
    #[error("`{0}` does not name a header or cookie")]
    Name(String),
    /// No part at all.
    #[error("a key without a part")]
    Empty,
}

impl KeyError {
    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::Empty => {
                "there are \"address\", \"address/24/64\", \"header:NAME\", \"cookie:NAME\", \"host\" \
                 and \"path\""
            }
            Self::Prefix(_) => {
                "write \"address/24/64\" for the first 24 bits of an IPv4 and the first 64 of an IPv6 \
                 address; at most 32 and 128"
            }
            Self::Name(_) => "write for example \"header:x-api-key\" or \"cookie:session\"",
        }
    }
}

/// A client, as a zone remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// Never 0. Its upper half says where in the table the client is.
    pub(super) hi: u64,
    pub(super) lo: u32,
}

/// What keys are hashed with: random, one a zone.
#[derive(Clone)]
pub(super) struct Secret(SipHasher13);

impl Key {
    /// The parts together.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(parts: Vec<Part>) -> Result<Self, KeyError> {
        if parts.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(parts.into()))
    }

    /// The client's address alone.
    #[must_use]
    pub fn address() -> Self {
        Self(Box::new([Part::Address]))
    }

    /// Whom `subject` counts as. None where it is not limited, as in nginx: all parts are missing
    /// or empty, or they are longer than 65,535 bytes together.
    pub(super) fn client(&self, secret: &Secret, subject: &impl Subject) -> Option<ClientKey> {
        let mut sum = Sum::new(secret);
        for part in &self.0 {
            match part {
                Part::Address => sum.address(subject.address().to_canonical()),
                Part::Prefix { v4, v6 } => {
                    sum.address(masked(subject.address().to_canonical(), *v4, *v6));
                }
                Part::Header(name) => sum.bytes(subject.header(name).unwrap_or_default()),
                Part::Cookie(name) => sum.bytes(subject.cookie(name).unwrap_or_default()),
                Part::Host => sum.lower(subject.host()),
                Part::Path => sum.bytes(subject.path()),
            }
        }
        sum.finish()
    }
}

/// The first bits of an address, the others 0.
fn masked(address: IpAddr, v4: u8, v6: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX
                .checked_shl(32_u32.saturating_sub(u32::from(v4)))
                .unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128_u32.saturating_sub(u32::from(v6)))
                .unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// The hash of a key in the making. Each part is followed by its length, so that `ab` + `c` and
/// `a` + `bc` differ.
struct Sum {
    hasher: SipHasher13,
    length: usize,
}

impl Sum {
    fn new(secret: &Secret) -> Self {
        Self {
            hasher: secret.0,
            length: 0,
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                // In one go with the length that `bytes` would add: half the time.
                let whole = u64::from(address.to_bits()) << 32 | 4;
                self.hasher.write(&whole.to_be_bytes());
                self.length += 4;
            }
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.end(bytes.len());
    }

    /// The same for what is the same in upper and lower case.
    fn lower(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(64) {
            let mut lower = [0; 64];
            lower[..piece.len()].copy_from_slice(piece);
            lower.make_ascii_lowercase();
            self.hasher.write(&lower[..piece.len()]);
        }
        self.end(bytes.len());
    }

    fn end(&mut self, length: usize) {
        self.hasher
            .write_u32(u32::try_from(length).unwrap_or(u32::MAX));
        self.length = self.length.saturating_add(length);
    }

    fn finish(self) -> Option<ClientKey> {
        if self.length == 0 || self.length > LONGEST {
            return None;
        }
        let hash = self.hasher.finish128();
        let [a, b, c, d, ..] = hash.h2.to_ne_bytes();
        Some(ClientKey {
            hi: hash.h1.max(1),
            lo: u32::from_ne_bytes([a, b, c, d]),
        })
    }
}

impl Secret {
    /// From the randomness that std seeds its maps with.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        let (a, b) = (random.hash_one(0_u8), random.hash_one(1_u8));
        Self(SipHasher13::new_with_keys(a, b))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Part {
    type Err = KeyError;

    /// `address`, `address/24/64`, `header:NAME`, `cookie:NAME`, `host`, `path`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if let Some(lengths) = text.strip_prefix("address/") {
            return prefix(lengths).ok_or_else(|| KeyError::Prefix(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match is_token(name) {
                true => Ok(Self::Header(name.to_ascii_lowercase().into())),
                false => Err(KeyError::Name(text.to_owned())),
            };
        }
        if let Some(name) = text.strip_prefix("cookie:") {
            return match is_token(name) {
                true => Ok(Self::Cookie(name.into())),
                false => Err(KeyError::Name(text.to_owned())),
            };
        }
        match text {
            "address" => Ok(Self::Address),
            "host" => Ok(Self::Host),
            "path" => Ok(Self::Path),
            _ => Err(KeyError::Unknown(text.to_owned())),
        }
    }
}

fn prefix(lengths: &str) -> Option<Part> {
    let (v4, v6) = lengths.split_once('/')?;
    let (v4, v6) = (v4.parse().ok()?, v6.parse().ok()?);
    (v4 <= 32 && v6 <= 128).then_some(Part::Prefix { v4, v6 })
}

/// RFC 9110 5.6.2: what names of headers, and RFC 6265 4.1.1 those of cookies, are made of.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Prefix { v4, v6 } => write!(f, "address/{v4}/{v6}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.0.iter().enumerate() {
            let plus = if n == 0 { "" } else { " + " };
            write!(f, "{plus}{part}")?;
        }
        Ok(())
    }
}
