//! libFuzzer's end of [`tests::fuzz::login`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::login::login, bytes);
});
