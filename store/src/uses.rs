//! When a configuration was last used: one sealed file each, since a run that found everything is not in the run log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::contents::entries;
use crate::{Digest, RunRecord, Store, StoreError, durable, seal};

/// The last whole run of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    /// The name of the configuration.
    pub config_name: String,
    /// The digest of the resolved configuration.
    pub config_digest: Digest,
    /// The recorded run that reached the same.
    pub run_id: String,
    /// When the last run that reached it ended, RFC 3339.
    pub used: String,
    /// What it reached, as one digest.
    pub reached: Digest,
}

/// Whether a run has a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Its record is in the log of runs.
    Kept,
    /// It only found what an earlier run made.
    None,
}

impl Store {
    /// Notes that a complete run ended, which keeps what it reached from being the first to be collected, and returns the
    /// recorded run that reached the same. A run that only found what an earlier one made needs no record of its own; `None`
    /// when there is no such earlier one.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`].
    pub fn note_use(&self, run: &RunRecord, record: Recording) -> Result<Option<String>, StoreError> {
        self.writable()?;
        let (path, reached) = (self.use_path(run), digest_of(run));
        let earlier = read(&path).filter(|last| last.reached == reached && self.has_record(&last.run_id));
        let run_id = match (record, earlier) {
            (Recording::Kept, _) => run.run_id.clone(),
            (Recording::None, Some(last)) => last.run_id,
            (Recording::None, None) => return Ok(None),
        };
        let (config_name, config_digest, used) = (run.config_name.clone(), run.config_digest, run.finished.clone());
        let last = LastUse { config_name, config_digest, run_id, used, reached };
        durable::write(&path, &seal::write(&last), &self.staging())?;
        Ok(Some(last.run_id))
    }

    /// Returns when each recorded run was last used by one that found all of it, by its id.
    pub(crate) fn uses(&self) -> BTreeMap<String, String> {
        let uses = entries(&self.root().join("uses")).into_iter().filter_map(|path| read(&path));
        uses.map(|last| (last.run_id, last.used)).collect()
    }

    fn use_path(&self, run: &RunRecord) -> PathBuf {
        let key = format!("{}\n{}", run.config_name, run.config_digest);
        self.root().join("uses").join(format!("{}.json", Digest::of(key.as_bytes())))
    }

    fn has_record(&self, run_id: &str) -> bool {
        self.root().join("runs").join(format!("{run_id}.json")).exists()
    }
}

/// Reads a note; `None` unless it is whole.
pub(crate) fn read(path: &Path) -> Option<LastUse> {
    seal::read_sealed(&fs::read(path).ok()?)
}

fn digest_of(run: &RunRecord) -> Digest {
    Digest::of(run.reached().iter().map(|f| format!("{f}\n")).collect::<String>().as_bytes())
}
