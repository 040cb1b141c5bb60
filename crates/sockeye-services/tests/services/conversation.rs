//! The conversation in text, beyond what `reply` shows of it.

use crate::serving::{Peer, Served, each_model};
use sockeye::{Connection, Handler, Model, Result, Server};
use sockeye_proto::framing::Framing;
use sockeye_services::text::{Manner, TextConnection};
use std::sync::Arc;
use std::sync::mpsc::channel;
use tokio::sync::Notify;

/// Answers, and also speaks when it is nudged.
struct Nudged(Arc<Notify>);

impl Handler for Nudged {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let framing = Framing::Lines;
        let mut talk = TextConnection::new(
            conn,
            Manner {
                framing,
                ..Manner::default()
            },
        );
        talk.say("ready\n").await?;
        loop {
            tokio::select! {
                message = talk.next_message() => match message? {
                    Some(message) => talk.answer(&format!("got {}", message.text)).await?,
                    None => return Ok(()),
                },
                () = self.0.notified() => talk.say("nudged\n").await?,
            }
        }
    }
}

fn start(model: Model, nudge: Arc<Notify>) -> Served {
    let (teller, events) = channel();
    let server = Server::bind("tcp://127.0.0.1:0").expect("bind").model(model);
    let server = server.observe(move |event| {
        let _ = teller.send(event.clone());
    });
    Served {
        running: server.start(Nudged(nudge)).expect("start"),
        events,
    }
}

#[test]
fn waiting_for_a_message_may_be_given_up_and_nothing_is_lost() {
    each_model(|model| {
        let nudge = Arc::new(Notify::new());
        let served = start(model, nudge.clone());
        let mut peer = Peer::of(&served);
        peer.expect("ready\n");
        for part in 0..20 {
            // Half a message lies in the framer while the wait for the rest of it is dropped.
            peer.send("half of ");
            nudge.notify_one();
            peer.expect("nudged\n");
            peer.send(format!("message {part}\n"));
            peer.expect(format!("got half of message {part}\n"));
        }
        peer.close_write();
        peer.expect_end("");
        assert_eq!(served.next_reason(), "finished");
    });
}
