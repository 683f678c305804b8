//! Verification: re-hashes everything and reports what is wrong, each finding with its repair.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::checkpoint::is_whole;
use crate::index::files_below;
use crate::{
    Digest, Fingerprint, Manifest, Output, RunRecord, Store, StoreError, disk, durable, seal, stat_cache, tables,
};

/// How a verification is to be done.
#[derive(Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Receives the bytes hashed so far, from several threads.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

/// Something wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// An artifact whose bytes do not have its digest, or cannot be read.
    DamagedBlob {
        /// Its file.
        path: PathBuf,
    },
    /// An artifact that a manifest names and that is not there.
    MissingBlob {
        /// The artifact.
        digest: Digest,
        /// The manifest that names it.
        manifest: PathBuf,
    },
    /// A manifest that cannot be read or does not answer its own request.
    DamagedManifest {
        /// Its file.
        path: PathBuf,
    },
    /// An index that gives another answer than the manifest does.
    DamagedIndex {
        /// Its file.
        path: PathBuf,
    },
    /// A checkpoint whose bytes do not have their digest.
    DamagedCheckpoint {
        /// Its file.
        path: PathBuf,
    },
    /// A record of a run that cannot be read.
    DamagedRun {
        /// Its file.
        path: PathBuf,
    },
    /// A manifest that is gone and that a run names which no collection may have dropped: the last one of its
    /// configuration, or a pinned one.
    MissingManifest {
        /// The manifest.
        fingerprint: Fingerprint,
        /// The run that names it.
        run_id: String,
    },
    /// Digests of files outside that cannot be read.
    DamagedStatCache {
        /// Their file.
        path: PathBuf,
    },
    /// Published tables that are not what was published.
    DamagedTables {
        /// The folder of the run.
        path: PathBuf,
        /// The first file that differs.
        file: PathBuf,
    },
}

impl Finding {
    /// Returns the file to set aside; nothing when it is gone already.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::MissingBlob { .. } | Self::MissingManifest { .. } => None,
            Self::DamagedStatCache { path }
            | Self::DamagedTables { path, .. }
            | Self::DamagedBlob { path }
            | Self::DamagedManifest { path }
            | Self::DamagedIndex { path }
            | Self::DamagedCheckpoint { path }
            | Self::DamagedRun { path } => Some(path),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, repair) = match self {
            Self::MissingBlob { digest, manifest } => {
                let (digest, manifest) = (digest.short(), manifest.display());
                return write!(f, "artifact {digest} of manifest {manifest} is missing; repair: run again");
            }
            Self::MissingManifest { fingerprint, run_id } => {
                let fingerprint = &fingerprint.to_string()[..12];
                return write!(f, "manifest {fingerprint} of run {run_id} is missing; repair: run again");
            }
            Self::DamagedTables { file, .. } => {
                let repair = "`mlsm verify --repair`, the next run publishes them again";
                return write!(f, "published table {} is damaged; repair: {repair}", file.display());
            }
            Self::DamagedStatCache { .. } => ("cache {} is damaged and is not used", "`mlsm verify --repair`"),
            Self::DamagedBlob { .. } => ("artifact {} is damaged", "`mlsm verify --repair`, then run again"),
            Self::DamagedManifest { .. } => ("manifest {} is damaged", "`mlsm verify --repair`, then run again"),
            Self::DamagedIndex { .. } => {
                ("index {} disagrees with the manifests", "`mlsm verify --repair`, the next run rebuilds it")
            }
            Self::DamagedCheckpoint { .. } => ("checkpoint {} is damaged and is not used", "`mlsm verify --repair`"),
            Self::DamagedRun { .. } => ("run record {} is damaged and is not shown", "`mlsm verify --repair`"),
        };
        let path = self.path().map(|p| p.display().to_string()).unwrap_or_default();
        write!(f, "{}; repair: {repair}", what.replace("{}", &path))
    }
}

