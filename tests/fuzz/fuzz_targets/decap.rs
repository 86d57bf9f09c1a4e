//! libFuzzer's end of [`tests::fuzz::decap`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::decap::decap, bytes);
});
