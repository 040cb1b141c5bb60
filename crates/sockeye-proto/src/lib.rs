//! Sockeye's codecs and dialogues as pure state machines.
//!
//! Nothing here opens a socket, reads a clock, waits or spawns. Bytes come in as slices and time
//! comes in as a [`Duration`](std::time::Duration) since a start of the caller's choosing, so a test
//! can try every way that a network may cut a stream, and any model of concurrency can drive it.
//!
//! # The map
//!
//! | module | what it holds | who uses it |
//! |---|---|---|
//! | [`framing`] | where a message of a text service ends: `auto`, `lines`, `chunk` | chat, shop, reply |
//! | [`text`] | the encoding of a text service: `utf-8`, `gbk`, `gb18030`, any WHATWG label | the same |
//! | [`frames`] | a length and that many bytes of JSON, raw bytes between them | files, whoever logs in |
//! | [`files`] | the file service's requests, answers and paths | files and its client |
//! | [`reply`] | rules from a pattern to an answer | the service `reply` |
//! | [`shop`] | the dialogue of the shop, in Chinese and English | the service `shop`, its client |
//! | [`money`] | amounts in whole cents | the same |
//! | [`ask`] | when to ask again, and when to stop waiting | clients of datagrams |
//! | [`daytime`] | the date as a line of text, RFC 867 | the service `daytime` |
//! | [`chargen`] | the endless pattern of characters, RFC 864 | the service `chargen` |
//! | [`challenge`] | the legacy proof of a shared secret: an HMAC of random bytes | `auth=challenge`, its clients |
//! | [`scram`] | SCRAM-SHA-256 and -PLUS, both sides: a password is proved and never told | `auth=scram`, its clients |
//! | [`tls`] | how bytes of TLS are known where none is spoken | whoever reads frames or texts |
//! | [`icmp`] | echo requests and replies of ICMP and ICMPv6 | `ping`, of `sockeye info` |
//! | [`harmless`] | words of a peer, for a terminal | whoever prints any |
//! | [`hexdump`] | bytes as `hexdump -C` prints them | `nc --hex`, listeners that show traffic |
//!
//! # A text service in one screen
//!
//! Bytes are framed into messages, a message is decoded, a rule answers it, the answer is encoded:
//!
//! ```
//! use std::time::Duration;
//! use sockeye_proto::framing::{Framer, Framing, MAX_MESSAGE};
//! use sockeye_proto::{reply::Rules, text::Encoding};
//!
//! let rules = Rules::parse("拜拜 =>! over\n* => 服务器已经收到你的信息")?;
//! let encoding: Encoding = "gbk".parse()?;
//! let mut framer = Framer::new(Framing::Auto, MAX_MESSAGE);
//!
//! let now = Duration::ZERO;
//! framer.feed(&encoding.encode("拜拜\n"), now);
//! let message = framer.next(now)?.expect("the line is complete");
//! let answer = rules.answer(&encoding.decode(message.body())).expect("the first rule matches");
//! assert!(answer.close);
//! assert_eq!(*encoding.encode(&answer.followed_by(message.newline())), *b"over\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What never happens here
//!
//! - No input of a peer can panic, loop, or make a codec hold more than a named limit.
//! - No codec asks what time it is, or keeps a buffer while it has nothing to hold.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod ask;
pub mod challenge;
pub mod chargen;
pub mod daytime;
pub mod files;
pub mod frames;
pub mod framing;
pub mod harmless;
pub mod hexdump;
pub mod icmp;
pub mod money;
pub mod reply;
pub mod scram;
pub mod shop;
pub mod text;
pub mod tls;
