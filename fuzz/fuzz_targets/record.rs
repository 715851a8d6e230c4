#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage_node::testing::fuzz_record(bytes));
