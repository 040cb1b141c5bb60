//! `uring`.
pub(crate) use super::spin::Spin as Uring;
