//! Logging in to a server, packet by packet: greeting, TLS, proof, switch, caching_sha2's full exchange.
//!
//! ```text
//! greeting ─► [TLS request ─► secured] ─► login ─┬─► OK
//!                                                ├─► switch ─► proof ─┐
//!                                                └─► FULL ─► password (secure) | key ─► encrypted
//! ```
//! The password goes as it is only where nobody can listen: in TLS or by a unix socket. Else it is
//! encrypted with the server's RSA key, if the site allows to take that key unseen.
//!
//! Source: MySQL's "Connection Phase". Not here: TLS and RSA; sequence numbers, which go on by one from
//! packet to packet in both directions.

use super::{
    Capabilities, WireError,
    auth::{NONCE, Plugin, Switch, caching, mixed},
    handshake::{Greeting, Login, Nonce, Wishes},
    status::{ErrPacket, OkPacket, Status},
};

/// Who logs in, and how carefully.
#[derive(Clone)]
pub struct Account {
    /// The user on the server.
    pub user: Vec<u8>,
    /// The password.
    pub password: Vec<u8>,
    /// The default database.
    pub database: Option<Vec<u8>>,
    /// The session's collation.
    pub collation: u8,
    /// What clients of its pool agreed to ([`Capabilities::OF_A_POOL`]).
    pub pool: Capabilities,
    /// Attributes of the connection.
    pub attributes: Vec<u8>,
    /// The connection is a unix socket: nobody listens.
    pub is_local: bool,
    /// TLS is asked for, where the server has it.
    pub wants_tls: bool,
    /// Without it there is no login.
    pub needs_tls: bool,
    /// The server's RSA key may be taken from the server itself.
    pub takes_key: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// Send this payload, and come with the answer.
    Send(Vec<u8>),
    /// Send this payload, start TLS, and call [`Knock::secured`].
    Tls(Vec<u8>),
    /// Encrypt `text` (RSA, OAEP with SHA-1) with this key, and call [`Knock::encrypted`].
    Encrypt {
        /// The server's key.
        pem: Vec<u8>,
        /// The password, mixed with the nonce.
        text: Vec<u8>,
    },
    /// Nothing: another packet comes.
    Wait,
    /// It is done: the connection's first status.
    In(Status),
}

/// Why there is no login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Bytes that are none of the protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server says no.
    #[error("error {code}: {message}")]
    Server {
        /// MySQL's number.
        code: u16,
        /// The text.
        message: String,
    },
    /// TLS is needed, and the server has none.
    #[error("the server offers no TLS: give it a certificate, or set `tls = \"preferred\"`")]
    NoTls,
    /// It lacks what everything here relies on.
    #[error("the server speaks an older protocol than 4.1")]
    TooOld,
    /// It wants a plugin that is not spoken here.
    #[error("the account uses {0}: change it to caching_sha2_password or mysql_native_password")]
    Plugin(String),
    /// The password would go where others can read it.
    #[error("the password would go unencrypted: use TLS")]
    Listeners,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greeting,
    Securing,
    Proof,
    Key,
    Done,
}

/// One login.
pub struct Knock {
    account: Account,
    at: At,
    is_secure: bool,
    capabilities: Capabilities,
    nonce: Nonce,
    plugin: Plugin,
    greeting: Option<Greeting>,
}

