//! Garbage collection: what no kept run reaches is planned for removal, and removed when nobody writes.
//!
//! Roots are run records: of each configuration, which is a name *and* the digest of its keys, the last complete runs and
//! the last of those that were stopped, failed or partial; pinned ones; and the run whose tables are current. Runs of one
//! kind never displace those of the other, so that no interrupted run costs a finished one its results. A manifest that no
//! record names is the work of a run that was killed, which the next run takes up: it is kept while it
//! is young, and so are checkpoints and what was set aside. Photos that the store keeps stay while a kept answer was made
//! of one of them. Removal goes from what refers to what is referred to, so a crash leaves garbage, never a broken
//! reference.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::contents::{self, entries, files_in};
use crate::index::{self, files_below};
use crate::lock::{self, Mode};
use crate::sweep;
use crate::tables::plain_name;
use crate::{Digest, Fingerprint, Holder, Manifest, RunRecord, Store, StoreError, at_work, disk, durable, stat_cache};

/// What is kept.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// How many of the last complete runs of each configuration, and of the others.
    pub keep_runs: usize,
    /// Runs that finished at or after this time (RFC 3339) are kept.
    pub runs_before: Option<String>,
    /// Manifests that no run names are kept when they are younger.
    pub unrecorded_before: SystemTime,
    /// Further runs are dropped, those first that were used longest ago, until so many bytes are left; the last complete
    /// one of each name of a configuration stays.
    pub max_bytes: Option<u64>,
    /// Configurations that no run used since this time (RFC 3339) are dropped but for the last of each name.
    pub unused_before: Option<String>,
}

/// What a collection would cost one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigurationCost {
    /// The name of the configuration.
    pub config_name: String,
    /// The digest of its keys.
    pub config_digest: Digest,
    /// Its last complete run.
    pub run_id: String,
    /// When it was last used, RFC 3339.
    pub used: String,
    /// How many units its next run would have to compute again, by stage.
    pub recompute: BTreeMap<String, usize>,
}

/// What a collection would remove.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GcPlan {
    /// Runs whose artifacts are not kept for their own sake.
    pub dropped_runs: Vec<String>,
    /// Runs that keep what they reach.
    pub kept_runs: Vec<String>,
    /// Manifests to remove.
    pub manifests: usize,
    /// Artifacts to remove.
    pub blobs: usize,
    /// Bytes of all files to remove.
    pub bytes: u64,
    /// Bytes of artifacts to remove, by the stage that made them.
    pub by_stage: BTreeMap<String, u64>,
    /// Bytes of published tables to remove, by table.
    pub by_table: BTreeMap<String, u64>,
    /// Bytes of anything else to remove, by the folder in which it lies.
    pub by_folder: BTreeMap<String, u64>,
    /// Bytes that stay in artifacts.
    pub kept_bytes: u64,
    /// What each configuration would have to compute again.
    pub configurations: Vec<ConfigurationCost>,
    /// Which manifests.
    #[serde(skip)]
    pub doomed_manifests: Vec<Fingerprint>,
    /// Which artifacts.
    #[serde(skip)]
    pub doomed_blobs: Vec<Digest>,
    /// Which other files and folders.
    #[serde(skip)]
    pub doomed_paths: Vec<PathBuf>,
    /// Which remembered digests of files outside.
    #[serde(skip)]
    doomed_digests: BTreeSet<String>,
}

impl GcPlan {
    /// Tells whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.doomed_manifests.is_empty()
            && self.doomed_blobs.is_empty()
            && self.doomed_paths.is_empty()
            && self.doomed_digests.is_empty()
    }
}

/// The size of something, and when it was written.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// In bytes.
    pub bytes: u64,
    /// By the clock of the place where it lies.
    pub modified: SystemTime,
}

/// Everything that a collection looks at, read once.
pub struct Inventory {
    runs: Vec<RunRecord>,
    /// Runs that are pinned, and the one whose tables are current.
    pinned: BTreeSet<String>,
    manifests: Vec<(Manifest, Stored)>,
    blobs: BTreeMap<Digest, Stored>,
    /// Answers that a shared place was not offered yet.
    pending: BTreeSet<Fingerprint>,
    /// When a recorded run was last used by one that found all of it.
    uses: BTreeMap<String, String>,
    /// Whatever else may be removed.
    others: Vec<(PathBuf, Other)>,
    /// Files outside that are remembered and are no longer what they were.
    outdated: BTreeSet<String>,
}

