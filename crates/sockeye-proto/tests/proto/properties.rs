//! What must hold for any bytes at all, stated once: for the tests here, and for the fuzz targets of the same names, which
//! take these very files (`fuzz/src/bin/`).
//!
//! `fuzz/seeds/<target>/` has messages as they should be, and each input that once broke something.

pub(crate) mod challenge;
pub(crate) mod files;
pub(crate) mod frames;
pub(crate) mod framing;
pub(crate) mod hexdump;
pub(crate) mod icmp;
pub(crate) mod reply;
pub(crate) mod scram;
pub(crate) mod shop;
pub(crate) mod text;

use std::path::Path;

/// A target and its property.
type Property = (&'static str, fn(&[u8]));

/// The inputs that are kept for a target, in an order that is the same everywhere.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| std::fs::read(path).expect("a file"))
        .collect()
}

#[test]
fn what_was_kept_of_fuzzing_holds() {
    let targets: [Property; 10] = [
        ("challenge", challenge::holds),
        ("files", files::holds),
        ("frames", frames::holds),
        ("framing", framing::holds),
        ("hexdump", hexdump::holds),
        ("icmp", icmp::holds),
        ("reply", reply::holds),
        ("scram", scram::holds),
        ("shop", shop::holds),
        ("text", text::holds),
    ];
    for (target, holds) in targets {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target}");
        seeds.iter().for_each(|seed| holds(seed));
    }
}
