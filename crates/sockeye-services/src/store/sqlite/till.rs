use super::Sqlite;
use crate::store::Till;

impl Till for Sqlite {}
