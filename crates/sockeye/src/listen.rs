//! Sockets that wait for peers: bound, configured, listening.

use crate::address::{Address, local_address};
use crate::endpoint::{Endpoint, UnixName};
use crate::error::{Class, Error, Result};
use crate::options::Options;
use crate::resolve::{Resolved, resolve_blocking};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType, sockopt};
use std::fs::{File, TryLockError};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Connections that the kernel keeps for a server that is busy; more than a second's worth of the fastest clients. The
/// kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Ports below this one are for privileged programs (`net.ipv4.ip_unprivileged_port_start` unless changed; vsock(7)).
const FIRST_FREE_PORT: u32 = 1024;

/// How long a server waits for others that start in the same folder: that takes less than a millisecond of each.
const STARTS: Duration = Duration::from_secs(1);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(1);

/// A bound socket, and the file that names it if it is a Unix socket's.
pub(crate) struct Bound {
    pub(crate) fd: OwnedFd,
    pub(crate) endpoint: Endpoint,
    pub(crate) file: Option<SocketFile>,
}

/// The file of a Unix socket; it goes with its server, unless another has taken its place.
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds the first of the endpoint's addresses that can be bound, and listens where that has a meaning.
///
/// # Errors
/// The failure of the last address.
pub(crate) fn bind(endpoint: &Endpoint, options: &Options) -> Result<Bound> {
    bind_resolved(endpoint, resolve_blocking(endpoint, true)?, options)
}

/// [`bind`] for whoever has resolved the endpoint already.
pub(crate) fn bind_resolved(endpoint: &Endpoint, found: Vec<Resolved>, options: &Options) -> Result<Bound> {
    let mut last = None;
    for resolved in found {
        match bind_one(endpoint, &resolved.address, options) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::new("listen", Class::Address, "the name has no address").at(endpoint)))
}

fn bind_one(endpoint: &Endpoint, address: &Address, options: &Options) -> Result<Bound> {
    let failed = |errno: Errno| explain(Error::io("listen", errno).at(endpoint), address, errno);
    let fd = socket_for(endpoint, address, options)?;
    let any = address.to_any()?;
    let _alone = match address {
        Address::Unix(Some(UnixName::Path(path))) => alone_in_folder_of(path),
        _ => None,
    };
    match address {
        Address::Inet(inet) => {
            if inet.is_ipv6() && inet.ip().is_unspecified() {
                sockopt::set_ipv6_v6only(&fd, false).map_err(failed)?;
            }
            if endpoint.is_stream() {
                // Connections that linger in TIME_WAIT must not keep a server from coming back. Of datagrams nothing
                // lingers, and there the option would let a second server take the port away from the first.
                sockopt::set_socket_reuseaddr(&fd, true).map_err(failed)?;
                // Accepted sockets inherit it, which saves a call for each.
                sockopt::set_tcp_nodelay(&fd, true).map_err(failed)?;
            }
        }
        Address::Unix(Some(UnixName::Path(path))) => remove_stale(endpoint, path, &any)?,
        _ => {}
    }
    options
        .apply_before_bind(&fd)
        .map_err(|error| error.at(endpoint))?;
    rustix::net::bind(&fd, &any).map_err(failed)?;
    let file = match address {
        Address::Unix(Some(UnixName::Path(path))) => {
            std::fs::symlink_metadata(path).ok().map(|meta| SocketFile {
                path: path.clone(),
                inode: meta.ino(),
            })
        }
        _ => None,
    };
    options.apply(&fd).map_err(|error| error.at(endpoint))?;
    if endpoint.is_stream() {
        rustix::net::listen(&fd, BACKLOG).map_err(failed)?;
    }
    let endpoint = endpoint.with_address(&local_address(&fd)?);
    Ok(Bound { fd, endpoint, file })
}

