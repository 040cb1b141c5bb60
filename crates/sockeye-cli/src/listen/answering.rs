//! What is answered to whom: the sender of a datagram is easily forged, so the rules of services hold here too.

use std::cell::Cell;
use std::time::{Duration, Instant};

use sockeye::{Address, Class, Datagram, Endpoint, Error, Message, time};
use sockeye_services::reply::Reply;
use sockeye_services::shield::{Answers, Policy, Question, Shield, Verdict};

use crate::content::plain;
use crate::exit::tell;

/// How long an answer within the machine waits for a peer whose queue is full. One that reads makes room in less.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who must have it otherwise.
const ADVICE: &str = "`sockeye serve reply@udp://…` has options for that";

/// Answers of rules, as far as they may be given.
pub(super) struct Answering<'a> {
    rules: &'a Reply,
    /// What stands before them, unless all peers are on this machine.
    shield: Option<Shield>,
    begun: Instant,
    /// Whether an answer was too long already.
    too_long: Cell<bool>,
}

impl<'a> Answering<'a> {
    pub(super) fn new(rules: &'a Reply, socket: &Datagram) -> Self {
        let shield = match socket.endpoint() {
            endpoint @ Endpoint::Udp(_) => {
                let port = endpoint.port().unwrap_or(0);
                Some(Shield::new(Answers::Everything, &Policy::default(), port))
            }
            _ => None,
        };
        Answering {
            rules,
            shield,
            begun: Instant::now(),
            too_long: Cell::new(false),
        }
    }

    /// Answers a datagram. Returns what was sent, if anything was; why not, people are told.
    pub(super) async fn answer(&self, socket: &mut Datagram, message: &Message) -> Option<Vec<u8>> {
        let answer = self.rules.to_datagram(message.data())?;
        if let Err(why) = self.permitted(message, answer.len()) {
            // The first of each reason is enough: a flood must not flood the terminal.
            let peer = plain(&message.peer());
            why.inspect(|why| tell(&format!("sockeye: {peer} is not answered: {why}; {ADVICE}")));
            return None;
        }
        let error = match time::timeout(PATIENCE, socket.reply(message, &answer)).await {
            Ok(Ok(())) => return Some(answer),
            Err(late) if late.class() == Class::Timeout => Error::timed_out("send", PATIENCE)
                .at(plain(&message.peer()))
                .advise("it doesn't read what it is sent"),
            Ok(Err(error)) | Err(error) => error,
        };
        tell(&format!("sockeye: {error}"));
        None
    }

    /// Whether an answer of so many bytes may be given; if not, why, where that wasn't said before.
    fn permitted(&self, message: &Message, length: usize) -> Result<(), Option<String>> {
        let (Some(shield), Address::Inet(peer)) = (&self.shield, message.peer()) else {
            return Ok(());
        };
        let question = Question {
            peer,
            bytes: message.data().len(),
            to_itself: false, // which has this listener's port, and gets no answer for that
        };
        match shield.judge(&question, || self.begun.elapsed()) {
            Verdict::Limited(most) if length > most => Err((!self.too_long.replace(true)).then(|| {
                let asked = question.bytes;
                format!("to {asked} bytes an answer has {most} at the most, and not {length} (factor=N)")
            })),
            Verdict::Free | Verdict::Limited(_) => Ok(()),
            Verdict::Refused(why) => Err(shield.is_first(why).then(|| why.to_string())),
        }
    }
}
