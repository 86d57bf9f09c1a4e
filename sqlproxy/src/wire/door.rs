//! A client's login, packet by packet: what a greeting is answered with, TLS, the proof, the switch to
//! the plugin that fits what is stored, caching_sha2's full exchange.
//!
//! ```text
//! greeting ─► [TLS request ─► secured] ─► login ─┬─► proof is right: In
//!                                                ├─► switch ─► proof ─┘
//!                                                └─► FULL ─► password (secure) | key ─► decrypted ─► In
//! ```
//! A user whose stored hash is native can prove his password by caching_sha2, too: by the password itself
//! once, and by its [`CachedHash`] from then on.
//!
//! Source: MySQL's "Connection Phase"; MySQL's `sha2_password.cc`. Not here: TLS and RSA; the OK at the
//! end, which needs the database to be there; sequence numbers.

use super::{
    Capabilities, WireError,
    auth::{CachedHash, NativeHash, Plugin, Switch, caching, mixed},
    handshake::{ChangeUser, Login, Nonce, Response},
    sha_crypt::StoredHash,
    status::ErrPacket,
};

/// What a user's password is checked against.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// `*` and 40 digits.
    Native(NativeHash),
    /// `$A$005$…`.
    CachingSha2(StoredHash),
}

impl Stored {
    /// Whether this is the password.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        match self {
            Self::Native(hash) => *hash == NativeHash::of(password),
            Self::CachingSha2(hash) => hash.accepts(password),
        }
    }
}

/// What is known of a user: nothing of one that does not exist.
#[derive(Clone, Default)]
pub struct Secret {
    /// From the site file.
    pub stored: Option<Stored>,
    /// What a full exchange has told.
    pub cached: Option<CachedHash>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this payload, and come with the answer.
    Send(Vec<u8>),
    /// Start TLS, then call [`Door::secured`]; the login comes in it.
    Tls,
    /// Send the RSA key behind 0x01, and come with the answer.
    Key,
    /// Decrypt this (RSA, OAEP with SHA-1) and call [`Door::decrypted`].
    Decrypt(Vec<u8>),
    /// The user is who he says. Send `first` if there is any, then OK.
    In {
        /// caching_sha2's word that the proof was enough.
        first: Option<Vec<u8>>,
        /// The password itself was seen: keep this.
        learnt: Option<CachedHash>,
    },
    /// Send this error, and close.
    Refused(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greeting,
    Securing,
    Proof,
    Password,
    Key,
    Done,
}

/// Who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrant {
    /// The user.
    pub user: Vec<u8>,
    /// The database named.
    pub database: Option<Vec<u8>>,
    /// The collation.
    pub collation: u16,
    /// What the client wants of what was offered.
    pub capabilities: Capabilities,
    /// Connection attributes.
    pub attributes: Vec<u8>,
}

/// One client's login.
#[derive(Clone, Debug)]
pub struct Door {
    at: At,
    offered: Capabilities,
    nonce: Nonce,
    host: Box<str>,
    is_secure: bool,
    has_key: bool,
    plugin: Plugin,
    has_proof: bool,
    entrant: Entrant,
}

impl Door {
    /// Behind a greeting with this offer and nonce. `host` is what errors call the client; `is_secure`
    /// where nobody can listen; `has_key` where there is an RSA key to send.
    #[must_use]
    pub fn new(
        offered: Capabilities,
        nonce: Nonce,
        host: &str,
        is_secure: bool,
        has_key: bool,
    ) -> Self {
        Self {
            at: At::Greeting,
            offered,
            nonce,
            host: host.into(),
            is_secure,
            has_key,
            plugin: Plugin::Native,
            has_proof: false,
            entrant: Entrant::default(),
        }
    }

    /// Who it is, once he has said so.
    #[must_use]
    pub fn entrant(&self) -> &Entrant {
        &self.entrant
    }

    /// TLS is there.
    pub fn secured(&mut self) {
        self.is_secure = true;
        self.at = At::Greeting;
    }

    /// The client's next payload; `secret` tells what is known of a user.
    ///
    /// # Errors
    /// Bytes that are none of the protocol.
    pub fn heard(
        &mut self,
        payload: &[u8],
        secret: impl FnOnce(&[u8]) -> Secret,
    ) -> Result<Step, WireError> {
        match self.at {
            At::Greeting => match Response::read(payload)? {
                Response::Tls(_) if self.offered.has(Capabilities::SSL) && !self.is_secure => {
                    self.at = At::Securing;
                    Ok(Step::Tls)
                }
                Response::Tls(_) => Err(WireError::Unexpected("a login", 0)),
                Response::Login(login) => self.login(*login, secret),
            },
            At::Proof => Ok(self.prove(payload, &secret(&self.entrant.user))),
            At::Password if payload == caching::KEY && !self.is_secure && self.has_key => {
                self.at = At::Key;
                Ok(Step::Key)
            }
            At::Password if self.is_secure => Ok(self.password(payload, secret)),
            At::Key => {
                self.at = At::Password;
                Ok(Step::Decrypt(payload.to_vec()))
            }
            At::Password => Ok(self.denied()),
            At::Securing | At::Done => Err(WireError::Unexpected(
                "a login",
                payload.first().copied().unwrap_or(0),
            )),
        }
    }

