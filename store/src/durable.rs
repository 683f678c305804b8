//! The one way in which files come into being: temporary file → sync → rename → sync the folder.
//!
//! Without the first sync a crash can leave an empty file under the final name; without the second the name itself
//! can be lost, after something that refers to it was written.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{StoreError, disk};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Whether people and other programs may write the finished file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Ordinary,
    ReadOnly,
}

/// Returns a name in `folder` that no other thread or process uses.
pub(crate) fn temporary(folder: &Path) -> PathBuf {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    #[expect(clippy::disallowed_methods, reason = "a name that no other process takes")]
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    folder.join(format!("{}-{time:x}-{count}.tmp", std::process::id()))
}

/// Tells whether a name is one that [`temporary`] makes.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let is_made_of = |part: &str, is_digit: fn(&u8) -> bool| !part.is_empty() && part.bytes().all(|b| is_digit(&b));
    let parts: Vec<&str> = name.to_str().and_then(|n| n.strip_suffix(".tmp")).unwrap_or_default().split('-').collect();
    let [process, time, count] = parts[..] else { return false };
    is_made_of(process, u8::is_ascii_digit)
        && is_made_of(time, u8::is_ascii_hexdigit)
        && is_made_of(count, u8::is_ascii_digit)
}

/// Writes `bytes` so that `path` holds them wholly or is as before.
pub(crate) fn write(path: &Path, bytes: &[u8], staging: &Path) -> Result<(), StoreError> {
    stage(bytes, staging, Mode::Ordinary, |temporary| settle(temporary, path))
}

/// Writes a read-only temporary file and leaves it to `finish` to give it a name.
pub(crate) fn stage_read_only(
    bytes: &[u8],
    staging: &Path,
    finish: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    stage(bytes, staging, Mode::ReadOnly, finish)
}

/// Like [`write`], but leaves a file that is there alone; tells whether this one was written.
pub(crate) fn write_first(path: &Path, bytes: &[u8], staging: &Path) -> Result<bool, StoreError> {
    stage(bytes, staging, Mode::Ordinary, |temporary| {
        let is_first = settle_first(temporary, path)?;
        if !is_first {
            disk::remove_file(temporary)?;
        }
        Ok(is_first)
    })
}

/// Gives a synced temporary file its final name unless that is taken; tells whether it did.
pub(crate) fn settle_first(temporary: &Path, path: &Path) -> Result<bool, StoreError> {
    let folder = prepare_folder(path)?;
    let is_first = disk::rename_new(temporary, path)?;
    if is_first {
        disk::sync_folder(folder)?;
    }
    Ok(is_first)
}

fn stage<T>(
    bytes: &[u8],
    staging: &Path,
    mode: Mode,
    finish: impl FnOnce(&Path) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let temporary = temporary(staging);
    let result = write_new(&temporary, bytes, mode).and_then(|()| finish(&temporary));
    if result.is_err() {
        let _ = disk::remove_file(&temporary); // garbage at worst; the first error says more
    }
    result
}

fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), StoreError> {
    let mut file = disk::create(path)?;
    disk::write_all(&mut file, path, bytes)?;
    if mode == Mode::ReadOnly {
        disk::make_read_only(&file, path)?;
    }
    disk::sync(&file, path)
}

/// Gives a synced temporary file (or tree) its final name.
pub(crate) fn settle(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    let folder = prepare_folder(path)?;
    disk::rename(temporary, path)?;
    disk::sync_folder(folder)
}

/// Makes the folder of a file and returns it.
pub(crate) fn prepare_folder(path: &Path) -> Result<&Path, StoreError> {
    let folder = folder_of(path);
    make_folder(folder)?;
    Ok(folder)
}

/// Makes a folder and those above it. Each new one is synced into the one above, or all in it could be lost with it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    if above != folder {
        make_folder(above)?;
    }
    disk::make_folder(folder)?;
    disk::sync_folder(above)
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().map_or(path, |folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_temporary_name_is_known_again_and_no_other_is() {
        let made = temporary(Path::new("staging"));
        assert!(is_temporary(made.file_name().unwrap()), "{}", made.display());
        for other in
            ["thesis.txt", "a.tmp", "1-2.tmp", "1-2-3", "x-2-3.tmp", "1-2-3-4.tmp", "1--3.tmp", ".tmp", "1-2-3.tmp~"]
        {
            assert!(!is_temporary(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn the_first_of_two_files_stays_when_it_is_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(write_first(&path, b"one", folder.path()).unwrap());
        assert!(!write_first(&path, b"two", folder.path()).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
