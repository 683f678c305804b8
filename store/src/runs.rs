//! The run log: one sealed JSON file per run, written when the run ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::{Deserialize, Serialize};

use crate::tables::plain_name;
use crate::{Digest, Fingerprint, Store, StoreError, durable, seal};

/// What a run did with one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node's id.
    pub node: String,
    /// Its stage.
    pub stage: String,
    /// How it ended.
    pub outcome: String,
    /// Its fingerprint, when it was finished.
    pub fingerprint: Option<Fingerprint>,
    /// Its outputs.
    pub outputs: BTreeMap<String, Digest>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Why it was executed.
    pub reason: String,
    /// The fingerprints of its units.
    pub units: BTreeMap<String, Fingerprint>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub run_id: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub finished: String,
    /// `ok`, `failed` or `cancelled`.
    pub outcome: String,
    /// The name of its configuration.
    pub config_name: String,
    /// The digest of the resolved configuration.
    pub config_digest: Digest,
    /// The version of the program.
    pub version: String,
    /// The device asked for.
    pub device: String,
    /// Whether it was to bring everything up to date, not some stages alone. Records of before this was written count as
    /// whole.
    #[serde(default = "whole")]
    pub is_whole: bool,
    /// Its nodes.
    pub nodes: Vec<NodeRecord>,
}

fn whole() -> bool {
    true
}

impl RunRecord {
    /// Writes a record under its seal.
    pub fn write(&self) -> Vec<u8> {
        seal::write(self)
    }

    /// Returns the fingerprints of all units that the run found or made.
    pub fn reached(&self) -> BTreeSet<Fingerprint> {
        self.nodes.iter().flat_map(|node| node.units.values().copied()).collect()
    }

    /// Tells whether a later run of the same configuration needs nothing beyond what this one reached.
    pub fn is_complete(&self) -> bool {
        self.is_whole && self.outcome == "ok"
    }

    /// Reads a record; `None` unless it is whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        seal::read(bytes)
    }
}

/// Returns what no collection may have dropped: what the last complete run of each name of a configuration and the pinned
/// ones reached, and which run that was. `runs`: oldest first.
pub fn always_kept(runs: &[RunRecord], pinned: &BTreeSet<String>) -> BTreeMap<Fingerprint, String> {
    let last = last_complete(runs);
    let kept = runs.iter().filter(|r| last.contains(r.run_id.as_str()) || pinned.contains(&r.run_id));
    kept.flat_map(|run| run.reached().into_iter().map(|f| (f, run.run_id.clone()))).collect()
}

/// Returns the last complete run of each name of a configuration.
pub(crate) fn last_complete(runs: &[RunRecord]) -> BTreeSet<&str> {
    let complete = runs.iter().filter(|run| run.is_complete());
    let last: BTreeMap<&str, &str> = complete.map(|r| (r.config_name.as_str(), r.run_id.as_str())).collect();
    last.into_values().collect()
}

/// The runs of a store.
pub struct RunLog<'a>(&'a Store);

impl<'a> RunLog<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self(store)
    }

    /// Adds a run.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Unwritable`]; [`StoreError::Io`] for a run id that is no plain file name.
    pub fn append(&self, record: &RunRecord) -> Result<(), StoreError> {
        self.0.writable()?;
        let path = self.0.root().join("runs").join(plain_name(&format!("{}.json", record.run_id))?);
        durable::write(&path, &record.write(), &self.0.staging())?;
        self.0.upstream().map_or(Ok(()), |upstream| self.0.share_run(upstream, record))
    }

    /// Lists the runs, oldest first; files that are no records are left out.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder cannot be read.
    pub fn list(&self) -> Result<Vec<RunRecord>, StoreError> {
        let folder = self.0.root().join("runs");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("read", &folder, e)),
        };
        let read = |path: std::path::PathBuf| seal::read(&fs::read(path).ok()?);
        let mut runs: Vec<RunRecord> = entries.flatten().filter_map(|e| read(e.path())).collect();
        runs.sort_by(|a, b| (&a.started, &a.run_id).cmp(&(&b.started, &b.run_id)));
        Ok(runs)
    }

    /// Returns the last run of a configuration.
    ///
    /// # Errors
    /// As [`RunLog::list`].
    pub fn last(&self, config_name: &str) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.list()?.into_iter().rev().find(|r| r.config_name == config_name))
    }
}
