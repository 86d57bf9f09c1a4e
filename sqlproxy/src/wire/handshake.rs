//! How a connection begins: the server's greeting, the client's login, and the request for TLS.
//!
//! Source: MySQL's "Protocol::HandshakeV10", "Protocol::HandshakeResponse41", "Protocol::SSLRequest";
//! MariaDB's extended capabilities in the greeting's and the login's filler. Not here: what the login
//! proves ([`super::auth`]).

use super::{
    Capabilities, WireError,
    auth::NONCE,
    fields::{Fields, put_lenenc_bytes, put_nul_bytes},
    status::Status,
};

/// Bytes of a greeting or login at most. MySQL lets connection attributes have 64 KB.
pub const MAX: usize = 80 << 10;

/// The random bytes that a password's proof is made with. No NUL is among them, which would end them.
pub type Nonce = [u8; NONCE];

/// What a greeting says of its nonce's length.
const NONCE_AND_NUL: u8 = 21;

/// The server's first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// "8.0.36", or "5.5.5-10.11.6-MariaDB" as MariaDB calls itself (replicas of old refused a 10).
    pub version: Vec<u8>,
    /// The connection's number, for KILL.
    pub connection: u32,
    /// For the proof.
    pub nonce: Nonce,
    /// What may be used.
    pub capabilities: Capabilities,
    /// The server's default collation, its low byte.
    pub collation: u8,
    /// Flags.
    pub status: Status,
    /// The plugin that the proof is expected of, at first.
    pub plugin: Vec<u8>,
}

impl Greeting {
    /// Reads a payload.
    ///
    /// # Errors
    /// Not version 10, or cut short. (An ERR packet may come instead: look for 0xff first.)
    pub fn read(payload: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "a greeting");
        match fields.u8()? {
            10 => {}
            other => return Err(WireError::Unexpected("a greeting's version", other)),
        }
        let version = fields.nul_bytes()?.to_vec();
        let connection = fields.u32()?;
        let mut nonce = Nonce::default();
        nonce[..8].copy_from_slice(fields.bytes(8)?);
        fields.u8()?;
        let low = fields.u16()?;
        let collation = fields.u8()?;
        let status = Status(fields.u16()?);
        let high = fields.u16()?;
        let mut capabilities = Capabilities::from_bits(u32::from(low) | u32::from(high) << 16);
        let nonce_len = usize::from(fields.u8()?);
        fields.bytes(6)?;
        let extended = fields.u32()?;
        if !capabilities.has(Capabilities::MYSQL) {
            capabilities = capabilities.with_extended(extended);
        }
        let rest = fields.bytes(nonce_len.saturating_sub(8).max(13))?;
        nonce[8..].copy_from_slice(&rest[..NONCE - 8]);
        let plugin = match capabilities.has(Capabilities::PLUGIN_AUTH) {
            true => fields.nul_or_rest().to_vec(),
            false => Vec::new(),
        };
        Ok(Self {
            version,
            connection,
            nonce,
            capabilities,
            collation,
            status,
            plugin,
        })
    }

    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        let [a, b, c, d] = self.capabilities.low().to_le_bytes();
        out.push(10);
        put_nul_bytes(out, &self.version);
        out.extend_from_slice(&self.connection.to_le_bytes());
        out.extend_from_slice(&self.nonce[..8]);
        out.push(0);
        out.extend_from_slice(&[a, b, self.collation]);
        out.extend_from_slice(&self.status.0.to_le_bytes());
        out.extend_from_slice(&[c, d]);
        // With the NUL behind them.
        out.push(NONCE_AND_NUL);
        out.extend_from_slice(&[0; 6]);
        let extended = self.capabilities.extended();
        out.extend_from_slice(&extended.to_le_bytes());
        out.extend_from_slice(&self.nonce[8..]);
        out.push(0);
        if self.capabilities.has(Capabilities::PLUGIN_AUTH) {
            put_nul_bytes(out, &self.plugin);
        }
    }
}

/// The head of a login: all there is of it in a request for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// What the client wants to use.
    pub capabilities: Capabilities,
    /// The longest packet it takes.
    pub max_packet: u32,
    /// Its collation, which sets the session's character sets.
    pub collation: u8,
}

/// Payload of a request for TLS.
const WISHES: usize = 32;

impl Wishes {
    fn read(fields: &mut Fields<'_>) -> Result<Self, WireError> {
        let mut capabilities = Capabilities::from_bits(fields.u32()?);
        let max_packet = fields.u32()?;
        let collation = fields.u8()?;
        fields.bytes(19)?;
        let extended = fields.u32()?;
        if !capabilities.has(Capabilities::MYSQL) {
            capabilities = capabilities.with_extended(extended);
        }
        Ok(Self {
            capabilities,
            max_packet,
            collation,
        })
    }

