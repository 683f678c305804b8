//! Tables for people: copies of artifacts under readable names, swapped in as a whole.
//!
//! They are copies (or reflinks), read-only: an analyst's write can never reach a blob.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use crate::untouched::{self, Untouched};
use crate::{Digest, Store, StoreError, contents, disk, durable};

/// Where the bytes of a published file come from.
#[derive(Clone)]
pub enum TableSource<'a> {
    /// An artifact.
    Blob(Digest),
    /// Bytes that exist for this publication alone.
    Bytes(Vec<u8>),
    /// Bytes that a function writes, too many to hold in memory.
    Written(&'a WriteTable<'a>),
}

/// Writes the bytes of a published file.
pub type WriteTable<'a> = dyn Fn(&mut (dyn Write + Send)) -> Result<(), StoreError> + Sync + 'a;

impl fmt::Debug for TableSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => f.debug_tuple("Blob").field(digest).finish(),
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::Written(_) => f.write_str("Written"),
        }
    }
}

/// Which place published tables take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// They are those that readers find first.
    Current,
    /// They are found by the id of their run only.
    OfRun,
}

impl Store {
    /// Lays `files` (relative path, source) below `tables/runs/<run_id>` and returns that folder; with [`Publication::Current`],
    /// `tables/current` then leads to it.
    ///
    /// # Errors
    /// [`StoreError`] when an artifact is missing or damaged, the disk is full, or a path leads out of the folder; what was
    /// published before stays.
    pub fn publish_tables(
        &self,
        run_id: &str,
        files: &[(String, TableSource<'_>)],
        publication: Publication,
    ) -> Result<PathBuf, StoreError> {
        self.writable()?;
        let finished = self.0.root.join("tables/runs").join(plain_name(run_id)?);
        let building = durable::temporary(&self.staging());
        let result = self.build(&building, files).and_then(|()| self.replace(&building, &finished));
        if result.is_err() {
            let _ = disk::remove_tree(&building); // garbage at worst; the first error says more
        }
        result?;
        if publication == Publication::Current {
            self.point_current(run_id)?;
        }
        Ok(finished)
    }

    fn build(&self, building: &Path, files: &[(String, TableSource<'_>)]) -> Result<(), StoreError> {
        disk::make_folder(building)?;
        let (mut listed, mut untouched) = (contents::Contents::new(), Untouched::new());
        for (relative, source) in files {
            let path = building.join(inner_path(relative)?);
            let folder = path.parent().unwrap_or(building);
            for new in folder.ancestors().take_while(|f| !f.is_dir()).collect::<Vec<_>>().into_iter().rev() {
                disk::make_folder(new)?; // synced with the whole tree below
            }
            listed.insert(relative.clone(), self.lay(&path, source)?);
            untouched::note(&mut untouched, relative, &path)?;
        }
        contents::write(building, &listed)?;
        untouched::write(building, &untouched)?;
        disk::sync_tree(building)
    }

    /// An earlier publication of the same run is swapped out, so that its readers always find one.
    fn replace(&self, building: &Path, finished: &Path) -> Result<(), StoreError> {
        let _alone = self.replacing()?;
        if !finished.is_dir() {
            return durable::settle(building, finished);
        }
        disk::exchange(building, finished)?;
        disk::sync_folder(finished.parent().unwrap_or(finished))?;
        disk::remove_tree(building)
    }

    /// Lays one file out and returns the digest of its bytes.
    fn lay(&self, path: &Path, source: &TableSource<'_>) -> Result<Digest, StoreError> {
        let mut to = disk::create(path)?;
        let digest = match source {
            TableSource::Bytes(bytes) => {
                disk::write_all(&mut to, path, bytes)?;
                Digest::of(bytes)
            }
            TableSource::Written(write) => {
                let mut hashed = Hashed { file: &mut to, path, hasher: blake3::Hasher::new() };
                let mut buffered = io::BufWriter::with_capacity(1 << 20, &mut hashed);
                write(&mut buffered)?;
                buffered.flush().map_err(|e| StoreError::io("write", path, e))?;
                drop(buffered);
                Digest::from_bytes(*hashed.hasher.finalize().as_bytes())
            }
            TableSource::Blob(digest) => {
                let blob = self.blob_path(digest);
                let _verified = self.open_blob(digest)?; // people must not be shown damaged bytes either
                let from = File::open(&blob).map_err(|e| StoreError::io("open", &blob, e))?;
                disk::copy(&from, &mut to, path)?;
                *digest
            }
        };
        disk::make_read_only(&to, path)?;
        Ok(digest)
    }

    /// Swaps the link `tables/current` by one rename.
    fn point_current(&self, run_id: &str) -> Result<(), StoreError> {
        let link = durable::temporary(&self.staging());
        disk::link(&Path::new("runs").join(run_id), &link)?;
        durable::settle(&link, &self.0.root.join("tables/current"))
    }
}

/// A file that is being written, and the digest of what was.
struct Hashed<'a> {
    file: &'a mut File,
    path: &'a Path,
    hasher: blake3::Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = disk::write_some(self.file, self.path, buffer)?;
        self.hasher.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Lets a name pass that is one plain part of a path.
pub(crate) fn plain_name(name: &str) -> Result<&str, StoreError> {
    let mut parts = Path::new(inner_path(name)?).components();
    match (parts.next(), parts.next()) {
        (Some(_), None) => Ok(name),
        _ => Err(leads_elsewhere(name)),
    }
}

/// Lets a relative path pass that stays below its folder.
fn inner_path(relative: &str) -> Result<&str, StoreError> {
    let mut parts = Path::new(relative).components();
    let stays = !relative.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)));
    if stays { Ok(relative) } else { Err(leads_elsewhere(relative)) }
}

fn leads_elsewhere(name: &str) -> StoreError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, "the name leads out of its folder");
    StoreError::io("write", Path::new(name), source)
}
