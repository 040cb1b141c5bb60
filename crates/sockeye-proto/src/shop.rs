//! The dialogue of the shop: what a customer may say, and what the shop says to it, in Chinese and in English.
//!
//! A message is one command, an answer is one line. A message that is no command is the name of a good, of which one is
//! bought: so the dialogue of a client that knows nothing but names is part of it, word for word. An answer is in the
//! language of its command; the names of goods are what they are.
//!
//! Nothing here knows what there is in the shop: [`Command::read`] reads, a service does, and a [`Said`] is put into
//! words. [`Goods`] reads the words again, for a client that makes a table of them.
//!
//! docs/protocols/shop.md says it all in words.

mod command;
mod listing;
mod name;
mod wording;

pub use command::{Command, Key, Language, MAX_COUNT, MAX_KEY, Wrong};
pub use listing::{Good, Goods};
pub use name::{BadName, GoodName, MAX_NAME};
pub use wording::{Deal, Kind, Line, Said, is_refusal};
