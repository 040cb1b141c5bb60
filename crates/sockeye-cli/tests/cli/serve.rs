//! `sockeye serve`.

use crate::sockeye::run;

#[test]
fn wrong_arguments_are_usage_errors() {
    assert_eq!(run(&["serve", "--no-such-option"]).status.code(), Some(2));
}
