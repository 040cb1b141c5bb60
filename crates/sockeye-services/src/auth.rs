//! Who a peer is: authentication in front of any service, or in its own dialogue.
//!
//! | scheme | what the peer proves | who it is then |
//! |---|---|---|
//! | `none` | nothing | nobody |
//! | `challenge` | that it knows a secret that all its kind share ([`sockeye_proto::challenge`]) | nobody in particular |
//! | `scram` | that it knows its account's password ([`sockeye_proto::scram`]) | the account |
//! | `cert` | that it holds the key of a certificate that an authority has signed | the account of that name |
//!
//! [`Guarded`] puts a scheme in front of a handler: the handler begins when the peer is known, on the same connection, of which
//! nothing is lost, and asks [`Connection::user`](sockeye::Connection::user). A service whose own dialogue has requests and
//! answers takes the login into it by [`Dialogue`]. [`client`] is the other side of both.
//!
//! [`Policy`] is what an operator has chosen, [`Gate`] keeps it with the accounts, and [`penalty`] is what guessing costs.

pub(crate) mod certificate;
pub mod client;
pub(crate) mod dialogue;
mod gate;
mod guarded;
mod made_up;
mod name;
mod password;
pub mod penalty;
mod places;
mod policy;
mod secret;
mod session;

pub use dialogue::Dialogue;
pub use gate::{Clock, Gate};
pub use guarded::{Guard, Guarded, LOGIN_TIME};
pub use name::{MAX_NAME, is_name};
pub use password::{MIN_PASSWORD, check_password, invitation, invitation_hash, new_verifier};
pub use places::{MAX_FROM_ONE, MAX_LOGGING_IN};
pub use policy::{Login, Policy, Register, Scheme};
pub use secret::{Secret, read_secret};
pub use session::{NOTICE, Over};
pub(crate) use session::{Session, Watch};
