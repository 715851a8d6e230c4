#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::testing::fuzz_node(bytes));
