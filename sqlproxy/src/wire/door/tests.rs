//! Logins as clients make them: our own [`Knock`] is the client.

use super::*;
use crate::wire::{
    handshake::Greeting,
    knock::{Account, Knock, Say},
    status::{OkPacket, Status},
};

const NONCE: Nonce = *b"0123456789abcdefghij";

/// What both ends say until one has an end.
struct Play {
    stored: Option<Stored>,
    cached: Option<CachedHash>,
    greets: Plugin,
    is_secure: bool,
    has_key: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    In { learnt: bool },
    Denied(String),
    ClientGaveUp,
}

impl Play {
    fn secret(&self) -> impl Fn(&[u8]) -> Secret + '_ {
        |user| {
            let is_known = user == b"app";
            Secret {
                stored: self.stored.clone().filter(|_| is_known),
                cached: self.cached.filter(|_| is_known),
            }
        }
    }

    fn play(&self, user: &str, password: &str) -> End {
        let account = Account {
            user: user.into(),
            password: password.into(),
            database: Some(b"shop".to_vec()),
            collation: 45,
            pool: Capabilities::DEPRECATE_EOF,
            attributes: Vec::new(),
            is_local: self.is_secure,
            wants_tls: false,
            needs_tls: false,
            takes_key: true,
        };
        let offered = Capabilities::offered(Capabilities::SUPPORTED, false);
        let mut door = Door::new(offered, NONCE, "10.0.0.1", self.is_secure, self.has_key);
        let mut knock = Knock::new(account);
        let mut greeting = Vec::new();
        Greeting {
            version: b"8.0".to_vec(),
            connection: 7,
            nonce: NONCE,
            capabilities: offered,
            collation: 45,
            status: Status(2),
            plugin: self.greets.name().into(),
        }
        .put(&mut greeting);
        let mut said = knock.heard(&greeting);
        for _ in 0..10 {
            let payload = match said {
                Ok(Say::Send(payload)) => payload,
                // The text stands for its encryption.
                Ok(Say::Encrypt { text, .. }) => text,
                Ok(Say::In(_)) => panic!("the client is in before the door says so"),
                Ok(Say::Wait) => panic!("nothing comes"),
                Ok(Say::Tls(_)) => panic!("no TLS was offered"),
                Err(_) => return End::ClientGaveUp,
            };
            let mut step = door.heard(&payload, self.secret()).unwrap();
            if let Step::Decrypt(text) = step {
                step = door.decrypted(Some(&text), self.secret());
            }
            said = match step {
                Step::Send(payload) => knock.heard(&payload),
                Step::Key => knock.heard(b"\x01PEM"),
                Step::Refused(payload) => {
                    let err = ErrPacket::read(&payload).unwrap();
                    assert_eq!((err.code, &err.state), (1045, b"28000"));
                    return End::Denied(String::from_utf8_lossy(err.message).into_owned());
                }
                Step::In { first, learnt } => {
                    if let Some(first) = first {
                        assert_eq!(knock.heard(&first), Ok(Say::Wait));
                    }
                    let mut ok = Vec::new();
                    OkPacket::default().put(&mut ok, 0, knock.capabilities());
                    assert!(matches!(knock.heard(&ok), Ok(Say::In(_))));
                    assert_eq!(door.entrant().database.as_deref(), Some(&b"shop"[..]));
                    return End::In {
                        learnt: learnt.is_some(),
                    };
                }
                Step::Tls | Step::Decrypt(_) => panic!("unasked"),
            };
        }
        panic!("no end");
    }
}

fn native() -> Option<Stored> {
    Some(Stored::Native(NativeHash::of(b"secret")))
}

fn sha2() -> Option<Stored> {
    let stored =
        b"$A$005$\x3f\x30\x27\x5b\x12\x77\x48\x4a\x52\x3c\x0b\x3a\x69\x12\x4d\x51\x7a\x06\x31\x63";
    // Any text will do where the password is not asked for; what is right is sha_crypt's to test.
    let text = [&stored[..], &[b'.'; 43]].concat();
    StoredHash::parse(&text).map(Stored::CachingSha2)
}

#[test]
fn a_password_is_proved_by_either_plugin_against_a_native_hash() {
    for greets in [Plugin::Native, Plugin::CachingSha2] {
        for (is_secure, has_key) in [(false, false), (true, false), (false, true)] {
            let play = Play {
                stored: native(),
                cached: None,
                greets,
                is_secure,
                has_key,
            };
            // caching_sha2 has the password told once where it may be, else native is asked for.
            let learnt = greets == Plugin::CachingSha2 && (is_secure || has_key);
            assert_eq!(play.play("app", "secret"), End::In { learnt }, "{greets:?}");
            let denied = "Access denied for user 'app'@'10.0.0.1' (using password: YES)";
            assert_eq!(play.play("app", "Secret"), End::Denied(denied.to_owned()));
            assert!(matches!(play.play("nobody", "secret"), End::Denied(_)));
            let denied = "Access denied for user 'app'@'10.0.0.1' (using password: NO)";
            assert_eq!(play.play("app", ""), End::Denied(denied.to_owned()));
        }
    }
}

#[test]
fn what_is_cached_is_enough_and_what_is_outdated_is_asked_anew() {
    let mut play = Play {
        stored: native(),
        cached: Some(CachedHash::of(b"secret")),
        greets: Plugin::CachingSha2,
        is_secure: false,
        has_key: false,
    };
    assert_eq!(play.play("app", "secret"), End::In { learnt: false });
    assert!(matches!(play.play("app", "Secret"), End::Denied(_)));
    play.cached = Some(CachedHash::of(b"older"));
    play.has_key = true;
    assert_eq!(play.play("app", "secret"), End::In { learnt: true });
}

#[test]
fn a_sha2_hash_has_one_plugin_alone() {
    let mut play = Play {
        stored: sha2(),
        cached: Some(CachedHash::of(b"secret")),
        greets: Plugin::Native,
        is_secure: false,
        has_key: false,
    };
    assert_eq!(play.play("app", "secret"), End::In { learnt: false });
    play.cached = None;
    assert!(matches!(play.play("app", "secret"), End::Denied(_)));
}

#[test]
fn another_user_on_the_same_connection_proves_with_the_same_nonce() {
    let secret = |user: &[u8]| Secret {
        stored: (user == b"app").then(native).flatten(),
        cached: None,
    };
    let mut door = Door::new(Capabilities::SUPPORTED, NONCE, "h", false, false);
    let change = |proof: &'static [u8], plugin: &'static [u8]| ChangeUser {
        user: b"app",
        proof,
        database: b"",
        collation: None,
        plugin,
        attributes: b"",
    };
    let proof = Plugin::Native.proof(b"secret", &NONCE).leak();
    let step = door.change(&change(proof, b"mysql_native_password"), secret);
    assert!(matches!(step, Step::In { .. }));
    let Step::Send(switch) = door.change(&change(b"x", b"caching_sha2_password"), secret) else {
        panic!("no switch");
    };
    assert_eq!(Switch::read(&switch).unwrap().nonce(), NONCE);
    assert!(matches!(door.heard(proof, secret), Ok(Step::In { .. })));
    assert!(door.heard(proof, secret).is_err(), "it is over");
}

#[test]
fn bytes_that_are_no_login_are_refused() {
    let mut door = Door::new(Capabilities::SUPPORTED, NONCE, "h", false, false);
    assert!(door.heard(b"", |_| Secret::default()).is_err());
    assert!(door.heard(b"\0\x02", |_| Secret::default()).is_err());
}
