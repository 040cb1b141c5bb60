//! Complete files that have no name yet, and how they get it.

use super::Place;
use crate::files::budget::{Share, UNNAMED};
use crate::files::tree::{link, unnamed};
use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;
use sockeye_proto::files::{Hash, Mtime, Path};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A complete file, still without its name.
#[derive(Debug)]
pub(in crate::files) struct Complete {
    pub(in crate::files) path: Path,
    pub(in crate::files) temporary: Temporary,
    pub(in crate::files) size: u64,
    pub(in crate::files) mtime: Mtime,
    pub(in crate::files) hash: Hash,
    pub(in crate::files) clobber: bool,
}

/// Where a complete file is.
#[derive(Debug)]
pub(in crate::files) enum Temporary {
    /// Among the pending.
    Called(String),
    /// In a folder among the pending, which is [hidden](super::Hidden), under its own name: where from the pending on.
    Hidden(String),
    /// Nowhere: it has no name, and goes with its descriptor, of which there are only so many.
    Open { file: Arc<File>, _share: Share },
}

impl Temporary {
    /// What it is called among the pending.
    pub(in crate::files) fn name(&self) -> Option<String> {
        match self {
            Temporary::Called(name) | Temporary::Hidden(name) => Some(name.clone()),
            Temporary::Open { .. } => None,
        }
    }
}

impl Place {
    pub(super) fn give_name(
        &self,
        file: &Complete,
        (folder, name): (&OwnedFd, &str),
        replace: bool,
    ) -> rustix::io::Result<()> {
        let rename =
            |temporary: &str, flags| fs::renameat_with(&self.pending, temporary, folder, name, flags);
        match &file.temporary {
            Temporary::Called(temporary) | Temporary::Hidden(temporary) => match replace {
                true => rename(temporary, RenameFlags::empty()),
                false => rename(temporary, RenameFlags::NOREPLACE),
            },
            Temporary::Open { file, .. } if replace => {
                let temporary = self.temporary_name();
                link(file, &self.pending, &temporary)?;
                rename(&temporary, RenameFlags::empty()).inspect_err(|_| self.pending.unlink(&temporary))
            }
            Temporary::Open { file, .. } => link(file, folder, name),
        }
    }

    /// What a file is called until it has its own name.
    pub(in crate::files) fn temporary_name(&self) -> String {
        /// Tells the temporary files of one process apart.
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        format!("small-{:x}-{serial:x}", self.tag)
    }

    /// A new file without a name, in a folder where one is known; with a temporary name where files can't be without, or too
    /// many are.
    pub(in crate::files) fn unnamed(
        &self,
        folder: Option<&OwnedFd>,
    ) -> rustix::io::Result<(Arc<File>, Temporary)> {
        let Some(share) = UNNAMED.take(1) else {
            return self.called();
        };
        match unnamed(folder.map_or(self.root.as_fd(), AsFd::as_fd)) {
            Ok(file) => {
                let file = Arc::new(file);
                let temporary = Temporary::Open {
                    file: file.clone(),
                    _share: share,
                };
                Ok((file, temporary))
            }
            Err(error) if is_shortage(error) => Err(error),
            // The folder may be gone; then it is made anew with the name.
            Err(Errno::PERM | Errno::NOENT | Errno::STALE) if folder.is_some() => self.unnamed(None),
            Err(_) => self.called(),
        }
    }

    /// A new file with a temporary name.
    pub(in crate::files) fn called(&self) -> rustix::io::Result<(Arc<File>, Temporary)> {
        let name = self.temporary_name();
        let file = self.pending.temporary(&name)?;
        Ok((Arc::new(file), Temporary::Called(name)))
    }

    /// Forgets a complete file that gets no name.
    pub(in crate::files) fn forget(&self, file: &Complete) {
        if let Some(name) = file.temporary.name() {
            self.pending.unlink(&name);
        }
    }
}

/// Whether another way would meet the same.
pub(super) fn is_shortage(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::place::tests::place;

    #[test]
    fn without_a_share_of_the_descriptors_a_file_is_among_the_pending() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, None);
        let mut held = Vec::new();
        let (file, last) = loop {
            match place.unnamed(None).expect("a file") {
                (file, Temporary::Called(name)) => break (file, name),
                open => held.push(open),
            }
        };
        // One is held twice only here.
        assert!(
            Arc::into_inner(file).is_some(),
            "nobody else holds its descriptor"
        );
        assert!(folder.path().join("files/uploads/*everybody").join(last).exists());
        held.pop().expect("files without a name");
        let again = place.unnamed(None).expect("a file").1;
        assert!(matches!(again, Temporary::Open { .. }), "a share came back");
    }

    #[test]
    fn a_folder_that_is_gone_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder, None);
        let at = folder.path().join("files/everybody/gone");
        std::fs::create_dir(&at).expect("a folder");
        let gone = place.root.folder("gone").expect("it is there");
        std::fs::remove_dir(&at).expect("it is empty");
        place.unnamed(Some(&gone)).expect("another folder takes it");
    }
}
