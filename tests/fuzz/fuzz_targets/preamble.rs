//! libFuzzer's end of [`tests::fuzz::preamble`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::preamble::preamble, bytes);
});
