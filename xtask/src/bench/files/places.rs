//! Where the measurements of files have their sources and destinations, and the servers that they talk to.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::step::installed;

/// Bytes of the large file.
pub(super) const BIG: u64 = 2 << 30;
/// How many small files there are, of 4 KiB each.
pub(super) const FILES: usize = 10_000;
const SMALL: usize = 4 << 10;

pub(super) struct Places {
    pub(super) work: PathBuf,
    pub(super) sockeye: PathBuf,
    pub(super) data: PathBuf,
    pub(super) big: PathBuf,
    pub(super) small: PathBuf,
    pub(super) destination: PathBuf,
    /// The data folder of our service.
    service: PathBuf,
    /// What it keeps.
    pub(super) kept: PathBuf,
}

impl Places {
    /// Makes folders and sources, where they are missing.
    pub(super) fn make(work: &Path, sockeye: &Path) -> Result<Self> {
        let data = work.join("data");
        let service = data.join("service");
        let places = Places {
            work: work.to_owned(),
            sockeye: sockeye.to_owned(),
            big: data.join("big"),
            small: data.join("small"),
            destination: data.join("dst"),
            kept: service.join("files/everybody"),
            service,
            data,
        };
        fs::create_dir_all(&places.destination)?;
        let _ = fs::remove_dir_all(&places.service); // of an earlier run
        let mut noise = Noise(88_172_645_463_325_252);
        if fs::metadata(&places.big).map_or(0, |facts| facts.len()) != BIG {
            let mut big = BufWriter::with_capacity(1 << 20, File::create(&places.big)?);
            let mut block = vec![0; 1 << 20];
            for _ in 0..BIG >> 20 {
                noise.fill(&mut block);
                big.write_all(&block)?;
            }
            big.flush()?;
        }
        if !places.small.exists() {
            let mut bytes = vec![0; SMALL];
            for number in 0..FILES {
                let folder = places.small.join(format!("{:02}", number / 500));
                fs::create_dir_all(&folder)?;
                noise.fill(&mut bytes);
                fs::write(folder.join(format!("{number:05}")), &bytes)?;
            }
        }
        Ok(places)
    }

    /// The same sources, and destinations elsewhere.
    pub(super) fn on(&self, other: &Path) -> Result<Self> {
        let service = other.join("service");
        let places = Places {
            work: self.work.clone(),
            sockeye: self.sockeye.clone(),
            data: self.data.clone(),
            big: self.big.clone(),
            small: self.small.clone(),
            destination: other.join("dst"),
            kept: service.join("files/everybody"),
            service,
        };
        fs::create_dir_all(&places.destination)?;
        Ok(places)
    }

    /// Takes away what the last tool has written. Trees are moved, not removed: some file systems avoid inodes that were
    /// freed lately, and their search for others would make every later tool seem slow.
    pub(super) fn clear(&self) -> Result<()> {
        let _ = fs::remove_file(self.destination.join("big")); // it need not be there
        let _ = fs::remove_file(self.kept.join("big"));
        for place in [&self.destination, &self.kept] {
            let small = place.join("small");
            if small.exists() {
                let old = self.data.join("old");
                fs::create_dir_all(&old)?;
                let number = fs::read_dir(&old)?.count();
                fs::rename(small, old.join(number.to_string()))?;
            }
        }
        Ok(())
    }
}

/// What was moved away; removed at the end of all.
pub(super) struct Old<'p>(pub(super) &'p Places);

impl Drop for Old<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.data.join("old")); // what stays is no harm
    }
}

/// Bytes that nothing can make smaller: xorshift64 (Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }
}

/// Servers at work; they end when this is dropped.
pub(super) struct Daemons {
    children: Vec<Child>,
    /// The endpoints of our service.
    pub(super) plain: String,
    pub(super) tls: String,
}

impl Daemons {
    pub(super) fn start(places: &Places) -> Result<Self> {
        let mut daemons = Self::service(places)?;
        daemons.others(places)?;
        Ok(daemons)
    }

