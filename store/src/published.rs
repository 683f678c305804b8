//! Reading what was published: the tables and summaries of a run, each only when it still has the digest that it was
//! published with. Whatever shows a figure reads it here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::contents::{self, Contents, entries};
use crate::stat::Stat;
use crate::tables::plain_name;
use crate::untouched::{self, Untouched};
use crate::{Digest, Store, StoreError};

/// The published files of one run.
#[derive(Clone)]
pub struct Published {
    store: Store,
    run_id: String,
    folder: PathBuf,
    contents: Contents,
    untouched: Untouched,
}

impl Store {
    /// Finds what a run published; without a run, what the last whole one did. `None` when there is nothing.
    ///
    /// # Errors
    /// [`StoreError::DamagedTable`] when the list of its files is damaged; [`StoreError::Io`] for a run id that is no plain
    /// file name.
    pub fn published(&self, run_id: Option<&str>) -> Result<Option<Published>, StoreError> {
        let Some(run_id) = run_id.map(str::to_owned).or_else(|| self.current_run()) else { return Ok(None) };
        let folder = self.root().join("tables/runs").join(plain_name(&run_id)?);
        if !folder.is_dir() {
            return Ok(None);
        }
        let damaged = || StoreError::DamagedTable { path: contents::list_of(&folder) };
        let contents = contents::read(&folder).ok_or_else(damaged)?;
        let untouched = if self.0.rehash.get().is_some() { Untouched::new() } else { untouched::read(&folder) };
        Ok(Some(Published { store: self.clone(), run_id, folder, contents, untouched }))
    }

    /// Lists the runs that published anything, sorted.
    pub fn published_runs(&self) -> Vec<String> {
        let name = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        entries(&self.root().join("tables/runs")).into_iter().filter_map(name).collect()
    }

    /// Returns the run to whose tables `tables/current` leads.
    fn current_run(&self) -> Option<String> {
        let target = fs::read_link(self.root().join("tables/current")).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }
}

impl Published {
    /// Returns the run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Returns the folder, to be named to people; what lies in it is read through the methods below.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lists the files by their paths in the folder, sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.contents.keys().map(String::as_str)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`StoreError::DamagedTable`] when it is gone or has other bytes than were published.
    pub fn read(&self, relative: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.folder.join(relative);
        let listed = self.contents.get(relative);
        match fs::read(&path) {
            Ok(bytes) if listed == Some(&Digest::of(&bytes)) => Ok(bytes),
            _ => Err(StoreError::DamagedTable { path }),
        }
    }

    /// Checks a file, and returns where it lies for a reader that wants a path. A large one that nobody touched since it was
    /// written is not read.
    ///
    /// # Errors
    /// As [`Published::read`]; [`StoreError::Stopped`].
    pub fn path(&self, relative: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(relative);
        if self.untouched.get(relative).is_some_and(|written| Stat::of(&path).is_ok_and(|stat| stat == *written)) {
            return Ok(path);
        }
        let found = match self.store.digest_file(&path) {
            Ok((digest, _)) => Some(digest),
            Err(StoreError::Stopped) => return Err(StoreError::Stopped),
            Err(_) => None,
        };
        let is_whole = found.is_some() && found.as_ref() == self.contents.get(relative);
        if is_whole { Ok(path) } else { Err(StoreError::DamagedTable { path }) }
    }
}
