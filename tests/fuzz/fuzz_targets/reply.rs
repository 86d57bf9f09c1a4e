//! libFuzzer's end of [`tests::fuzz::reply`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::reply::reply, bytes);
});
