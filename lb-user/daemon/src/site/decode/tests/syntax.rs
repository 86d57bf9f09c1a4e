//! Mistakes of TOML's own syntax.

use expect_test::expect;

use super::check;

#[test]
fn syntax_errors_are_told_together_and_alone() {
    check(
        "port = 80 90\nvip 10.0.0.1\nwrong = 1\n",
        expect![[r#"
        site.toml:1:8: error: text without quotes
          |
        1 | port = 80 90
          |        ^^^^^
          = help: write "80 90"

        site.toml:2:5: error: key with no value, expected `=`
          |
        2 | vip 10.0.0.1
          |     ^

        site.toml: 2 errors"#]],
    );
    check(
        "[[team]\nname = \"a\"\n",
        expect![[r#"
        site.toml:1:8: error: unclosed array table, expected `]`
          |
        1 | [[team]
          |        ^

        site.toml: 1 error"#]],
    );
    check(
        "[[team]]\nname = web\n",
        expect![[r#"
        site.toml:2:8: error: text without quotes
          |
        2 | name = web
          |        ^^^
          = help: write "web"

        site.toml: 1 error"#]],
    );
    check(
        "[[team]]\nname = 10.0.0.1\n",
        expect![[r#"
        site.toml:2:12: error: invalid float, expected nothing
          |
        2 | name = 10.0.0.1
          |            ^^^^
          = help: text such as an address or a duration is written in quotes

        site.toml: 1 error"#]],
    );
    check(
        "[[team]]\nname = \"open\n",
        expect![[r#"
        site.toml:2:13: error: invalid basic string, expected `"`
          |
        2 | name = "open
          |             ^

        site.toml: 1 error"#]],
    );
}

#[test]
fn duplicate_keys_are_told_with_the_rest() {
    check(
        "[[team]]\nname = \"a\"\nname = \"b\"\nsise = 1\n[only]\n[only]\n",
        expect![[r#"
        site.toml:3:1: error: duplicate key `name`
          |
        3 | name = "b"
          | ^^^^
          = help: a key or `[table]` stands once; a list of tables is written `[[table]]`

        site.toml:4:1: error: unknown key `sise`
          |
        4 | sise = 1
          | ^^^^
          = help: did you mean `size`?

        site.toml:6:2: error: duplicate key `only`
          |
        6 | [only]
          |  ^^^^
          = help: a key or `[table]` stands once; a list of tables is written `[[table]]`

        site.toml: 3 errors"#]],
    );
}