/// A file or folder that is removed as a whole.
enum Other {
    /// The tables of a run, with the bytes of each.
    Tables { run_id: String, bytes: BTreeMap<String, u64> },
    /// The record of a run.
    Run { run_id: String, bytes: u64 },
    /// The note of the last use of a run.
    Use { run_id: String, bytes: u64 },
    /// The file of a lock that nobody holds.
    Lock(Stored),
    /// Photos, by their digests.
    Dataset { photos: BTreeSet<Digest>, stored: Stored },
    /// What is kept for a while alone; work that is done has left it behind.
    Leftover { stored: Stored, is_done: bool },
}

/// What to do with the pin of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Set it.
    Set,
    /// Remove it.
    Removed,
}

impl Store {
    /// Pins a run, so that a collection keeps what it reaches, or unpins it.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; [`StoreError::Io`] for a run id that is no plain file name.
    pub fn pin(&self, run_id: &str, pin: Pin) -> Result<(), StoreError> {
        self.writable()?;
        let folder = self.root().join("pins");
        let path = folder.join(plain_name(run_id)?);
        if pin == Pin::Set {
            durable::make_folder(&folder)?;
            durable::write(&path, b"", &self.staging())?;
        } else if path.exists() {
            disk::remove_file(&path)?;
        }
        self.upstream().map_or(Ok(()), |upstream| upstream.pin(run_id, pin))
    }

    /// Lists the pinned runs.
    pub fn pinned(&self) -> BTreeSet<String> {
        entries(&self.root().join("pins")).iter().map(|path| name(path)).collect()
    }

    /// Plans a collection; removes nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the run log cannot be read.
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan, StoreError> {
        Ok(self.inventory()?.plan(options))
    }

