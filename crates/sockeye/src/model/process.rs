//! `process`.
use super::Workers;
use crate::server::Job;
use std::io;
pub(crate) fn launch(job: Job) -> io::Result<Workers> {
    let _ = job;
    Err(io::ErrorKind::Unsupported.into())
}
