use super::Sqlite;
use crate::store::Quotas;

impl Quotas for Sqlite {}