/// What to do about it, as far as the kind of address tells.
fn explain(error: Error, address: &Address, errno: Errno) -> Error {
    let is_unix = matches!(address, Address::Unix(_));
    let port = match address {
        Address::Inet(inet) => Some(u32::from(inet.port())),
        Address::Vsock { port, .. } => Some(*port),
        _ => None,
    };
    let advice = match errno {
        Errno::ADDRINUSE if is_unix => "another server has this name; stop that one or choose another name",
        Errno::ADDRINUSE => "another server has it; stop that one or choose another port",
        Errno::ACCESS | Errno::PERM if is_unix => {
            "making the socket's file takes the right to write to its folder"
        }
        Errno::ACCESS | Errno::PERM if port.is_some_and(|port| port < FIRST_FREE_PORT) => {
            "ports below 1024 want root or CAP_NET_BIND_SERVICE"
        }
        Errno::NOENT | Errno::NOTDIR if is_unix => "make the folder first, or choose another path",
        Errno::ROFS => "choose a path where files can be made",
        Errno::ADDRNOTAVAIL if matches!(address, Address::Vsock { .. }) => {
            "this machine has no such context (CID): vsock://:PORT is any that it has, and 1 wants the kernel module vsock_loopback"
        }
        Errno::ADDRNOTAVAIL => "this machine has no such address; `ip address` lists those it has",
        _ => return error,
    };
    error.advise(advice)
}

/// A socket of the endpoint's kind for one of its addresses.
pub(crate) fn socket_for(endpoint: &Endpoint, address: &Address, options: &Options) -> Result<OwnedFd> {
    let family = match address {
        Address::Inet(inet) if inet.is_ipv4() => AddressFamily::INET,
        Address::Inet(_) => AddressFamily::INET6,
        Address::Unix(_) => AddressFamily::UNIX,
        Address::Vsock { .. } => AddressFamily::VSOCK,
        Address::Unknown { family } => AddressFamily::from_raw(*family),
    };
    let kind = match endpoint {
        Endpoint::UnixSeq(_) => SocketType::SEQPACKET,
        other if other.is_packet() => SocketType::DGRAM,
        _ => SocketType::STREAM,
    };
    let mptcp = options.is_mptcp() && endpoint.is_stream() && matches!(address, Address::Inet(_));
    let protocol = mptcp.then_some(rustix::net::ipproto::MPTCP);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol).map_err(|errno| {
        let error = Error::io("make socket", errno).at(endpoint);
        match (errno, address) {
            (Errno::AFNOSUPPORT, Address::Inet(inet)) if inet.is_ipv6() => {
                error.advise("this machine has no IPv6; use an address of IPv4")
            }
            (Errno::AFNOSUPPORT, Address::Vsock { .. }) => {
                error.advise("this machine's kernel has no vsock; the module is called vsock")
            }
            _ => error,
        }
    })
}

/// The folder of a socket's file, locked until this one listens: of two servers that find the file of a dead one, the second would
/// remove the first one's own. Where it can't be, a server starts as it would without.
fn alone_in_folder_of(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let path = folder.unwrap_or(Path::new("."));
    let mut reading = File::options();
    reading.read(true).custom_flags(OFlags::DIRECTORY.bits() as i32); // or a pipe would be waited for
    let folder = reading.open(path).ok()?;
    let until = Instant::now() + STARTS;
    loop {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK),
            Err(error) => {
                tracing::warn!(folder = %path.display(), %error, "can't be locked: another start may take this path away");
                return None;
            }
        }
    }
}