    /// Ours alone.
    pub(super) fn service(places: &Places) -> Result<Self> {
        let mut daemons = Daemons {
            children: Vec::new(),
            plain: String::new(),
            tls: String::new(),
        };
        let options = "auth=none&no-sync=true";
        let mut command = Command::new(&places.sockeye);
        command.args(["serve", "--data"]).arg(&places.service);
        command.args(["tcp", "tls"].map(|scheme| format!("files@{scheme}://127.0.0.1:0?{options}")));
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .context("start the service")?;
        let said = BufReader::new(child.stderr.take().context("no pipe")?);
        daemons.children.push(child);
        for line in said.lines() {
            match line?.strip_prefix("listening files ") {
                Some(at) if at.starts_with("tls:") => at.clone_into(&mut daemons.tls),
                Some(at) => at.clone_into(&mut daemons.plain),
                None => {}
            }
            if !daemons.tls.is_empty() && !daemons.plain.is_empty() {
                break;
            }
        }
        Ok(daemons)
    }

    /// sshd, vsftpd and nginx, where they are installed.
    fn others(&mut self, places: &Places) -> Result<()> {
        let at = places.data.display();
        let config = |name: &str, text: String| fs::write(places.data.join(name), text);
        if installed("sshd") {
            let _ = fs::create_dir_all("/run/sshd"); // sshd says so itself where it is needed and missing
            for key in ["key", "host"] {
                if !places.data.join(key).exists() {
                    let mut keygen = Command::new("ssh-keygen");
                    keygen
                        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                        .arg(places.data.join(key));
                    keygen.status().context("start ssh-keygen")?;
                }
            }
            config(
                "sshd.conf",
                format!(
                    "Port 22022\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/key.pub\nStrictModes no\n\
                 PermitRootLogin yes\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n"
                ),
            )?;
            self.start_one("/usr/sbin/sshd", &["-D", "-f", &format!("{at}/sshd.conf")])?;
        }
        if installed("vsftpd") {
            let _ = fs::create_dir_all("/var/run/vsftpd/empty");
            config(
                "vsftpd.conf",
                format!(
                    "listen=YES\nlisten_address=127.0.0.1\nlisten_port=22021\nbackground=NO\nanonymous_enable=YES\n\
                 local_enable=NO\nwrite_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
                 anon_other_write_enable=YES\nanon_root={at}\nallow_writeable_chroot=YES\n\
                 secure_chroot_dir=/var/run/vsftpd/empty\npasv_address=127.0.0.1\nftp_username=games\n\
                 seccomp_sandbox=NO\nuse_sendfile=YES\nanon_umask=022\n"
                ),
            )?;
            let mut writable = Command::new("chmod");
            writable
                .arg("777")
                .arg(&places.destination)
                .status()
                .context("start chmod")?;
            self.start_one("/usr/sbin/vsftpd", &[&format!("{at}/vsftpd.conf")])?;
        }
        if installed("nginx") {
            config(
                "nginx.conf",
                format!(
                    "user root; daemon off; worker_processes 1; pid {at}/nginx.pid; error_log /dev/null;\n\
                 events {{ worker_connections 512; }}\nhttp {{ access_log off; sendfile on; client_body_temp_path {at}/tmpbody;\n\
                 server {{ listen 127.0.0.1:22080; root {at}; client_max_body_size 0;\n\
                 location / {{ dav_methods PUT MKCOL; create_full_put_path on; }} }} }}\n"
                ),
            )?;
            self.start_one("/usr/sbin/nginx", &["-c", &format!("{at}/nginx.conf")])?;
        }
        // What each of them needs to begin.
        std::thread::sleep(std::time::Duration::from_millis(700));
        Ok(())
    }

    fn start_one(&mut self, program: &str, args: &[&str]) -> Result<()> {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.children
            .push(command.spawn().with_context(|| format!("start {program}"))?);
        Ok(())
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in &mut self.children {
            let mut kill = Command::new("kill");
            let _ = kill.arg(child.id().to_string()).status(); // it may have ended
            let _ = child.wait();
        }
    }
}
