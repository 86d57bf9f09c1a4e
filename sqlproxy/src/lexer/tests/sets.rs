//! Assignments of `SET`, and statements of several.

use crate::lexer::{Class, Dialect, Parts, Target, Transaction, assignments};

fn read(text: &str) -> Vec<(Target<'_>, &str, bool)> {
    assignments(text.as_bytes(), Dialect::default())
        .map(|a| {
            (
                a.target,
                std::str::from_utf8(a.value).unwrap(),
                a.is_constant,
            )
        })
        .collect()
}

const fn variable(name: &str) -> Target<'_> {
    Target::Variable(name.as_bytes())
}

#[test]
fn assignments_are_told_with_their_values() {
    assert_eq!(read("SET a = 1"), [(variable("a"), "1", true)]);
    assert_eq!(
        read("SET SESSION a = 'x, y', @@b := -5, @@session.c=ON, @@local.d = DEFAULT ; SELECT 1"),
        [
            (variable("a"), "'x, y'", true),
            (variable("b"), "-5", true),
            (variable("c"), "ON", true),
            (variable("d"), "DEFAULT", true),
        ]
    );
    assert_eq!(
        read("SET NAMES utf8mb4 COLLATE utf8mb4_bin, @x = (SELECT 1, 2), GLOBAL y = 3"),
        [
            (Target::Names, "utf8mb4 COLLATE utf8mb4_bin", true),
            (Target::User, "(SELECT 1, 2)", false),
            (Target::Global, "3", true),
        ]
    );
    assert_eq!(
        read("SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), t = @old"),
        [
            (variable("sql_mode"), "CONCAT(@@sql_mode, ',ANSI')", false),
            (variable("t"), "@old", false),
        ]
    );
    assert_eq!(
        read("SET CHARACTER SET utf8"),
        [(Target::Charset, "utf8", true)]
    );
    assert_eq!(
        read("/*!40101 SET NAMES utf8 */"),
        [(Target::Names, "utf8", true)]
    );
    assert_eq!(read("SELECT 1"), []);
    assert_eq!(read("SET SESSION TRANSACTION READ ONLY"), []);
    assert_eq!(read("SET a"), []);
}

#[test]
fn parts_are_told_one_by_one() {
    let parts = |text: &'static str| -> Vec<(&str, Class)> {
        Parts::of(text.as_bytes(), Dialect::default())
            .map(|(text, told)| (std::str::from_utf8(text).unwrap(), told.class))
            .collect()
    };
    assert_eq!(
        parts("SELECT ';' ; UPDATE t SET a=1;; -- x;\n"),
        [
            ("SELECT ';' ", Class::Read),
            (" UPDATE t SET a=1", Class::Write)
        ]
    );
    assert_eq!(
        parts("BEGIN ;  ,= SELECT 1;START TRANSACTION ; ,"),
        [
            ("BEGIN ", Class::Transaction(Transaction::Begin)),
            ("  ,= SELECT 1", Class::Unknown),
            ("START TRANSACTION ", Class::Transaction(Transaction::Begin)),
            (" ,", Class::Unknown),
        ]
    );
    assert_eq!(parts(""), []);
    assert_eq!(parts("SELECT 'x;"), [("SELECT 'x;", Class::Unknown)]);
}
