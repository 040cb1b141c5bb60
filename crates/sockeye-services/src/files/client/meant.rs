//! What of the service a person means by a name.

use super::Client;
use super::failure::Failure;
use super::walk::join;
use super::wildcard::{is_wild, matches};
use sockeye_proto::files::{Code, Kind};

impl Client {
    /// The paths that a person means: the one of exactly this name or, where there is none, those that the pattern
    /// matches, in order. Slashes at its ends mean nothing.
    ///
    /// # Errors
    /// When nothing matches the pattern, or the connection is lost for good. A plain name isn't looked for.
    pub async fn meant(&mut self, text: &str) -> Result<Vec<String>, Failure> {
        let text = text.trim_matches('/');
        if !is_wild(text) || self.is_there(text).await? {
            return Ok(vec![text.to_owned()]);
        }
        let parts: Vec<&str> = text.split('/').collect();
        let mut found = vec![String::new()];
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            let mut deeper = Vec::new();
            for folder in found {
                match is_wild(part) {
                    true => self.matching(&folder, part, !last, &mut deeper).await?,
                    false => deeper.push(join(&folder, part)),
                }
            }
            found = deeper;
        }
        if !parts.last().is_some_and(|part| is_wild(part)) {
            let mut there = Vec::new();
            for path in found {
                if self.is_there(&path).await? {
                    there.push(path);
                }
            }
            found = there;
        }
        match found.is_empty() {
            true => Err(Failure::ours("find", text, "nothing there matches it")),
            false => Ok(found),
        }
    }

    async fn is_there(&mut self, path: &str) -> Result<bool, Failure> {
        match self.with(async |session| session.stat(path).await).await {
            Ok(_) => Ok(true),
            Err(failure)
                if matches!(
                    failure.code(),
                    Some(Code::NotFound | Code::NotFolder | Code::BadName)
                ) =>
            {
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn matching(
        &mut self,
        folder: &str,
        pattern: &str,
        folders: bool,
        found: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let begin = found.len();
        let listed = self
            .with(async |session| {
                found.truncate(begin);
                let tell = |entry: sockeye_proto::files::Entry| {
                    if matches(pattern, &entry.path) && (!folders || entry.kind == Kind::Folder) {
                        found.push(join(folder, &entry.path));
                    }
                };
                session.list(folder, false, tell).await
            })
            .await;
        match listed {
            Err(failure) if matches!(failure.code(), Some(Code::NotFound | Code::NotFolder)) => Ok(()),
            listed => listed,
        }
    }
}
