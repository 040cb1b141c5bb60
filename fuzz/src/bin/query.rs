#![no_main]

#[path = "../../../crates/sockeye-cli/src/serve/target.rs"]
mod target;

/// What `target` needs of the binary around it.
mod exit {
    #[derive(Debug)]
    pub(crate) struct Usage(String);

    impl Usage {
        pub(crate) fn new(why: impl Into<String>) -> Self {
            Self(why.into())
        }
    }

    impl std::fmt::Display for Usage {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::holds(data));