impl Knock {
    /// Before the greeting.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            is_secure: account.is_local,
            account,
            at: At::Greeting,
            capabilities: Capabilities::NONE,
            nonce: Nonce::default(),
            plugin: Plugin::Native,
            greeting: None,
        }
    }

    /// What the server said of itself, once it has.
    #[must_use]
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// What was agreed: how answers are to be read.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The server's next payload.
    ///
    /// # Errors
    /// Why it ends here.
    pub fn heard(&mut self, payload: &[u8]) -> Result<Say, Refused> {
        match (self.at, payload.first().copied()) {
            (_, Some(0xff)) => Err(server(payload)),
            (At::Greeting, _) => self.greeted(payload),
            (At::Proof, Some(0)) => {
                self.at = At::Done;
                let ok = OkPacket::read(payload, self.capabilities)?;
                Ok(Say::In(ok.status))
            }
            (At::Proof, Some(0xfe)) => self.switched(payload),
            (At::Proof, Some(1)) if payload == caching::FAST => Ok(Say::Wait),
            (At::Proof, Some(1)) if payload == caching::FULL => self.full(),
            (At::Key, Some(1)) => {
                self.at = At::Proof;
                let pem = payload[1..].to_vec();
                let text = mixed(&self.password(), &self.nonce);
                Ok(Say::Encrypt { pem, text })
            }
            (At::Proof | At::Key | At::Securing | At::Done, first) => {
                Err(WireError::Unexpected("a login's answer", first.unwrap_or(0)).into())
            }
        }
    }

    /// TLS is there: the login, in it.
    pub fn secured(&mut self) -> Say {
        self.is_secure = true;
        self.login()
    }

    /// What [`Say::Encrypt`] gave.
    #[must_use]
    pub fn encrypted(&self, text: Vec<u8>) -> Say {
        Say::Send(text)
    }

    fn password(&self) -> Vec<u8> {
        Plugin::Clear.proof(&self.account.password, &self.nonce)
    }

    fn greeted(&mut self, payload: &[u8]) -> Result<Say, Refused> {
        let greeting = Greeting::read(payload)?;
        if !greeting.capabilities.has(Capabilities::REQUIRED) {
            return Err(Refused::TooOld);
        }
        self.nonce = greeting.nonce;
        self.greeting = Some(greeting.clone());
        // What the plugin is not known: the server will switch to the account's.
        self.plugin = Plugin::named(&greeting.plugin)
            .filter(|plugin| *plugin != Plugin::Clear)
            .unwrap_or(Plugin::Native);
        let account = &self.account;
        let asked = Capabilities::towards_server(account.pool, greeting.capabilities);
        self.capabilities = match account.database {
            Some(_) => asked,
            None => asked.without(Capabilities::CONNECT_WITH_DB),
        };
        let has_tls = greeting.capabilities.has(Capabilities::SSL);
        if account.needs_tls && !has_tls {
            return Err(Refused::NoTls);
        }
        if has_tls && (account.wants_tls || account.needs_tls) {
            self.capabilities = self.capabilities | Capabilities::SSL;
            self.at = At::Securing;
            let mut out = Vec::new();
            self.wishes().put(&mut out);
            return Ok(Say::Tls(out));
        }
        Ok(self.login())
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            capabilities: self.capabilities,
            max_packet: 1 << 30,
            collation: self.account.collation,
        }
    }

    fn login(&mut self) -> Say {
        self.at = At::Proof;
        let login = Login {
            wishes: self.wishes(),
            user: self.account.user.clone(),
            proof: self.plugin.proof(&self.account.password, &self.nonce),
            database: self.account.database.clone(),
            plugin: self.plugin.name().into(),
            attributes: self.account.attributes.clone(),
        };
        let mut out = Vec::new();
        login.put(&mut out);
        Say::Send(out)
    }

    fn switched(&mut self, payload: &[u8]) -> Result<Say, Refused> {
        let switch = Switch::read(payload)?;
        let named = Plugin::named(switch.plugin);
        let plugin = named
            .ok_or_else(|| Refused::Plugin(String::from_utf8_lossy(switch.plugin).into_owned()))?;
        if plugin == Plugin::Clear && !self.is_secure {
            return Err(Refused::Listeners);
        }
        if let Ok(nonce) = <[u8; NONCE]>::try_from(switch.nonce()) {
            self.nonce = nonce;
        }
        self.plugin = plugin;
        Ok(Say::Send(plugin.proof(&self.account.password, &self.nonce)))
    }

    fn full(&mut self) -> Result<Say, Refused> {
        if self.is_secure {
            return Ok(Say::Send(self.password()));
        }
        if !self.account.takes_key {
            return Err(Refused::Listeners);
        }
        self.at = At::Key;
        Ok(Say::Send(caching::KEY.to_vec()))
    }
}

