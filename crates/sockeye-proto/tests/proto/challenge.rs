//! The legacy challenge.

use sockeye_proto::challenge::{CHALLENGE, Digest};

/// 32 bytes, as a server sends them.
fn challenge() -> [u8; CHALLENGE] {
    std::array::from_fn(|i| i as u8)
}

#[test]
fn answers_are_what_pythons_hmac_says() {
    // python3 -c 'import hmac; print(hmac.new(b"secret", bytes(range(32)), "md5").hexdigest())'
    for (digest, expected) in [
        (Digest::Md5, "0daba9e53256b66a2aa1fd3d7346bf04"),
        (
            Digest::Sha256,
            "47860bcbb991426bea828dbf6097dff33339b093e3b9f61d9aef8a052f93e402",
        ),
    ] {
        let answer = digest.answer(b"secret", &challenge());
        assert_eq!(answer, expected);
        assert_eq!(answer.len(), digest.answer_len());
        assert!(digest.accepts(b"secret", &challenge(), answer.as_bytes()));
    }
}

#[test]
fn nothing_but_the_answer_itself_is_accepted() {
    for digest in Digest::ALL {
        let answer = digest.answer(b"secret", &challenge());
        let mut other = challenge();
        other[31] ^= 1;
        assert!(
            !digest.accepts(b"secret", &other, answer.as_bytes()),
            "another challenge"
        );
        assert!(
            !digest.accepts(b"Secret", &challenge(), answer.as_bytes()),
            "another secret"
        );
        for wrong in [
            answer.to_uppercase(),
            answer[1..].to_owned(),
            format!("{answer}0"),
            format!("{}g", &answer[1..]),
            String::new(),
        ] {
            assert!(
                !digest.accepts(b"secret", &challenge(), wrong.as_bytes()),
                "{wrong}"
            );
        }
    }
    let md5 = Digest::Md5.answer(b"secret", &challenge());
    assert!(!Digest::Sha256.accepts(b"secret", &challenge(), md5.as_bytes()));
}

#[test]
fn a_secret_of_any_length_does() {
    for length in [0, 1, 63, 64, 65, 4096] {
        let secret = vec![7; length];
        let answer = Digest::Sha256.answer(&secret, &challenge());
        assert!(
            Digest::Sha256.accepts(&secret, &challenge(), answer.as_bytes()),
            "{length}"
        );
    }
}

#[test]
fn digests_are_named() {
    for digest in Digest::ALL {
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
    let error = "sha1".parse::<Digest>().expect_err("none of ours");
    assert_eq!(
        error.to_string(),
        "there is no digest \"sha1\"; write md5 or sha256"
    );
}
