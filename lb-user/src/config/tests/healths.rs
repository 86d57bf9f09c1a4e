//! Mistakes in `[service.health]`.

use expect_test::expect;

use super::{bad, warned};

#[test]
fn types() {
    bad(
        "type = \"http\"\n",
        "",
        &expect![[r#"
        site.toml:16:1: error: missing key `type`
           |
        16 | [service.health]
           | ^^^^^^^^^^^^^^^^
           = help: add `type = "tcp"` or `type = "http"`

        site.toml: 1 error"#]],
    );
    bad(
        "type = \"http\"",
        "type = \"htpp\"",
        &expect![[r#"
        site.toml:17:8: error: unknown health check `htpp`
           |
        17 | type = "htpp"
           |        ^^^^^^
           = help: did you mean "http"?

        site.toml: 1 error"#]],
    );
    bad(
        "type = \"http\"",
        "type = \"mysql\"",
        &expect![[r#"
        site.toml:17:8: error: health check `mysql` is not in this version
           |
        17 | type = "mysql"
           |        ^^^^^^^
           = help: write "tcp" or "http"

        site.toml: 1 error"#]],
    );
    bad(
        "type = \"http\"",
        "type = \"tcp\"\nstatus = \"200\"",
        &expect![[r#"
        site.toml:18:10: error: `status` has no meaning in a check of type "tcp"
           |
        18 | status = "200"
           |          ^^^^^
           = help: write `type = "http"`, or leave it out

        site.toml:19:8: error: `path` has no meaning in a check of type "tcp"
           |
        19 | path = "/health"
           |        ^^^^^^^^^
           = help: write `type = "http"`, or leave it out

        site.toml: 2 errors"#]],
    );
}

#[test]
fn paths_and_hosts() {
    bad(
        "\"/health\"",
        "\"health\"",
        &expect![[r#"
        site.toml:18:8: error: path `health` does not start with `/`
           |
        18 | path = "health"
           |        ^^^^^^^^
           = help: write "/health"

        site.toml: 1 error"#]],
    );
    bad(
        "\"/health\"",
        "\"/a b\"",
        &expect![[r#"
        site.toml:18:8: error: path `/a b` has the character ' ', which cannot stand in a request
           |
        18 | path = "/a b"
           |        ^^^^^^
           = help: percent-encode it: %20

        site.toml: 1 error"#]],
    );
    bad(
        "\"/health\"",
        "\"\"",
        &expect![[r#"
        site.toml:18:8: error: path `` does not start with `/`
           |
        18 | path = ""
           |        ^^
           = help: write "/"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nhost = \"www example\"",
        &expect![[r#"
        site.toml:20:8: error: host `www example` has the character ' ', which cannot stand in a request
           |
        20 | host = "www example"
           |        ^^^^^^^^^^^^^
           = help: write what goes on the wire, such as "/health" or "www.example.com"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nhost = \"\"",
        &expect![[r#"
        site.toml:20:8: error: host `` is empty
           |
        20 | host = ""
           |        ^^
           = help: leave it out for the real server's address

        site.toml: 1 error"#]],
    );
}

#[test]
fn statuses() {
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = \"2xx\"",
        &expect![[r#"
        site.toml:20:10: error: status `2xx` is not a status or a range of them
           |
        20 | status = "2xx"
           |          ^^^^^
           = help: write "200", "200-399", or a list of such

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = \"399-200\"",
        &expect![[r#"
        site.toml:20:10: error: status `399-200` ends before it starts
           |
        20 | status = "399-200"
           |          ^^^^^^^^^
           = help: write "200", "200-399", or a list of such

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = [\"200\", \"700\", \"204\"]",
        &expect![[r#"
        site.toml:20:18: error: status `700` is outside 100-599
           |
        20 | status = ["200", "700", "204"]
           |                  ^^^^^
           = help: write "200", "200-399", or a list of such

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = []",
        &expect![[r#"
        site.toml:20:10: error: no status: no check would ever pass
           |
        20 | status = []
           |          ^^
           = help: write "200-399", or leave it out

        site.toml: 1 error"#]],
    );
}

#[test]
fn statuses_of_another_type() {
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = 200",
        &expect![[r#"
        site.toml:20:10: error: expected text in quotes, found the number 200
           |
        20 | status = 200
           |          ^^^
           = help: write it in quotes: "200"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = [\"200\", 204]",
        &expect![[r#"
        site.toml:20:18: error: expected text in quotes, found the number 204
           |
        20 | status = ["200", 204]
           |                  ^^^
           = help: write it in quotes: "204"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nstatus = true",
        &expect![[r#"
        site.toml:20:10: error: expected statuses such as "200-399" or a list of them, found `true`
           |
        20 | status = true
           |          ^^^^

        site.toml: 1 error"#]],
    );
}

#[test]
fn times_and_counts() {
    bad(
        "interval = \"2s\"",
        "interval = 2",
        &expect![[r#"
        site.toml:19:12: error: a duration without a unit
           |
        19 | interval = 2
           |            ^
           = help: write a unit: "2s"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"0s\"",
        &expect![[r#"
            site.toml:19:12: error: interval 0s is out of range
               |
            19 | interval = "0s"
               |            ^^^^
               = help: write "10ms" to "1h"

            site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2h\"",
        &expect![[r#"
            site.toml:19:12: error: interval 2h is out of range
               |
            19 | interval = "2h"
               |            ^^^^
               = help: write "10ms" to "1h"

            site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\ntimeout = \"1ms\"",
        &expect![[r#"
        site.toml:20:11: error: timeout 1ms is out of range
           |
        20 | timeout = "1ms"
           |           ^^^^^
           = help: write "10ms" to "1h"

        site.toml: 1 error"#]],
    );
    bad(
        "interval = \"2s\"",
        "interval = \"2s\"\nrise = 0\nfall = 1001",
        &expect![[r#"
        site.toml:20:8: error: rise 0 is out of range
           |
        20 | rise = 0
           |        ^
           = help: write 1 to 1000

        site.toml:21:8: error: fall 1001 is out of range
           |
        21 | fall = 1001
           |        ^^^^
           = help: write 1 to 1000

        site.toml: 2 errors"#]],
    );
}

#[test]
fn a_timeout_longer_than_the_interval() {
    warned(
        "interval = \"2s\"",
        "interval = \"500ms\"",
        &expect![[r#"
        site.toml:19:12: warning: the timeout (1s) is longer than the interval (500ms): a silent real server is checked only every 1s
           |
        19 | interval = "500ms"
           |            ^^^^^^^
           = help: make the timeout at most the interval

        site.toml: 1 warning"#]],
    );
    warned(
        "interval = \"2s\"",
        "interval = \"2s\"\ntimeout = \"5s\"",
        &expect![[r#"
        site.toml:20:11: warning: the timeout (5s) is longer than the interval (2s): a silent real server is checked only every 5s
           |
        20 | timeout = "5s"
           |           ^^^^
           = help: make the timeout at most the interval

        site.toml: 1 warning"#]],
    );
}

#[test]
fn everything_wrong_at_once() {
    bad(
        "type = \"http\"\npath = \"/health\"\ninterval = \"2s\"",
        "type = \"tcpp\"\npath = \"x\"\nport = 0\nstatus = \"0\"\ninterval = \"1us\"\ntimeout = \"1d\"\nrise = -1\nfall = \"3\"\nriseing = 1",
        &expect![[r#"
            site.toml:17:8: error: unknown health check `tcpp`
               |
            17 | type = "tcpp"
               |        ^^^^^^
               = help: did you mean "tcp"?

            site.toml:18:8: error: path `x` does not start with `/`
               |
            18 | path = "x"
               |        ^^^
               = help: write "/x"

            site.toml:19:8: error: port 0 is out of range
               |
            19 | port = 0
               |        ^
               = help: write 1 to 65535

            site.toml:20:10: error: status `0` is outside 100-599
               |
            20 | status = "0"
               |          ^^^
               = help: write "200", "200-399", or a list of such

            site.toml:21:12: error: interval 1us is out of range
               |
            21 | interval = "1us"
               |            ^^^^^
               = help: write "10ms" to "1h"

            site.toml:22:11: error: timeout 1day is out of range
               |
            22 | timeout = "1d"
               |           ^^^^
               = help: write "10ms" to "1h"

            site.toml:23:8: error: rise -1 is out of range
               |
            23 | rise = -1
               |        ^^
               = help: write 1 to 1000

            site.toml:24:8: error: expected a whole number, found the text "3"
               |
            24 | fall = "3"
               |        ^^^
               = help: write it without quotes: 3

            site.toml:25:1: error: unknown key `riseing`
               |
            25 | riseing = 1
               | ^^^^^^^
               = help: did you mean `rise`?

            site.toml: 9 errors"#]],
    );
}

#[test]
fn a_status_says_one_thing() {
    bad(
        "type = \"http\"",
        "type = \"http\"\ndraining = [\"300\", \"503\"]",
        &expect![[r#"
        site.toml:18:12: error: status 300 is to mean both healthy and draining
           |
        18 | draining = ["300", "503"]
           |            ^^^^^^^^^^^^^^
           = help: write the statuses that only a real server about to stop answers with: "503"

        site.toml: 1 error"#]],
    );
}
