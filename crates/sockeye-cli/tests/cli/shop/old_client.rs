//! The client of those who learn sockets: a bare `send`, then `recv` of what comes, in GBK.

use std::process::Command;

use super::open;
use crate::sockeye::installed;

const CLIENT: &str = r#"
import socket, sys
s = socket.socket()
s.connect((sys.argv[1], int(sys.argv[2])))
print(s.recv(1024).decode("gbk"))
for wish in ("西瓜", "火箭", "瓜子", "拜拜"):
    s.send(wish.encode("gbk"))
    print(s.recv(1024).decode("gbk"))
print(repr(s.recv(1024)))
s.close()
"#;

const TALK: &str = "\
目前商店还有:瓜子(4.5),西瓜(2),矿泉水(2.5)。请问您需要什么?
购买成功,余额 -2
抱歉,您购买的商品目前没有,请选购其他的。
购买成功,余额 -6.5
欢迎下次光临
b''
";

#[test]
fn the_old_client_buys_under_every_model() {
    if !installed("python3") {
        return;
    }
    for model in sockeye::Model::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = open(folder.path(), model.name(), "shop@tcp://127.0.0.1:0");
        let mut python = Command::new("python3");
        python
            .args(["-c", CLIENT])
            .args(serving.words(0))
            .env("PYTHONIOENCODING", "utf-8");
        let output = python.output().expect("it starts");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            TALK,
            "{model}: {output:?}"
        );
    }
}
