//! An upload to the tutorial's own server: two frames and the bytes, and no answer to anything.

use super::failure::Failure;
use super::source::Source;
use super::watch::Watch;
use sockeye::Connection;
use sockeye_proto::files::{LegacyFile, LegacyUpload};
use sockeye_proto::frames;

/// Bytes that are sent between two looks at how far it is.
const STEP: u64 = 4 << 20;

/// Sends a file to a server that says nothing; whether it has arrived can't be known.
///
/// # Errors
/// When the connection breaks, or the file is changed meanwhile.
pub async fn upload(
    conn: &mut Connection,
    user: &str,
    name: &str,
    source: &Source,
    watch: &dyn Watch,
) -> Result<(), Failure> {
    let size = source.identity.size;
    let operate = "upload".to_owned();
    let user = user.to_owned();
    let file = LegacyFile {
        filename: name.to_owned(),
        filesize: size,
    };
    let wrong = |error: frames::BadFrame| Failure::ours("upload", name, error.to_string());
    let mut frames = frames::encode(&LegacyUpload { operate, user }).map_err(wrong)?;
    frames.extend(frames::encode(&file).map_err(wrong)?);
    watch.begin(name, size, 0);
    conn.send_all(&frames).await.map_err(Failure::Lost)?;
    let mut at = 0;
    while at < size {
        let step = STEP.min(size - at);
        let sent = conn
            .send_file(&source.file, at, step)
            .await
            .map_err(Failure::Lost)?;
        if sent < step {
            return Err(source.has_changed());
        }
        watch.moved(sent);
        at += sent;
    }
    source.unchanged()?;
    conn.close_write().await.map_err(Failure::Lost)
}
