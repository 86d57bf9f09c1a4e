//! libFuzzer's end of [`tests::fuzz::parse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::parse::parse, bytes);
});
