//! Datagrams as they are printed: text, a hex dump, or JSON.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sockeye::{Address, interface_name};
use sockeye_proto::daytime::Civil;
use sockeye_proto::hexdump::Hexdump;
use sockeye_proto::text::Encoding;

use crate::hex::hex;
use crate::terminal::harmless;

/// The longest datagram of UDP over IPv4: 65,535 bytes less the headers of IP and UDP (RFC 768, RFC 791).
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// Options of all that prints datagrams.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Format {
    /// Print bytes in hexadecimal, not as text
    #[arg(long)]
    pub(crate) hex: bool,
    /// The encoding of texts, sent and received: utf-8, gbk, any of encoding.spec.whatwg.org
    #[arg(long, value_name = "LABEL", default_value = "utf-8")]
    pub(crate) encoding: Encoding,
    /// Print JSON, an object a line (docs/datagrams.md)
    #[arg(long)]
    pub(crate) json: bool,
}

/// What programs read of a datagram's bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Format {
    /// The bytes for programs.
    pub(crate) fn content(&self, bytes: &[u8]) -> Content {
        Content {
            bytes: bytes.len(),
            text: (!self.hex).then(|| self.encoding.decode(bytes).into_owned()),
            hex: self.hex.then(|| hex(bytes)),
        }
    }

    /// The bytes for people, behind words about them: a line, or a line and a hex dump.
    pub(crate) fn line(&self, words: &str, bytes: &[u8]) -> String {
        match self.hex {
            true => format!("{words}{} bytes\n{}", bytes.len(), Hexdump::new().dump(bytes)),
            false => format!("{words}{}\n", self.text(bytes)),
        }
    }

    /// The bytes alone: what a person reads at a terminal can't steer it, and a program gets the text as it is.
    pub(crate) fn answer(&self, bytes: &[u8]) -> String {
        if self.hex {
            return Hexdump::new().dump(bytes);
        }
        let text = self.encoding.decode(bytes);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        match io::stdout().is_terminal() {
            true => body.lines().map(|line| harmless(line) + "\n").collect(),
            false => format!("{body}\n"),
        }
    }

    /// One line, without the newline at its end, if it has one.
    fn text(&self, bytes: &[u8]) -> String {
        let text = self.encoding.decode(bytes);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        harmless(body.strip_suffix('\r').unwrap_or(body))
    }

    /// The bytes of a text, if its encoding has all of it and a datagram can hold them.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u8>, String> {
        if let Some(letter) = self.encoding.lacks(text) {
            return Err(format!("{} has no `{}`", self.encoding, letter.escape_debug()));
        }
        let bytes = self.encoding.encode(text).into_owned();
        match bytes.len() <= MAX_DATAGRAM {
            true => Ok(bytes),
            false => Err(format!(
                "the text has {} bytes; a datagram holds {MAX_DATAGRAM} at the most",
                bytes.len()
            )),
        }
    }
}

/// The interface that a link-local address is on.
fn scope(address: &SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        _ => None,
    }
}

/// An address as people know it: IPv4 without its clothes of IPv6, interfaces by their names.
pub(crate) fn plain(address: &Address) -> String {
    match address {
        Address::Inet(inet) => match inet.ip().to_canonical() {
            v4 @ IpAddr::V4(_) => SocketAddr::new(v4, inet.port()).to_string(),
            IpAddr::V6(ip) => match scope(inet).and_then(interface_name) {
                Some(name) => format!("[{ip}%{name}]:{}", inet.port()),
                None => inet.to_string(),
            },
        },
        other => other.to_string(),
    }
}

fn since_1970(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970 with microseconds, as the log has them with milliseconds.
pub(crate) fn unix_time(moment: SystemTime) -> f64 {
    since_1970(moment).as_micros() as f64 / 1e6
}

/// The time of day in UTC, such as `02:49:00.123456Z`.
pub(crate) fn time_of_day(moment: SystemTime) -> String {
    let since = since_1970(moment);
    let at = Civil::at(since.as_secs().cast_signed(), 0);
    let micros = since.subsec_micros();
    format!("{:02}:{:02}:{:02}.{micros:06}Z", at.hour, at.minute, at.second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::json_line;

    const TEXT: Format = Format {
        hex: false,
        encoding: Encoding::UTF_8,
        json: false,
    };

    #[test]
    fn a_datagram_is_one_line_whatever_is_in_it() {
        assert_eq!(TEXT.line("a  ", b"dog\r\n"), "a  dog\n");
        assert_eq!(TEXT.line("", b"dog\n\x1b[2Jcat\n\n"), "dog\\n\\u{1b}[2Jcat\\n\n");
        assert_eq!(TEXT.line("", b"\xff"), "\u{fffd}\n");
        let hex = Format { hex: true, ..TEXT };
        assert_eq!(
            hex.line("a  ", b"dog"),
            "a  3 bytes\n00000000  64 6f 67                                          |dog|\n00000003\n"
        );
    }

    #[test]
    fn programs_get_text_or_bytes() {
        let gbk = Format {
            encoding: Encoding::GBK,
            ..TEXT
        };
        let bytes = gbk.encode("瓜子").expect("short");
        assert_eq!(
            json_line(&gbk.content(&bytes)),
            "{\"bytes\":4,\"text\":\"瓜子\"}\n"
        );
        let hex = Format { hex: true, ..gbk };
        assert_eq!(
            json_line(&hex.content(&bytes)),
            "{\"bytes\":4,\"hex\":\"b9cfd7d3\"}\n"
        );
        assert!(TEXT.encode(&"x".repeat(MAX_DATAGRAM)).is_ok());
        let error = TEXT.encode(&"x".repeat(MAX_DATAGRAM + 1)).expect_err("too long");
        assert!(error.contains("65508") && error.contains("65507"), "{error}");
        assert_eq!(gbk.encode("瓜子 ☃"), Err("gbk has no `☃`".to_owned()));
    }

    #[test]
    fn moments_and_addresses() {
        let moment = UNIX_EPOCH + Duration::from_micros(1_795_229_340_000_123);
        assert_eq!(time_of_day(moment), "02:49:00.000123Z");
        assert!((unix_time(moment) - 1_795_229_340.000_123).abs() < 1e-6);
        for (address, expected) in [
            ("[::ffff:10.9.1.1]:80", "10.9.1.1:80"),
            ("[fe80::1%1]:80", "[fe80::1%lo]:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("10.9.1.1:80", "10.9.1.1:80"),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(plain(&address.into()), expected);
        }
    }
}
