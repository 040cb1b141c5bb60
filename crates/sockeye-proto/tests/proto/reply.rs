//! What rules answer.

use crate::properties::reply as properties;
use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_proto::reply::{Answer, MAX_ANSWER, Rules};

fn rules(text: &str) -> Rules {
    Rules::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn said(rules: &Rules, message: &str) -> Option<String> {
    rules.answer(message).map(|answer| answer.text)
}

#[test]
fn the_tutorials_dialogues_are_rules() {
    let thanks = rules("* =>! thank you !");
    for message in ["hello", "", "拜拜", "two\nlines"] {
        let answer = Answer {
            text: "thank you !".to_owned(),
            close: true,
        };
        assert_eq!(thanks.answer(message), Some(answer), "{message:?}");
    }

    let received = rules("拜拜 =>! over\n* => 服务器已经收到你的信息");
    let answer = Answer {
        text: "over".to_owned(),
        close: true,
    };
    assert_eq!(received.answer("拜拜"), Some(answer));
    for message in ["你好", "拜拜拜拜", "bye"] {
        let answer = Answer {
            text: "服务器已经收到你的信息".to_owned(),
            close: false,
        };
        assert_eq!(received.answer(message), Some(answer));
    }

    let dog = rules("dog => cat");
    assert_eq!(said(&dog, "dog").as_deref(), Some("cat"));
}

#[test]
fn the_first_rule_that_matches_wins_and_none_is_silence() {
    let rules = rules("a* => first\nab => never\nb => second");
    assert_eq!(said(&rules, "ab").as_deref(), Some("first"));
    assert_eq!(said(&rules, "b").as_deref(), Some("second"));
    assert_eq!(rules.answer("c"), None);
    assert_eq!(rules.answer(""), None);
    assert_eq!((rules.len(), rules.is_empty()), (3, false));
    assert_eq!(Rules::default().answer("anything"), None);
}

#[test]
fn globs_match_the_whole_message() {
    for (glob, yes, no) in [
        (
            "hello",
            &["hello"][..],
            &["Hello", "hello ", "hell", "say hello"][..],
        ),
        ("*", &["", "a", "a\nb", "*"], &[]),
        ("a*b", &["ab", "a b", "aXbXb", "a\nb"], &["a", "b", "abc", "xab"]),
        ("?", &["a", "瓜", "\n"], &["", "ab"]),
        ("??子", &["买瓜子"], &["瓜子"]),
        ("[abc]", &["a", "b", "c"], &["d", "", "ab", "[abc]"]),
        ("[a-c][0-9]", &["a0", "c9"], &["d0", "a-"]),
        ("[!a-c]", &["d", "!", "瓜", "\n"], &["a", "b", ""]),
        ("[^a]", &["b", "^"], &["a"]),
        ("[]]", &["]"], &["[", ""]),
        ("[]a]", &["]", "a"], &["[]a]"]),
        ("[!]]", &["a"], &["]"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[-a]", &["a", "-"], &["b"]),
        (r"[\]\-x]", &["]", "-", "x"], &["\\", "a"]),
        ("[瓜-西]", &["瓜", "西"], &["a"]),
        ("[&&~~[:a:]", &["&", "~", "[", ":", "a"], &["b"]),
        ("[--0]", &["-", ".", "0"], &["a"]),
        (r"\*", &["*"], &["a", r"\*", ""]),
        (r"a\?b\[c\]\\", &[r"a?b[c]\"], &["axb[c]\\"]),
        (r"a\=>b", &["a=>b"], &["ab"]),
        ("a=b>c", &["a=b>c"], &[]),
        (r"\/quit", &["/quit"], &["quit"]),
        (r"\#1", &["#1"], &["1"]),
        (r"a\nb\tc\r", &["a\nb\tc\r"], &["anbtcr"]),
        ("a.b+c(d)|e{2}^$", &["a.b+c(d)|e{2}^$"], &["aXb+c(d)|e{2}^$"]),
        (r"(?i)a*", &["(Xi)ab"], &["A", "a"]),
        ("[ ]x[ ]", &[" x "], &["x"]),
        ("two words", &["two words"], &["twowords"]),
    ] {
        let rules = rules(&format!("{glob} => yes"));
        for message in yes {
            assert!(rules.answer(message).is_some(), "{glob} should match {message:?}");
        }
        for message in no {
            assert!(
                rules.answer(message).is_none(),
                "{glob} should not match {message:?}"
            );
        }
    }
}

#[test]
fn regular_expressions_match_anywhere_and_take_flags() {
    for (rule, yes, no) in [
        ("/b+/", &["b", "abba"][..], &["B", "", "a"][..]),
        ("/^b+$/", &["b", "bb"], &["abba", "b\n"]),
        ("/B/i", &["b", "B"], &["a"]),
        ("/^b/m", &["b", "a\nb"], &["ab"]),
        ("/a.b/", &["a b"], &["a\nb"]),
        ("/a.b/s", &["a b", "a\nb"], &["ab"]),
        ("/a b # joined/x", &["ab"], &["a b"]),
        ("/A.B/is", &["a\nb"], &["ab"]),
        (r"/a\/b/", &["a/b"], &["ab"]),
        (r"/^\\$/", &["\\"], &["/"]),
        ("/^$/", &[""], &["a"]),
        ("/a=>b/", &["a=>b"], &["a"]),
        (r"/^\w+$/", &["瓜子", "a1"], &["a b"]),
    ] {
        let rules = rules(&format!("{rule} => yes"));
        for message in yes {
            assert!(rules.answer(message).is_some(), "{rule} should match {message:?}");
        }
        for message in no {
            assert!(
                rules.answer(message).is_none(),
                "{rule} should not match {message:?}"
            );
        }
    }
}

#[test]
fn answers_hold_escapes_and_groups() {
    for (rule, message, answer) in [
        (r"* => a\nb\r\n\tc\\d\;", "", "a\nb\r\n\tc\\d;"),
        (r"* => \x20\x41\x7f\x20", "", " A\u{7f} "),
        (r"* => \u{1f41f}\u{A}", "", "🐟\n"),
        ("* => costs $$5", "", "costs $5"),
        (r"* => costs \$5", "", "costs $5"),
        ("* => you said: $0", "hi there", "you said: hi there"),
        ("hi => $0 $0", "hi", "hi hi"),
        (r"/(\w+)@(\w+)/ => $2 at $1", "me@home", "home at me"),
        (r"/(\w+)@(\w+)/ => <$0>", "to me@home now", "<me@home>"),
        ("/(?<who>.+)/ => hello ${who}!", "eve", "hello eve!"),
        ("/(.)/ => ${1}0", "x", "x0"),
        ("/a(b)?c/ => [$1]", "ac", "[]"),
        ("/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)/ => $10", "abcdefghij", "j"),
        ("* => # no comment", "", "# no comment"),
        ("* => a => b", "", "a => b"),
        ("* => !", "", "!"),
        ("* =>   ", "", ""),
        ("*=>x", "", "x"),
        ("/a/=>x", "a", "x"),
    ] {
        let rules = rules(rule);
        assert_eq!(said(&rules, message).as_deref(), Some(answer), "{rule}");
        assert!(!rules.answer(message).expect("it matches").close, "{rule}");
    }
}

#[test]
fn the_mark_on_the_arrow_closes() {
    for (rule, text) in [
        ("* =>! over", "over"),
        ("* =>!", ""),
        ("*=>!x", "x"),
        ("* =>! !", "!"),
    ] {
        let answer = Answer {
            text: text.to_owned(),
            close: true,
        };
        assert_eq!(rules(rule).answer("m"), Some(answer), "{rule}");
    }
    assert_eq!(
        rules("/(b)ye/i =>! $1").answer("BYE").map(|a| (a.text, a.close)),
        Some(("B".to_owned(), true))
    );
}

#[test]
fn the_newline_of_the_message_follows_the_answer_once() {
    for (text, newline, expected) in [
        ("over", "", "over"),
        ("over", "\n", "over\n"),
        ("over", "\r\n", "over\r\n"),
        ("over\n", "\n", "over\n"),
        ("over\r\n", "\n", "over\r\n"),
        ("", "\n", ""),
    ] {
        let answer = Answer {
            text: text.to_owned(),
            close: false,
        };
        assert_eq!(answer.followed_by(newline), expected);
    }
}

#[test]
fn an_answer_is_cut_at_its_limit_between_characters() {
    let double = rules("/.+/s => $0$0");
    let half = "x".repeat(MAX_ANSWER / 2);
    assert_eq!(said(&double, &half).map(|text| text.len()), Some(MAX_ANSWER));
    let more = format!("{half}x");
    assert_eq!(said(&double, &more).map(|text| text.len()), Some(MAX_ANSWER));

    // The limit falls inside the three bytes of a character.
    let prefixed = rules("* => x$0!");
    let message = "瓜".repeat(MAX_ANSWER / 3 + 1);
    let text = said(&prefixed, &message).expect("it matches");
    assert!(text.len() <= MAX_ANSWER && text.len() > MAX_ANSWER - 3);
    assert!(text.ends_with('瓜'), "nothing follows the cut");
}

#[test]
fn a_hostile_message_costs_linear_time() {
    // A backtracking matcher would take 2^65536 steps for either of these.
    let rules = rules("/^(a+)+$/ => no\na*a*a*a*a*a*a*a*a*b => no");
    assert_eq!(rules.answer(&format!("{}c", "a".repeat(65_536))), None);
}

proptest! {
    #[test]
    fn an_escaped_glob_matches_its_own_text_only(text in vec(any::<char>(), 1..32), other in any::<String>()) {
        properties::an_escaped_glob_matches_its_own_text_only(&String::from_iter(text), &other);
    }

    #[test]
    fn rules_are_read_or_refused(text in "[*?a\\[\\]!\\\\/=>$0-9{}; \n#xu瓜-]{0,40}", message in any::<String>()) {
        properties::rules_are_read_or_refused(&text, &message);
    }
}