    /// Collects once nobody writes; while somebody does, `wait` is called about fifty times a second.
    ///
    /// The store must be opened for reading: a writer of this process would be waited for in vain. Returns what was
    /// removed, or nothing when `wait` breaks off.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`], [`StoreError::Io`].
    pub fn apply_gc(
        &self,
        options: &GcOptions,
        wait: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<GcPlan>, StoreError> {
        let mut wait = |_: &Holder| wait();
        // The gate first: runs that begin from now on wait, so that those of now are the last ones to wait for.
        let root = self.root();
        let Some(_gate) = lock::take(&sweep::gate(root), Mode::Alone, &mut wait)? else { return Ok(None) };
        let Some(_alone) = lock::take(&sweep::writers_lock(root), Mode::Alone, &mut wait)? else { return Ok(None) };
        let inventory = self.inventory()?; // again: only now does nothing change any more
        let plan = inventory.plan(options);
        if !plan.doomed_manifests.is_empty() {
            let doomed: BTreeSet<_> = plan.doomed_manifests.iter().collect();
            let kept = inventory.manifests.iter().map(|(manifest, _)| manifest);
            index::write(self, kept.filter(|manifest| !doomed.contains(&manifest.fingerprint)))?;
        }
        let stop = || self.patience().check();
        for fingerprint in &plan.doomed_manifests {
            stop()?;
            disk::remove_file(&self.manifest_path(fingerprint))?;
        }
        for digest in &plan.doomed_blobs {
            stop()?;
            disk::remove_file(&self.blob_path(digest))?;
        }
        if !plan.doomed_digests.is_empty() {
            stat_cache::drop_entries(self, &plan.doomed_digests)?;
        }
        for path in &plan.doomed_paths {
            stop()?;
            let removed = durable::temporary(&self.staging()); // a crash within would leave half a folder in its place
            disk::rename(path, &removed)?;
            if removed.is_dir() { disk::remove_tree(&removed)? } else { disk::remove_file(&removed)? }
        }
        Ok(Some(plan))
    }

    fn inventory(&self) -> Result<Inventory, StoreError> {
        let read = |path: PathBuf| Some((Manifest::read(&fs::read(&path).ok()?)?, stored(&path)?));
        let blob = |path: PathBuf| Some((named_by(&path)?, stored(&path)?));
        let current = fs::canonicalize(self.root().join("tables/current")).ok();
        let current = current.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let manifests: Vec<_> = self.manifest_files().into_iter().filter_map(read).collect();
        let others = self.others(&manifests);
        Ok(Inventory {
            runs: self.runs().list()?,
            uses: self.uses(),
            pending: self.pending().iter().filter_map(|name| name.parse().ok()).collect(),
            outdated: stat_cache::outdated(self),
            pinned: self.pinned().into_iter().chain(current).collect(),
            manifests,
            blobs: files_below(&self.root().join("blobs")).into_iter().filter_map(blob).collect(),
            others,
        })
    }

    fn others(&self, manifests: &[(Manifest, Stored)]) -> Vec<(PathBuf, Other)> {
        let tables = |folder: &Path| Other::Tables { run_id: name(folder), bytes: bytes_by_first_part(folder) };
        let dataset = |folder: &Path| {
            let photos = contents::read(folder).unwrap_or_default().into_values().collect();
            let bytes = bytes_by_first_part(folder).into_values().sum();
            Some(Other::Dataset { photos, stored: Stored { bytes, modified: moved(folder)? } })
        };
        let answered: BTreeSet<String> = manifests.iter().map(|(m, _)| m.fingerprint.to_string()).collect();
        let leftover = |path: &Path| {
            let bytes = if path.is_dir() { bytes_by_first_part(path).into_values().sum() } else { stored(path)?.bytes };
            let stored = Stored { bytes, modified: moved(path)? };
            Some(Other::Leftover { stored, is_done: answered.contains(&name(path)) })
        };
        let below = |folder: &str| entries(&self.root().join(folder)).into_iter();
        let tables = below("tables/runs").map(|path| (tables(&path), path));
        let datasets = below("datasets").filter_map(|path| Some((dataset(&path)?, path)));
        let leftovers =
            below("checkpoints").chain(below("quarantine")).filter_map(|path| Some((leftover(&path)?, path)));
        // Tables before the record that they name; a lock that nobody has open can be made anew by anybody.
        let run_id = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let runs = below("runs")
            .filter_map(|path| Some((Other::Run { run_id: run_id(&path), bytes: stored(&path)?.bytes }, path)));
        let is_named = |name: String| ["dataset-", at_work::PREFIX].iter().any(|prefix| name.starts_with(prefix));
        let is_passing = |path: &Path| name(path).parse::<Fingerprint>().is_ok() || is_named(name(path));
        let locks = below("locks").filter(|path| is_passing(path));
        let locks = locks.filter_map(|path| Some((Other::Lock(stored(&path)?), path)));
        let uses = below("uses").filter_map(|path| {
            let last = crate::uses::read(&path)?;
            Some((Other::Use { run_id: last.run_id, bytes: stored(&path)?.bytes }, path))
        });
        let all = tables.chain(datasets).chain(leftovers).chain(uses).chain(runs).chain(locks);
        all.map(|(other, path)| (path, other)).collect()
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads the digest that the path of an artifact is made of.
fn named_by(path: &Path) -> Option<Digest> {
    format!("{}{}", name(path.parent()?), name(path)).parse().ok()
}

fn stored(path: &Path) -> Option<Stored> {
    let stat = fs::metadata(path).ok()?;
    Some(Stored { bytes: stat.len(), modified: stat.modified().ok()? })
}

/// Returns when something got its present name.
fn moved(path: &Path) -> Option<SystemTime> {
    let stat = fs::metadata(path).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::new(stat.ctime().try_into().ok()?, stat.ctime_nsec().try_into().ok()?))
}

/// Adds up the files of a folder by the first part of their paths in it.
fn bytes_by_first_part(folder: &Path) -> BTreeMap<String, u64> {
    let mut bytes = BTreeMap::new();
    for file in files_in(folder) {
        let first = file.strip_prefix(folder).ok().and_then(|inner| inner.iter().next());
        let first = first.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default();
        *bytes.entry(first).or_default() += stored(&file).map_or(0, |stored| stored.bytes);
    }
    bytes
}
