//! The headers that mean something to a proxy, found by name without comparing with each.
//!
//! Not here: what is done with them.

/// A header that means something to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `Host`
    Host,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `TE`
    Te,
    /// `Expect`
    Expect,
    /// `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate-Info` and others that are for one
    /// connection only.
    HopByHop,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Proto`
    ForwardedProto,
    /// `X-Forwarded-Host`, `X-Forwarded-Port`, `X-Forwarded-Server`, `X-Real-IP`: what only a trusted
    /// proxy may say.
    ForwardedOther,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `X-Request-Id`
    RequestId,
    /// `Via`
    Via,
    /// `User-Agent`
    UserAgent,
    /// `Referer`
    Referer,
    /// `Date`
    Date,
    /// `Cookie`
    Cookie,
    /// `Retry-After` and all the rest.
    Other,
}

impl Name {
    /// What a name is; upper and lower case are the same.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let pick = |known: &str, meaning| if is(known) { meaning } else { Self::Other };
        // Servers behind CGI cannot tell `X_Real_IP` from `X-Real-IP`: a claim so spelt goes nowhere.
        if name.contains(&b'_') && is_a_claim_underscored(name) {
            return Self::HopByHop;
        }
        match name.len() {
            2 => pick("te", Self::Te),
            3 => pick("via", Self::Via),
            4 if is("host") => Self::Host,
            4 => pick("date", Self::Date),
            6 if is("cookie") => Self::Cookie,
            6 => pick("expect", Self::Expect),
            7 if is("referer") => Self::Referer,
            7 => pick("upgrade", Self::Upgrade),
            9 if is("x-real-ip") => Self::ForwardedOther,
            9 => pick("forwarded", Self::Forwarded),
            10 if is("connection") => Self::Connection,
            10 if is("user-agent") => Self::UserAgent,
            10 => pick("keep-alive", Self::HopByHop),
            12 => pick("x-request-id", Self::RequestId),
            14 => pick("content-length", Self::ContentLength),
            15 => pick("x-forwarded-for", Self::ForwardedFor),
            16 if is("x-forwarded-host") => Self::ForwardedOther,
            16 if is("x-forwarded-port") => Self::ForwardedOther,
            16 => pick("proxy-connection", Self::HopByHop),
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 => pick("x-forwarded-proto", Self::ForwardedProto),
            18 => pick("x-forwarded-server", Self::ForwardedOther),
            _ => Self::Other,
        }
    }

    /// Whether a client's word for it counts only if the client is trusted.
    #[must_use]
    pub fn is_a_claim(self) -> bool {
        matches!(
            self,
            Self::ForwardedFor | Self::ForwardedProto | Self::ForwardedOther | Self::Forwarded
        )
    }
}

/// Whether a name would be that of a claim, or of our own name for a request, if `_` were `-`.
fn is_a_claim_underscored(name: &[u8]) -> bool {
    const CLAIMS: [&str; 7] = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-real-ip",
        "x-request-id",
    ];
    let plain = |&byte: &u8| {
        if byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    let is = |claim: &str| name.iter().map(plain).eq(claim.bytes());
    CLAIMS.iter().any(|claim| is(claim))
}

/// The elements of a comma-separated list, without white space around them; empty ones are skipped
/// (RFC 9110 section 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// What the `Connection` headers of a message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// Names of headers that go no further.
    pub names: bool,
}

impl Options {
    /// Takes one `Connection` header into account.
    pub fn add(&mut self, value: &[u8]) {
        for option in list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => self.names = true,
            }
        }
    }
}

/// Whether a `Connection` header of the message names this one. Only where [`Options::names`] is set is
/// there anything to find.
#[must_use]
pub fn is_named(name: &str, headers: &[httparse::Header<'_>]) -> bool {
    headers
        .iter()
        .filter(|header| Name::of(header.name.as_bytes()) == Name::Connection)
        .flat_map(|header| list(header.value))
        .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Name::of(b"host"), Name::Host);
        assert_eq!(Name::of(b"HOST"), Name::Host);
        assert_eq!(Name::of(b"Transfer-Encoding"), Name::TransferEncoding);
        assert_eq!(Name::of(b"transfer_encoding"), Name::Other);
        assert_eq!(Name::of(b"X-Forwarded-For"), Name::ForwardedFor);
        assert_eq!(Name::of(b"x_forwarded-FOR"), Name::HopByHop);
        assert_eq!(Name::of(b"X_Real_IP"), Name::HopByHop);
        assert_eq!(Name::of(b"X_Other_IP"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
    }

    #[test]
    fn options_are_a_list() {
        let mut options = Options::default();
        options.add(b" Keep-Alive ,, X-Foo");
        assert_eq!(
            options,
            Options {
                keep_alive: true,
                names: true,
                ..Options::default()
            }
        );
        options.add(b"CLOSE");
        assert!(options.close && !options.upgrade);
    }
}
