//! libFuzzer's end of [`tests::fuzz::flow`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::flow::flow, bytes);
});
