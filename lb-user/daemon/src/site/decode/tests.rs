//! Decoding files with every kind of mistake.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::Deserialize;
use toml::Spanned;

use super::{Decoded, MAX_MISTAKES, decode};
use crate::{diagnostic::Report, duration::HumanDuration, site::Table, source::SourceFile};

mod syntax;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    team: Option<Vec<Table<Team>>>,
    colours: Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    only: Option<Table<Only>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    one: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Team {
    name: Option<Spanned<String>>,
    size: Option<Spanned<i64>>,
    every: Option<Spanned<HumanDuration>>,
    tags: Option<Vec<Spanned<String>>>,
    member: Option<Vec<Table<Member>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    weight: Option<Spanned<i64>>,
}

fn check(text: &str, expected: Expect) -> Decoded<File> {
    let decoded = decode(text);
    let source = SourceFile::new("site.toml", text);
    expected.assert_eq(&Report::new(source, decoded.diagnostics.clone()).to_string());
    decoded
}

#[test]
fn a_file_without_mistakes_decodes() {
    let text = "\
[[team]]
name = \"a\"
every = \"5s\"
[[team.member]]
weight = 1
[colours]
red = \"warm\"
[only]
one = true
";
    let file = check(text, expect!["site.toml: nothing wrong"])
        .value
        .unwrap();
    let team = file.team.unwrap().remove(0).value;
    assert_eq!(team.name.unwrap().get_ref(), "a");
    assert_eq!(team.every.unwrap().get_ref().0.as_secs(), 5);
    assert_eq!(
        team.member.unwrap()[0]
            .value
            .weight
            .as_ref()
            .unwrap()
            .get_ref(),
        &1
    );
    assert_eq!(file.colours.unwrap()["red"].get_ref(), "warm");
    assert!(file.only.unwrap().value.one.unwrap().into_inner());
}

/// Eight mistakes in two elements.
const WRONG: &str = "\
[[team]]
nane = \"a\"
size = \"12\"
[[team.member]]
wieght = 1
[[team.member]]
weight = true

