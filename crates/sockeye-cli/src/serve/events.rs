//! What happens to the listeners, in the log: what an operator should see always, each connection with `-v`.

use sockeye::{Endpoint, Event, Reason};
use sockeye_services::catalog::Service;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{debug, error, info, warn};

/// `failed` is whether it was told before that a datagram of this listener's was not answered: anybody may cause as many as he
/// likes.
pub(super) fn log(service: &Service, endpoint: &Endpoint, failed: &AtomicBool, event: &Event) {
    let service = service.name;
    match event {
        Event::Opened { id, peer } => debug!(service, %endpoint, id, %peer, "opened"),
        Event::Closed {
            id,
            peer,
            received,
            sent,
            reason,
        } => match reason {
            Reason::Finished | Reason::Cut => {
                debug!(service, %endpoint, id, %peer, received, sent, %reason, "closed");
            }
            Reason::Panicked(_) => error!(service, %endpoint, id, %peer, received, sent, %reason, "closed"),
            _ => info!(service, %endpoint, id, %peer, received, sent, %reason, "closed"),
        },
        Event::Refused { peer, why } => warn!(service, %endpoint, %peer, why, "refused"),
        Event::Failed { error } => error!(service, %endpoint, error, "nobody listens any more"),
        Event::AcceptFailed { error } => warn!(service, %endpoint, error, "can't accept for now"),
        Event::PacketFailed { peer, reason } if failed.swap(true, Ordering::Relaxed) => {
            debug!(service, %endpoint, %peer, %reason, "datagram not answered");
        }
        Event::PacketFailed { peer, reason } => {
            info!(service, %endpoint, %peer, %reason, "datagram not answered; -v tells of each");
        }
        other => info!(service, %endpoint, ?other, "event"),
    }
}
