//! Sessions as clients have them: what pins them, what goes with them, where their statements go.

use super::*;
use crate::lexer::{Reason, classify};
use crate::session::place::{Place, place};
use crate::wire::track::put_change;

const PLAIN: u16 = Status::AUTOCOMMIT;

/// A session without a server: answers are OK with these flags.
struct Session(Journal);

impl Session {
    fn new() -> Self {
        Self(Journal::new(Some(b"shop"), 45))
    }

    fn place(&self, text: &str) -> Place {
        place(&self.0, &classify(text.as_bytes(), self.0.dialect(), true))
    }

    fn answer(&mut self, text: &str, answer: &Answer<'_>) {
        let statement = classify(text.as_bytes(), self.0.dialect(), true);
        self.0.asks(&statement);
        self.0.answered(text.as_bytes(), &statement, answer);
    }

    fn ok(&mut self, text: &str) {
        self.with(text, PLAIN);
    }

    fn with(&mut self, text: &str, flags: u16) {
        let status = Some(Status(flags));
        let answer = Answer {
            status,
            ..Answer::default()
        };
        self.answer(text, &answer);
    }

    fn changes(&mut self, text: &str, changes: &[Change<'_>]) {
        let mut bytes = Vec::new();
        for change in changes {
            put_change(&mut bytes, *change);
        }
        let answer = Answer {
            status: Some(Status(PLAIN)),
            changes: Changes::new(&bytes),
            ..Answer::default()
        };
        self.answer(text, &answer);
    }

    fn pin(&self) -> Option<Pin> {
        self.0.pins().first()
    }

    fn replay(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let replay = self.0.replay().into_iter();
        replay
            .map(|one| match one {
                Replay::Schema(name) => format!("USE {}", text(&name)),
                Replay::Query(query) => text(&query),
            })
            .collect()
    }
}

#[test]
fn every_pin_comes_with_its_statement_and_holds() {
    for (text, pin) in [
        ("SELECT GET_LOCK('x', 1)", Pin::UserLock),
        ("LOCK TABLES t WRITE", Pin::TableLock),
        ("CREATE TEMPORARY TABLE t (a INT)", Pin::TemporaryTable),
        ("SET @a = 5", Pin::UserVariable),
        ("SELECT @a := 5", Pin::UserVariable),
        ("SELECT a INTO @a FROM t", Pin::UserVariable),
        ("PREPARE s FROM 'SELECT 1'", Pin::TextPrepared),
        ("HANDLER t OPEN", Pin::Handler),
        ("XA START 'x'", Pin::Xa),
        ("SET ROLE r", Pin::Role),
        ("SELECT NEXTVAL(s)", Pin::Sequence),
        ("SET TRANSACTION READ ONLY", Pin::NextTransaction),
        ("SET pseudo_thread_id = 5", Pin::Variable),
        ("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')", Pin::Variable),
        ("SET insert_id = 7", Pin::Variable),
        ("SELECT 1; SET @a = 5", Pin::UserVariable),
    ] {
        let mut session = Session::new();
        assert_eq!(session.place("SELECT 1"), Place::Replica);
        session.ok(text);
        assert_eq!(session.pin(), Some(pin), "{text}");
        assert_eq!(session.place("SELECT 1"), Place::Here(pin), "{text}");
        if pin != Pin::NextTransaction {
            session.ok("SELECT 1");
            assert_eq!(session.pin(), Some(pin), "{text}");
        }
        session.0.reset(45);
        assert_eq!(session.place("SELECT 1"), Place::Replica, "{text}");
    }
}

#[test]
fn an_error_does_not_undo_what_may_have_been_done() {
    let mut session = Session::new();
    let error = Answer {
        is_error: true,
        ..Answer::default()
    };
    session.answer("SELECT @a := 5, x FROM t", &error);
    assert!(session.0.pins().has(Pin::UserVariable));
    // But a variable that was not set is not set elsewhere.
    let mut session = Session::new();
    session.answer("SET sql_mode = 'nonsense'", &error);
    assert_eq!(session.replay(), ["USE shop"]);
    // Of several, the first may have been.
    session.answer("SET sql_mode = 'ANSI'; SELECT x", &error);
    assert_eq!(session.replay(), ["SET sql_mode='ANSI'", "USE shop"]);
}

#[test]
fn pins_go_with_what_ends_them() {
    let mut session = Session::new();
    session.ok("LOCK TABLES t READ");
    session.ok("UNLOCK TABLES");
    assert_eq!(session.pin(), None);
    session.ok("SELECT GET_LOCK('x', 1)");
    session.ok("SELECT RELEASE_LOCK('x')");
    assert_eq!(session.pin(), Some(Pin::UserLock), "there may be another");
    session.ok("SELECT RELEASE_ALL_LOCKS()");
    assert_eq!(session.pin(), None);
    session.ok("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    session.ok("SELECT 1");
    assert_eq!(session.pin(), None);
    session.ok("LOCK INSTANCE FOR BACKUP");
    session.ok("UNLOCK TABLES");
    assert_eq!(session.pin(), Some(Pin::Opaque));
}

#[test]
fn transactions_are_told_by_the_status() {
    let mut session = Session::new();
    session.with("BEGIN", PLAIN | Status::IN_TRANSACTION);
    assert_eq!(session.place("SELECT 1"), Place::Here(Pin::Transaction));
    // An error has no status: the transaction may be there or not.
    let error = Answer {
        is_error: true,
        ..Answer::default()
    };
    session.answer("SELECT x", &error);
    assert_eq!(session.place("SELECT 1"), Place::Here(Pin::Transaction));
    session.with("COMMIT AND CHAIN", PLAIN | Status::IN_TRANSACTION);
    assert_eq!(session.pin(), Some(Pin::Transaction));
    session.ok("COMMIT");
    assert_eq!(session.place("SELECT 1"), Place::Replica);
    // DDL commits.
    session.with("BEGIN", PLAIN | Status::IN_TRANSACTION);
    session.ok("CREATE TABLE t (a INT)");
    assert_eq!(session.pin(), None);
}

#[test]
fn without_autocommit_everything_is_the_primarys() {
    let mut session = Session::new();
    session.with("SET autocommit = 0", 0);
    assert_eq!(session.pin(), None);
    assert_eq!(
        session.place("SELECT 1"),
        Place::Primary(Reason::Transaction)
    );
    session.with("SELECT 1", 0);
    assert_eq!(session.place("SELECT 1"), Place::Here(Pin::NoAutocommit));
    session.with("COMMIT", 0);
    assert_eq!(session.pin(), None);
    assert_eq!(session.replay(), ["SET autocommit=0", "USE shop"]);
    session.ok("SET autocommit = 1");
    assert_eq!(session.place("SELECT 1"), Place::Replica);
    assert_eq!(session.replay(), ["USE shop"]);
}

#[test]
fn a_session_goes_with_its_variables() {
    let mut session = Session::new();
    session.ok("SET NAMES latin1");
    session.ok("SET SESSION time_zone = '+01:00', @@sort_buffer_size := 65536, GLOBAL x = 1");
    session.ok("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    session.ok("SET Time_Zone = DEFAULT");
    session.ok("USE `a``b`");
    assert_eq!(session.pin(), None);
    assert_eq!(
        session.replay(),
        [
            "SET NAMES latin1, sort_buffer_size=65536, time_zone=DEFAULT",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "USE a`b",
        ]
    );
    session.ok("USE c; SET NAMES utf8mb4");
    assert_eq!(
        session.replay()[0],
        "SET NAMES utf8mb4, sort_buffer_size=65536, time_zone=DEFAULT"
    );
    assert_eq!(session.0.schema(), Some(&b"c"[..]));
}

#[test]
fn what_session_tracking_tells_goes_before_the_text() {
    let mut session = Session::new();
    let variable = |name, value| Change::Variable { name, value };
    let state = Change::State(true);
    session.changes(
        "SET sql_mode = 'ansi', net_read_timeout = 0",
        &[
            variable(b"sql_mode", b"REAL_AS_FLOAT,ANSI"),
            variable(b"net_read_timeout", b"1"),
            state,
        ],
    );
    assert_eq!(session.pin(), None);
    let replay = "SET net_read_timeout=1, sql_mode='REAL_AS_FLOAT,ANSI'";
    assert_eq!(session.replay(), [replay, "USE shop"]);
    assert!(session.0.dialect().ansi_quotes);
    session.changes(
        "SET sql_mode = CONCAT(@@sql_mode, ',X')",
        &[variable(b"sql_mode", b"X"), state],
    );
    assert_eq!(
        session.pin(),
        None,
        "a text that is not constant, but its value is told"
    );
    assert_eq!(session.replay()[0], "SET net_read_timeout=1, sql_mode='X'");
    session.changes("CALL p()", &[Change::Schema(b"other"), state]);
    assert_eq!(session.0.schema(), Some(&b"other"[..]));
    assert_eq!(
        session.pin(),
        Some(Pin::Opaque),
        "there may be more than is told"
    );
}

#[test]
fn a_change_that_no_text_announced_pins() {
    let mut session = Session::new();
    session.ok("CALL p()");
    assert_eq!(session.pin(), None);
    session.changes("CALL p()", &[Change::State(true)]);
    assert_eq!(session.pin(), Some(Pin::Opaque));
    let mut session = Session::new();
    session.0.is_not_tracked();
    session.ok("CALL p()");
    assert_eq!(session.pin(), Some(Pin::Opaque), "nobody would tell");
    let mut session = Session::new();
    let gtid = Change::Variable {
        name: b"last_gtid",
        value: b"0-1-5",
    };
    session.changes("INSERT INTO t VALUES (1)", &[Change::Gtids(b"x:1"), gtid]);
    assert_eq!(session.pin(), None);
    session.changes("INSERT INTO t VALUES (1)", &[gtid, Change::State(true)]);
    assert_eq!(session.pin(), Some(Pin::Opaque), "a trigger");
}

#[test]
fn what_the_last_answer_left_is_kept_until_the_next_statement() {
    let mut session = Session::new();
    let warned = Answer {
        status: Some(Status(PLAIN)),
        warnings: 1,
        ..Answer::default()
    };
    session.answer("SELECT 1/0", &warned);
    assert_eq!(session.place("SHOW WARNINGS"), Place::Here(Pin::Previous));
    assert_eq!(session.place("SELECT 1"), Place::Replica);
    session.answer("SHOW WARNINGS", &warned);
    assert_eq!(session.place("SHOW WARNINGS"), Place::Here(Pin::Previous));
    session.ok("SELECT 1");
    assert_eq!(
        session.place("SHOW WARNINGS"),
        Place::Last(Reason::Previous)
    );
    session.ok("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1");
    assert_eq!(
        session.place("SELECT FOUND_ROWS()"),
        Place::Here(Pin::Previous)
    );
}

/// An OK has an id that the statement itself gave, too; LAST_INSERT_ID() does not. So the connection
/// is asked.
#[test]
fn the_insert_id_is_asked_for_before_the_connection_goes() {
    let mut session = Session::new();
    assert_eq!(session.0.question(), None);
    let inserted = Answer {
        status: Some(Status(PLAIN)),
        last_insert_id: 7,
        ..Answer::default()
    };
    session.answer("INSERT INTO t VALUES (7)", &inserted);
    assert_eq!(session.0.question(), Some("SELECT LAST_INSERT_ID()"));
    session.0.insert_id(5);
    assert_eq!(session.0.question(), None);
    assert_eq!(session.replay(), ["SET last_insert_id=5", "USE shop"]);
}

#[test]
fn texts_are_read_as_the_session_reads_them() {
    let mut session = Session::new();
    session.ok("SET NAMES gbk");
    assert_eq!(session.0.dialect().multibyte, Multibyte::Gbk);
    session.ok("SET NAMES 'utf8mb4'");
    assert_eq!(session.0.dialect().multibyte, Multibyte::Safe);
    session.ok("SET character_set_client = sjis");
    assert_eq!(session.0.dialect().multibyte, Multibyte::Sjis);
    session.ok("SET sql_mode = 'ANSI_QUOTES'");
    assert!(session.0.dialect().ansi_quotes);
    session.ok("SET sql_mode = ''");
    assert!(!session.0.dialect().ansi_quotes);
    session.with("SELECT 1", PLAIN | Status::NO_BACKSLASH);
    assert!(session.0.dialect().no_backslash);
}

#[test]
fn what_is_set_after_set_names_is_set_after_it_and_gone_with_the_next() {
    let told = |name: &'static str, value: &'static str| Change::Variable {
        name: name.as_bytes(),
        value: value.as_bytes(),
    };
    let mut session = Session::new();
    let names = [
        told("character_set_client", "utf8mb4"),
        told("character_set_results", "utf8mb4"),
    ];
    session.changes("SET NAMES utf8mb4", &names);
    session.changes(
        "SET character_set_results = NULL",
        &[told("character_set_results", "")],
    );
    let due = "SET NAMES utf8mb4, character_set_results=NULL";
    assert_eq!(session.replay(), [due, "USE shop"]);
    session.changes(
        "SET NAMES latin1",
        &[told("character_set_results", "latin1")],
    );
    assert_eq!(session.replay(), ["SET NAMES latin1", "USE shop"]);
}
