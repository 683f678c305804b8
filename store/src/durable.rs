//! The one way in which files come into being: temporary file → sync → rename → sync the folder.
//!
//! Without the first sync a crash can leave an empty file under the final name; without the second the name itself
//! can be lost, after something that refers to it was written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Returns a name in `folder` that no other thread or process uses.
pub(crate) fn temporary(folder: &Path) -> PathBuf {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    folder.join(format!("{}-{time:x}-{count}.tmp", std::process::id()))
}

/// Writes `bytes` so that `path` holds them wholly or is as before.
pub(crate) fn write(path: &Path, bytes: &[u8], staging: &Path) -> Result<(), StoreError> {
    let temporary = temporary(staging);
    let result = write_new(&temporary, bytes).and_then(|()| settle(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary); // garbage at worst; the first error says more
    }
    result
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create_new(path).map_err(|e| StoreError::io("create", path, e))?;
    file.write_all(bytes).map_err(|e| StoreError::io("write", path, e))?;
    file.sync_all().map_err(|e| StoreError::io("sync", path, e))
}

/// Gives a synced temporary file its final name.
pub(crate) fn settle(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
    }
    fs::rename(temporary, path).map_err(|e| StoreError::io("rename", path, e))?;
    sync_folder(folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let opened = File::open(folder).map_err(|e| StoreError::io("open", folder, e))?;
    opened.sync_all().map_err(|e| StoreError::io("sync", folder, e))
}

/// Writes a file that a user named, wholly or not at all.
///
/// # Errors
/// [`StoreError`] when the folder cannot be written or is full.
pub fn publish_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
    write(&folder.join(path.file_name().unwrap_or_default()), bytes, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_replaces_the_old_one_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/out.txt");
        publish_file(&path, b"one").unwrap();
        publish_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
