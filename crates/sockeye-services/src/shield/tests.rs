//! Every rule by itself, and that none lets another through.

use super::policy::HEADERS;
use super::*;
use proptest::prelude::*;
use std::cell::Cell;

const OWN: u16 = 4000;

fn question(peer: &str) -> Question {
    Question {
        peer: peer.parse().expect(peer),
        bytes: 0,
        to_itself: false,
    }
}

fn judge(shield: &Shield, peer: &str) -> Verdict {
    shield.judge(&question(peer), || Duration::ZERO)
}

/// Low ones, its own, and those of echo, daytime, chargen and reply.
fn is_service(port: u16) -> bool {
    port < 1024 || [OWN, 8080, 8013, 8019, 7788].contains(&port)
}

fn usual() -> Shield {
    Shield::new(Answers::Everything, &Policy::default(), OWN)
}

#[test]
fn only_neighbours_are_answered_unless_told_otherwise() {
    let told = Policy {
        peers: Some(Peers::Any),
        ..Policy::default()
    };
    let told = Shield::new(Answers::Everything, &told, OWN);
    let word = Shield::new(Answers::OneWord, &Policy::default(), OWN);
    for (source, near) in [
        ("192.168.1.2:9999", true),
        ("10.0.0.1:9999", true),
        ("172.16.0.1:9999", true),
        ("172.32.0.1:9999", false),
        ("169.254.3.4:9999", true),
        ("100.64.0.1:9999", false),
        ("8.8.8.8:9999", false),
        ("[fe80::1]:9999", true),
        ("[fd00::1]:9999", true),
        ("[::ffff:10.0.0.1]:9999", true),
        ("[2001:db8::1]:9999", false),
        ("[::ffff:8.8.8.8]:9999", false),
    ] {
        let expected = match near {
            true => Verdict::Limited(56),
            false => Verdict::Refused(Refusal::Stranger),
        };
        assert_eq!(judge(&usual(), source), expected, "{source}");
        assert_eq!(judge(&told, source), Verdict::Limited(56), "{source}");
        assert_eq!(judge(&word, source), Verdict::Limited(56), "{source}");
    }
    for nobody in [
        "0.0.0.0:9999",
        "255.255.255.255:9999",
        "224.0.0.1:9999",
        "[ff02::1]:9999",
        "[::]:9999",
    ] {
        assert_eq!(
            judge(&told, nobody),
            Verdict::Refused(Refusal::Stranger),
            "{nobody}"
        );
    }
}

#[test]
fn this_machine_has_any_answer_and_no_clock_is_read_for_it() {
    let shield = usual();
    for source in [
        "127.0.0.1:9999",
        "127.200.0.1:9999",
        "[::1]:9999",
        "[::ffff:127.0.0.1]:9999",
    ] {
        for _ in 0..2 * RATE {
            let verdict = shield.judge(&question(source), || panic!("the clock is read"));
            assert_eq!(verdict, Verdict::Free, "{source}");
        }
    }
}

#[test]
fn no_port_of_a_service_is_answered_unless_told_otherwise() {
    let any = Policy {
        ports: Ports::Any,
        ..Policy::default()
    };
    let any = Shield::new(Answers::Everything, &any, OWN);
    let word = Shield::new(Answers::OneWord, &Policy::default(), OWN);
    let (usual, refused) = (usual(), Verdict::Refused(Refusal::Port));
    for host in ["127.0.0.1", "192.168.0.1"] {
        for port in 0..=u16::MAX {
            let at = format!("{host}:{port}");
            assert_eq!(judge(&usual, &at) == refused, is_service(port), "{at}");
            assert_eq!(judge(&word, &at) == refused, port < 1024, "{at}");
            assert_eq!(judge(&any, &at) == refused, port == 0, "{at}");
        }
    }
    let itself = Question {
        to_itself: true,
        ..question("127.0.0.1:4000")
    };
    for shield in [usual, any, word] {
        assert_eq!(shield.judge(&itself, || Duration::ZERO), refused);
    }
}

#[test]
fn the_first_refusal_of_each_kind_is_another_matter() {
    let shield = usual();
    for why in [Refusal::Stranger, Refusal::Port, Refusal::Rate, Refusal::Loop] {
        assert_eq!([(); 3].map(|()| shield.is_first(why)), [true, false, false]);
    }
}

