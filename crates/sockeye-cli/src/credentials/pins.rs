//! Certificates that vouch for themselves and were met before: a line of host, port and fingerprint for each.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::hex;

/// The largest file that is read: ten thousand servers are a tenth of it.
const MAX_FILE: u64 = 16 << 20;

/// The file of them.
pub(crate) struct Pins(PathBuf);

/// What is known of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Same,
    Other,
}

impl Pins {
    /// The user's, by the XDG rules: `$XDG_CONFIG_HOME/sockeye/pins`, else `~/.config/sockeye/pins`.
    pub(crate) fn usual() -> Result<Self> {
        let dirs = directories::ProjectDirs::from("", "", "sockeye")
            .context("this user has no home to keep certificates in; name one with --ca or --fingerprint")?;
        Ok(Pins(dirs.config_dir().join("pins")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The fingerprint that is expected at `host:port`.
    pub(crate) fn look_up(&self, place: &str) -> Result<Option<[u8; 32]>> {
        find(&self.read()?, place).with_context(|| format!("read {}", self.0.display()))
    }

    /// Keeps a fingerprint, unless there is one.
    pub(crate) fn remember(&self, place: &str, fingerprint: &[u8; 32]) -> Result<Seen> {
        self.keep(place, fingerprint)
            .with_context(|| format!("keep the certificate of {place} in {}", self.0.display()))
    }

    fn keep(&self, place: &str, fingerprint: &[u8; 32]) -> Result<Seen> {
        let folder = self.0.parent().context("it is in no folder")?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.0.with_extension("lock"))?;
        lock.lock()?; // until it is dropped
        let mut text = self.read()?;
        match find(&text, place)? {
            Some(known) if known == *fingerprint => return Ok(Seen::Same),
            Some(_) => return Ok(Seen::Other),
            None => {}
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{place} {}\n", hex::hex(fingerprint)));
        let unfinished = self.0.with_extension("new");
        let _ = fs::remove_file(&unfinished); // of a process that died while it had the lock
        let mut options = OpenOptions::new();
        let mut file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.0)?;
        Ok(Seen::New)
    }

    fn read(&self) -> Result<String> {
        let read = |file: File| {
            let mut text = String::new();
            file.take(MAX_FILE).read_to_string(&mut text).map(|_| text)
        };
        match File::open(&self.0).and_then(read) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("read {}", self.0.display())),
        }
    }
}

/// A line that can't be read is not passed over: it may be the one that would have stopped us.
fn find(text: &str, place: &str) -> Result<Option<[u8; 32]>> {
    for (number, line) in text.lines().enumerate() {
        let Some((known, fingerprint)) = line.split_once(' ') else {
            match line.trim().is_empty() || line.starts_with('#') {
                true => continue,
                false => bail!("line {} is not HOST:PORT FINGERPRINT", number + 1),
            }
        };
        if known == place {
            let fingerprint = hex::parse_fingerprint(fingerprint.trim());
            return fingerprint
                .map(Some)
                .map_err(|why| anyhow::anyhow!("line {}: {why}", number + 1));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_met_is_known_again_and_nothing_takes_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = Pins(folder.path().join("sockeye/pins"));
        assert_eq!(pins.look_up("h:1").expect("no file"), None);
        assert_eq!(pins.remember("h:1", &[1; 32]).expect("kept"), Seen::New);
        assert_eq!(pins.remember("h:2", &[2; 32]).expect("kept"), Seen::New);
        assert_eq!(pins.remember("h:1", &[1; 32]).expect("known"), Seen::Same);
        assert_eq!(pins.remember("h:1", &[3; 32]).expect("known"), Seen::Other);
        assert_eq!(pins.look_up("h:1").expect("a file"), Some([1; 32]));
        assert_eq!(pins.look_up("h:2").expect("a file"), Some([2; 32]));
        let mode = fs::metadata(pins.path()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_line_stops_us() {
        assert!(find("h:1\n", "h:1").is_err());
        assert!(find("h:1 12\n", "h:1").is_err());
        assert_eq!(find("# mine\n\nh:2 12\n", "h:1").expect("nothing of it"), None);
    }
}
