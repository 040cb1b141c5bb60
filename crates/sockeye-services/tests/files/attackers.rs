//! Names that lead out, and links that change under the service's hands.

use super::client::{Client, serve};
use serde_json::json;
use sockeye::Model;
use sockeye_services::settings::Settings;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

const NAMES: usize = 10_000;

/// What hostile paths are made of.
const PARTS: &[&str] = &[
    "..",
    ".",
    "/",
    "//",
    "\\",
    "\0",
    "\n",
    "\u{7f}",
    "\u{85}",
    "\u{fffe}",
    "a",
    "%2e%2e",
    "..%2f",
    "~",
    "-rf",
    "\u{202e}",
    "\u{ff0e}\u{ff0e}",
    "con",
    "\u{301}",
    ".sockeye",
    "...",
    " ",
    "*",
    "文",
    "proc",
    "etc",
    "passwd",
    "../",
    "/..",
    ":",
];

fn hostile(random: &mut fastrand::Rng) -> String {
    let count = random.usize(1..8);
    let mut path: String = (0..count).map(|_| PARTS[random.usize(..PARTS.len())]).collect();
    match random.u8(..40) {
        0 => path.push_str(&"x".repeat(random.usize(200..5000))),
        1 => path = vec!["d"; random.usize(60..70)].join("/"),
        2 => path.insert_str(0, "../../../../etc/"),
        _ => {}
    }
    path
}

/// Everything below a folder, without following anything.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a kind").is_dir() {
            found.extend(below(&entry.path()));
        }
        found.push(entry.path().to_string_lossy().into_owned());
    }
    found.sort();
    found
}

/// Becomes the program behind it, for which the kernel has no `openat2(2)`.
const WITHOUT_OPENAT2: &str = r#"
import ctypes, os, struct, sys
OPENAT2, ENOSYS = 437, 38
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, OPENAT2), (0x06, 0, 0, 0x00050000 | ENOSYS), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("=HBBI", *step) for step in steps)
held = ctypes.create_string_buffer(code, len(code))
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
filter = Filter(len(steps), ctypes.cast(held, ctypes.c_void_p))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
if libc.prctl(22, 2, ctypes.byref(filter)) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit(os.strerror(ctypes.get_errno()))
if libc.syscall(OPENAT2, -1, None, None, 0) != -1 or ctypes.get_errno() != ENOSYS:
    sys.exit("there is an openat2 all the same")
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn an_older_kernel_is_no_help_to_them() {
    let this = std::env::current_exe().expect("the path of this program");
    let output = Command::new("python3")
        .args(["-c", WITHOUT_OPENAT2])
        .arg(this)
        .args([
            "--exact",
            "attackers::ten_thousand_hostile_names_write_nothing_elsewhere",
            "attackers::a_link_that_comes_and_goes_leads_nowhere",
            "dialogue::a_whole_conversation_under_every_model",
            "dialogue::folders_are_listed_in_order_and_in_pages",
        ])
        .output()
        .expect("python3");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("4 passed"), "{said}");
}

#[test]
fn ten_thousand_hostile_names_write_nothing_elsewhere() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let served = serve(Model::default(), Settings::new().set("no-sync", "true"));
    let mut client = Client::of(&served);
    client.small("before", b"").expect("a receipt");
    let mut writer = client.twin();
    let names: Vec<String> = (0..NAMES).map(|_| hostile(&mut random)).collect();
    let answered = std::thread::scope(|scope| {
        scope.spawn(|| {
            for name in &names {
                writer.send_small(name, b"pwned", json!({"sync": false}));
                writer.send("stat", json!({"path": name}));
            }
        });
        let mut answered = Vec::new();
        for _ in &names {
            let upload = client.frame().expect("an answer");
            let stat = client.frame().expect("an answer");
            answered.push((upload.get("ok").is_some(), stat.get("ok").is_some()));
        }
        answered
    });
    let mut refused = 0;
    for (name, (uploaded, found)) in names.iter().zip(answered) {
        let good = sockeye_proto::files::Path::parse(name).is_ok();
        assert!(good || !(uploaded || found && !name.is_empty()), "{name:?}");
        refused += usize::from(!good);
        if uploaded {
            assert_eq!(
                fs::read(served.file(name)).expect("the file"),
                b"pwned",
                "{name:?}"
            );
        }
    }
    assert!(refused > NAMES / 4 && refused < NAMES, "{refused} refused");
    let root = served.data.join("files/everybody");
    let outside: Vec<String> = below(&served.data)
        .into_iter()
        .filter(|path| !Path::new(path).starts_with(&root))
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes == b"pwned"))
        .collect();
    assert_eq!(outside, Vec::<String>::new());
}

#[test]
fn a_link_that_comes_and_goes_leads_nowhere() {
    let served = serve(Model::default(), Settings::new().set("no-sync", "true"));
    let mut client = Client::of(&served);
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    client.get("mkdir", json!({"path": "door"}));
    let (door, link, real) = (served.file("door"), served.file("link"), served.file("real"));
    symlink(outside.path(), &link).expect("a link");
    let before = below(outside.path());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The folder and the link change places all the time.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = fs::rename(&door, &real).and_then(|()| fs::rename(&link, &door));
                let _ = fs::rename(&door, &link).and_then(|()| fs::rename(&real, &door));
            }
        });
        for number in 0..200 {
            client.send_small(&format!("door/f{number}"), b"x", json!({"sync": false}));
            let _ = client.answer(); // either, as the door stands
            assert!(client.download(json!({"path": "door/secret"})).is_err());
            for (operate, about) in [
                ("stat", json!({"path": "door/secret"})),
                ("remove", json!({"path": "door/secret"})),
                (
                    "mkdir",
                    json!({"path": format!("door/d{number}/e"), "parents": true}),
                ),
                (
                    "move",
                    json!({"path": "door/secret", "to": format!("stolen{number}")}),
                ),
                (
                    "remove",
                    json!({"path": format!("door/d{number}"), "recursive": true}),
                ),
            ] {
                let outcome = client.ask(operate, about);
                assert!(
                    outcome.is_err() || operate == "mkdir" || operate == "remove",
                    "{operate}"
                );
            }
            if let Ok(list) = client.ask("list", json!({"path": "", "recursive": true})) {
                assert!(!list.to_string().contains("secret"), "{list}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(below(outside.path()), before);
    assert_eq!(
        fs::read(outside.path().join("secret")).expect("the file"),
        b"secret"
    );
}
