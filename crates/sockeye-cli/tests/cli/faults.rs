//! A server whose disk fails: chosen system calls come back with EIO where, and for as long as, a test says so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::serve::Serving;
use crate::sockeye::{Background, installed, sockeye};

/// Becomes the program behind its first argument, a file of rules; each line there is a system call and a part of the path of
/// the descriptor that it must not work on. The kernel asks a second process about each such call (`seccomp_unotify(2)`), which
/// says EIO, and notes that behind the rules, or lets it go on.
const LAUNCHER: &str = r#"
import array, ctypes, fcntl, os, platform, select, socket, struct, sys
rules, program = sys.argv[1], sys.argv[2:]
# Numbers of x86_64 and aarch64, and which argument is the descriptor that is written to.
CALLS = {"fsync": (74, 82, 0), "fdatasync": (75, 83, 0), "syncfs": (306, 267, 0), "sync_file_range": (277, 84, 0),
    "write": (1, 64, 0), "pwrite64": (18, 68, 0), "writev": (20, 66, 0), "pwritev": (296, 70, 0), "splice": (275, 76, 2),
    "ftruncate": (77, 46, 0), "renameat": (264, 38, 2), "renameat2": (316, 276, 2), "linkat": (265, 37, 2)}
machine = {"x86_64": 0, "aarch64": 1}[platform.machine()]
calls = {entry[machine]: (name, entry[2]) for name, entry in CALLS.items()}
SECCOMP = (317, 277)[machine]
RECV, SEND, CONTINUE, EIO = 0xC0502100, 0xC0182101, 1, 5

def forbidden(thread, number, arguments):
    name, which = calls[number]
    try:
        path = os.readlink(f"/proc/{thread}/fd/{arguments[which]}")
    except OSError:
        return False
    for rule in open(rules).read().splitlines():
        call, _, part = rule.partition(" ")
        if call == name and part in path:
            with open(rules + ".hits", "a") as hits:
                hits.write(f"{name} {path}\n")
            return True
    return False

def answer_all(listener):
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not any(events & select.POLLHUP for _, events in poll.poll()):
        asked = bytearray(80)
        try:
            fcntl.ioctl(listener, RECV, asked, True)
            id, thread, _, number = struct.unpack_from("=QIIi", asked)
            fails = forbidden(thread, number, struct.unpack_from("=6Q", asked, 32))
            fcntl.ioctl(listener, SEND, struct.pack("=QqiI", id, 0, -EIO if fails else 0, 0 if fails else CONTINUE))
        except OSError:
            pass  # who asked is gone

ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.setsid()
    answer_all(socket.recv_fds(theirs, 1, 1)[1][0])
    os._exit(0)
theirs.close()
steps = [(0x20, 0, 0, 0)]
for place, number in enumerate(calls):
    steps.append((0x15, len(calls) - place, 0, number))
steps += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x7FC00000)]
code = b"".join(struct.pack("=HBBI", *step) for step in steps)
held = ctypes.create_string_buffer(code, len(code))
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
filter = Filter(len(steps), ctypes.cast(held, ctypes.c_void_p))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
listener = libc.syscall(SECCOMP, 1, 8, ctypes.byref(filter))  # SECCOMP_SET_MODE_FILTER, with a listener
if listener < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
socket.send_fds(ours, [b"x"], [listener])
os.execv(program[0], program)
"#;

/// A server, and what fails for it.
pub(crate) struct Faulty {
    pub(crate) serving: Serving,
    rules: PathBuf,
    _folder: TempDir,
}

impl Faulty {
    /// Serves a listener in this data folder, with a disk that works. Nothing where the machine has no Python.
    pub(crate) fn serve(options: &[&str], listener: &str) -> Option<Self> {
        if !installed("python3") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        fs::write(&rules, "").expect("rules");
        let serve = sockeye(&[&["serve"], options, &[listener]].concat());
        let mut python = Command::new("python3");
        python
            .args(["-c", LAUNCHER])
            .arg(&rules)
            .arg(serve.get_program())
            .args(serve.get_args());
        let serving = Serving::of(Background::start(python), 1);
        Some(Faulty {
            serving,
            rules,
            _folder: folder,
        })
    }

    /// From now on these fail, and nothing else: system calls, and a part of the path of what they work on.
    pub(crate) fn fail(&self, calls: &[&str], part: &str) {
        let rules: Vec<String> = calls.iter().map(|call| format!("{call} {part}\n")).collect();
        let new = self.rules.with_extension("new");
        fs::write(&new, rules.concat()).expect("rules");
        fs::rename(&new, &self.rules).expect("rules");
    }

    /// From now on nothing fails; what has failed since this was asked for last.
    pub(crate) fn mend(&self) -> String {
        self.fail(&[], "");
        let hits = self.rules.with_extension("hits");
        let failed = fs::read_to_string(&hits).unwrap_or_default();
        let _ = fs::remove_file(&hits); // there is none when nothing has failed
        failed
    }
}
