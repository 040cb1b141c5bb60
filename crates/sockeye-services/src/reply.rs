//! `reply`: answers each message by rules, `pattern => answer`.
//!
//! The rules are those of [`sockeye_proto::reply`]: the first whose pattern matches answers, `=>!` closes after its
//! answer. Without any, each message is answered with 服务器已经收到你的信息 ("the server has got your message"), and 拜拜
//! ("bye") with `over` and the close. A datagram is one message; there is nothing to close after it.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use crate::settings::{Setting, Settings, wrong};
use crate::shield::Answers;
use crate::text::{self, Manner, TextConnection};
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};
use sockeye_proto::framing::TooLong;
use sockeye_proto::reply::{Answer, Rules};
use std::fs::File;
use std::io::{self, Read};

/// What it says when nobody has told it what to say.
pub const USUAL_RULES: &str = "拜拜 =>! over\n* => 服务器已经收到你的信息";

/// The greatest file of rules that is read: 1000 rules of a few lines each, and far less than what would hurt.
const MAX_RULES_FILE: u64 = 16 << 20;

/// Its row in the [catalog](crate::catalog).
pub const SERVICE: Service = Service {
    name: "reply",
    port: 7788,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "answers each message by rules: pattern => answer",
    try_stream: "echo 你好 | {nc}",
    try_packets: "echo 你好 | {nc}",
    settings: &[SETTINGS, text::SETTINGS],
    make: |settings| {
        let reply = Reply::from_settings(settings)?;
        let longest = reply.longest();
        Ok(Starter::shielded(reply, Answers::Everything, settings).says(longest))
    },
};

const SETTINGS: &[Setting] = &[
    Setting {
        name: "rule",
        value: "PATTERN=>ANSWER",
        about: "a rule, tried in order; `;;` parts several, `=>!` closes",
        repeats: true,
    },
    Setting {
        name: "rules",
        value: "FILE",
        about: "a file of rules, one a line, tried after those of `rule`",
        repeats: false,
    },
];

/// Answers by rules.
pub struct Reply {
    /// In the order in which they are tried.
    rules: Vec<Rules>,
    manner: Manner,
}

impl Reply {
    /// Answers by these rules, speaking in this manner.
    pub fn new(rules: Rules, manner: Manner) -> Self {
        let rules = vec![rules];
        Reply { rules, manner }
    }

    /// What the user has set.
    ///
    /// # Errors
    /// When a rule can't be read, or the manner makes no sense.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let manner = Manner::from_settings(settings)?;
        let mut rules = Vec::new();
        for (name, text) in settings.iter().filter(|(name, _)| *name == "rule") {
            rules.push(Rules::parse_inline(text).map_err(|error| wrong(name, text, error.to_string()))?);
        }
        if let Some(path) = settings.value("rules") {
            let text = read_rules(path).map_err(|error| wrong("rules", path, error.to_string()))?;
            rules.push(Rules::parse(&text).map_err(|error| wrong("rules", path, error.to_string()))?);
        }
        if rules.iter().all(Rules::is_empty) {
            if let Some((name, text)) = settings.iter().find(|(name, _)| name.starts_with("rule")) {
                return Err(wrong(name, text, "there is no rule in it").advise("write PATTERN => ANSWER"));
            }
            let usual = Rules::parse(USUAL_RULES);
            rules.push(usual.map_err(|error| wrong("rule", USUAL_RULES, error.to_string()))?);
        }
        Ok(Reply { rules, manner })
    }

    /// What it says to a datagram, if it says anything.
    ///
    /// ```
    /// use sockeye_proto::reply::Rules;
    /// use sockeye_services::{reply::Reply, text::Manner};
    /// let reply = Reply::new(Rules::parse_inline("ping => pong").expect("a rule"), Manner::default());
    /// assert_eq!(reply.to_datagram(b"ping\n").as_deref(), Some(&b"pong\n"[..]));
    /// assert_eq!(reply.to_datagram(b"?"), None);
    /// ```
    pub fn to_datagram(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let encoding = self.manner.encoding;
        let Some((text, newline)) = self.manner.of_datagram(datagram) else {
            let limit = self.manner.max_message;
            let refusal = format!("error: {}\n", TooLong { limit });
            return Some(encoding.encode(&refusal).into_owned());
        };
        let answer = self.to(&text).filter(|answer| !answer.text.is_empty())?;
        Some(encoding.encode(&answer.followed_by(newline)).into_owned())
    }

    /// How many bytes the longest answer has, without what it takes from the message.
    pub fn longest(&self) -> usize {
        let literals = self.rules.iter().flat_map(Rules::literals);
        let bytes = literals.map(|text| self.manner.encoding.encode(&text).len());
        bytes.max().unwrap_or(0)
    }

    fn to(&self, message: &str) -> Option<Answer> {
        self.rules.iter().find_map(|rules| rules.answer(message))
    }
}

/// Reads a file of rules, but no endless one.
fn read_rules(path: &str) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_RULES_FILE + 1)
        .read_to_string(&mut text)?;
    match read as u64 > MAX_RULES_FILE {
        true => Err(io::Error::other(
            "it has more than 16 MiB, which no set of rules has",
        )),
        false => Ok(text),
    }
}

impl Handler for Reply {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut talk = TextConnection::new(conn, self.manner);
        while let Some(message) = talk.next_message().await? {
            let Some(answer) = self.to(&message.text) else {
                continue;
            };
            talk.answer(&answer.text).await?;
            if answer.close {
                break;
            }
        }
        talk.flush().await
    }
}

impl PacketHandler for Reply {
    async fn handle(&self, packet: Packet) -> Result<()> {
        match self.to_datagram(packet.data()) {
            Some(answer) => packet.reply(answer).await,
            None => Ok(()),
        }
    }
}
