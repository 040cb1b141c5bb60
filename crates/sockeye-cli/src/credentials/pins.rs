//! Whom we have met, and by what: a line of host, port and the fingerprint of a certificate that vouches for itself, or the word
//! `authority` where an authority has vouched. There, nobody who vouches for himself is believed any more.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use sockeye::{Host, HostPort};

use crate::hex;

/// The largest file that is read: ten thousand servers are a tenth of it.
const MAX_FILE: u64 = 16 << 20;

/// The file of them.
pub(crate) struct Pins(PathBuf);

/// By what somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Of a certificate that vouches for itself.
    Fingerprint([u8; 32]),
    /// Any certificate that an authority of this machine vouches for.
    Authority,
}

/// The word for [`Pin::Authority`].
const AUTHORITY: &str = "authority";

impl Pin {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            AUTHORITY => Ok(Pin::Authority),
            text => Ok(Pin::Fingerprint(hex::parse_fingerprint(text)?)),
        }
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pin::Fingerprint(bytes) => f.write_str(&hex::hex(bytes)),
            Pin::Authority => f.write_str(AUTHORITY),
        }
    }
}

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

    /// Who is expected at `host:port`.
    pub(crate) fn look_up(&self, place: &str) -> Result<Option<Pin>> {
        find(&self.read()?, place).with_context(|| format!("read {}", self.0.display()))
    }

    /// Keeps it in mind, unless there is something known.
    pub(crate) fn remember(&self, place: &str, pin: Pin) -> Result<Seen> {
        self.keep(place, pin)
            .with_context(|| format!("keep the certificate of {place} in {}", self.0.display()))
    }

    fn keep(&self, place: &str, pin: Pin) -> Result<Seen> {
        let folder = self.0.parent().context("it is in no folder")?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.0.with_extension("lock"))?;
        lock.lock()?; // until it is dropped
        let mut text = self.read()?;
        match find(&text, place)? {
            Some(known) if known == pin => return Ok(Seen::Same),
            Some(_) => return Ok(Seen::Other),
            None => {}
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{} {pin}\n", one_spelling(place)));
        let text = self::text(text.into_bytes())?; // else it could never be read again
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
            let mut bytes = Vec::new();
            file.take(MAX_FILE + 1).read_to_end(&mut bytes).map(|_| bytes)
        };
        match File::open(&self.0).and_then(read) {
            Ok(bytes) => text(bytes).with_context(|| format!("read {}", self.0.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("read {}", self.0.display())),
        }
    }
}

/// What is cut off would be forgotten: the file is written anew from what was read.
fn text(bytes: Vec<u8>) -> Result<String> {
    ensure!(
        bytes.len() as u64 <= MAX_FILE,
        "it is larger than {}; remove lines that you don't need",
        sockeye::format_size(MAX_FILE)
    );
    String::from_utf8(bytes).context("it is not UTF-8")
}

/// The spelling under which somebody is kept: a host's name is the same in any case and with a final dot, and an IPv4 address is the
/// same within IPv6. A name of an announcement, `@NAME/SERVICE`, has one already.
pub(crate) fn one_spelling(place: &str) -> String {
    let read = (!place.starts_with('@')).then(|| place.parse::<HostPort>().ok());
    let Some(HostPort { host, port }) = read.flatten() else {
        return place.to_owned();
    };
    let host = match host {
        Host::Name(name) => {
            let name = name.to_lowercase();
            Host::Name(name.strip_suffix('.').unwrap_or(&name).to_owned())
        }
        Host::V6(address, None) => address.to_canonical().into(),
        other => other,
    };
    HostPort { host, port }.to_string()
}

