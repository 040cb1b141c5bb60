//! x
mod unix;
pub use unix::{MAX_UNIX_NAME, UnixName};
