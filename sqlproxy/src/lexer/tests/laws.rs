//! What holds for any text: nothing panics, and nothing that a server does not look at changes what
//! is said.

use proptest::prelude::*;

use crate::lexer::{
    Class, Dialect, Multibyte, Parts, Reason, Route, Statement, assignments, classify,
};

fn dialects() -> impl Strategy<Value = Dialect> {
    let multibyte = prop_oneof![
        Just(Multibyte::Safe),
        Just(Multibyte::Sjis),
        Just(Multibyte::Gbk),
        Just(Multibyte::Big5),
    ];
    (any::<bool>(), any::<bool>(), multibyte).prop_map(|(ansi_quotes, no_backslash, multibyte)| {
        Dialect {
            ansi_quotes,
            no_backslash,
            multibyte,
        }
    })
}

/// Words and signs that decide, and some that do not.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop::sample::select(vec![
        "select",
        "for",
        "update",
        "share",
        "lock",
        "in",
        "mode",
        "into",
        "@a",
        "@@b",
        ":=",
        "(",
        ")",
        ",",
        "*",
        "from",
        "t",
        "where",
        "x",
        "=",
        "'s'",
        "\"d\"",
        "`q`",
        "1",
        "get_lock",
        "last_insert_id",
        "f",
        "count",
        "with",
        "as",
        "set",
        "begin",
        "commit",
        "show",
        "explain",
        "insert",
        "values",
        "delete",
        "union",
        "next",
        "value",
        "prepare",
        "create",
        "temporary",
        "table",
        "analyze",
        "start",
        "transaction",
        "read",
        "only",
        "names",
        "global",
        "warnings",
    ]);
    prop::collection::vec(piece.prop_map(str::to_owned), 1..15)
}

fn told(text: &str) -> (Class, Reason, Route, crate::lexer::Traits) {
    let Statement {
        class,
        reason,
        route,
        traits,
        ..
    } = classify(text.as_bytes(), Dialect::default(), true);
    (class, reason, route, traits)
}

proptest! {
    #[test]
    fn any_bytes_are_told_something(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(b"'\"`\\/*-#;@!(): \n5M".to_vec()),
        ], 0..60),
        dialect in dialects(),
        is_whole: bool,
    ) {
        let statement = classify(&bytes, dialect, is_whole);
        if !is_whole {
            prop_assert_ne!(statement.route, Route::Any);
        }
        if let Some(blank) = statement.blank {
            prop_assert!(bytes.get(blank).is_some());
        }
        prop_assert!(assignments(&bytes, dialect).count() <= bytes.len());
        let parts: usize = Parts::of(&bytes, dialect).map(|(text, _)| text.len()).sum();
        prop_assert!(parts <= bytes.len());
    }

    #[test]
    fn space_comments_and_case_change_nothing(
        pieces in pieces(),
        spaces in prop::collection::vec(prop::sample::select(vec![
            " ", "\n", "\t ", " /* for update */ ", "/**/", " -- into\n", " # x\r\n", " /*! */ ",
            " /*!40101 */",
        ]), 15),
        cases in prop::collection::vec(any::<bool>(), 15),
    ) {
        let plain = pieces.join(" ");
        let mut other = String::new();
        for ((piece, space), is_upper) in pieces.iter().zip(&spaces).zip(&cases) {
            other.push_str(&if *is_upper { piece.to_uppercase() } else { piece.clone() });
            other.push_str(space);
        }
        prop_assert_eq!(told(&plain), told(&other), "{:?} and {:?}", plain, other);
        prop_assert_eq!(told(&plain), told(&format!(";{plain};")));
    }

    #[test]
    fn what_is_in_strings_changes_nothing(
        inside in "[a-z @;/*#-]{0,20}|for update|/\\*slave\\*/|; drop table t|into @x",
        pieces in pieces(),
    ) {
        let with = |inside: &str| {
            let text = pieces.join(" ").replace("'s'", &format!("'{inside}'"));
            text.replace("\"d\"", &format!("\"{inside}\"")).replace("`q`", &format!("`{inside}`"))
        };
        prop_assert_eq!(told(&with("s")), told(&with(&inside)));
    }

    /// Whatever a text holds, a replica gets it only if it begins as a read and holds none of what
    /// makes one more; looked for by a scan of words that shares nothing with the code under test.
    #[test]
    fn nothing_that_writes_goes_to_a_replica(pieces in pieces()) {
        let text = pieces.join(" ");
        let statement = classify(text.as_bytes(), Dialect::default(), true);
        if statement.route == Route::Any {
            let begins = pieces.iter().find(|piece| *piece != "(").map(String::as_str);
            let may_read = matches!(
                begins,
                Some("select" | "with" | "show" | "explain" | "analyze" | "values" | "table" | "start")
            );
            prop_assert!(may_read, "{}", text);
            let is_read_only = begins == Some("start");
            for pair in pieces.windows(2) {
                let pair = (&*pair[0], &*pair[1]);
                prop_assert!(!matches!(pair, ("for", "update" | "share")), "{}", text);
                prop_assert!(!matches!(pair, ("get_lock" | "last_insert_id", "(")), "{}", text);
                prop_assert!(!matches!(pair, ("next", "value")), "{}", text);
            }
            let has = |word: &str| pieces.iter().any(|piece| piece == word);
            prop_assert!(!has("@a") || is_read_only, "{}", text);
            prop_assert!(!has("into") || is_read_only, "{}", text);
            prop_assert!(!has("delete") || is_read_only, "{}", text);
        }
    }

    #[test]
    fn a_statement_behind_another_is_never_hidden(first in pieces(), dialect in dialects()) {
        let text = format!("{} ; drop table t", first.join(" "));
        let statement = classify(text.as_bytes(), dialect, true);
        prop_assert_eq!(statement.route, Route::Primary, "{}", text);
    }
}

/// Recursion would end on the stack.
#[test]
fn long_texts_of_one_kind_are_read_in_a_loop() {
    for unit in [
        "(",
        "/*!40101 ",
        "1e-",
        "set statement a=1 for ",
        ";",
        "@",
        "/**/",
        "a:=",
        "''",
        "explain ",
        "analyze ",
        "with ",
        "-- \n",
        "for update ",
        "`",
        "\\'",
    ] {
        let text = unit.repeat(200_000);
        drop(classify(text.as_bytes(), Dialect::default(), true));
        let text = format!("select {text}");
        drop(classify(text.as_bytes(), Dialect::default(), true));
    }
}
