//! The status of the proxy on the same host, as a table: `viaduct status` shows it beside the director's.
//!
//! It is read as JSON by its keys; of a proxy of another version there may be gaps. Not here: asking for it.

use std::fmt::Write as _;

use serde_json::Value;

/// A proxy's status, for people.
#[must_use]
pub fn render(status: &Value) -> String {
    let mut text = format!(
        "proxy {}: {}, site file {} of its life, {} connections\n",
        word(&status["version"]),
        word(&status["state"]),
        status["generation"],
        status["connections"],
    );
    if let Some(error) = status["last_error"].as_str() {
        line(&mut text, format_args!("  last error: {error}"));
    }
    for listener in list(&status["listeners"]) {
        let (name, address) = (word(&listener["name"]), word(&listener["address"]));
        line(&mut text, format_args!("  listener {name} at {address}"));
    }
    for route in list(&status["routes"]) {
        let name = word(&route["name"]);
        let (answers, errors) = (&route["answers"], &route["errors"]);
        line(
            &mut text,
            format_args!("  route {name}: {answers} answers, {errors} of them errors"),
        );
    }
    for group in list(&status["upstreams"]) {
        line(
            &mut text,
            format_args!("  upstream {}", word(&group["name"])),
        );
        for server in list(&group["servers"]) {
            line(&mut text, format_args!("    {}", self::server(server)));
        }
    }
    text
}

fn server(server: &Value) -> String {
    let ejected = if server["ejected"] == true {
        ", ejected"
    } else {
        ""
    };
    format!(
        "{:<22} {:<10} weight {}, {} active, {} requests, {} failed",
        word(&server["address"]),
        format!("{}{ejected}", word(&server["health"])),
        server["weight"],
        server["active"],
        server["requests"],
        server["failures"],
    )
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").unwrap_or_default();
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proxy_is_shown_with_its_servers() {
        let servers = json!([
            { "address": "10.77.1.11:80", "health": "up", "ejected": false, "weight": 100,
              "active": 3, "requests": 1200, "failures": 0 },
            { "address": "10.77.1.12:80", "health": "down", "ejected": true, "weight": 50,
              "active": 0, "requests": 7, "failures": 4 },
        ]);
        let status = json!({ "version": "0.1.0", "state": "draining", "generation": 2,
            "connections": 31, "last_error": "no",
            "listeners": [{ "name": "web", "address": "0.0.0.0:80" }],
            "routes": [{ "name": "shop", "answers": 12, "errors": 1 }],
            "upstreams": [{ "name": "shop", "servers": servers }] });
        expect![[r#"
            proxy 0.1.0: draining, site file 2 of its life, 31 connections
              last error: no
              listener web at 0.0.0.0:80
              route shop: 12 answers, 1 of them errors
              upstream shop
                10.77.1.11:80          up         weight 100, 3 active, 1200 requests, 0 failed
                10.77.1.12:80          down, ejected weight 50, 0 active, 7 requests, 4 failed
        "#]]
        .assert_eq(&render(&status));
    }
}
