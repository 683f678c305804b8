//! Folders of many files that are listed with their digests, sealed, so that damage to any of them is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::{Digest, StoreError, seal, untouched};

/// The list, in the folder itself.
const NAME: &str = ".contents";

/// Digests by path within the folder.
pub(crate) type Contents = BTreeMap<String, Digest>;

/// Returns where the list of a folder lies.
pub(crate) fn list_of(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Lists what lies in a folder that is being built; of none there is no list.
pub(crate) fn write(folder: &Path, contents: &Contents) -> Result<(), StoreError> {
    seal::write_list(folder, NAME, contents)
}

/// Reads the list of a folder; `None` unless it is there and whole.
pub(crate) fn read(folder: &Path) -> Option<Contents> {
    seal::read_sealed(&fs::read(folder.join(NAME)).ok()?).filter(|contents: &Contents| !contents.is_empty())
}

/// Returns the first file of a folder that is not what was listed, the list included. `digest`: that of a file, if it can
/// be read.
pub(crate) fn first_damaged(folder: &Path, digest: impl Fn(&Path) -> Option<Digest> + Sync) -> Option<PathBuf> {
    if files_in(folder).is_empty() {
        return None;
    }
    let Some(contents) = read(folder) else { return Some(folder.join(NAME)) };
    let damaged = |(path, listed): (&String, &Digest)| {
        let path = folder.join(path);
        (digest(&path) != Some(*listed)).then_some(path)
    };
    contents.par_iter().find_map_first(damaged).or_else(|| untouched::damaged_list(folder))
}

/// Returns a file of a folder that is not listed.
pub(crate) fn first_unlisted(folder: &Path) -> Option<PathBuf> {
    let contents = read(folder).unwrap_or_default();
    let is_listed = |path: &PathBuf| {
        let inner = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        inner == NAME || inner == untouched::NAME || contents.contains_key(inner.as_ref())
    };
    files_in(folder).into_iter().find(|path| !is_listed(path))
}

/// Lists what lies in a folder, sorted; nothing when it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}

/// Lists all files of a folder, at every depth, sorted; links are not followed.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir());
    entries(folder).into_iter().flat_map(|path| if is_folder(&path) { files_in(&path) } else { vec![path] }).collect()
}
