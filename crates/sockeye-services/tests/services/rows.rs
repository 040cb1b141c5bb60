//! The catalogue itself.

use sockeye::{Endpoint, Options};
use sockeye_services::catalog::{self, ALL};
use std::collections::HashSet;

#[test]
fn every_service_has_a_name_and_a_port_of_its_own() {
    let names: HashSet<_> = ALL.iter().map(|service| service.name).collect();
    let ports: HashSet<_> = ALL.iter().map(|service| service.port).collect();
    assert_eq!((names.len(), ports.len()), (ALL.len(), ALL.len()));
    assert!(ports.iter().all(|port| *port > 1023), "nobody needs to be root");
    for service in ALL {
        assert!(catalog::named(service.name).is_some_and(|found| found.port == service.port));
        for scheme in service.schemes {
            let usual = format!("{scheme}://127.0.0.1:{}", service.port);
            usual.parse::<Endpoint>().expect("an endpoint");
        }
        for line in [service.try_stream, service.try_packets] {
            assert!(line.contains("{nc}") || line.contains("{endpoint}"), "{line}");
        }
    }
}

#[test]
fn no_setting_is_named_like_an_option_of_the_socket() {
    for service in ALL {
        for setting in service.settings() {
            let name = setting.name.replace('-', "_");
            assert!(!Options::NAMES.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn the_ports_are_those_that_the_tutorials_know() {
    let port = |name| catalog::named(name).map(|service| service.port);
    assert_eq!(port("echo"), Some(8080));
    assert_eq!(port("reply"), Some(7788));
    assert_eq!(port("hello"), Some(8888));
}
