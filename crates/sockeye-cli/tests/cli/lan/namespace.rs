//! Network namespaces, by `ip netns` of iproute2.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network of its own; gone when dropped.
pub(super) struct Namespace(String);

/// `sockeye-PROCESS-COUNT-role`.
const PREFIX: &str = "sockeye-";

impl Namespace {
    /// Makes one.
    pub(super) fn new(role: &str) -> Result<Namespace, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if count == 0 {
            sweep();
        }
        let name = format!("{PREFIX}{}-{count}-{role}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Namespace(name))
    }

    /// Runs lines of ip(8) in it.
    pub(super) fn ip(&self, lines: &[String]) {
        let mut program = Command::new("ip");
        program.args(["-n", &self.0, "-batch", "-"]).stdin(Stdio::piped());
        let mut child = program.spawn().expect("ip starts");
        let text = lines.join("\n") + "\n";
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(text.as_bytes())
            .expect("ip reads");
        assert!(child.wait().expect("its end").success(), "{}: {text}", self.0);
    }

    /// Makes it a switch.
    pub(super) fn bridge(&self, ports: &[String]) {
        // Groups are for everybody: there is no querier who would keep it told of who wants which.
        let mut lines = vec!["link add switch type bridge mcast_snooping 0 stp_state 0".to_owned()];
        lines.extend(ports.iter().map(|port| format!("link set {port} master switch")));
        lines.push("link set switch addrgenmode none up".to_owned());
        self.ip(&lines);
        for port in ports {
            self.wait_for(port, "state forwarding");
        }
    }

    /// Asks until an interface is in this state: the kernel brings links up by and by.
    #[track_caller]
    pub(super) fn wait_for(&self, interface: &str, state: &str) {
        /// Each takes a millisecond or more.
        const TRIES: usize = 100_000;
        let told = || ip(&["-n", &self.0, "-d", "-o", "link", "show", "dev", interface]);
        let comes = (0..TRIES).any(|_| told().expect("it is there").contains(state));
        assert!(comes, "{}: {interface} never gets to `{state}`", self.0);
    }

    /// Runs a line of the shell in it.
    pub(super) fn shell(&self, line: &str) {
        let mut shell = Command::new("sh");
        let status = self.command(shell.args(["-ec", line])).status();
        assert!(status.expect("sh starts").success(), "{}: {line}", self.0);
    }

    /// The same program in it; its input and outputs are to be set anew.
    pub(super) fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]);
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = inner.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What fails here leaves a name behind, which the next test sweeps away.
        let _ = ip(&["netns", "del", &self.0]);
    }
}

/// Joins a host to a port of a switch, and brings both ends up. Addresses are given by hand.
pub(super) fn wire(
    host: &Namespace,
    interface: &str,
    mac: &str,
    switch: &Namespace,
    port: &str,
) -> Result<(), String> {
    let here = ["link", "add", interface, "address", mac, "netns", &host.0];
    let there = ["type", "veth", "peer", "name", port, "netns", &switch.0];
    ip(&[here, there].concat())?;
    host.ip(&[format!("link set {interface} addrgenmode none up")]);
    switch.ip(&[format!("link set {port} addrgenmode none up")]);
    Ok(())
}

/// Takes away what tests left behind that were killed.
fn sweep() {
    let list = ip(&["netns", "list"]).unwrap_or_default();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Another test may be sweeping too.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// Runs ip(8); what it prints, or why it failed.
fn ip(args: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
