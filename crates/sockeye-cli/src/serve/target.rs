//! `SERVICE@ENDPOINT?NAME=VALUE&…`, taken apart.

use crate::exit::Usage;

/// What an argument says, not yet looked up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) service: &'a str,
    /// `None` is: at the usual port.
    pub(super) endpoint: Option<&'a str>,
    pub(super) query: Vec<(String, String)>,
}

impl<'a> Target<'a> {
    /// The query begins at the first `?`: in the name of a Unix socket it is written `%3F`. In names and values of the
    /// query, `%` and two hexadecimal digits stand for any byte (RFC 3986), which `&` and `%` themselves need.
    pub(super) fn read(text: &'a str) -> Result<Self, Usage> {
        let (target, query) = text.split_once('?').unwrap_or((text, ""));
        let (service, endpoint) = match target.split_once('@') {
            Some((service, endpoint)) => (service, Some(endpoint)),
            None if target.contains("://") => {
                let target = target.escape_debug();
                return Err(Usage::new(format!(
                    "which service at {target}? Write SERVICE@ENDPOINT, such as echo@{target}"
                )));
            }
            None => (target, None),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, Usage>>()?;
        Ok(Target {
            service,
            endpoint,
            query,
        })
    }
}

fn decode(text: &str) -> Result<String, Usage> {
    let wrong = |why| {
        let text = text.escape_debug();
        Usage::new(format!(
            "`{text}`: {why}; write %25 for a percent sign and %26 for an ampersand"
        ))
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(wrong("a `%` needs two hexadecimal digits behind it"));
        };
        bytes.push((high << 4 | low) as u8);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong("its bytes are no UTF-8"))
}

/// What is taken apart can be put together again, and an error carries nothing to a terminal that would control it.
#[cfg(any(test, fuzzing))]
pub(super) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let encoded = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    match Target::read(text) {
        Ok(target) => {
            let pairs = target.query.iter();
            let pairs = pairs.map(|(name, value)| format!("&{}={}", encoded(name), encoded(value)));
            let at = target
                .endpoint
                .map_or(String::new(), |endpoint| format!("@{endpoint}"));
            let again = format!("{}{at}?{}", target.service, pairs.collect::<String>());
            assert!(Target::read(&again).is_ok_and(|again| again == target), "{again}");
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(target: &Target<'_>) -> Vec<(String, String)> {
        target.query.clone()
    }

    #[test]
    fn takes_arguments_apart() {
        let target =
            Target::read("reply@tcp://[::1]:7788?encoding=gbk&rule=a%26b => 100%25&nodelay").expect("fine");
        assert_eq!(
            (target.service, target.endpoint),
            ("reply", Some("tcp://[::1]:7788"))
        );
        let expected = [("encoding", "gbk"), ("rule", "a&b => 100%"), ("nodelay", "")];
        assert_eq!(
            pairs(&target),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let target = Target::read("echo@unix:@name?rule=what? => that").expect("fine");
        assert_eq!(target.endpoint, Some("unix:@name"));
        assert_eq!(pairs(&target), [("rule".to_owned(), "what? => that".to_owned())]);
        let target = Target::read("echo").expect("fine");
        assert_eq!((target.service, target.endpoint), ("echo", None));
        assert_eq!(
            Target::read("echo?rule=%E4%BD%A0").expect("fine").query[0].1,
            "你"
        );
    }

    #[test]
    fn what_was_kept_of_fuzzing_holds() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/query");
        let seeds: Vec<_> = std::fs::read_dir(folder).expect("a folder").collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            holds(&std::fs::read(seed.expect("an entry").path()).expect("a file"));
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (text, words) in [
            ("tcp://:80", "which service at tcp://:80?"),
            ("echo?a=%", "two hexadecimal digits"),
            ("echo?a=%g0", "two hexadecimal digits"),
            ("echo?a=%+1", "two hexadecimal digits"),
            ("echo?a=%ff", "no UTF-8"),
            ("tcp://\u{1b}[2J", "which service at tcp://\\u{1b}[2J?"),
            ("echo?\u{1b}[2J%", "`\\u{1b}[2J%`"),
        ] {
            let error = Target::read(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
