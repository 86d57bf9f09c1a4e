//! Texts of the site file with parts of the request in them: where a client is sent, and what a server
//! is asked for instead.
//!
//! `$host`, `$target` (path and query), `$path`, `$query`, `$1` to `$9` (what a route's pattern has in
//! its groups; of a prefix, `$1` is what follows it), `${1}` before a digit, `$$` for a dollar. Not here:
//! which route a request has.

use crate::{
    h1::{Refusal, target::Target},
    pattern::Groups,
};

/// A text with parts of the request in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Host,
    Target,
    Path,
    Query,
    Group(usize),
}

const KNOWN: [(&str, Piece); 4] = [
    ("host", Piece::Host),
    ("target", Piece::Target),
    ("path", Piece::Path),
    ("query", Piece::Query),
];

/// The parts of a request.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The host it is for, with its port if it has one.
    pub host: &'a [u8],
    /// Path and query, normalised.
    pub target: &'a [u8],
    /// How much of that is the path.
    pub path: usize,
    /// What its path gave.
    pub groups: Groups<'a>,
}

impl Parts<'_> {
    fn query(&self) -> &[u8] {
        self.target.get(self.path + 1..).unwrap_or_default()
    }
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// A `$` before what is not known; in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (name, after) = name(rest);
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(meaning(name)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    /// As it stands in the site file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last group in it; 0: none.
    #[must_use]
    pub fn last_group(&self) -> usize {
        let group = |piece: &Piece| match piece {
            Piece::Group(group) => *group,
            Piece::Text(_) | Piece::Host | Piece::Target | Piece::Path | Piece::Query => 0,
        };
        self.pieces.iter().map(group).max().unwrap_or(0)
    }

    /// Whether it says all of a target, the query included.
    fn has_query(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Text(text) => text.contains('?'),
            Piece::Target | Piece::Query => true,
            Piece::Host | Piece::Path | Piece::Group(_) => false,
        })
    }

    /// Writes the text with the parts of a request.
    pub fn write(&self, parts: &Parts<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            out.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Host => parts.host,
                Piece::Target => parts.target,
                Piece::Path => &parts.target[..parts.path],
                Piece::Query => parts.query(),
                Piece::Group(group) => parts.groups.0[*group].unwrap_or_default(),
            });
        }
    }

    /// What a server is asked for instead. The query stays unless the text has one. It is read as a
    /// client's target is: what is none, leads upwards, or has more than `longest` bytes is refused.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn target(
        &self,
        method: &[u8],
        parts: &Parts<'_>,
        longest: usize,
    ) -> Result<Vec<u8>, Refusal> {
        let mut text = Vec::with_capacity(parts.target.len() + self.text.len());
        self.write(parts, &mut text);
        if !self.has_query() && parts.path < parts.target.len() {
            text.extend_from_slice(&parts.target[parts.path..]);
        }
        if text.first() != Some(&b'/') {
            return Err(Refusal::Target);
        }
        if text.len() > longest {
            return Err(Refusal::TargetTooLong);
        }
        let target = Target::parse(method, &text)?;
        if !target.is_odd {
            return Ok(text);
        }
        let mut plain = Vec::with_capacity(text.len());
        target.normalise(&mut plain)?;
        Ok(plain)
    }
}

/// A name behind a `$`, and what follows.
fn name(rest: &str) -> (&str, &str) {
    if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return (name, after);
    }
    let is_digit = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = match is_digit {
        true => 1,
        false => rest
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(rest.len()),
    };
    rest.split_at(end)
}

fn meaning(name: &str) -> Result<Piece, String> {
    if let [digit @ b'1'..=b'9'] = name.as_bytes() {
        return Ok(Piece::Group(usize::from(digit - b'0')));
    }
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map(|(_, piece)| piece.clone()).ok_or_else(|| {
        format!("has `${name}`, which is nothing: there are $host, $target, $path, $query, $1 to $9, and $$")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    fn parts<'a>(target: &'a str, pattern: &str) -> Parts<'a> {
        let path = target.find('?').unwrap_or(target.len());
        Parts {
            host: b"a.b:81",
            target: target.as_bytes(),
            path,
            groups: Pattern::new(pattern)
                .unwrap()
                .capture(&target.as_bytes()[..path]),
        }
    }

    fn written(text: &str, target: &str, pattern: &str) -> String {
        let mut out = Vec::new();
        let template = Template::new(text).unwrap();
        template.write(&parts(target, pattern), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn parts_of_the_request_stand_where_they_are_named() {
        for (text, expected) in [
            ("https://$host$target", "https://a.b:81/u/42/x?q=1"),
            ("$path|$query", "/u/42/x|q=1"),
            ("/v2/$1$2", "/v2/42/x"),
            ("/${1}0/$1x$$", "/420/42x$"),
            ("$3-", "-"),
            ("$host.old", "a.b:81.old"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(
                written(text, "/u/42/x?q=1", "^/u/([0-9]+)(/.*)?$"),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_nothing_is_told() {
        for bad in ["$", "$hostname", "$0", "${", "${x}", "a$ b", "$HOST"] {
            assert!(
                Template::new(bad).unwrap_err().contains("which is nothing"),
                "{bad}"
            );
        }
        assert_eq!(Template::new("/$2$7").unwrap().last_group(), 7);
        assert_eq!(Template::new("/$host").unwrap().last_group(), 0);
    }

    fn target(text: &str, asked: &str, pattern: &str) -> Result<String, Refusal> {
        let template = Template::new(text).unwrap();
        let target = template.target(b"GET", &parts(asked, pattern), 40);
        target.map(|target| String::from_utf8(target).unwrap())
    }

    #[test]
    fn a_target_keeps_its_query_unless_it_is_given_another() {
        let of = |text| target(text, "/a/b?q=1", "^/a/(.*)").unwrap();
        assert_eq!(of("/new/$1"), "/new/b?q=1");
        assert_eq!(of("/new?x=$1"), "/new?x=b");
        assert_eq!(of("/new?$query&x"), "/new?q=1&x");
        assert_eq!(of("/x$target"), "/x/a/b?q=1");
        assert_eq!(of("/new?"), "/new?");
    }

    #[test]
    fn a_target_that_is_none_or_leads_upwards_is_refused() {
        for (text, asked, pattern) in [
            ("/$1", "/x..", "^/x(.*)"),
            ("/a/$1/b", "/x.", "^/x(.*)"),
            ("$1", "/xy", "^/x(.*)"),
            ("$1", "/x", "^/x(.*)"),
            ("/%$1", "/xz", "^/x(.*)"),
            ("/%0$1", "/x0", "^/x(.*)"),
            ("/%2$1/a", "/xe", "^/x(.*)"),
        ] {
            assert_eq!(
                target(text, asked, pattern),
                Err(Refusal::Target),
                "{text} {asked}"
            );
        }
        assert_eq!(
            target("/$1$1$1", "/x123456789012345", "^/x(.*)"),
            Err(Refusal::TargetTooLong)
        );
        // What need not be encoded is not, as everywhere.
        assert_eq!(target("/%6$1", "/x1", "^/x(.*)").unwrap(), "/a");
        assert_eq!(
            target("//$1", "/xhost", "^/x(.*)").unwrap(),
            "//host",
            "a path, no host"
        );
    }
}
