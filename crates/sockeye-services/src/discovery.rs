//! Services that find each other on a link: DNS-SD (RFC 6763) over multicast DNS (RFC 6762).
//!
//! | to … | |
//! |---|---|
//! | say which services are here | [`Announcer`], of [`Offer`]s |
//! | hear which are there | [`Browser`], [`Instance`] |
//! | find one by its name | [`look_up`] |
//! | name a kind of service | [`ServiceType`] |
//!
//! Sockeye's services are of the types `_sockeye-<service>._tcp` and `_udp`; [`Facts`] is what their TXT records say. All of it
//! blocks the thread that calls it, and has threads of its own: a program that forks does so before.
//!
//! Nothing of it goes beyond the link. What isn't multicast to a group of the link is never heard, so nobody elsewhere can ask
//! or answer, and no answer goes to an address that a packet names: each is multicast, a record at most once a second.
//!
//! What is heard comes from strangers. It is cut to limits, and a name may hold any character: escape it before a terminal sees
//! it.

mod announce;
mod browse;
pub(crate) mod facts;
mod guard;
mod instance;
mod link;
mod lookup;
mod name;
mod offer;
mod service_type;

pub use announce::{Announced, Announcer, MAX_OFFERS};
pub use browse::{Browser, Change, MAX_INSTANCES, MAX_TYPES, Stopper};
pub use facts::Facts;
pub use instance::{Found, Instance, MAX_ADDRESSES, MAX_TXT};
pub use lookup::{LookUp, look_up};
pub use name::{MAX_NAME, check_name, host_name};
pub use offer::{Offer, Reach};
pub use service_type::ServiceType;

use sockeye::{Class, Error};

/// What multicast DNS itself complains about.
fn failed(op: &'static str, error: mdns_sd::Error) -> Error {
    Error::new(op, Class::General, error.to_string())
}
