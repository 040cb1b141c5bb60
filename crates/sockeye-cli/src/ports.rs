//! Who has a port of this machine, from `/proc`: see proc(5).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// State "listening" in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A port of TCP, or of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) udp: bool,
}

/// A process that has ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// Whether somebody listens on a TCP port, or has bound a UDP port: looked up without a connection, which a server
/// might count as its first client.
pub(crate) fn is_bound(port: Port) -> bool {
    !sockets(port).is_empty()
}

/// The processes that have these ports, as far as this user may know them. Of those that share a socket, it is the
/// oldest.
pub(crate) fn owners(ports: &[Port]) -> Vec<Owner> {
    let mut wanted: BTreeSet<String> = ports.iter().copied().flat_map(sockets).collect();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut pids: Vec<u32> = entries("/proc").filter_map(number).collect();
    pids.sort_unstable();
    let mut found = Vec::new();
    for pid in pids {
        let links = entries(format!("/proc/{pid}/fd")).filter_map(|entry| fs::read_link(entry.path()).ok());
        let has = links
            .filter(|link| link.to_str().is_some_and(|link| wanted.remove(link)))
            .count();
        if has > 0 {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            found.push(Owner { pid, name });
        }
    }
    found
}

fn entries(folder: impl AsRef<Path>) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// The sockets that have a port, as links in `/proc/PID/fd` name them.
fn sockets(port: Port) -> Vec<String> {
    let tables = if port.udp {
        ["udp", "udp6"]
    } else {
        ["tcp", "tcp6"]
    };
    let read = |table| fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
    tables
        .into_iter()
        .map(read)
        .flat_map(|text| in_table(&text, port))
        .collect()
}

fn in_table(table: &str, port: Port) -> Vec<String> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        let here = local == port.number && (port.udp || *fields.get(3)? == LISTENING);
        here.then(|| Some(format!("socket:[{}]", fields.get(9)?)))?
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_the_kernel_s_tables() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n\
            1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0\n";
        let at = |number, udp| in_table(table, Port { number, udp });
        assert_eq!(at(8080, false), ["socket:[77]"]);
        assert!(at(8081, false).is_empty(), "a connection is no listener");
        assert_eq!(at(8081, true), ["socket:[78]"]);
        assert!(at(0xC350, true).is_empty(), "that is the peer's");
    }

    #[test]
    fn this_very_process() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let number = socket.local_addr().expect("bound").port();
        let port = Port { number, udp: true };
        assert!(is_bound(port));
        let pids: Vec<u32> = owners(&[port]).iter().map(|owner| owner.pid).collect();
        assert_eq!(pids, [std::process::id()]);
    }
}
