//! A certificate that vouches for itself and stays the same, so that clients know it again.

use super::{TlsServer, names_of, self_signed};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Ten years: who has pinned it goes by its fingerprint, and would be stopped by a new one.
const VALID: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl TlsServer {
    /// The certificate and key in this PEM file, made now for the host of this endpoint if there is no such file. It is
    /// signed by itself, and for its owner's eyes only.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds no certificate and key.
    pub fn kept(path: &Path, endpoint: &Endpoint) -> Result<Self> {
        if !path.exists() {
            let host = endpoint.host_port().map(|at| &at.host);
            let names = names_of(host.into_iter());
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let made = self_signed::make(&names, VALID)?;
            write(path, &made.pem)
                .map_err(|error| Error::io("keep TLS certificate", error).at(path.display()))?;
        }
        Self::from_files(path, path).map_err(|error| error.advise("move it away to have a new one made"))
    }
}

/// Whole or not at all, and never over one that another server has made meanwhile.
fn write(path: &Path, pem: &str) -> io::Result<()> {
    let unfinished = path.with_extension(format!("new{}", std::process::id()));
    let _ = fs::remove_file(&unfinished); // of a process of this number that died
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&unfinished)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_the_same_each_time_and_nobody_elses_to_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tls.pem");
        let endpoint = "tls://127.0.0.1:0".parse().expect("an endpoint");
        let first = TlsServer::kept(&path, &endpoint).expect("made");
        let second = TlsServer::kept(&path, &endpoint).expect("kept");
        assert_eq!(first.certificate_der(), second.certificate_der());
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        fs::write(&path, "nothing").expect("write");
        let error = TlsServer::kept(&path, &endpoint)
            .err()
            .expect("broken")
            .to_string();
        assert!(error.contains("move it away"), "{error}");
    }
}
