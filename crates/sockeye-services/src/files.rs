//! The service of files.

pub mod client;