[[team]]
name = 5
size = 3
every = 10
tags = [\"x\", 7, \"y\", false]
";

#[test]
fn every_mistake_in_every_element_is_told() {
    check(
        WRONG,
        expect![[r#"
            site.toml:2:1: error: unknown key `nane`
              |
            2 | nane = "a"
              | ^^^^
              = help: did you mean `name`?

            site.toml:3:8: error: expected a whole number, found the text "12"
              |
            3 | size = "12"
              |        ^^^^
              = help: write it without quotes: 12

            site.toml:5:1: error: unknown key `wieght`
              |
            5 | wieght = 1
              | ^^^^^^
              = help: did you mean `weight`?

            site.toml:7:10: error: expected a whole number, found `true`
              |
            7 | weight = true
              |          ^^^^

            site.toml:10:8: error: expected text in quotes, found the number 5
               |
            10 | name = 5
               |        ^
               = help: write it in quotes: "5"

            site.toml:12:9: error: a duration without a unit
               |
            12 | every = 10
               |         ^^
               = help: write a unit: "10s"

            site.toml:13:14: error: expected text in quotes, found the number 7
               |
            13 | tags = ["x", 7, "y", false]
               |              ^
               = help: write it in quotes: "7"

            site.toml:13:22: error: expected text in quotes, found `false`
               |
            13 | tags = ["x", 7, "y", false]
               |                      ^^^^^
               = help: write it in quotes: "false"

            site.toml: 8 errors"#]],
    );
}

#[test]
fn what_is_right_stays_and_what_was_wrong_is_excused() {
    let decoded = decode::<File>(WRONG);
    let teams = decoded.value.unwrap().team.unwrap();
    assert_eq!(
        teams[1].value.tags.as_ref().unwrap().len(),
        2,
        "what is right stays"
    );
    assert_eq!(teams[1].value.size.as_ref().unwrap().get_ref(), &3);
    let (first, second) = (teams[0].span.clone(), teams[1].span.clone());
    for (table, key) in [
        (&first, "name"),
        (&first, "size"),
        (&second, "name"),
        (&second, "every"),
    ] {
        assert!(decoded.excused.covers(table, key), "{key}");
    }
    for (table, key) in [(&first, "every"), (&first, "nane"), (&second, "size")] {
        assert!(!decoded.excused.covers(table, key), "{key}");
    }
}

#[test]
fn tables_lists_and_values_in_each_others_place() {
    check(
        "only = 1979-05-27\ncolours = { red = 1, blue = \"b\" }\n[team]\nname = \"a\"\n",
        expect![[r#"
            site.toml:1:8: error: expected a table, found a date or time
              |
            1 | only = 1979-05-27
              |        ^^^^^^^^^^

            site.toml:2:19: error: expected text in quotes, found the number 1
              |
            2 | colours = { red = 1, blue = "b" }
              |                   ^
              = help: write it in quotes: "1"

            site.toml:3:1: error: expected a list, found a table
              |
            3 | [team]
              | ^^^^^^
              = help: a list of tables is written `[[team]]`

            site.toml: 3 errors"#]],
    );
    check(
        "[[only]]\none = 1\n[[only]]\n[[team]]\nsize = 1979-05-27\ntags = \"x\"\nmember = [1, {weight = 1.5}]\nname = { x = 1 }\n[[team.tags]]",
        expect![[r#"
            site.toml:1:1: error: expected a table, found a list
              |
            1 | [[only]]
              | ^^^^^^^^
              = help: there is only one: write `[only]`

            site.toml:5:8: error: expected a whole number, found a date or time
              |
            5 | size = 1979-05-27
              |        ^^^^^^^^^^

            site.toml:6:8: error: expected a list, found the text "x"
              |
            6 | tags = "x"
              |        ^^^
              = help: write a list: ["x"]

            site.toml:7:11: error: expected a table, found the number 1
              |
            7 | member = [1, {weight = 1.5}]
              |           ^

            site.toml:7:24: error: expected a whole number, found the number 1.5
              |
            7 | member = [1, {weight = 1.5}]
              |                        ^^^

            site.toml:8:8: error: expected text in quotes, found a table
              |
            8 | name = { x = 1 }
              |        ^^^^^^^^^

            site.toml:9:8: error: duplicate key `tags`
              |
            9 | [[team.tags]]
              |        ^^^^
              = help: a key or `[table]` stands once; a list of tables is written `[[table]]`

            site.toml: 7 errors"#]],
    );
}

#[test]
fn keys_that_look_like_nothing_known_get_the_list() {
    check(
        "[only]\nquite_else = 1\n\"`, expected `x`\" = 2\n[[team]]\n\"\\u001b[31m\" = 1\n",
        expect![[r#"
            site.toml:2:1: error: unknown key `quite_else`
              |
            2 | quite_else = 1
              | ^^^^^^^^^^
              = help: known here: one

            site.toml:3:1: error: unknown key ``, expected `x``
              |
            3 | "`, expected `x`" = 2
              | ^^^^^^^^^^^^^^^^^
              = help: known here: one

            site.toml:5:1: error: unknown key `�[31m`
              |
            5 | "\u001b[31m" = 1
              | ^^^^^^^^^^^^
              = help: known here: name, size, every, tags, member

            site.toml: 3 errors"#]],
    );
}

#[test]
fn durations_say_what_they_want() {
    check(
        "[[team]]\nevery = \"5\"\n[[team]]\nevery = \"soon\"\n[[team]]\nevery = \"5 parsecs\"\n[[team]]\nevery = 1.5\n[[team]]\nevery = true\n[[team]]\nevery = \"-1s\"",
        expect![[r#"
            site.toml:2:9: error: a duration without a unit
              |
            2 | every = "5"
              |         ^^^
              = help: write a unit: "5s"

            site.toml:4:9: error: not a duration
              |
            4 | every = "soon"
              |         ^^^^^^
              = help: write a number and its unit: "250ms", "5s", "15m"

            site.toml:6:9: error: not a duration
              |
            6 | every = "5 parsecs"
              |         ^^^^^^^^^^^
              = help: write a number and its unit: "250ms", "5s", "15m"

            site.toml:8:9: error: a duration without a unit
              |
            8 | every = 1.5
              |         ^^^
              = help: write a number and its unit: "250ms", "5s", "15m"

            site.toml:10:9: error: expected a duration such as "5s", found `true`
               |
            10 | every = true
               |         ^^^^

            site.toml:12:9: error: not a duration
               |
            12 | every = "-1s"
               |         ^^^^^
               = help: write a number and its unit: "250ms", "5s", "15m"

            site.toml: 6 errors"#]],
    );
}

#[test]
fn more_mistakes_than_anyone_reads_are_cut() {
    let text: String = (0..1000).map(|n| format!("[[team]]\nx{n} = 1\n")).collect();
    let decoded = decode::<File>(&text);
    assert_eq!(decoded.diagnostics.len(), MAX_MISTAKES);
    assert!(decoded.value.is_none());
}

proptest! {
    #[test]
    fn no_text_is_too_strange(
        lines in proptest::collection::vec(
            "\\[\\[?(team|only|colours|team.member)\\]?\\]|(name|size|every|x|team|only.one) ?= ?(1|\"a\"|\\[1, \\{\\}\\]|\\{x=1\\}|true|1979-05-27)|\\PC{0,12}",
            0..12,
        ),
    ) {
        let text = lines.join("\n");
        let decoded = decode::<File>(&text);
        prop_assert!(decoded.value.is_some() || !decoded.diagnostics.is_empty());
        for (nth, diagnostic) in decoded.diagnostics.iter().enumerate() {
            prop_assert!(!decoded.diagnostics[..nth].contains(diagnostic), "told twice: {text}");
        }
        let report = Report::new(SourceFile::new("t", text), decoded.diagnostics);
        prop_assert!(!report.to_string().is_empty());
    }
}
