//! Secrets in files.

use sockeye::{Class, Error, Result};
use sockeye_proto::challenge::Digest;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The longest secret that is read: far longer than any that is typed or generated.
const MAX_SECRET: u64 = 4096;

/// What peers must know for the legacy challenge, and by which hash function they prove it.
#[derive(Clone)]
pub struct Secret {
    /// The hash function.
    pub digest: Digest,
    /// The secret; wiped when nobody needs it any more.
    pub bytes: Arc<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The secret, or password, in a file; one newline at its end is not part of it.
///
/// # Errors
/// When the file can't be read, others than its owner may read it, it is empty, or too long to be a secret.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |why: &str| Error::new("read secret", Class::General, why.to_owned()).at(path.display());
    let io = |error| Error::io("read secret", error).at(path.display());
    let file = File::open(path).map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    // A pipe, as `<(pass show x)` makes one, belongs to whoever made it.
    if facts.is_file() && facts.mode() & 0o077 != 0 {
        let why = format!("others may read it (its mode is {:03o})", facts.mode() & 0o777);
        return Err(failed(&why).advise(format!("chmod 600 {}", path.display())));
    }
    // Reserved in full: growing would leave copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
    file.take(MAX_SECRET + 1).read_to_end(&mut secret).map_err(io)?;
    if secret.len() as u64 > MAX_SECRET {
        return Err(failed("it is longer than 4096 bytes, which no secret is"));
    }
    if secret.ends_with(b"\n") {
        let without = if secret.ends_with(b"\r\n") { 2 } else { 1 };
        let length = secret.len() - without;
        secret.truncate(length);
    }
    match secret.is_empty() {
        true => Err(failed("it is empty")),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_nobody_elses_to_read_and_there_is_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let with = |text: &[u8], mode: u32| {
            fs::write(&path, text).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            read_secret(&path)
        };
        assert_eq!(**with(b"hush\n", 0o600).expect("a secret"), *b"hush");
        assert_eq!(**with(b"hush\r\n", 0o400).expect("a secret"), *b"hush");
        assert_eq!(**with(b"hush \n\n", 0o600).expect("a secret"), *b"hush \n");
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let error = with(b"hush\n", mode).expect_err("others may read it").to_string();
            assert!(error.contains("chmod 600") && !error.contains("hush"), "{error}");
        }
        assert!(
            with(b"\n", 0o600)
                .expect_err("empty")
                .to_string()
                .contains("it is empty")
        );
        assert!(with(&[b'x'; 5000], 0o600).is_err());
    }
}