/// A line that can't be read is not passed over: it may be the one that would have stopped us.
fn find(text: &str, place: &str) -> Result<Option<Pin>> {
    let place = one_spelling(place);
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let known = line.split_once(' ').filter(|(known, _)| !known.is_empty());
        let Some((known, pin)) = known else {
            bail!("line {} is not HOST:PORT FINGERPRINT", number + 1);
        };
        if one_spelling(known) == place {
            return Pin::parse(pin.trim())
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
        let pin = |byte| Pin::Fingerprint([byte; 32]);
        assert_eq!(pins.remember("h:1", pin(1)).expect("kept"), Seen::New);
        assert_eq!(pins.remember("h:2", Pin::Authority).expect("kept"), Seen::New);
        assert_eq!(pins.remember("h:1", pin(1)).expect("known"), Seen::Same);
        assert_eq!(pins.remember("h:1", pin(3)).expect("known"), Seen::Other);
        assert_eq!(pins.remember("h:2", pin(3)).expect("known"), Seen::Other);
        assert_eq!(pins.look_up("h:1").expect("a file"), Some(pin(1)));
        assert_eq!(pins.look_up("h:2").expect("a file"), Some(Pin::Authority));
        let mode = fs::metadata(pins.path()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn whoever_is_spelt_otherwise_is_the_same() {
        let same = [
            [
                "localhost:9000",
                "LOCALHOST:9000",
                "localhost.:9000",
                "LocalHost.:9000",
            ],
            [
                "127.0.0.1:9000",
                "[::ffff:127.0.0.1]:9000",
                "[::FFFF:7f00:1]:9000",
                "127.0.0.1.:9000",
            ],
            [
                "[2001:db8::a]:9000",
                "[2001:DB8::A]:9000",
                "[2001:db8:0:0::a]:9000",
                "[2001:0db8::a]:9000",
            ],
            [
                "bücher.example:9000",
                "BÜCHER.example:9000",
                "Bücher.Example.:9000",
                "bücher.EXAMPLE:9000",
            ],
        ];
        for pin in [Pin::Fingerprint([1; 32]), Pin::Authority] {
            let folder = tempfile::tempdir().expect("a folder");
            let pins = Pins(folder.path().join("pins"));
            for [first, others @ ..] in same {
                // As it stands in a file of before, too.
                for kept in [first, others[0]] {
                    fs::write(pins.path(), format!("{kept} {pin}\n")).expect("written");
                    for other in others {
                        assert_eq!(pins.look_up(other).expect("a file"), Some(pin), "{kept} {other}");
                        let another = Pin::Fingerprint([2; 32]);
                        assert_eq!(
                            pins.remember(other, another).expect("known"),
                            Seen::Other,
                            "{kept} {other}"
                        );
                    }
                }
                fs::remove_file(pins.path()).expect("removed");
                pins.remember(others[0], pin).expect("kept");
                assert_eq!(
                    fs::read_to_string(pins.path()).expect("text"),
                    format!("{first} {pin}\n")
                );
            }
            for other in [
                "localhost:9001",
                "localhost.example:9000",
                "[::1]:9000",
                "@LOCALHOST:9000/files",
            ] {
                assert_eq!(pins.look_up(other).expect("a file"), None, "{other}");
            }
        }
        let scoped = "[fe80::1%eth0]:9000";
        assert_eq!(one_spelling(scoped), scoped);
    }

    #[test]
    fn a_broken_line_stops_us() {
        assert!(find("h:1\n", "h:1").is_err());
        assert!(find("h:1 12\n", "h:1").is_err());
        assert!(find(&format!(" h:1 {}\n", "0".repeat(64)), "h:1").is_err());
        assert!(find(&format!("h:1\t{}\n", "0".repeat(64)), "h:1").is_err());
        assert_eq!(find("  \n", "h:1").expect("a blank line"), None);
        assert_eq!(find("# mine\n\nh:2 12\n", "h:1").expect("nothing of it"), None);
    }

    #[test]
    fn a_file_that_is_too_large_is_neither_believed_nor_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = Pins(folder.path().join("pins"));
        let last = format!("h:1 {}\n", "0".repeat(64));
        let comments = |size: u64| "#".repeat(size as usize - 1) + "\n" + &last;
        for (size, known) in [(MAX_FILE / 2, true), (MAX_FILE, false)] {
            let text = comments(size);
            fs::write(pins.path(), &text).expect("written");
            assert_eq!(pins.look_up("h:1").is_ok(), known);
            assert_eq!(pins.remember("h:2", Pin::Authority).is_ok(), known);
            assert_eq!(pins.look_up("h:1").is_ok(), known);
            let now = fs::read_to_string(pins.path()).expect("text");
            assert!(now.starts_with(&text) && (now.len() > text.len()) == known);
        }
        // Nor is it made too large.
        fs::write(pins.path(), comments(MAX_FILE - last.len() as u64)).expect("written");
        assert!(pins.look_up("h:2").is_ok() && pins.remember("h:2", Pin::Authority).is_err());
        assert!(pins.look_up("h:1").is_ok());
    }
}
