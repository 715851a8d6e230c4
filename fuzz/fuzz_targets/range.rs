#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::web::range::fuzz_range(bytes));
