//! Where tokens begin and end.

use super::*;

fn tokens(text: &[u8], dialect: Dialect) -> Vec<Token<'_>> {
    let mut scanner = Scanner::new(text, dialect);
    let mut all = Vec::new();
    loop {
        let token = scanner.token();
        if token == Token::End {
            return all;
        }
        all.push(token);
    }
}

fn plain(text: &str) -> Vec<Token<'_>> {
    tokens(text.as_bytes(), Dialect::default())
}

use Token::{Assign, Comment, Name, Number, Other, String, SystemVariable, UserVariable, Word};

#[test]
fn strings_end_where_the_server_ends_them() {
    assert_eq!(plain(r"'it''s' x"), [String, Word(b"x")]);
    assert_eq!(plain(r"'it\'s' x"), [String, Word(b"x")]);
    assert_eq!(plain(r"'\\' x"), [String, Word(b"x")]);
    assert_eq!(plain(r#""a'b" x"#), [String, Word(b"x")]);
    assert_eq!(plain("`a``b` x"), [Name, Word(b"x")]);
    assert_eq!(plain(r"`a\` x"), [Name, Word(b"x")]);
    assert_eq!(plain(r"'x\'"), [Token::Unterminated]);
    assert_eq!(plain("'x"), [Token::Unterminated]);
    assert_eq!(plain("_utf8'x'"), [Word(b"_utf8"), String]);
}

#[test]
fn the_sql_mode_says_what_quotes_and_backslashes_are() {
    let no_backslash = Dialect {
        no_backslash: true,
        ..Dialect::default()
    };
    assert_eq!(tokens(br"'\' x", no_backslash), [String, Word(b"x")]);
    let ansi = Dialect {
        ansi_quotes: true,
        ..Dialect::default()
    };
    assert_eq!(tokens(br#""a""b" x"#, ansi), [Name, Word(b"x")]);
    assert_eq!(tokens(br#""a\" x"#, ansi), [Name, Word(b"x")]);
}

/// 0x95 0x5c is one character of sjis, 0xbf 0x5c of gbk, 0xa5 0x5c of big5.
#[test]
fn a_backslash_may_be_half_a_character() {
    for (multibyte, lead) in [
        (Multibyte::Sjis, 0x95),
        (Multibyte::Gbk, 0xbf),
        (Multibyte::Big5, 0xa5),
    ] {
        let text = [b'\'', lead, b'\\', b'\'', b' ', b'x'];
        let dialect = Dialect {
            multibyte,
            ..Dialect::default()
        };
        assert_eq!(tokens(&text, dialect), [String, Word(b"x")]);
        assert_eq!(tokens(&text, Dialect::default()), [Token::Unterminated]);
        let text = [b'`', lead, b'`', b'`', b'x'];
        assert_eq!(tokens(&text, dialect), [Name, Word(b"x")]);
        // After a backslash the first half is escaped, and the second is a backslash again.
        let text = [b'\'', b'\\', lead, b'\\', b'\'', b'\'', b' ', b'x'];
        assert_eq!(tokens(&text, dialect), [String, Word(b"x")]);
    }
    assert_eq!(Multibyte::of(b"GBK"), Multibyte::Gbk);
    assert_eq!(Multibyte::of_collation(28), Multibyte::of(b"gbk"));
    assert_eq!(Multibyte::of_collation(45), Multibyte::of(b"utf8mb4"));
}

#[test]
fn comments_are_the_servers() {
    assert_eq!(
        plain("a/* b */c"),
        [Word(b"a"), Comment(b"/* b */"), Word(b"c")]
    );
    assert_eq!(plain("-- x\na"), [Comment(b"-- x\n"), Word(b"a")]);
    assert_eq!(plain("a --"), [Word(b"a"), Comment(b"--")]);
    assert_eq!(plain("# x"), [Comment(b"# x")]);
    assert_eq!(plain("5--1"), [Number, Other(b'-'), Other(b'-'), Number]);
    assert_eq!(plain("/* x"), [Token::Unterminated]);
    assert_eq!(plain("/*/"), [Token::Unterminated]);
    assert_eq!(plain("a/**/b"), [Word(b"a"), Comment(b"/**/"), Word(b"b")]);
    let versioned = [Token::Versioned(40101), Word(b"a"), Word(b"b")];
    assert_eq!(plain("/*!40101 a*/ b"), versioned);
    assert_eq!(
        plain("/*M!100100 a*/"),
        [Token::Versioned(100_100), Word(b"a")]
    );
    assert_eq!(plain("/*! a */"), [Token::Versioned(0), Word(b"a")]);
    assert_eq!(plain("/*!mycat: a */"), [Comment(b"/*!mycat: a */")]);
}

#[test]
fn variables_and_numbers() {
    assert_eq!(plain("@a:=@`b c`"), [UserVariable, Assign, UserVariable]);
    assert_eq!(plain("@'x'@\"y\""), [UserVariable, UserVariable]);
    assert_eq!(
        plain("@@x @@session.y"),
        [SystemVariable(b"x"), SystemVariable(b"session.y")]
    );
    assert_eq!(plain("@@`z`"), [SystemVariable(b"z")]);
    assert_eq!(plain("1e-5 0x41 .5 1.5e3 2x"), [Number; 5]);
    assert_eq!(plain("t.a"), [Word(b"t"), Other(b'.'), Word(b"a")]);
    assert_eq!(plain("@"), [UserVariable]);
}
