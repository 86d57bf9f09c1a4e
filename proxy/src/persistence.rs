//! Cookies that name the server a client stays with (HAProxy's `cookie insert indirect nocache`).
//!
//! The proxy gives the cookie with the first answer and takes it out of what servers get. What it says
//! is 16 hexadecimal digits made from the server's address: the same on every proxy, after every reload
//! and restart, and no address to whoever reads it. It is no secret: who tries all addresses finds it.
//!
//! Not here: whether that server may be chosen now (`plan`).

use std::io::Write as _;

use crate::config::persistence::{Persistence, SameSite};

/// The cookies of a `Cookie` header, each as name and value (RFC 6265 section 5.4).
pub fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|&byte| byte == b';').map(|pair| {
        let pair = pair.trim_ascii();
        match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }
    })
}

/// The server that a cookie's value names, as [`crate::balance::seed`] has it.
#[must_use]
pub fn named(value: &[u8]) -> Option<u64> {
    let is_ours = value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_ours)?;
    u64::from_str_radix(text, 16).ok()
}

/// Writes a `Cookie` header without the cookie of this name, or nothing where no other one is in it.
pub fn write_without(value: &[u8], name: &[u8], out: &mut Vec<u8>) {
    let mut is_first = true;
    for pair in value.split(|&byte| byte == b';') {
        let pair = pair.trim_ascii();
        let is_it = pair.strip_prefix(name);
        if pair.is_empty() || is_it.is_some_and(|rest| matches!(rest, [] | [b'=', ..])) {
            continue;
        }
        out.extend_from_slice(if is_first { b"Cookie: " } else { b"; " });
        out.extend_from_slice(pair);
        is_first = false;
    }
    if !is_first {
        out.extend_from_slice(b"\r\n");
    }
}

/// The lines that an answer gets to name a server. `private` keeps the cookie out of shared caches.
#[must_use]
pub fn lines(persistence: &Persistence, seed: u64) -> Box<[u8]> {
    let Persistence {
        cookie,
        path,
        secure,
        http_only,
        same_site,
    } = persistence;
    let mut out = Vec::new();
    // Writing into memory cannot fail.
    drop(write!(out, "Set-Cookie: {cookie}={seed:016x}; Path={path}"));
    if *http_only {
        out.extend_from_slice(b"; HttpOnly");
    }
    if *secure {
        out.extend_from_slice(b"; Secure");
    }
    out.extend_from_slice(match same_site {
        SameSite::Lax => b"; SameSite=Lax",
        SameSite::Strict => b"; SameSite=Strict",
        SameSite::None => b"; SameSite=None",
    });
    out.extend_from_slice(b"\r\nCache-Control: private\r\n");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_sixteen_digits_and_nothing_else() {
        assert_eq!(named(b"00000000000000ff"), Some(255));
        assert_eq!(named(b"FFFFFFFFFFFFFFFF"), Some(u64::MAX));
        for bad in [
            "",
            "ff",
            "+0000000000000ff",
            "00000000000000fg",
            "00000000000000ff0",
        ] {
            assert_eq!(named(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn cookies_are_found_by_name() {
        let all: Vec<_> = cookies(b"a=1; b ; srv=x=y;c=").collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"b", b""), (b"srv", b"x=y"), (b"c", b"")];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_cookie_goes_to_no_server_and_the_others_stay() {
        for (value, expected) in [
            ("srv=1", ""),
            ("srv", ""),
            ("a=1; srv=2; b=3", "Cookie: a=1; b=3\r\n"),
            ("srv=2;a=1", "Cookie: a=1\r\n"),
            ("srv=1; srv=2", ""),
            ("srvx=1; xsrv=2", "Cookie: srvx=1; xsrv=2\r\n"),
            (" ; ", ""),
        ] {
            let mut out = Vec::new();
            write_without(value.as_bytes(), b"srv", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn an_answer_names_the_server_with_its_attributes() {
        let mut persistence = Persistence {
            cookie: "srv".to_owned(),
            path: "/".to_owned(),
            secure: false,
            http_only: true,
            same_site: SameSite::Lax,
        };
        let text = |persistence: &_| String::from_utf8(lines(persistence, 255).into()).unwrap();
        assert_eq!(
            text(&persistence),
            "Set-Cookie: srv=00000000000000ff; Path=/; HttpOnly; SameSite=Lax\r\n\
             Cache-Control: private\r\n"
        );
        (persistence.secure, persistence.http_only) = (true, false);
        persistence.same_site = SameSite::None;
        assert!(
            text(&persistence)
                .starts_with("Set-Cookie: srv=00000000000000ff; Path=/; Secure; SameSite=None\r\n")
        );
    }
}
