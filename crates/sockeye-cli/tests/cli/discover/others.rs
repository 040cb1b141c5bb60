//! Avahi and Python's zeroconf: they see what is announced here, and the other way about.

use std::fs;
use std::process::Command;

use super::{Server, watch};
use crate::lan::{Host, Lan};
use crate::sockeye::{Background, installed};

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=FOLDER/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow send_type="method_call"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

const AVAHI: &str =
    "[server]\nhost-name=avahi\nallow-interfaces=eth0\nenable-dbus=yes\n[publish]\npublish-workstation=no\n";

/// A machine with Avahi, and with a bus that is nobody else's.
struct Avahi<'a> {
    host: &'a Host,
    folder: tempfile::TempDir,
    _programs: [Background; 2],
}

impl<'a> Avahi<'a> {
    /// `None` where it isn't installed.
    fn on(host: &'a Host) -> Option<Self> {
        for program in ["avahi-browse", "dbus-daemon", "stdbuf"] {
            installed(program).then_some(())?;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().to_string_lossy().into_owned();
        fs::write(folder.path().join("bus.conf"), BUS.replace("FOLDER", &at)).expect("a file");
        fs::write(folder.path().join("avahi.conf"), AVAHI).expect("a file");
        let config = format!("--config-file={at}/bus.conf");
        let bus = host.command(Command::new("dbus-daemon").args([&config, "--nofork", "--print-address"]));
        let bus = Background::printing(bus);
        bus.line_with("unix:path=");
        // What it keeps under /run is kept where nobody else sees it: `ip netns exec` has mounts of its own.
        let begin = format!(
            "mount -t tmpfs none /run && mkdir /run/avahi-daemon && exec /usr/sbin/avahi-daemon -f {at}/avahi.conf --no-drop-root --no-chroot --no-rlimits"
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &begin])
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={at}/bus"));
        let daemon = Background::start(host.command(&shell));
        daemon.line_with("Server startup complete");
        Some(Avahi {
            host,
            folder,
            _programs: [bus, daemon],
        })
    }

    /// A program that talks to it, and what it prints.
    fn start(&self, program: &str, args: &[&str]) -> Background {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", program]).args(args);
        let bus = format!("unix:path={}/bus", self.folder.path().display());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
        Background::printing(self.host.command(&command))
    }
}

#[test]
fn avahi_sees_what_is_announced_and_is_seen() {
    let Some(lan) = Lan::new(2) else { return };
    let (here, there) = (&lan.hosts[0], &lan.hosts[1]);
    let Some(avahi) = Avahi::on(there) else { return };
    let browse = avahi.start("avahi-browse", &["-rp", "_sockeye-files._tcp"]);
    let types = avahi.start("avahi-browse", &["-ap"]);
    let listeners = ["files@tls://[::]:9000", "echo@udp://0.0.0.0:8080"];
    let server = Server::announced(here, "Küche", &listeners);
    let line = browse.line_with("=;eth0;IPv4;K");
    // `;` parts its columns, and other than ASCII is written in numbers.
    assert!(
        line.contains(r"K\195\188che;_sockeye-files._tcp;local;"),
        "{line}"
    );
    assert!(line.contains(&format!(";{};9000;", here.v4())), "{line}");
    for fact in [r#""txtvers=1""#, r#""auth=scram""#, r#""tls="#, r#""v="#] {
        assert!(line.contains(fact), "{fact} in {line}");
    }
    types.line_with("_sockeye-echo._udp");
    server.end();
    browse.line_with(r"-;eth0;IPv4;K\195\188che");

    let seen = watch(here, &["_ipp._tcp"]);
    let published = avahi.start(
        "avahi-publish",
        &["-s", "Laser (old)", "_ipp._tcp", "631", "ty=Laser"],
    );
    let line = seen.line_with("+ Laser (old)  _ipp._tcp  tcp://");
    assert!(line.contains(":631") && line.ends_with("  eth0"), "{line}");
    drop(published);
    seen.line_with("- Laser (old)  _ipp._tcp");
}

#[test]
fn beside_avahi_on_one_machine_both_are_heard() {
    let Some(lan) = Lan::new(2) else { return };
    let Some(avahi) = Avahi::on(&lan.hosts[0]) else {
        return;
    };
    let _published = avahi.start("avahi-publish", &["-s", "printer", "_ipp._tcp", "631"]);
    let _server = Server::announced(&lan.hosts[0], "kitchen", &["echo@tcp://0.0.0.0:8080?auth=none"]);
    let seen = watch(&lan.hosts[1], &["echo", "_ipp._tcp"]);
    let mut missing = vec!["+ kitchen  echo", "+ printer  _ipp._tcp"];
    while !missing.is_empty() {
        let line = seen.line().expect("a line");
        missing.retain(|coming| !line.starts_with(coming));
    }
    // It hears who is on its own machine.
    let browse = avahi.start("avahi-browse", &["-p", "_sockeye-echo._tcp"]);
    browse.line_with("+;eth0;IPv4;kitchen;");
}

/// Listens for services of echo, and offers one.
const ZEROCONF: &str = r#"
import socket, sys
from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf
address, kind = sys.argv[1], "_sockeye-echo._tcp.local."
class Tell(ServiceListener):
    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name, 300_000)
        print("came", name, info.parsed_addresses()[0], info.port, sorted(info.properties.items()), flush=True)
    def update_service(self, zeroconf, kind, name):
        pass
    def remove_service(self, zeroconf, kind, name):
        print("went", name, flush=True)
zeroconf = Zeroconf(interfaces=[address])
browser = ServiceBrowser(zeroconf, kind, Tell())
properties = {"txtvers": "1", "auth": "none", "v": "python"}
zeroconf.register_service(ServiceInfo(kind, "snake." + kind, addresses=[socket.inet_aton(address)], port=7,
                                      properties=properties, server="snake.local."))
print("registered", flush=True)
while "kitchen" not in sys.stdin.readline():
    pass
zeroconf.unregister_all_services()
zeroconf.close()
"#;

#[test]
fn zeroconf_of_python_sees_what_is_announced_and_is_seen() {
    let Some(lan) = Lan::new(2) else { return };
    let (here, there) = (&lan.hosts[0], &lan.hosts[1]);
    let python = |program: &str| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", program, &there.v4().to_string()]);
        there.command(&command)
    };
    if !python("import zeroconf")
        .output()
        .expect("Python starts")
        .status
        .success()
    {
        eprintln!("left out: python3-zeroconf is not installed (cargo xtask setup)");
        return;
    }
    let seen = watch(here, &["echo"]);
    let mut program = python(ZEROCONF);
    program.stdin(std::process::Stdio::piped());
    let mut snake = Background::printing(program);
    snake.line_with("registered");
    seen.line_with(&format!("+ snake  echo  tcp://{}:7  eth0", there.v4()));
    let server = Server::announced(here, "kitchen", &["echo@tcp://0.0.0.0:8080?auth=none"]);
    let came = snake.line_with("came kitchen._sockeye-echo._tcp.local.");
    assert!(
        came.contains(&format!(
            "{} 8080 [(b'auth', b'none'), (b'txtvers', b'1')",
            here.v4()
        )),
        "{came}"
    );
    server.end();
    snake.line_with("went kitchen");
    drop(
        snake
            .child
            .stdin
            .take()
            .map(|mut stdin| std::io::Write::write_all(&mut stdin, b"kitchen\n")),
    );
    seen.line_with("- snake  echo");
}