    /// Appends the payload of a request for TLS.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capabilities.low().to_le_bytes());
        out.extend_from_slice(&self.max_packet.to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&[0; 19]);
        out.extend_from_slice(&self.capabilities.extended().to_le_bytes());
    }
}

/// The client's login.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// What it wants.
    pub wishes: Wishes,
    /// The user.
    pub user: Vec<u8>,
    /// The proof, or the start of one.
    pub proof: Vec<u8>,
    /// The default database, if one is named.
    pub database: Option<Vec<u8>>,
    /// The plugin that made the proof; empty where the client names none.
    pub plugin: Vec<u8>,
    /// Connection attributes as they came: names and values, each with its length.
    pub attributes: Vec<u8>,
}

/// Without the proof, which may be a password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("wishes", &self.wishes)
            .field("user", &String::from_utf8_lossy(&self.user))
            .field(
                "database",
                &self.database.as_deref().map(String::from_utf8_lossy),
            )
            .field("plugin", &String::from_utf8_lossy(&self.plugin))
            .finish_non_exhaustive()
    }
}

/// What a client answers to a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Start TLS; the login comes in it.
    Tls(Wishes),
    /// Who it is.
    Login(Box<Login>),
}

impl Response {
    /// Reads a payload.
    ///
    /// # Errors
    /// Cut short, or the protocol before 4.1.
    pub fn read(payload: &[u8]) -> Result<Self, WireError> {
        let low = payload.first_chunk().copied().map_or(0, u32::from_le_bytes);
        if !Capabilities::from_bits(low).has(Capabilities::PROTOCOL_41) {
            let first = payload.first().copied().unwrap_or(0);
            return Err(WireError::Unexpected("a login before 4.1", first));
        }
        let mut fields = Fields::new(payload, "a login");
        let wishes = Wishes::read(&mut fields)?;
        if payload.len() == WISHES && wishes.capabilities.has(Capabilities::SSL) {
            return Ok(Self::Tls(wishes));
        }
        Login::read(wishes, fields).map(|login| Self::Login(Box::new(login)))
    }
}

impl Login {
    fn read(wishes: Wishes, mut fields: Fields<'_>) -> Result<Self, WireError> {
        let has = |flag| wishes.capabilities.has(flag);
        let user = fields.nul_bytes()?.to_vec();
        let proof = if has(Capabilities::PLUGIN_AUTH_LENENC) {
            fields.lenenc_bytes()?
        } else if has(Capabilities::SECURE_CONNECTION) {
            let len = fields.u8()?;
            fields.bytes(usize::from(len))?
        } else {
            fields.nul_bytes()?
        };
        let proof = proof.to_vec();
        // Some clients set a flag and send nothing; servers take it for empty, and so do we.
        let named = |fields: &mut Fields<'_>| fields.nul_or_rest().to_vec();
        let database = has(Capabilities::CONNECT_WITH_DB).then(|| named(&mut fields));
        let plugin = match has(Capabilities::PLUGIN_AUTH) {
            true => named(&mut fields),
            false => Vec::new(),
        };
        let attributes = match has(Capabilities::CONNECT_ATTRS) && !fields.is_empty() {
            true => fields.lenenc_bytes()?.to_vec(),
            false => Vec::new(),
        };
        Ok(Self {
            wishes,
            user,
            proof,
            database: database.filter(|name| !name.is_empty()),
            plugin,
            attributes,
        })
    }

    /// Appends the payload, by the capabilities of the wishes.
    pub fn put(&self, out: &mut Vec<u8>) {
        let has = |flag| self.wishes.capabilities.has(flag);
        self.wishes.put(out);
        put_nul_bytes(out, &self.user);
        if has(Capabilities::PLUGIN_AUTH_LENENC) {
            put_lenenc_bytes(out, &self.proof);
        } else {
            let len = u8::try_from(self.proof.len()).unwrap_or(u8::MAX);
            out.push(len);
            out.extend_from_slice(&self.proof[..usize::from(len)]);
        }
        if has(Capabilities::CONNECT_WITH_DB) {
            put_nul_bytes(out, self.database.as_deref().unwrap_or_default());
        }
        if has(Capabilities::PLUGIN_AUTH) {
            put_nul_bytes(out, &self.plugin);
        }
        if has(Capabilities::CONNECT_ATTRS) {
            put_lenenc_bytes(out, &self.attributes);
        }
    }
}

