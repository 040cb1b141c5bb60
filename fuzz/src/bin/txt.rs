#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockeye_services::properties::holds("txt", data));
