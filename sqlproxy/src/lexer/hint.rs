//! Users' wishes in comments, in the words of the systems they come from.
//!
//! ```text
//! /*+ viaduct:primary */  /*+ viaduct:replica */        ours, where an optimizer hint may stand
//! /*master*/  /*slave*/  /*primary*/  /*replica*/       alone in their comment
//! /*#mycat:db_type=master*/  /*!mycat:…*/  /** mycat:…*/  and /*balance*/        Mycat 1.6
//! -- maxscale route to master | slave | last            MaxScale, also in /* */ and after #
//! ```
//! Mycat's other keys (`sql=`, `schema=`, `datanode=`, `catlet=`) are read over. Of several hints the
//! first that says anything holds.
//!
//! Not here: whether a wish can be granted ([`super::classify()`]).

use super::statement::Hint;

/// What a comment (with its signs) wishes.
#[must_use]
pub fn read(comment: &[u8]) -> Option<Hint> {
    let body = body(comment);
    let first = body.first()?;
    match first {
        b'+' => ours(&body[1..]),
        b'#' | b'!' | b'*' => mycat(&body[1..]),
        _ => alone(body)
            .or_else(|| mycat(body))
            .or_else(|| maxscale(body)),
    }
}

/// Whether what stands behind `/*!` is Mycat's.
pub(super) fn is_mycat(rest: &[u8]) -> bool {
    mycat_keys(rest).is_some()
}

/// Whether a comment is a hint that servers would execute.
pub(super) fn is_to_blank(comment: &[u8]) -> bool {
    comment.starts_with(b"/*!")
}

fn body(comment: &[u8]) -> &[u8] {
    let body = match comment {
        [b'/', b'*', body @ ..] => body.strip_suffix(b"*/").unwrap_or(body),
        [b'-', b'-', body @ ..] | [b'#', body @ ..] => body,
        other => other,
    };
    body.trim_ascii()
}

fn target(word: &[u8]) -> Option<Hint> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("master") || is("primary") {
        Some(Hint::Primary)
    } else if is("slave") || is("replica") {
        Some(Hint::Replica)
    } else {
        None
    }
}

fn alone(body: &[u8]) -> Option<Hint> {
    if body.eq_ignore_ascii_case(b"balance") {
        return Some(Hint::Replica);
    }
    target(body)
}

/// Among optimizer hints: `/*+ viaduct:primary MAX_EXECUTION_TIME(1000) */`.
fn ours(body: &[u8]) -> Option<Hint> {
    let words = body.split(|byte| byte.is_ascii_whitespace());
    words
        .filter_map(|word| strip(word, b"viaduct:"))
        .find_map(target)
}

/// `mycat:`, `mycat#`, `mycat-`, after spaces and stars.
fn mycat_keys(body: &[u8]) -> Option<&[u8]> {
    let skipped = body.iter().position(|byte| !matches!(byte, b' ' | b'*'))?;
    let rest = strip(&body[skipped..], b"mycat")?;
    match rest {
        [b':' | b'#' | b'-', keys @ ..] => Some(keys),
        _ => None,
    }
}

fn mycat(body: &[u8]) -> Option<Hint> {
    let keys = mycat_keys(body)?;
    let value = keys
        .split(|byte| matches!(byte, b' ' | b','))
        .find_map(|pair| strip(pair, b"db_type="))?;
    target(value.trim_ascii())
}

fn maxscale(body: &[u8]) -> Option<Hint> {
    let mut words = body.split(|byte| byte.is_ascii_whitespace());
    let mut word = || words.find(|word| !word.is_empty()).unwrap_or_default();
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if !(is(word(), "maxscale") && is(word(), "route") && is(word(), "to")) {
        return None;
    }
    match word() {
        last if is(last, "last") => Some(Hint::Last),
        other => target(other),
    }
}

fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = text.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_systems_words_are_understood() {
        for (comment, wish) in [
            ("/*+ viaduct:primary */", Some(Hint::Primary)),
            (
                "/*+ MAX_EXECUTION_TIME(10) VIADUCT:REPLICA */",
                Some(Hint::Replica),
            ),
            ("/*master*/", Some(Hint::Primary)),
            ("/* SLAVE */", Some(Hint::Replica)),
            ("/*primary*/", Some(Hint::Primary)),
            ("/*balance*/", Some(Hint::Replica)),
            ("/*#mycat:db_type=master*/", Some(Hint::Primary)),
            ("/*!mycat:db_type=slave*/", Some(Hint::Replica)),
            ("/** mycat: db_type=slave */", Some(Hint::Replica)),
            ("/*mycat:db_type=master*/", Some(Hint::Primary)),
            ("/*#mycat:schema=shop db_type=slave*/", Some(Hint::Replica)),
            ("/*#mycat:sql=select 1*/", None),
            ("-- maxscale route to master", Some(Hint::Primary)),
            ("-- MaxScale  route to slave\n", Some(Hint::Replica)),
            ("# maxscale route to last", Some(Hint::Last)),
            ("/* maxscale route to slave */", Some(Hint::Replica)),
            ("-- maxscale route to server db3", None),
            ("/* the master copy */", None),
            ("/* masters */", None),
            ("/**/", None),
            ("/*+ */", None),
            ("/*+ NO_ICP(t) */", None),
            ("-- ", None),
        ] {
            assert_eq!(read(comment.as_bytes()), wish, "{comment}");
        }
    }
}
