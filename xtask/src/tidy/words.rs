//! Words that must not stand in some place.

use super::Finding;
use super::source::Source;

/// Which lines a ban is about.
enum Lines {
    All,
    Tests,
    Shipped,
}

/// Words, where they are banned, and why.
struct Ban {
    words: &'static [&'static str],
    /// Beginnings of paths; empty is everywhere.
    places: &'static [&'static str],
    /// Beginnings of paths where it doesn't hold.
    except: &'static [&'static str],
    lines: Lines,
    why: &'static str,
}

const CRATES: &[&str] = &["crates/"];
const PROTO: &[&str] = &["crates/sockeye-proto/"];
const LIBRARIES: &[&str] = &[
    "crates/sockeye/",
    "crates/sockeye-proto/",
    "crates/sockeye-services/",
    "crates/sockeye-console/",
];

/// What runs before anything is served, when no loop can be held up.
const BEFORE_SERVING: &[&str] = &[
    "crates/sockeye-services/src/data.rs",
    "crates/sockeye-services/src/store/sqlite/migrations.rs",
];

const BANS: &[Ban] = &[
    Ban {
        words: &["todo!", "unimplemented!", "dbg!"],
        places: &[],
        except: &[],
        lines: Lines::All,
        why: "what is merged is finished",
    },
    Ban {
        words: &["#[ignore]"],
        places: &[],
        except: &[],
        lines: Lines::All,
        why: "say why a test is left out: #[ignore = \"…\"]",
    },
    Ban {
        words: &[".unwrap()"],
        places: CRATES,
        except: &[],
        lines: Lines::Shipped,
        why: "handle it, or say with expect why it cannot happen",
    },
    Ban {
        words: &[
            "std::thread::sleep",
            "thread::sleep",
            "tokio::time::sleep",
            "time::sleep",
        ],
        places: &[],
        except: &[],
        lines: Lines::Tests,
        why: "a test waits for the event, never for a time",
    },
    Ban {
        words: &[
            "tokio::time",
            "time::timeout",
            "std::thread::sleep",
            "thread::sleep",
        ],
        places: &["crates/sockeye-services/", "crates/sockeye-proto/"],
        except: BEFORE_SERVING,
        lines: Lines::Shipped,
        why: "time is the driver's: use the library's deadlines, which every model keeps",
    },
    Ban {
        words: &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "UnixDatagram",
            "ToSocketAddrs",
        ],
        places: PROTO,
        except: &[],
        lines: Lines::Shipped,
        why: "a codec opens no socket: bytes come in as arguments",
    },
    Ban {
        words: &[
            "Instant::now",
            "SystemTime::now",
            "std::time::Instant::now",
            "std::time::SystemTime::now",
        ],
        places: PROTO,
        except: &[],
        lines: Lines::Shipped,
        why: "a codec reads no clock: time comes in as an argument",
    },
    Ban {
        words: &[
            "tokio",
            "async",
            ".await",
            "std::fs",
            "std::process",
            "std::thread",
            "io::stdin",
            "io::stdout",
        ],
        places: PROTO,
        except: &[],
        lines: Lines::Shipped,
        why: "a codec does no input or output and waits for nothing",
    },
    Ban {
        words: &["sqlx"],
        places: CRATES,
        except: &[
            "crates/sockeye-services/src/store/sqlite",
            "crates/sockeye-services/Cargo.toml",
        ],
        lines: Lines::All,
        why: "only store/sqlite/ knows of a database; others ask the trait",
    },
    Ban {
        words: &["print!", "println!", "eprint!", "eprintln!"],
        places: LIBRARIES,
        except: &[],
        lines: Lines::Shipped,
        why: "only the binary speaks to the terminal; a library returns values or traces",
    },
];

fn within(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

/// Finds the banned words.
pub(super) fn check(source: &Source, found: &mut Vec<Finding>) {
    for ban in BANS
        .iter()
        .filter(|b| b.places.is_empty() || within(source, b.places))
        .filter(|b| !within(source, b.except))
    {
        for word in ban.words {
            for line in source.words(word).map(|at| source.line(at)) {
                let banned = match ban.lines {
                    Lines::All => true,
                    Lines::Tests => source.is_test(line),
                    // An example is a small program, which may talk and give up.
                    Lines::Shipped => !source.is_test(line) && !source.path.contains("/examples/"),
                };
                if banned {
                    found.push(Finding::new(&source.path, line, format!("`{word}`"), ban.why));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        findings(check, path, text)
    }

    #[test]
    fn unwrap_is_for_tests() {
        let text = "a.unwrap();\nb.unwrap_or(1);\n#[cfg(test)]\nmod t { c.unwrap(); }\n// d.unwrap()\n";
        assert_eq!(lines("crates/sockeye/src/dial.rs", text), [1]);
        assert_eq!(lines("crates/sockeye/tests/dial.rs", text), Vec::<usize>::new());
    }

    #[test]
    fn tests_do_not_sleep() {
        assert_eq!(
            lines(
                "crates/x/tests/a.rs",
                "std::thread::sleep(d);\ntokio::time::sleep(d).await;"
            ),
            [1, 2]
        );
        assert_eq!(
            lines("crates/x/tests/a.rs", "sockeye::time::sleep(d).await;"),
            Vec::<usize>::new()
        );
        assert_eq!(
            lines("crates/x/src/a.rs", "std::thread::sleep(d);"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn services_leave_time_to_the_driver() {
        assert_eq!(
            lines(
                "crates/sockeye-services/src/echo.rs",
                "use tokio::time;\nuse tokio::io;"
            ),
            [1]
        );
    }

    #[test]
    fn codecs_are_pure() {
        let text =
            "use std::net::IpAddr;\nuse std::net::{TcpStream};\nlet t = Instant::now();\nasync fn f() {}";
        assert_eq!(lines("crates/sockeye-proto/src/frame.rs", text), [2, 3, 4]);
    }

    #[test]
    fn libraries_do_not_print() {
        assert_eq!(lines("crates/sockeye/src/a.rs", "println!(\"x\");"), [1]);
        assert_eq!(
            lines("crates/sockeye-cli/src/a.rs", "println!(\"x\");"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn an_ignored_test_says_why() {
        assert_eq!(
            lines(
                "crates/x/tests/a.rs",
                "#[ignore]\nfn a() {}\n#[ignore = \"needs vsock\"]\nfn b() {}"
            ),
            [1]
        );
    }
}