impl Store {
    /// Checks every file of the store.
    ///
    /// # Errors
    /// None at present: what cannot be read is a finding.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<Vec<Finding>, StoreError> {
        let mut findings = self.check_blobs(options);
        findings.extend(self.check_manifests(&findings));
        findings.extend(self.check_index());
        let whole_checkpoint = |path: &Path| fs::read(path).is_ok_and(|bytes| is_whole(&bytes));
        findings.extend(self.check_each("checkpoints", whole_checkpoint, |path| Finding::DamagedCheckpoint { path }));
        let whole_run = |path: &Path| fs::read(path).is_ok_and(|b| seal::read::<RunRecord>(&b).is_some());
        findings.extend(self.check_each("runs", whole_run, |path| Finding::DamagedRun { path }));
        findings.extend(self.check_reached()?);
        let cache = self.root().join("stat-cache.json");
        if !fs::read(&cache).map_or(!cache.exists(), |bytes| stat_cache::is_whole(&bytes)) {
            findings.push(Finding::DamagedStatCache { path: cache });
        }
        let published = fs::read_dir(self.root().join("tables/runs")).into_iter().flatten().flatten();
        let mut folders: Vec<_> = published.map(|entry| entry.path()).collect();
        folders.sort();
        let damaged = folders.into_par_iter().filter_map(|path| Some((tables::first_damaged(&path)?, path)));
        findings.extend(damaged.map(|(file, path)| Finding::DamagedTables { path, file }).collect::<Vec<_>>());
        Ok(findings)
    }

    fn check_blobs(&self, options: &VerifyOptions<'_>) -> Vec<Finding> {
        let hashed = AtomicU64::new(0);
        let is_damaged = |path: &PathBuf| {
            let Ok((digest, bytes)) = Digest::of_file(path) else { return true };
            if let Some(progress) = options.progress {
                progress(hashed.fetch_add(bytes, Ordering::Relaxed) + bytes);
            }
            self.blob_path(&digest) != *path
        };
        let blobs = files_below(&self.root().join("blobs")).into_par_iter();
        blobs.filter(is_damaged).map(|path| Finding::DamagedBlob { path }).collect()
    }

    fn check_manifests(&self, of_blobs: &[Finding]) -> Vec<Finding> {
        let damaged: BTreeSet<_> = of_blobs.iter().filter_map(Finding::path).collect();
        // A whole artifact of another size than its manifest says is a miss for every look-up.
        let misstated = |o: &Output| {
            let path = self.blob_path(&o.digest);
            fs::metadata(&path).is_ok_and(|m| m.len() != o.bytes) && !damaged.contains(path.as_path())
        };
        let mut findings = Vec::new();
        for path in self.manifest_files() {
            match fs::read(&path).ok().and_then(|bytes| Manifest::read(&bytes)) {
                Some(m) if self.manifest_path(&m.fingerprint) == path && !m.outputs.values().any(misstated) => {
                    let absent = m.outputs.values().filter(|o| !self.blob_path(&o.digest).exists());
                    findings.extend(absent.map(|o| Finding::MissingBlob { digest: o.digest, manifest: path.clone() }));
                }
                _ => findings.push(Finding::DamagedManifest { path }),
            }
        }
        findings
    }

    /// What the last run of each configuration and the pinned runs reached must be there.
    fn check_reached(&self) -> Result<Vec<Finding>, StoreError> {
        let (runs, pinned) = (self.runs().list()?, self.pinned());
        let last: BTreeMap<&str, &str> = runs.iter().map(|r| (r.config_name.as_str(), r.run_id.as_str())).collect();
        let last: BTreeSet<&str> = last.into_values().collect();
        let mut missing = BTreeMap::new();
        for run in runs.iter().filter(|r| last.contains(r.run_id.as_str()) || pinned.contains(&r.run_id)) {
            for fingerprint in run.nodes.iter().flat_map(|node| node.units.values()) {
                if !self.manifest_path(fingerprint).exists() {
                    missing.insert(*fingerprint, run.run_id.clone());
                }
            }
        }
        let finding = |(fingerprint, run_id)| Finding::MissingManifest { fingerprint, run_id };
        Ok(missing.into_iter().map(finding).collect())
    }

    /// The index is wrong when the answer that it would give is not the manifest's. A torn line gives none, and an
    /// earlier line of a fingerprint is overruled by a later one.
    fn check_index(&self) -> Option<Finding> {
        let path = self.root().join("index.jsonl");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => return path.exists().then_some(Finding::DamagedIndex { path }),
        };
        let mut answers = BTreeMap::<Fingerprint, &str>::new();
        for line in bytes.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
            if let Some((fingerprint, json)) = line.split_once(' ')
                && let Ok(fingerprint) = fingerprint.parse()
            {
                answers.insert(fingerprint, json);
            }
        }
        let differs = |(fingerprint, json): (&Fingerprint, &&str)| {
            let claims = Manifest::read(json.as_bytes()).filter(|m| m.fingerprint == *fingerprint);
            let truth = fs::read(self.manifest_path(fingerprint)).ok().and_then(|bytes| Manifest::read(&bytes));
            matches!((claims, truth), (Some(claims), Some(truth)) if (&claims.outputs, &claims.provenance) != (&truth.outputs, &truth.provenance))
        };
        answers.iter().any(differs).then_some(Finding::DamagedIndex { path })
    }

    fn check_each(
        &self,
        folder: &str,
        is_whole: impl Fn(&Path) -> bool,
        finding: impl Fn(PathBuf) -> Finding,
    ) -> Vec<Finding> {
        let entries = fs::read_dir(self.root().join(folder)).into_iter().flatten().flatten().map(|e| e.path());
        let mut damaged: Vec<_> = entries.filter(|path| !is_whole(path)).collect();
        damaged.sort();
        damaged.into_iter().map(finding).collect()
    }

    /// Sets aside what [`Store::verify`] found damaged, so that the next run remakes exactly that.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unwritable`].
    pub fn repair(&self, findings: &[Finding]) -> Result<(), StoreError> {
        self.writable()?;
        let folder = self.root().join("quarantine");
        for path in findings.iter().filter_map(Finding::path) {
            let inner = path.strip_prefix(self.root()).unwrap_or(path);
            let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
            durable::make_folder(&folder)?;
            match disk::rename(path, &folder.join(parts.join("-"))) {
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {} // somebody else did
                result => result?,
            }
        }
        Ok(())
    }
}
