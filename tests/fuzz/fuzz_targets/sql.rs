//! libFuzzer's end of [`tests::fuzz::sql`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::sql::sql, bytes);
});
