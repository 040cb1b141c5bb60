use super::super::measure::Sample;
use super::super::plan::{Case, Contestant, Kind};
use super::*;
use std::time::Duration;

const NAUGHTY: &str = r#"</text><script>alert("x")</script>"#;

fn plan() -> Plan {
    let contestant = |name: &str| Contestant {
        name: name.to_owned(),
        kind: Kind::Command("true {port}".to_owned()),
    };
    let case = |connections| Case {
        connections,
        size: 64,
        depth: 1,
    };
    Plan {
        contestants: vec![contestant("one"), contestant(NAUGHTY)],
        cases: vec![case(1), case(64)],
        rounds: 2,
        window: Duration::from_secs(1),
        warm_up: Duration::from_millis(300),
        threads: 1,
        workers: 1,
        udp: false,
        insecure: false,
        pin: false,
    }
}

fn results(plan: &Plan) -> Results {
    let mut results = Results::new(plan, None);
    let sample = |rate: f64| Sample {
        requests: 10,
        rate,
        latency: [1e-5, 2e-5, 3e-5, 4e-4, 1e-3],
        cpu: Some(5e-6),
        memory: Some(2048.0),
        ..Sample::default()
    };
    results.row_mut(0, 0).samples = vec![(0, sample(1000.0)), (1, sample(1200.0))];
    results.row_mut(0, 1).samples = vec![(0, sample(900.0))];
    results.row_mut(1, 1).given_up = Some(NAUGHTY.to_owned());
    results
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let (plan, machine) = (plan(), super::super::machine::facts());
    let page = page(&plan, &machine, &results(&plan));
    for word in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("&lt;script&gt;alert(&quot;x&quot;)"));
}

#[test]
fn every_tag_is_closed() {
    let (plan, machine) = (plan(), super::super::machine::facts());
    let page = page(&plan, &machine, &results(&plan));
    for tag in [
        "section", "figure", "svg", "table", "tr", "td", "text", "title", "desc", "ul", "li", "dl", "div",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn each_chart_says_in_words_what_it_shows() {
    let (plan, machine) = (plan(), super::super::machine::facts());
    let page = page(&plan, &machine, &results(&plan));
    assert!(
        page.contains("<desc id=\"1-connection-64-b-depth-1-rate-d\">one 1.10k (1.00k to 1.20k)"),
        "{page}"
    );
    assert!(page.contains("Nothing was measured"));
}
