//! Garbage collection: what no kept run reaches is planned for removal, and removed when nobody writes.
//!
//! Roots are run records: the last ones of each configuration, pinned ones, and the run whose tables are current. A
//! manifest that no record names is the work of a run that was killed, which the next run takes up: it is kept while it
//! is young. Removal goes from what refers to what is referred to, so a crash leaves garbage, never a broken reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::index::files_below;
use crate::tables::plain_name;
use crate::{Digest, Fingerprint, Manifest, RunRecord, Store, StoreError, disk, durable, lock};

/// Stages whose artifacts came from outside and cannot be remade.
const IMPORTED: &[&str] = &["weights"];

/// What is kept.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// How many of the last runs of each configuration.
    pub keep_runs: usize,
    /// Runs that finished at or after this time (RFC 3339) are kept.
    pub runs_before: Option<String>,
    /// Manifests that no run names are kept when they are younger.
    pub unrecorded_before: SystemTime,
    /// Further runs are dropped, the oldest first, until so many bytes are left; the last of each configuration stays.
    pub max_bytes: Option<u64>,
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
    /// Bytes that stay in artifacts.
    pub kept_bytes: u64,
    #[serde(skip)]
    remove_manifests: Vec<PathBuf>,
    #[serde(skip)]
    remove_blobs: Vec<PathBuf>,
    #[serde(skip)]
    remove_folders: Vec<PathBuf>,
}

impl GcPlan {
    /// Tells whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.remove_manifests.is_empty() && self.remove_blobs.is_empty() && self.remove_folders.is_empty()
    }
}

/// Everything that refers to something, read once.
struct Contents {
    runs: Vec<RunRecord>,
    pinned: BTreeSet<String>,
    manifests: BTreeMap<Fingerprint, (PathBuf, Manifest)>,
    sizes: BTreeMap<PathBuf, u64>,
    current: BTreeSet<String>,
}

impl Store {
    /// Pins a run: a collection keeps what it reaches. Unpins it with `is_pinned = false`.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; [`StoreError::Io`] for a run id that is no plain file name.
    pub fn pin(&self, run_id: &str, is_pinned: bool) -> Result<(), StoreError> {
        self.writable()?;
        let folder = self.root().join("pins");
        let path = folder.join(plain_name(run_id)?);
        if is_pinned {
            durable::make_folder(&folder)?;
            return durable::write(&path, b"", &self.staging());
        }
        if path.exists() { disk::remove_file(&path) } else { Ok(()) }
    }

    /// Lists the pinned runs.
    pub fn pinned(&self) -> BTreeSet<String> {
        names(&self.root().join("pins"))
    }

    /// Plans a collection; removes nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the run log cannot be read.
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan, StoreError> {
        let contents = self.contents()?;
        let mut kept = contents.kept_runs(options);
        loop {
            let plan = self.plan_for(&contents, &kept, options);
            let is_large = options.max_bytes.is_some_and(|most| plan.kept_bytes > most);
            match contents.oldest_droppable(&kept).filter(|_| is_large) {
                Some(run_id) => drop(kept.remove(&run_id)),
                None => return Ok(plan),
            }
        }
    }

