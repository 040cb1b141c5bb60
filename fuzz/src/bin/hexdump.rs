#![no_main]

#[path = "../../../crates/sockeye-proto/tests/proto/properties/hexdump.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