#[test]
fn the_clock_is_read_only_when_a_rate_is_counted() {
    let reads = Cell::new(0);
    let clock = || {
        reads.set(reads.get() + 1);
        Duration::ZERO
    };
    let shield = usual();
    for source in ["127.0.0.1:9999", "8.8.8.8:9999", "10.0.0.1:7"] {
        shield.judge(&question(source), clock);
    }
    assert_eq!(reads.get(), 0);
    shield.judge(&question("10.0.0.1:9999"), clock);
    assert_eq!(reads.get(), 1);
}

#[test]
fn a_source_has_its_rate_and_others_theirs() {
    let shield = usual();
    let answered = |source: &str| {
        let verdicts = (0..3 * RATE).map(|_| judge(&shield, source));
        verdicts
            .filter(|verdict| *verdict != Verdict::Refused(Refusal::Rate))
            .count()
    };
    assert_eq!(answered("10.0.0.1:1111"), RATE as usize);
    // Another port is no other source.
    assert_eq!(answered("10.0.0.1:2222"), 0);
    let later = shield.judge(&question("10.0.0.1:1111"), || Duration::from_millis(1));
    assert_eq!(later, Verdict::Limited(56));
    let unlimited = Policy {
        rate: None,
        ..Policy::default()
    };
    let unlimited = Shield::new(Answers::Everything, &unlimited, OWN);
    assert!((0..3 * RATE).all(|_| judge(&unlimited, "10.0.0.1:1111") == Verdict::Limited(56)));
}

#[test]
fn what_never_pauses_is_left_without_an_answer_once() {
    let swift = Policy {
        rate: Some(MAX_RATE),
        ..Policy::default()
    };
    let unlimited = Policy {
        rate: None,
        ..Policy::default()
    };
    for (answers, policy, expected) in [
        (Answers::Everything, &swift, 2),
        (Answers::Everything, &unlimited, 0),
        (Answers::OneWord, &swift, 0),
    ] {
        let shield = Shield::new(answers, policy, OWN);
        let round = |number| shield.judge(&question("10.0.0.1:9999"), || Duration::from_millis(number));
        let refused = (0..2 * IN_A_ROW).filter(|number| round(*number) == Verdict::Refused(Refusal::Loop));
        assert_eq!(refused.count(), expected, "{answers:?}");
    }
}

proptest! {
    /// With their headers, answers are never more than the factor times their questions.
    #[test]
    fn an_answer_is_bounded_by_its_question(bytes in 0..70_000_usize, factor in 1..=MAX_FACTOR) {
        let policy = Policy { factor: Some(factor), ..Policy::default() };
        let shield = Shield::new(Answers::Everything, &policy, OWN);
        let asked = Question { bytes, ..question("10.0.0.1:9999") };
        let Verdict::Limited(most) = shield.judge(&asked, || Duration::ZERO) else {
            panic!("a neighbour is answered");
        };
        prop_assert!(most + HEADERS == (bytes + HEADERS) * factor as usize);
        prop_assert!(most >= bytes, "an echo always fits");
    }

    /// Whatever the source is, an answer goes only to whom all of the rules allow.
    #[test]
    fn no_source_slips_through(
        ip in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        port: u16,
        to_itself: bool,
    ) {
        let asked = Question { peer: SocketAddr::new(ip, port), bytes: 1, to_itself };
        match usual().judge(&asked, || Duration::ZERO) {
            Verdict::Free => prop_assert!(ip.to_canonical().is_loopback()),
            Verdict::Limited(_) => prop_assert!(is_near(ip) && !ip.to_canonical().is_loopback()),
            Verdict::Refused(Refusal::Stranger) => prop_assert!(!is_near(ip)),
            Verdict::Refused(Refusal::Rate | Refusal::Loop) => prop_assert!(false, "it is the first"),
            Verdict::Refused(Refusal::Port) => {
                prop_assert!(to_itself || is_service(port));
                return Ok(());
            }
        }
        prop_assert!(!to_itself && !is_service(port));
    }
}