    /// What [`Step::Decrypt`] gave; `None` if it cannot be decrypted.
    pub fn decrypted(&mut self, text: Option<&[u8]>, secret: impl FnOnce(&[u8]) -> Secret) -> Step {
        match text {
            Some(text) => {
                let password = mixed(text, &self.nonce);
                self.password(&password, secret)
            }
            None => self.denied(),
        }
    }

    /// COM_CHANGE_USER on a connection that has logged in: a login with the same nonce.
    pub fn change(
        &mut self,
        change: &ChangeUser<'_>,
        secret: impl FnOnce(&[u8]) -> Secret,
    ) -> Step {
        self.entrant = Entrant {
            user: change.user.to_vec(),
            database: (!change.database.is_empty()).then(|| change.database.to_vec()),
            collation: change.collation.unwrap_or(self.entrant.collation),
            capabilities: self.entrant.capabilities,
            attributes: change.attributes.to_vec(),
        };
        self.begin(change.plugin, change.proof, &secret(change.user))
    }

    fn login(
        &mut self,
        login: Login,
        secret: impl FnOnce(&[u8]) -> Secret,
    ) -> Result<Step, WireError> {
        let agreed = Capabilities::agreed(self.offered, login.wishes.capabilities);
        let Ok(agreed) = agreed else {
            return Err(WireError::Unexpected("a login before 4.1", 0));
        };
        let secret = secret(&login.user);
        self.entrant = Entrant {
            user: login.user,
            database: login.database,
            collation: login.wishes.collation.into(),
            capabilities: agreed,
            attributes: login.attributes,
        };
        Ok(self.begin(&login.plugin, &login.proof, &secret))
    }

    /// The proof that came with the name is looked at if it is of the plugin that fits; else that one is
    /// asked for.
    fn begin(&mut self, plugin: &[u8], proof: &[u8], secret: &Secret) -> Step {
        let told = match plugin {
            [] => Some(Plugin::Native),
            name => Plugin::named(name),
        };
        let fitting = match secret.stored {
            Some(Stored::CachingSha2(_)) => Plugin::CachingSha2,
            // Both plugins can be checked against a native hash: the client's choice.
            Some(Stored::Native(_)) | None => match told {
                Some(Plugin::CachingSha2)
                    if self.can_have_password() || secret.cached.is_some() =>
                {
                    Plugin::CachingSha2
                }
                Some(_) | None => Plugin::Native,
            },
        };
        self.plugin = fitting;
        self.at = At::Proof;
        // An empty proof may only say that the client waits to be asked.
        if told == Some(fitting) && !(proof.is_empty() && plugin.is_empty()) {
            return self.prove(proof, secret);
        }
        let mut out = Vec::new();
        let switch = Switch {
            plugin: fitting.name().as_bytes(),
            data: &[&self.nonce[..], &[0]].concat(),
        };
        switch.put(&mut out);
        Step::Send(out)
    }

    fn can_have_password(&self) -> bool {
        self.is_secure || self.has_key
    }

    fn prove(&mut self, proof: &[u8], secret: &Secret) -> Step {
        self.has_proof = !matches!(proof, [] | [0]);
        if !self.has_proof {
            return self.denied();
        }
        match (self.plugin, &secret.stored) {
            (Plugin::Native, Some(Stored::Native(hash))) if hash.accepts(proof, &self.nonce) => {
                self.enter(None, None)
            }
            (Plugin::CachingSha2, Some(_)) => match secret.cached {
                Some(cached) if cached.accepts(proof, &self.nonce) => {
                    self.enter(Some(caching::FAST.to_vec()), None)
                }
                // What is cached may be older than the password.
                _ => self.full(),
            },
            // Nobody of this name: he is asked as others are.
            (Plugin::CachingSha2, None) => self.full(),
            _ => self.denied(),
        }
    }

    fn full(&mut self) -> Step {
        if !self.can_have_password() {
            return self.denied();
        }
        self.at = At::Password;
        Step::Send(caching::FULL.to_vec())
    }

    fn password(&mut self, text: &[u8], secret: impl FnOnce(&[u8]) -> Secret) -> Step {
        let password = text.strip_suffix(&[0]).unwrap_or(text);
        let stored = secret(&self.entrant.user).stored;
        match stored {
            Some(stored) if stored.accepts(password) => {
                self.enter(None, Some(CachedHash::of(password)))
            }
            Some(_) | None => self.denied(),
        }
    }

    fn enter(&mut self, first: Option<Vec<u8>>, learnt: Option<CachedHash>) -> Step {
        self.at = At::Done;
        Step::In { first, learnt }
    }

    fn denied(&mut self) -> Step {
        self.at = At::Done;
        let user = String::from_utf8_lossy(&self.entrant.user);
        let using = if self.has_proof { "YES" } else { "NO" };
        let message = format!(
            "Access denied for user '{user}'@'{}' (using password: {using})",
            self.host
        );
        let mut out = Vec::new();
        let err = ErrPacket {
            code: 1045,
            state: *b"28000",
            message: message.as_bytes(),
        };
        err.put(&mut out);
        Step::Refused(out)
    }
}

#[cfg(test)]
mod tests;