/// COM_CHANGE_USER: a login on a connection that has one.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// The user.
    pub user: &'a [u8],
    /// The proof, made with the nonce of the connection's greeting.
    pub proof: &'a [u8],
    /// The default database, or empty.
    pub database: &'a [u8],
    /// The collation, where one is named.
    pub collation: Option<u16>,
    /// The plugin that made the proof, or empty.
    pub plugin: &'a [u8],
    /// Connection attributes.
    pub attributes: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Reads what follows the command's byte.
    ///
    /// # Errors
    /// Cut short.
    pub fn read(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "COM_CHANGE_USER");
        let user = fields.nul_bytes()?;
        let len = fields.u8()?;
        let proof = fields.bytes(usize::from(len))?;
        let database = fields.nul_or_rest();
        let collation = match fields.is_empty() {
            true => None,
            false => Some(fields.u16()?),
        };
        let plugin = match capabilities.has(Capabilities::PLUGIN_AUTH) {
            true => fields.nul_or_rest(),
            false => &[],
        };
        let attributes = match capabilities.has(Capabilities::CONNECT_ATTRS) && !fields.is_empty() {
            true => fields.lenenc_bytes()?,
            false => &[],
        };
        Ok(Self {
            user,
            proof,
            database,
            collation,
            plugin,
            attributes,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login(capabilities: Capabilities) -> Login {
        Login {
            wishes: Wishes {
                capabilities: capabilities | Capabilities::REQUIRED | Capabilities::MYSQL,
                max_packet: 1 << 24,
                collation: 45,
            },
            user: b"shop".to_vec(),
            proof: vec![1; 20],
            database: Some(b"orders".to_vec()),
            plugin: b"caching_sha2_password".to_vec(),
            attributes: b"\x03_os\x05Linux".to_vec(),
        }
    }

    const NAMED: Capabilities = Capabilities::CONNECT_WITH_DB
        .with(Capabilities::PLUGIN_AUTH)
        .with(Capabilities::CONNECT_ATTRS);

    #[test]
    fn a_greeting_is_read_as_it_was_written() {
        let greeting = Greeting {
            version: b"8.4.0".to_vec(),
            connection: 0x0102_0304,
            nonce: *b"12345678abcdefghijkl",
            capabilities: Capabilities::SUPPORTED,
            collation: 255,
            status: Status(Status::AUTOCOMMIT),
            plugin: b"caching_sha2_password".to_vec(),
        };
        let mut out = Vec::new();
        greeting.put(&mut out);
        assert_eq!(Greeting::read(&out), Ok(greeting));
        assert!(Greeting::read(&out[..40]).is_err());
        out[0] = 9;
        assert_eq!(
            Greeting::read(&out),
            Err(WireError::Unexpected("a greeting's version", 9))
        );
    }

    #[test]
    fn a_login_is_read_as_it_was_written_whatever_is_agreed() {
        for capabilities in [NAMED, NAMED | Capabilities::PLUGIN_AUTH_LENENC] {
            let login = login(capabilities);
            let mut out = Vec::new();
            login.put(&mut out);
            assert_eq!(Response::read(&out), Ok(Response::Login(Box::new(login))));
        }
        let bare = login(Capabilities::NONE);
        let mut out = Vec::new();
        bare.put(&mut out);
        let Ok(Response::Login(read)) = Response::read(&out) else {
            panic!("no login");
        };
        assert_eq!((read.database, &*read.plugin), (None, &b""[..]));
    }

    #[test]
    fn a_request_for_tls_is_the_head_of_a_login() {
        let wishes = login(Capabilities::SSL).wishes;
        let mut out = Vec::new();
        wishes.put(&mut out);
        assert_eq!(Response::read(&out), Ok(Response::Tls(wishes)));
        assert!(Response::read(&out[..31]).is_err());
    }

    #[test]
    fn a_login_never_shows_its_proof() {
        let mut login = login(NAMED);
        login.proof = b"secret".to_vec();
        let shown = format!("{login:?}");
        assert!(
            shown.contains("shop") && !shown.contains("115, 101"),
            "{shown}"
        );
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn the_protocol_before_4_1_is_refused() {
        let old = b"\x05\x24\x00\x00\x01root\0abcdefgh";
        assert_eq!(
            Response::read(old),
            Err(WireError::Unexpected("a login before 4.1", 5))
        );
    }

    #[test]
    fn a_change_of_user_is_read() {
        let payload = b"root\0\x03abcdb\0\x2d\0plug\0\x04\x01a\x01b";
        let read = ChangeUser::read(payload, NAMED).unwrap();
        assert_eq!(
            (read.user, read.proof, read.database),
            (&b"root"[..], &b"abc"[..], &b"db"[..])
        );
        assert_eq!((read.collation, read.plugin), (Some(45), &b"plug"[..]));
        assert_eq!(read.attributes, b"\x01a\x01b");
        // Clients of old stop after the database.
        let old = ChangeUser::read(b"root\0\0\0", NAMED).unwrap();
        assert_eq!((old.collation, old.plugin), (None, &b""[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Greeting::read(&bytes));
            drop(Response::read(&bytes));
            drop(ChangeUser::read(&bytes, NAMED).map(|change| change.user.to_vec()));
        }
    }
}
