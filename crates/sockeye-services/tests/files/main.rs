//! The file service as its clients meet it: in raw frames, under every model.

mod client;
mod tunnel;

mod attackers;
mod dialogue;
mod entries;
mod logins;
mod old_client;
mod small;
mod uploads;
