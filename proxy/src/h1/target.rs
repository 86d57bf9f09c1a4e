//! What a request asks for (RFC 9112 section 3.2), in one spelling only.
//!
//! Two spellings of a path are a way around every rule that is written for one of them. So: percent
//! signs stand before two hexadecimal digits; what needs no encoding is decoded (`%61` is `a`), for
//! routing and for what is sent on alike; a path that leads upwards (`/a/../b`, or `/./`), or has a NUL
//! in it, is refused. Double slashes and everything else stay as they came.
//!
//! Not here: which route a path has.

use memchr::memchr;

use super::Refusal;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// Path and query as they came.
    pub text: &'b [u8],
    /// How much of it is the path.
    pub path: usize,
    /// The host, with its port if it has one, where the target names it.
    pub authority: Option<&'b [u8]>,
    /// Whether something is encoded that need not be: [`Target::normalise`] has work to do.
    pub is_odd: bool,
}

impl<'b> Target<'b> {
    /// Reads a target.
    ///
    /// # Errors
    /// What is no target, or leads upwards.
    pub fn parse(method: &[u8], text: &'b [u8]) -> Result<Self, Refusal> {
        if method == b"CONNECT" {
            return Err(Refusal::Connect);
        }
        if !text.iter().all(|&b| b.is_ascii_graphic() && b != b'#') {
            return Err(Refusal::Target);
        }
        let (authority, text): (_, &[u8]) = match text {
            [b'/', ..] => (None, text),
            b"*" if method == b"OPTIONS" => (None, text),
            _ => absolute(text).ok_or(Refusal::Target)?,
        };
        let path = memchr(b'?', text).unwrap_or(text.len());
        let is_odd = look(&text[..path])?;
        Ok(Self {
            text,
            path,
            authority,
            is_odd,
        })
    }

    /// Writes the target with nothing encoded that need not be; gives the length of its path.
    ///
    /// # Errors
    /// A path that leads upwards.
    pub fn normalise(&self, out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut path = &self.text[..self.path];
        let start = out.len();
        while let Some(at) = memchr(b'%', path) {
            out.extend_from_slice(&path[..at]);
            match encoded(&path[at..]) {
                Some(plain) if is_unreserved(plain) => out.push(plain),
                Some(_) | None => out.extend_from_slice(&path[at..at + 3]),
            }
            path = &path[at + 3..];
        }
        out.extend_from_slice(path);
        let length = out.len() - start;
        look(&out[start..])?;
        out.extend_from_slice(&self.text[self.path..]);
        Ok(length)
    }
}

/// `http://host/path`: the host and the rest, which may be missing.
fn absolute(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let colon = text.windows(3).position(|three| three == b"://")?;
    let (scheme, rest) = (&text[..colon], &text[colon + 3..]);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let end = rest
        .iter()
        .position(|&b| b == b'/' || b == b'?')
        .unwrap_or(rest.len());
    let (host, target) = rest.split_at(end);
    // `http://host?query` has no path to begin a target with.
    let target = match target {
        [b'/', ..] => target,
        [] => b"/",
        _ => return None,
    };
    is_host(host).then_some((Some(host), target))
}

/// A host as it stands in `Host`: a name or an address, perhaps with a port (RFC 3986 section 3.2).
#[must_use]
pub fn is_host(text: &[u8]) -> bool {
    let (name, port) = match text {
        [b'[', ..] => match memchr(b']', text) {
            Some(end) => (&text[..=end], &text[end + 1..]),
            None => return false,
        },
        _ => text.split_at(memchr(b':', text).unwrap_or(text.len())),
    };
    let in_a_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    let name_is_good = match name {
        [b'[', address @ .., b']'] => address
            .iter()
            .all(|b| b.is_ascii_hexdigit() || b":.".contains(b)),
        _ => !name.is_empty() && name.iter().all(in_a_name),
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_good && port_is_good
}

/// A host without its port.
#[must_use]
pub fn without_port(host: &[u8]) -> &[u8] {
    let end = match host {
        [b'[', ..] => memchr(b']', host).map(|end| end + 1),
        _ => memchr(b':', host),
    };
    &host[..end.unwrap_or(host.len())]
}

/// Whether something in a path is encoded that need not be.
fn look(path: &[u8]) -> Result<bool, Refusal> {
    let mut is_odd = false;
    let mut rest = path;
    while let Some(at) = memchr(b'%', rest) {
        match encoded(&rest[at..]) {
            None | Some(0) => return Err(Refusal::Target),
            Some(byte) => is_odd |= is_unreserved(byte),
        }
        rest = &rest[at + 3..];
    }
    let mut rest = path;
    while let Some(at) = memchr(b'.', rest) {
        let before = rest[..at].last().or_else(|| {
            let start = path.len() - rest.len();
            path[..start].last()
        });
        let after = &rest[at + 1..];
        if before == Some(&b'/') && matches!(after, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]) {
            return Err(Refusal::Target);
        }
        rest = after;
    }
    Ok(is_odd)
}

/// What `%XX` stands for.
fn encoded(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<(String, Option<String>), Refusal> {
        let target = Target::parse(b"GET", text.as_bytes())?;
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut out = vec![];
        match target.is_odd {
            true => drop(target.normalise(&mut out)?),
            false => out.extend(target.text),
        }
        Ok((string(&out), target.authority.map(string)))
    }

    fn path(text: &str) -> Result<String, Refusal> {
        target(text).map(|(path, _)| path)
    }

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(path("/a/b?c=d").unwrap(), "/a/b?c=d");
        assert_eq!(path("/%61%2Fb%7E?%61").unwrap(), "/a%2Fb~?%61");
        assert_eq!(path("//a//b/").unwrap(), "//a//b/");
        assert_eq!(
            path("/.well-known/..x/x..").unwrap(),
            "/.well-known/..x/x.."
        );
        assert_eq!(path("/a?/../").unwrap(), "/a?/../");
    }

    #[test]
    fn what_is_no_path_or_leads_upwards_is_refused() {
        for bad in [
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/.",
            "/./a",
            "/a/.",
            "/%2e%2e/a",
            "/a/%2E./b",
            "/.%2e",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/a#b",
            "a",
            "",
            "*",
            "/\u{e9}",
            "ftp://a/",
            "http:///a",
            "http://a@b/",
            "http://a?b",
            "/a%2e%2e/%2e",
        ] {
            assert_eq!(path(bad), Err(Refusal::Target), "{bad}");
        }
    }

    #[test]
    fn a_target_may_name_its_host() {
        let of = |text| target(text).unwrap();
        assert_eq!(
            of("http://a.b:80/c?d"),
            ("/c?d".into(), Some("a.b:80".into()))
        );
        assert_eq!(of("HTTP://a"), ("/".into(), Some("a".into())));
        assert_eq!(
            of("http://[::1]:8080/"),
            ("/".into(), Some("[::1]:8080".into()))
        );
    }

    #[test]
    fn hosts() {
        for good in ["a", "a.b:80", "1.2.3.4", "[::1]", "[::1]:80", "a_b", "a:"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "a@b", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "a,b:c",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
        assert_eq!(without_port(b"a:80"), b"a");
        assert_eq!(without_port(b"[::1]:80"), b"[::1]");
        assert_eq!(without_port(b"a"), b"a");
    }

    #[test]
    fn options_may_ask_about_the_server() {
        assert!(Target::parse(b"OPTIONS", b"*").is_ok());
        assert_eq!(Target::parse(b"CONNECT", b"a:1"), Err(Refusal::Connect));
    }
}
