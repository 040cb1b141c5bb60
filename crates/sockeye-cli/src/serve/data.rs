//! The folder where services keep their data.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::Access;

/// What services keep is their owner's business.
const MODE: u32 = 0o700;

/// Makes the folder if there is none, and sees to it that files can be kept in it.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    if !folder.exists() {
        let made = DirBuilder::new().recursive(true).mode(MODE).create(folder);
        made.with_context(|| format!("make data folder {}", folder.display()))?;
    }
    ensure!(
        folder.is_dir(),
        "data folder {}: it is no folder; name another, or one that is not there yet",
        folder.display()
    );
    let usable = rustix::fs::access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
    usable.with_context(|| format!("write into data folder {}", folder.display()))
}
