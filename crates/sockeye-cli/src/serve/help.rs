//! The tables of `sockeye serve --help`, from those that are served by.

use std::fmt::Write;

use sockeye::Options;
use sockeye_services::catalog;

use super::columns::row;
use super::knobs::KNOBS;

const EXAMPLES: &str = "\
Examples:
  sockeye serve                   every service, on loopback, at its usual port
  sockeye serve echo              one service at its usual port
  sockeye serve files@tls://0.0.0.0:9000               those with an account
  sockeye serve 'echo@tcp://0.0.0.0:7?auth=none' echo@udp://0.0.0.0:7
  sockeye serve --model uring --workers 0 echo@tcp://[::1]:8080
  sockeye serve 'echo@tcp://127.0.0.1:0?model=process&connections=100'
  sockeye serve 'reply@tcp://:7788?auth=none&rule=* =>! thank you !'
  sockeye serve 'reply@tls://:8443?rules=answers.txt&cert=chain.pem&key=key.pem'
  sockeye serve --announce --name kitchen files@tls://0.0.0.0:9000
  sockeye serve echo@unix:///run/echo.sock hello@unix:@hello
";

/// Below `-h`.
pub(super) fn short() -> String {
    let names: Vec<&str> = catalog::ALL.iter().map(|service| service.name).collect();
    format!(
        "Services: {}\n\n{EXAMPLES}\nEndpoints, services and options of a listener: sockeye serve --help",
        names.join(", ")
    )
}

/// Below `--help`.
pub(super) fn long() -> String {
    let mut text = String::from(
        "Endpoints:\n  \
         tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT, vsock://CID:PORT,\n  \
         unix:///PATH, unix:./PATH, unix:@NAME, and so unixgram: and unixseq:\n  \
         Port 0 lets the system choose; no host means every interface.\n\nServices:\n",
    );
    for service in catalog::ALL {
        let at = format!("{}/{}", service.port, service.schemes.join("+"));
        row(&mut text, 22, &format!("{:8} {at}", service.name), service.about);
    }
    text.push_str(
        "\nOptions of a listener, as SERVICE@ENDPOINT?NAME=VALUE&NAME=VALUE\n\
         (in a value, write %26 for & and %25 for %; what is given here in brackets holds\n\
         unless said otherwise):\n",
    );
    for knob in KNOBS {
        row(
            &mut text,
            24,
            &format!("{}={}", knob.name, knob.value),
            knob.about,
        );
    }
    for service in catalog::ALL {
        if service.settings().next().is_some() {
            let _ = write!(text, "\nOptions of {}:\n", service.name); // writing to a String can't fail
        }
        for setting in service.settings() {
            row(
                &mut text,
                24,
                &format!("{}={}", setting.name, setting.value),
                setting.about,
            );
        }
    }
    text.push_str("\nOptions of its socket:\n");
    row(&mut text, 0, "", &Options::NAMES.join(", "));
    text + "\n" + EXAMPLES
}
