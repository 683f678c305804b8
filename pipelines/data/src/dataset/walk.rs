//! Lists the photos below a folder, at any depth, and everything that is not one.
//!
//! A name with a usual ending is taken for a photo without opening it: decoding has the last word. Any other file is
//! opened, and its first bytes decide. Links are left out unless they are to be followed; a folder is entered once, by
//! its inode, so that no link leads round.

use super::Links;
use super::left_out::{LeftOut, Reason};
use super::tree::{ListedFiles, Tree};
use crate::{DataError, decode};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Endings of photos' names, in lower case.
const ENDINGS: [&str; 12] = ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff"];

/// Names that systems, storage boxes and tools give, in lower case.
const SYSTEM: [&str; 31] = [
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "recycler",
    ".ds_store",
    "__macosx",
    "icon\r",
    ".spotlight-v100",
    ".fseventsd",
    ".trashes",
    ".trash",
    ".temporaryitems",
    ".apdisk",
    "@eadir",
    "#recycle",
    "#snapshot",
    "@tmp",
    "@recycle",
    "@recently-snapshot",
    ".@__thumb",
    "lost+found",
    ".ipynb_checkpoints",
    "__pycache__",
    ".git",
    ".thumbnails",
    ".picasa.ini",
    "picasa.ini",
    "zbthumbnail.info",
];

/// What lies below a folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// Paths of photos below the folder, sorted.
    pub photos: Vec<String>,
    /// Everything else.
    pub left_out: Vec<LeftOut>,
}

/// An entry of a folder that is not left out by its name or kind.
pub(super) enum Entry {
    Folder(String),
    File(String),
}

/// Walks over folders, each entered once.
pub(super) struct Walk {
    links: Links,
    entered: BTreeSet<(u64, u64)>,
}

impl Walk {
    /// Begins at a folder, which may be a link itself: it was named by the user.
    pub fn new(root: &Path, links: Links) -> Result<Self, DataError> {
        let metadata = fs::metadata(root).map_err(|error| DataError::io("list", root, error))?;
        Ok(Self { links, entered: BTreeSet::from([identity(&metadata)]) })
    }

    /// Lists the photos below `root/below`, by their paths below `root`.
    pub fn photos(&mut self, root: &Path, below: &str) -> Result<Listing, DataError> {
        let mut listing = Listing::default();
        let mut folders = vec![below.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in self.entries(root, &folder, &mut listing.left_out)? {
                match entry {
                    Entry::Folder(path) => folders.push(path),
                    Entry::File(path) => match kind(&root.join(&path), &path) {
                        None => listing.photos.push(path),
                        Some(reason) => listing.left_out.push(LeftOut { path, reason }),
                    },
                }
            }
        }
        listing.photos.sort();
        listing.left_out.sort();
        Ok(listing)
    }

    /// Lists what a folder holds, by paths below `root`, and leaves out what its name or kind rules out.
    pub fn entries(&mut self, root: &Path, folder: &str, left_out: &mut Vec<LeftOut>) -> Result<Vec<Entry>, DataError> {
        let place = root.join(folder);
        let refuse = |error| DataError::io("list", &place, error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&place).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            let name = entry.file_name();
            let shown = name.to_str().map_or_else(|| name.as_encoded_bytes().escape_ascii().to_string(), str::to_owned);
            let path = if folder.is_empty() { shown.clone() } else { format!("{folder}/{shown}") };
            let reason = match name.to_str() {
                Some(name) => by_name(name),
                None => Some(Reason::Name),
            };
            let judged = match reason {
                Some(reason) => Err(reason),
                None => self.judge(&entry.path()),
            };
            match judged {
                Ok(true) => found.push(Entry::Folder(path)),
                Ok(false) => found.push(Entry::File(path)),
                Err(reason) => left_out.push(LeftOut { path, reason }),
            }
        }
        Ok(found)
    }

    /// Tells whether an entry is a folder or a file, or why it is neither.
    fn judge(&mut self, path: &Path) -> Result<bool, Reason> {
        let itself = fs::symlink_metadata(path).map_err(|_| Reason::Unreadable)?;
        let metadata = match itself.is_symlink() {
            false => itself,
            true if self.links == Links::Followed => fs::metadata(path).map_err(|_| Reason::BrokenLink)?,
            true if path.exists() => return Err(Reason::Link),
            true => return Err(Reason::BrokenLink),
        };
        match (metadata.is_dir(), metadata.is_file()) {
            (true, _) if self.entered.insert(identity(&metadata)) => Ok(true),
            (true, _) => Err(Reason::Again),
            (_, true) => Ok(false),
            _ => Err(Reason::NotAFile),
        }
    }
}

/// Tells whether a link leads to `root`, to what holds it, or into it: no folder of its own.
pub(super) fn leads_back(root: &Path, link: &str) -> bool {
    let (Ok(root), Ok(target)) = (root.canonicalize(), root.join(link).canonicalize()) else { return false };
    root.starts_with(&target) || target.starts_with(&root)
}

/// Tells whether a file of that name is left out.
fn by_name(name: &str) -> Option<Reason> {
    let lower = name.to_lowercase();
    if SYSTEM.contains(&lower.as_str()) || lower.starts_with("._") || lower.starts_with(".trash-") {
        return Some(Reason::System);
    }
    name.starts_with('.').then_some(Reason::Hidden)
}

/// Tells why a file is no photo.
fn kind(file: &Path, path: &str) -> Option<Reason> {
    if is_photo_name(path) {
        return None;
    }
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(decode::HEAD as u64).read_to_end(&mut head));
    match read {
        Err(_) => Some(Reason::Unreadable),
        Ok(0) => Some(Reason::Empty),
        Ok(_) => (!decode::is_photo(&head)).then_some(Reason::NotAPhoto),
    }
}

/// Tells why a file of an object store is no photo of a class, by the rules for files of a folder: it is left out itself, or
/// with a folder in which it lies.
pub(super) fn listed_kind(files: &ListedFiles<'_>, path: &str) -> Result<Option<LeftOut>, DataError> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        let upto = &path[..end];
        let name = upto.rsplit('/').next().unwrap_or_default();
        if let Some(reason) = by_name(name) {
            return Ok(Some(LeftOut { path: upto.to_owned(), reason }));
        }
    }
    let left_out = |reason| Ok(Some(LeftOut { path: path.to_owned(), reason }));
    if !path.contains('/') {
        return left_out(Reason::BesideClasses);
    }
    if is_photo_name(path) {
        return Ok(None);
    }
    let head = files.head(path, decode::HEAD as u64).map_err(|e| DataError::io("read", &files.place(path), e))?;
    match (head.is_empty(), decode::is_photo(&head)) {
        (true, _) => left_out(Reason::Empty),
        (_, false) => left_out(Reason::NotAPhoto),
        (_, true) => Ok(None),
    }
}

/// Tells whether a file's name ends like a photo's.
pub(crate) fn is_photo_name(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Splits the path of one photo that a user names.
pub(super) fn single(photo: &Path) -> (PathBuf, Option<String>) {
    let folder = photo.parent().unwrap_or(Path::new("")).to_owned();
    (folder, photo.file_name().and_then(|name| name.to_str()).map(str::to_owned))
}
