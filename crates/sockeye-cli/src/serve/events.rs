//! What happens to the listeners, in the log: what an operator should see always, each connection with `-v`.

use sockeye::{Endpoint, Event, Reason};
use sockeye_services::catalog::Service;
use tracing::{debug, error, info, warn};

pub(super) fn log(service: &Service, endpoint: &Endpoint, event: &Event) {
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
        Event::PacketFailed { peer, reason } => {
            info!(service, %endpoint, %peer, %reason, "datagram not answered");
        }
        other => info!(service, %endpoint, ?other, "event"),
    }
}