fn server(payload: &[u8]) -> Refused {
    match ErrPacket::read(payload) {
        Ok(err) => Refused::Server {
            code: err.code,
            message: String::from_utf8_lossy(err.message).into_owned(),
        },
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = *b"0123456789abcdefghij";

    fn account() -> Account {
        Account {
            user: b"app".to_vec(),
            password: b"secret".to_vec(),
            database: None,
            collation: 45,
            pool: Capabilities::DEPRECATE_EOF,
            attributes: Vec::new(),
            is_local: false,
            wants_tls: false,
            needs_tls: false,
            takes_key: false,
        }
    }

    fn greeting(plugin: &str, capabilities: Capabilities) -> Vec<u8> {
        let greeting = Greeting {
            version: b"9.7.0".to_vec(),
            connection: 1,
            nonce: NONCE,
            capabilities,
            collation: 255,
            status: Status(Status::AUTOCOMMIT),
            plugin: plugin.into(),
        };
        let mut out = Vec::new();
        greeting.put(&mut out);
        out
    }

    const PLAIN: Capabilities = Capabilities::SUPPORTED.without(Capabilities::SSL);
    const OK: &[u8] = b"\0\0\0\x02\0\0\0";

    /// The login that a greeting leads to.
    fn login(knock: &mut Knock, plugin: &str) -> Login {
        use crate::wire::handshake::Response;
        let Ok(Say::Send(payload)) = knock.heard(&greeting(plugin, PLAIN)) else {
            panic!("no login");
        };
        match Response::read(&payload) {
            Ok(Response::Login(login)) => *login,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_proof_is_enough_where_the_server_knows_the_password() {
        for plugin in [Plugin::Native, Plugin::CachingSha2] {
            let mut knock = Knock::new(account());
            let login = login(&mut knock, plugin.name());
            assert_eq!(login.proof, plugin.proof(b"secret", &NONCE));
            assert!(knock.capabilities().has(Capabilities::DEPRECATE_EOF));
            assert!(knock.capabilities().has(Capabilities::SESSION_TRACK));
            if plugin == Plugin::CachingSha2 {
                assert_eq!(knock.heard(caching::FAST), Ok(Say::Wait));
            }
            assert_eq!(knock.heard(OK), Ok(Say::In(Status(Status::AUTOCOMMIT))));
            assert!(knock.heard(OK).is_err(), "it is over");
        }
    }

    #[test]
    fn a_switch_has_a_nonce_of_its_own() {
        let mut knock = Knock::new(account());
        login(&mut knock, "unix_socket");
        let said = knock.heard(b"\xfemysql_native_password\0ABCDEFGHIJabcdefghij\0");
        let proof = Plugin::Native.proof(b"secret", b"ABCDEFGHIJabcdefghij");
        assert_eq!(said, Ok(Say::Send(proof)));
        let said = knock.heard(b"\xfedialog\0");
        assert_eq!(said, Err(Refused::Plugin("dialog".to_owned())));
    }

    #[test]
    fn the_password_goes_where_nobody_listens_alone() {
        let mut knock = Knock::new(account());
        login(&mut knock, "caching_sha2_password");
        assert_eq!(knock.heard(caching::FULL), Err(Refused::Listeners));
        assert_eq!(
            knock.heard(b"\xfemysql_clear_password\0"),
            Err(Refused::Listeners)
        );
        let mut knock = Knock::new(Account {
            is_local: true,
            ..account()
        });
        login(&mut knock, "caching_sha2_password");
        assert_eq!(
            knock.heard(caching::FULL),
            Ok(Say::Send(b"secret\0".to_vec()))
        );
        let mut knock = Knock::new(Account {
            takes_key: true,
            ..account()
        });
        login(&mut knock, "caching_sha2_password");
        assert_eq!(knock.heard(caching::FULL), Ok(Say::Send(vec![2])));
        let said = knock.heard(b"\x01-----BEGIN PUBLIC KEY-----");
        let Ok(Say::Encrypt { pem, text }) = said else {
            panic!("{said:?}");
        };
        assert_eq!(pem, b"-----BEGIN PUBLIC KEY-----");
        assert_eq!(mixed(&text, &NONCE), b"secret\0");
        assert_eq!(knock.encrypted(vec![7; 256]), Say::Send(vec![7; 256]));
        assert_eq!(knock.heard(OK), Ok(Say::In(Status(Status::AUTOCOMMIT))));
    }

    #[test]
    fn tls_comes_before_the_login_or_there_is_none() {
        let wants = Account {
            wants_tls: true,
            ..account()
        };
        let mut knock = Knock::new(wants.clone());
        let said = knock.heard(&greeting("caching_sha2_password", Capabilities::SUPPORTED));
        assert!(
            matches!(&said, Ok(Say::Tls(payload)) if payload.len() == 32),
            "{said:?}"
        );
        assert!(matches!(knock.secured(), Say::Send(_)));
        assert_eq!(
            knock.heard(caching::FULL),
            Ok(Say::Send(b"secret\0".to_vec()))
        );
        let mut knock = Knock::new(wants);
        assert!(matches!(
            knock.heard(&greeting("x", PLAIN)),
            Ok(Say::Send(_))
        ));
        let mut knock = Knock::new(Account {
            needs_tls: true,
            ..account()
        });
        assert_eq!(knock.heard(&greeting("x", PLAIN)), Err(Refused::NoTls));
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let mut knock = Knock::new(account());
        let told = knock
            .heard(b"\xff\x10\x04Too many connections")
            .unwrap_err();
        assert_eq!(told.to_string(), "error 1040: Too many connections");
        let mut knock = Knock::new(account());
        let old = greeting("x", Capabilities::PROTOCOL_41);
        assert_eq!(knock.heard(&old), Err(Refused::TooOld));
    }
}