    /// Collects once nobody writes; while somebody does, `wait` is called about ten times a second.
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
        let path = self.root().join("locks/writers");
        let file = lock::open_file(&path)?;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(StoreError::io("lock", &path, error.into()));
            }
            if wait().is_break() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _alone = lock::LockGuard::from_file(file);
        let plan = self.plan_gc(options)?; // again: only now does nothing change any more
        let index = self.root().join("index.jsonl");
        if !plan.remove_manifests.is_empty() && index.exists() {
            disk::remove_file(&index)?; // a copy, rebuilt when it is next asked for
        }
        for path in plan.remove_manifests.iter().chain(&plan.remove_blobs) {
            disk::remove_file(path)?;
        }
        plan.remove_folders.iter().try_for_each(|folder| disk::remove_tree(folder))?;
        Ok(Some(plan))
    }

    fn contents(&self) -> Result<Contents, StoreError> {
        let mut manifests = BTreeMap::new();
        for path in self.manifest_files() {
            if let Some(manifest) = fs::read(&path).ok().and_then(|bytes| Manifest::read(&bytes)) {
                manifests.insert(manifest.fingerprint, (path, manifest));
            }
        }
        let size = |path: PathBuf| {
            let bytes = fs::metadata(&path).map_or(0, |m| m.len());
            (path, bytes)
        };
        let sizes = files_below(&self.root().join("blobs")).into_iter().map(size).collect();
        let current = fs::canonicalize(self.root().join("tables/current")).ok();
        let current = current.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Contents {
            runs: self.runs().list()?,
            pinned: self.pinned(),
            manifests,
            sizes,
            current: current.into_iter().collect(),
        })
    }

    fn plan_for(&self, contents: &Contents, kept: &BTreeSet<String>, options: &GcOptions) -> GcPlan {
        let units = |run: &'_ RunRecord| run.nodes.iter().flat_map(|n| n.units.values().copied()).collect::<Vec<_>>();
        let named: BTreeSet<Fingerprint> = contents.runs.iter().flat_map(units).collect();
        let kept_runs = contents.runs.iter().filter(|r| kept.contains(&r.run_id));
        let reached: BTreeSet<Fingerprint> = kept_runs.flat_map(units).collect();
        let is_young = |path: &Path| {
            let modified = fs::metadata(path).and_then(|m| m.modified());
            modified.is_ok_and(|time| time >= options.unrecorded_before)
        };
        let mut plan = GcPlan::default();
        let (mut live, mut maker) = (BTreeSet::<Digest>::new(), BTreeMap::<Digest, &str>::new());
        for (fingerprint, (path, manifest)) in &contents.manifests {
            let stage = manifest.request.stage.as_str();
            let is_kept = reached.contains(fingerprint)
                || IMPORTED.contains(&stage)
                || (!named.contains(fingerprint) && is_young(path));
            match is_kept {
                true => live.extend(manifest.outputs.values().map(|o| o.digest)),
                false => {
                    maker.extend(manifest.outputs.values().map(|o| (o.digest, stage)));
                    plan.remove_manifests.push(path.clone());
                    plan.bytes += fs::metadata(path).map_or(0, |m| m.len());
                }
            }
        }
        let live: BTreeSet<PathBuf> = live.iter().map(|digest| self.blob_path(digest)).collect();
        let makers: BTreeMap<PathBuf, &str> = maker.iter().map(|(d, stage)| (self.blob_path(d), *stage)).collect();
        for (path, bytes) in &contents.sizes {
            if live.contains(path) || (!makers.contains_key(path) && is_young(path)) {
                plan.kept_bytes += bytes;
                continue;
            }
            let stage = makers.get(path).copied().unwrap_or("no manifest");
            *plan.by_stage.entry(stage.to_owned()).or_default() += bytes;
            plan.bytes += bytes;
            plan.remove_blobs.push(path.clone());
        }
        for run_id in names(&self.root().join("tables/runs")) {
            let folder = self.root().join("tables/runs").join(&run_id);
            if kept.contains(&run_id) || contents.current.contains(&run_id) {
                continue;
            }
            for file in files_in(&folder) {
                let bytes = fs::metadata(&file).map_or(0, |m| m.len());
                let table = file.strip_prefix(&folder).ok().and_then(|p| p.iter().next()).map(|t| t.to_string_lossy());
                *plan.by_table.entry(table.unwrap_or_default().into_owned()).or_default() += bytes;
                plan.bytes += bytes;
            }
            plan.remove_folders.push(folder);
        }
        plan.manifests = plan.remove_manifests.len();
        plan.blobs = plan.remove_blobs.len();
        plan.kept_runs = kept.iter().cloned().collect();
        let ids = contents.runs.iter().map(|r| r.run_id.clone());
        plan.dropped_runs = ids.filter(|id| !kept.contains(id)).collect();
        plan
    }
}

impl Contents {
    fn kept_runs(&self, options: &GcOptions) -> BTreeSet<String> {
        let mut kept = &self.pinned | &self.current;
        let mut of_config: BTreeMap<&str, usize> = BTreeMap::new();
        for run in self.runs.iter().rev() {
            let count = of_config.entry(&run.config_name).or_default();
            let is_recent = options.runs_before.as_ref().is_some_and(|before| run.finished >= *before);
            if *count < options.keep_runs.max(1) || is_recent {
                kept.insert(run.run_id.clone());
            }
            *count += 1;
        }
        kept
    }

    /// The oldest kept run that is neither pinned, nor current, nor the last of its configuration.
    fn oldest_droppable(&self, kept: &BTreeSet<String>) -> Option<String> {
        let last: BTreeMap<&str, &str> =
            self.runs.iter().map(|r| (r.config_name.as_str(), r.run_id.as_str())).collect();
        let last: BTreeSet<&str> = last.into_values().collect();
        let is_droppable = |run: &&RunRecord| {
            let id = &run.run_id;
            let is_fast = self.pinned.contains(id) || self.current.contains(id) || last.contains(id.as_str());
            kept.contains(id) && !is_fast
        };
        self.runs.iter().find(is_droppable).map(|run| run.run_id.clone())
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Lists all files of a folder, at every depth; links are not followed.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|e| if e.file_type().is_ok_and(|t| t.is_dir()) { files_in(&e.path()) } else { vec![e.path()] })
        .collect()
}
