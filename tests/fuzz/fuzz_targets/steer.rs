//! libFuzzer's end of [`tests::fuzz::steer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tests::fuzz::check(tests::fuzz::steer::steer, bytes);
});
