//! Large published files as they were when they were written. A file whose size, times, device and inode are still those is
//! taken to be whole without being read, so that a query over millions of predictions costs what the query does. The system
//! sets the time of a file's last change of any kind; a copy of the folder has other inodes, and is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::stat::Stat;
use crate::{StoreError, seal};

/// The list, in the folder itself.
pub(crate) const NAME: &str = ".untouched";

/// From which size on a file is listed, in bytes; a smaller one is read through each time.
const LARGE: u64 = 16 << 20;

/// Files by path within the folder.
pub(crate) type Untouched = BTreeMap<String, Stat>;

/// Adds a file that nobody will write to any more, if it is large.
pub(crate) fn note(untouched: &mut Untouched, relative: &str, path: &Path) -> Result<(), StoreError> {
    let stat = Stat::of(path).map_err(|e| StoreError::io("read", path, e))?;
    if stat.size >= LARGE {
        untouched.insert(relative.to_owned(), stat);
    }
    Ok(())
}

/// Lists the files in the folder that is being built; of none there is no list.
pub(crate) fn write(folder: &Path, untouched: &Untouched) -> Result<(), StoreError> {
    seal::write_list(folder, NAME, untouched)
}

/// Reads the list of a folder; empty when there is none that is whole.
pub(crate) fn read(folder: &Path) -> Untouched {
    fs::read(folder.join(NAME)).ok().and_then(|bytes| seal::read_sealed(&bytes)).unwrap_or_default()
}

/// Returns the list of a folder when it is damaged.
pub(crate) fn damaged_list(folder: &Path) -> Option<PathBuf> {
    let path = folder.join(NAME);
    (path.exists() && read(folder).is_empty()).then_some(path)
}
