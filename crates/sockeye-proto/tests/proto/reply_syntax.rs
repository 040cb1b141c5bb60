//! How rules are read, and what is said of those that cannot be.

use sockeye_proto::reply::{MAX_RULE, MAX_RULES, Problem, Rules};

fn error(text: &str) -> String {
    match Rules::parse(text) {
        Ok(rules) => panic!("{text} gave {} rules", rules.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn blank_lines_and_comments_count_as_lines_only() {
    let text = "\u{feff}# rules\r\n\r\n  a => b\r\n\t# more\r\n\tc => d \r\n";
    let rules = Rules::parse(text).expect("a file from Windows");
    assert_eq!(rules.len(), 2);
    assert_eq!(rules.answer("c").expect("the second").text, "d");
    assert_eq!(Rules::parse("\n# nothing\n").expect("no rules").len(), 0);

    let error = Rules::parse("# one\n\na => b\nbroken\n").expect_err("no arrow");
    assert_eq!((error.number, error.problem), (4, Problem::NoArrow));
}

#[test]
fn two_semicolons_part_rules_on_the_command_line() {
    let rules =
        Rules::parse_inline(r"a => 1;;b => 2 ;; ;;/;x/ => 3; \;; 4 ;;c => 瓜;\;").expect("four rules");
    assert_eq!(rules.len(), 4);
    for (message, answer) in [("a", "1"), ("b", "2"), (";x", "3; ;; 4"), ("c", "瓜;;")] {
        assert_eq!(rules.answer(message).expect(message).text, answer);
    }
    let rules = Rules::parse_inline("a => 1\nb => 2;;c => 3").expect("three rules");
    assert_eq!(rules.len(), 3);
    // A file has no need of them.
    let rules = Rules::parse("a => 1;;b => 2").expect("one rule");
    assert_eq!(rules.answer("a").expect("it matches").text, "1;;b => 2");

    let error = Rules::parse_inline("a => 1;; b").expect_err("no arrow");
    assert_eq!(
        error.to_string(),
        "rules, rule 2: no `=>` in it: write PATTERN => ANSWER"
    );
}

#[test]
fn errors_name_the_line_and_say_what_to_do() {
    for (rule, message) in [
        ("hello", "no `=>` in it: write PATTERN => ANSWER"),
        ("hello = > x", "no `=>` in it: write PATTERN => ANSWER"),
        ("/a/ b => x", "no `=>` in it: write PATTERN => ANSWER"),
        (
            "=> x",
            "no pattern before `=>`: write * for any message, /^$/ for an empty one",
        ),
        (
            "/quit => x",
            "no second `/`: close the regular expression, or write \\/ to begin a glob with a slash",
        ),
        (
            "/a/g => x",
            "unknown flag `g` after the regular expression: use i, m, s or x",
        ),
        ("/(/ => x", "regular expression: unclosed group"),
        (
            r"/(\w{99}){99}/ => x",
            "regular expression too large: ask for fewer repetitions",
        ),
        (
            "[ab => x",
            "no `]` after `[`: close the set, or write \\[ for the sign",
        ),
        (
            "[] => x",
            "no `]` after `[`: close the set, or write \\[ for the sign",
        ),
        (
            "[a- => x",
            "no `]` after `[`: close the set, or write \\[ for the sign",
        ),
        ("[z-a] => x", "the range `z-a` runs backwards: write it as a-z"),
        (
            r"a\d => x",
            r"unknown escape `\d`: write \\ for a backslash; \n, \r, \t, \xHH and \u{H…} are known",
        ),
        (
            r"\xff => \xff",
            r"unknown escape `\x`: write \\ for a backslash; \n, \r, \t, \xHH and \u{H…} are known",
        ),
        (
            r"* => \xff",
            r"`\xff` is not ASCII: answers are text, write the character or its number as \u{H…}",
        ),
        (
            "* => $5",
            "the pattern has no group `5`: only /(…)/ captures; write $$ for a dollar sign",
        ),
        (
            "/(a)/ => $2",
            "the pattern has no group `2`: only /(…)/ captures; write $$ for a dollar sign",
        ),
        (
            "/(a)/ => ${b}",
            "the pattern has no group `b`: only /(…)/ captures; write $$ for a dollar sign",
        ),
        (
            "* => 5 $",
            "a lone `$`: write $$ for a dollar sign, $1 or ${name} for a group",
        ),
        (
            "* => ${1",
            "a lone `$`: write $$ for a dollar sign, $1 or ${name} for a group",
        ),
    ] {
        assert_eq!(
            error(&format!("# first\n{rule}")),
            format!("rules, line 2: {message}"),
            "{rule}"
        );
    }
}

#[test]
fn malformed_escapes_in_answers_are_named() {
    for escape in [
        r"\q",
        r"\",
        r"\x",
        r"\x4",
        r"\xg0",
        r"\x+1",
        r"\u41",
        r"\u{}",
        r"\u{d800}",
        r"\u{110000}",
        r"\u{+41}",
        r"\瓜",
        r"\x瓜",
    ] {
        let error = error(&format!("* => a{escape}"));
        let start = escape.chars().take(2).collect::<String>();
        assert!(
            error.contains(&format!("unknown escape `{start}")),
            "{escape}: {error}"
        );
    }
}

#[test]
fn what_an_error_quotes_controls_no_terminal() {
    for rule in [
        "* => \\\u{1b}[2J",
        "/a/\u{7} => x",
        "[b-\u{1}] => x",
        "* => ${\u{9b}}",
    ] {
        let error = error(rule);
        assert!(
            !error.contains(char::is_control) && error.contains("u{"),
            "{error}"
        );
    }
}

#[test]
fn huge_group_numbers_are_no_group() {
    assert!(error("/(a)/ => $99999999999999999999999").contains("no group `99999999999999999999999`"));
}

#[test]
fn the_length_of_a_rule_is_limited() {
    let rule = |length: usize| format!("* => {}", "x".repeat(length - 5));
    assert!(Rules::parse(&rule(MAX_RULE)).is_ok());
    let error = Rules::parse(&rule(MAX_RULE + 1)).expect_err("one over");
    assert_eq!(
        error.to_string(),
        "rules, line 1: longer than 8192 bytes: shorten it"
    );
}

#[test]
fn the_number_of_rules_is_limited() {
    let text = "# no rule\n".to_owned() + &"a => b\n".repeat(MAX_RULES);
    assert_eq!(Rules::parse(&text).expect("at the limit").len(), MAX_RULES);
    let error = Rules::parse(&(text + "a => b")).expect_err("one over");
    assert_eq!(
        (error.number, error.problem),
        (MAX_RULES + 2, Problem::TooManyRules)
    );
}