/// Removes the file of a Unix socket that nobody listens on any more. Any other file stays.
fn remove_stale(endpoint: &Endpoint, path: &PathBuf, any: &SocketAddrAny) -> Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let taken = |why: &str, advice: &str| {
        Err(Error::new("listen", Class::General, why)
            .at(endpoint)
            .advise(advice))
    };
    if !meta.file_type().is_socket() {
        let why = "the path is taken by a file that is no socket";
        return taken(why, "choose another path, or remove the file");
    }
    let kind = match endpoint {
        Endpoint::UnixGram(_) => SocketType::DGRAM,
        Endpoint::UnixSeq(_) => SocketType::SEQPACKET,
        _ => SocketType::STREAM,
    };
    let probe = rustix::net::socket_with(
        AddressFamily::UNIX,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    );
    let probed = probe.and_then(|probe| rustix::net::connect(&probe, any));
    match probed {
        Err(Errno::CONNREFUSED) => {
            std::fs::remove_file(path).map_err(|error| Error::io("remove stale socket", error).at(endpoint))
        }
        // The file is gone meanwhile: so much the better.
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ACCESS) => taken(
            "the path is taken by somebody else's socket",
            "choose another path, or remove the file if its server has ended",
        ),
        // It answers, is busy, or is of another kind.
        _ => taken(
            "another server listens there",
            "stop that one or choose another path",
        ),
    }
}

/// One more listening socket for another worker: of its own where the kernel can share a port among sockets
/// (`SO_REUSEPORT`), else the same one.
pub(crate) fn sibling(bound: &Bound, options: &Options) -> Result<OwnedFd> {
    match bound.endpoint {
        Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Udp(_) => {
            Ok(bind_one(&bound.endpoint, &local_address(&bound.fd)?, options)?.fd)
        }
        _ => bound
            .fd
            .try_clone()
            .map_err(|error| Error::io("share listener", error).at(&bound.endpoint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_server() {
        for scheme in ["tcp", "udp"] {
            let endpoint = format!("{scheme}://127.0.0.1:0").parse().expect("an endpoint");
            let first = bind(&endpoint, &Options::new()).expect("a free port");
            let error = bind(&first.endpoint, &Options::new()).err().expect("it is taken");
            assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE), "{error}");
            assert!(
                error
                    .advice()
                    .is_some_and(|advice| advice.contains("another port"))
            );
        }
    }

    #[test]
    fn of_those_that_find_a_dead_servers_file_one_has_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        for scheme in ["unix", "unixseq", "unixgram"] {
            let endpoint: Endpoint = format!("{scheme}://{}", path.display())
                .parse()
                .expect("an endpoint");
            for _ in 0..100 {
                drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path")); // its file stays
                let start = std::sync::Barrier::new(3);
                let bound: Vec<Result<Bound>> = std::thread::scope(|scope| {
                    let server = || {
                        start.wait();
                        bind(&endpoint, &Options::new())
                    };
                    let servers = [(); 3].map(|()| scope.spawn(server));
                    servers.map(|server| server.join().expect("no panic")).into()
                });
                assert_eq!(bound.iter().flatten().count(), 1, "{endpoint}");
                let file = bound.iter().flatten().find_map(|bound| bound.file.as_ref());
                let now = std::fs::symlink_metadata(&path).expect("its file");
                assert_eq!(file.map(|file| file.inode), Some(now.ino()), "{endpoint}");
            }
        }
    }

    #[test]
    fn advice_is_for_the_kind_of_endpoint() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| format!("unix://{}/{name}", folder.path().display());
        std::fs::write(folder.path().join("plain"), "").expect("a file");
        let listening = at("s").parse().expect("an endpoint");
        let _listening = bind(&listening, &Options::new()).expect("a free path");
        let name = format!("@sockeye-advice-{}", std::process::id());
        let named = format!("unix:{name}").parse().expect("an endpoint");
        let _named = bind(&named, &Options::new()).expect("a free name");
        for (endpoint, advice) in [
            (at("s"), "stop that one or choose another path"),
            (
                at("s").replace("unix:", "unixgram:"),
                "stop that one or choose another path",
            ),
            (at("plain"), "choose another path, or remove the file"),
            (at("no/s"), "make the folder first, or choose another path"),
            (format!("unix:{name}"), "stop that one or choose another name"),
            ("tcp://192.0.2.1:0".to_owned(), "`ip address` lists those it has"),
        ] {
            let bound = bind(&endpoint.parse().expect("an endpoint"), &Options::new());
            let error = bound.err().expect("it can't be bound");
            assert!(error.to_string().ends_with(advice), "{endpoint}: {error}");
        }
    }
}
