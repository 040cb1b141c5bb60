use super::Sqlite;
use crate::store::Accounts;

impl Accounts for Sqlite {}
