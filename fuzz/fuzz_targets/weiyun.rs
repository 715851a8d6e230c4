#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api_server::testing::fuzz_weiyun(bytes));
