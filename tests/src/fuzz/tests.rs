use super::{TARGETS, corpus};

/// Whatever was found once stays found.
#[test]
fn every_input_of_the_corpora_is_as_it_should_be() {
    let mut told = Vec::new();
    for (target, body) in TARGETS {
        let files = corpus::of(target).expect("a corpus");
        for (name, bytes) in &files {
            if let Err(error) = body(bytes) {
                told.push(format!("{target}/{name}: {error:#}"));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn the_corpora_are_small() {
    let mut all = 0;
    for (target, _) in TARGETS {
        for (name, bytes) in corpus::of(target).expect("a corpus") {
            assert!(bytes.len() <= corpus::LONGEST, "{target}/{name} is long");
            all += bytes.len();
        }
    }
    assert!(
        all < 300_000,
        "{all} bytes: `cargo xtask fuzz TARGET --keep`"
    );
}
