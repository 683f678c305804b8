//! Opening a store: looking at one, writing one, making one.
//!
//! Looking touches nothing: no folder is made, nothing is swept, no lock is taken. A store is made only where nothing lies,
//! and only by who asked to write; a folder that holds anything else is somebody's.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::index::Index;
use crate::store::Inner;
use crate::sweep::Writers;
use crate::{Patience, Store, StoreError, disk, durable};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const FOLDERS: [&str; 7] = ["blobs", "manifests", "checkpoints", "locks", "runs", "tables", "staging"];

/// What a folder holds first while a store is made in it, so that another process, or the next one after a crash, knows
/// what it sees.
const MAKING: &str = ".mlsm-store-is-being-made";

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading and writing; the store is made when the folder is empty or not there.
    ReadWrite,
    /// Reading and writing a store that is there.
    Existing,
    /// Reading only.
    ReadOnly,
}

impl Access {
    /// Tells whether anything may be written.
    pub fn is_writing(self) -> bool {
        self != Self::ReadOnly
    }
}

/// What lies at a place.
enum Found {
    Store,
    Nothing,
    /// A store that a process makes at this moment, or died making.
    Unfinished,
}

impl Store {
    /// Opens or makes the store at `root`; waits as long as it must.
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub fn open(root: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_with(root, access, &Patience::default())
    }

    /// Opens or makes the store at `root`. Who opens it for reading takes no lock and waits for nobody.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not there and none is to be made; [`StoreError::Occupied`] when other files are;
    /// [`StoreError::NewerFormat`]; [`StoreError::Unwritable`]; [`StoreError::Busy`] and [`StoreError::Stopped`] as
    /// `patience` has it.
    pub fn open_with(root: &Path, access: Access, patience: &Patience) -> Result<Self, StoreError> {
        let found = look(root)?;
        let is_new = !matches!(found, Found::Store);
        if is_new && access != Access::ReadWrite {
            return Err(StoreError::NotFound { path: root.to_owned() });
        }
        let mut writers = None;
        if access.is_writing() {
            if is_new {
                begin(root)?;
            }
            prepare(root)?;
            writers = Some(Writers::join(root, !matches!(found, Found::Nothing), patience)?);
        }
        if is_new {
            finish(root)?;
        }
        let root = root.canonicalize().map_err(|e| StoreError::io("open", root, e))?;
        Ok(Self::over(&root, access, patience, writers))
    }

    /// Returns a store without anything in it, for looking at a place where none is yet.
    pub fn absent(root: &Path) -> Self {
        Self::over(root, Access::ReadOnly, &Patience::default(), None)
    }

    /// Tells whether a place is free for a store: it is not there, or an empty folder.
    ///
    /// # Errors
    /// [`StoreError::Occupied`], [`StoreError::LostFormat`], [`StoreError::NewerFormat`], [`StoreError::Io`].
    pub fn is_absent(root: &Path) -> Result<bool, StoreError> {
        Ok(!matches!(look(root)?, Found::Store))
    }

    fn over(root: &Path, access: Access, patience: &Patience, writers: Option<Writers>) -> Self {
        let index = Mutex::new(Index::new(root));
        let (root, patience) = (root.to_owned(), patience.clone());
        let (verified, upstream) = (Mutex::default(), OnceLock::new());
        Self(Arc::new(Inner {
            root,
            access,
            patience,
            index,
            verified,
            upstream,
            rehash: OnceLock::new(),
            at_work: OnceLock::new(),
            _writers: writers,
        }))
    }
}

/// Looks at a place; changes nothing.
fn look(root: &Path) -> Result<Found, StoreError> {
    if let Some(found) = format(root)? {
        check_format(root, found.trim())?;
        return Ok(Found::Store);
    }
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) if e.kind() == ErrorKind::NotADirectory => return Err(unwritable(root, "it is not a folder")),
        Err(e) => return Err(StoreError::io("read", root, e)),
    };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    let is_ours = |name: &std::ffi::OsString| name == MAKING || name == "format" || FOLDERS.iter().any(|f| name == *f);
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    if let Some(found) = format(root)? {
        return check_format(root, found.trim()).map(|()| Found::Store); // it has just been finished
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    match (has("index.jsonl"), has(MAKING) && names.iter().all(is_ours)) {
        (true, _) => Err(StoreError::LostFormat { path: root.to_owned() }),
        (false, true) => Ok(Found::Unfinished),
        (false, false) => Err(StoreError::Occupied { path: root.to_owned() }),
    }
}

/// Reads the file that makes a folder a store.
fn format(root: &Path) -> Result<Option<String>, StoreError> {
    let path = root.join("format");
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(StoreError::io("read", &path, e)),
    }
}

fn check_format(root: &Path, found: &str) -> Result<(), StoreError> {
    match found.parse::<u32>() {
        Ok(n) if (1..=FORMAT).contains(&n) => Ok(()),
        _ => Err(StoreError::NewerFormat { path: root.to_owned(), found: found.to_owned(), expected: FORMAT }),
    }
}

/// Says what the system said, under the name of the store; a full disk stays a full disk.
fn cannot_make(root: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Io { source, .. } => unwritable(root, source),
        StoreError::Unwritable { reason, .. } => unwritable(root, reason),
        other => other,
    }
}

pub(crate) fn unwritable(root: &Path, reason: impl ToString) -> StoreError {
    StoreError::Unwritable { path: root.to_owned(), reason: reason.to_string() }
}

/// Begins a new store: from now on its folder is known to be one that is being made.
fn begin(root: &Path) -> Result<(), StoreError> {
    durable::make_folder(root).map_err(|e| cannot_make(root, e))?;
    let mark = root.join(MAKING);
    if !mark.exists() {
        disk::touch(&mark).and_then(|()| disk::sync_folder(root)).map_err(|e| cannot_make(root, e))?;
    }
    Ok(())
}

fn prepare(root: &Path) -> Result<(), StoreError> {
    for folder in FOLDERS {
        durable::make_folder(&root.join(folder)).map_err(|e| cannot_make(root, e))?;
    }
    rustix::fs::access(root.join("staging"), rustix::fs::Access::WRITE_OK).map_err(|e| unwritable(root, e))
}

/// Ends the making of a store. Its format comes last: a folder without it is no store yet.
fn finish(root: &Path) -> Result<(), StoreError> {
    let text = format!("{FORMAT}\n");
    let written = durable::write(&root.join("format"), text.as_bytes(), &root.join("staging"));
    written.and_then(|()| disk::remove_file(&root.join(MAKING))).map_err(|e| cannot_make(root, e))
}
