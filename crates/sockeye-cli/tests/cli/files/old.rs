//! The tutorial's server, as a program in Python: our client uploads to it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::Person;
use crate::sockeye::installed;

/// What the tutorial's server does: two frames, and then the bytes. It says nothing.
const SERVER: &str = r#"
import json, socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
conn, peer = listener.accept()
def exactly(count):
    data = b""
    while len(data) < count:
        more = conn.recv(count - len(data))
        if not more:
            raise SystemExit("cut")
        data += more
    return data
def frame():
    (length,) = struct.unpack("<i", exactly(4))
    return json.loads(exactly(length).decode("utf-8"))
request, about = frame(), frame()
with open(sys.argv[1], "wb") as file:
    left = about["filesize"]
    while left > 0:
        data = conn.recv(min(left, 4096))
        if not data:
            raise SystemExit("cut")
        file.write(data)
        left -= len(data)
print(json.dumps([request, about]), flush=True)
"#;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

#[test]
fn the_tutorials_server_gets_its_file() {
    if !installed("python3") {
        return;
    }
    let person = Person::new();
    for (name, size) in [("a.mp4", 300_000), ("字.txt", 5), ("empty", 0)] {
        let bytes = person.file(name, size);
        let mut python = Command::new("python3");
        python
            .args(["-c", SERVER])
            .arg(person.path("got"))
            .stdout(Stdio::piped());
        let mut program = Program(python.spawn().expect("it starts"));
        let mut said = BufReader::new(program.0.stdout.take().expect("a pipe")).lines();
        let port = said.next().expect("a line").expect("text");
        let at = format!("tcp://127.0.0.1:{port}");
        person.does(&["put", "--legacy", "--user", "xiaoming", &at, name]);
        let told = said.next().expect("a line").expect("text");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        let expected = serde_json::json!([
            {"operate": "upload", "user": "xiaoming"},
            {"filename": name, "filesize": size},
        ]);
        assert_eq!(told, expected);
        assert!(program.0.wait().expect("its end").success());
        assert!(fs::read(person.path("got")).expect("there") == bytes);
    }
}
