//! Verification: re-hashes everything and reports what is wrong, each finding with its repair.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mlsm_errors::Fix;
use rayon::prelude::*;
use serde::Serialize;

use crate::checkpoint::is_whole;
use crate::contents::{self, entries};
use crate::index::{self, files_below};
use crate::{Digest, Fingerprint, Manifest, Output, RunRecord, Store, StoreError, runs, seal, stat_cache, uses};

/// The digits of a fingerprint.
const DIGITS: usize = 64;

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
    /// An index that gives another answer than a manifest does, that holds what no writer and no crash leaves, or that
    /// lacks what was in it when a run ended.
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
    /// A note of when a configuration was last used that cannot be read.
    DamagedUse {
        /// Its file.
        path: PathBuf,
    },
    /// The record of a run is gone, and its tables or its pin are there.
    MissingRun {
        /// The run.
        run_id: String,
        /// Its tables, or its pin.
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
    /// Photos that the store keeps and that are not what was kept.
    DamagedDataset {
        /// The folder of the data set.
        path: PathBuf,
        /// The first file that differs.
        file: PathBuf,
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
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::MissingBlob { .. } | Self::MissingManifest { .. } => None,
            Self::DamagedStatCache { path }
            | Self::MissingRun { path, .. }
            | Self::DamagedDataset { path, .. }
            | Self::DamagedTables { path, .. }
            | Self::DamagedBlob { path }
            | Self::DamagedManifest { path }
            | Self::DamagedIndex { path }
            | Self::DamagedCheckpoint { path }
            | Self::DamagedUse { path }
            | Self::DamagedRun { path } => Some(path),
        }
    }
}

impl Finding {
    /// Returns what repairs it.
    pub fn repair(&self) -> Fix {
        let then = match self {
            Self::MissingBlob { .. } | Self::MissingManifest { .. } => return Fix::from("run again"),
            Self::DamagedDataset { .. } => "the next run makes its data set anew",
            Self::DamagedTables { .. } => "the next run publishes them again",
            Self::DamagedBlob { .. } | Self::DamagedManifest { .. } => "then run again",
            Self::DamagedIndex { .. } => "which writes it anew",
            Self::MissingRun { .. }
            | Self::DamagedStatCache { .. }
            | Self::DamagedCheckpoint { .. }
            | Self::DamagedUse { .. }
            | Self::DamagedRun { .. } => "",
        };
        Fix::RepairStore { then }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingBlob { digest, manifest } => {
                write!(f, "artifact {} of manifest {} is missing", digest.short(), manifest.display())
            }
            Self::MissingManifest { fingerprint, run_id } => {
                write!(f, "manifest {} of run {run_id} is missing", &fingerprint.to_string()[..12])
            }
            Self::MissingRun { run_id, path } => {
                write!(f, "the record of run {run_id} is missing, {} names it", path.display())
            }
            Self::DamagedDataset { file, .. } => write!(f, "{} is damaged", file.display()),
            Self::DamagedTables { file, .. } => write!(f, "published table {} is damaged", file.display()),
            Self::DamagedStatCache { path } => write!(f, "cache {} is damaged and is not used", path.display()),
            Self::DamagedBlob { path } => write!(f, "artifact {} is damaged", path.display()),
            Self::DamagedManifest { path } => write!(f, "manifest {} is damaged", path.display()),
            Self::DamagedIndex { path } => write!(f, "index {} does not agree with the manifests", path.display()),
            Self::DamagedCheckpoint { path } => write!(f, "checkpoint {} is damaged and is not used", path.display()),
            Self::DamagedUse { path } => {
                write!(f, "note {} of a configuration's last use is damaged", path.display())
            }
            Self::DamagedRun { path } => write!(f, "run record {} is damaged and is not shown", path.display()),
        }
    }
}

impl Store {
    /// Checks every file of the store; changes nothing, and waits for nobody.
    ///
    /// # Errors
    /// [`StoreError::Stopped`]; what cannot be read is a finding.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<Vec<Finding>, StoreError> {
        let mut findings = self.check_blobs(options);
        findings.extend(self.check_manifests(&findings));
        let reached = runs::always_kept(&self.runs().list()?, &self.pinned());
        findings.extend(self.check_index(&reached));
        let whole_checkpoint = |path: &Path| fs::read(path).is_ok_and(|bytes| is_whole(&bytes));
        findings.extend(self.check_each("checkpoints", whole_checkpoint, |path| Finding::DamagedCheckpoint { path }));
        let whole_run = |path: &Path| fs::read(path).is_ok_and(|b| seal::read::<RunRecord>(&b).is_some());
        findings.extend(self.check_each("runs", whole_run, |path| Finding::DamagedRun { path }));
        let whole_use = |path: &Path| uses::read(path).is_some();
        findings.extend(self.check_each("uses", whole_use, |path| Finding::DamagedUse { path }));
        findings.extend(self.check_runs());
        // A cache has what was asked for, not all that the runs of the shared place reached.
        let is_gone = |f: &Fingerprint| self.upstream().is_none() && !self.manifest_path(f).exists();
        let missing = reached.into_iter().filter(|(fingerprint, _)| is_gone(fingerprint));
        findings.extend(missing.map(|(fingerprint, run_id)| Finding::MissingManifest { fingerprint, run_id }));
        let cache = self.root().join("stat-cache.json");
        if !fs::read(&cache).map_or(!cache.exists(), |bytes| stat_cache::is_whole(&bytes)) {
            findings.push(Finding::DamagedStatCache { path: cache });
        }
        findings.extend(self.check_folders());
        self.patience().check()?; // what was not read to its end was taken for damaged
        Ok(findings)
    }

    fn check_blobs(&self, options: &VerifyOptions<'_>) -> Vec<Finding> {
        let hashed = AtomicU64::new(0);
        let is_damaged = |path: &PathBuf| {
            let Ok((digest, bytes)) = self.digest_file(path) else { return path.exists() }; // not when it has just been removed
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
                    // Not when the manifest has just been removed, before its artifacts.
                    let absent = m.outputs.values().filter(|o| !self.blob_path(&o.digest).exists() && path.exists());
                    findings.extend(absent.map(|o| Finding::MissingBlob { digest: o.digest, manifest: path.clone() }));
                }
                _ if path.exists() => findings.push(Finding::DamagedManifest { path }),
                _ => {} // removed meanwhile
            }
        }
        findings
    }

    /// A run is recorded before its tables are published, and a pin is set on a recorded one.
    fn check_runs(&self) -> Vec<Finding> {
        let folders = ["tables/runs", "pins"].map(|folder| entries(&self.root().join(folder)));
        let named =
            folders.into_iter().flatten().filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)));
        let is_gone = |run_id: &str| !self.root().join("runs").join(format!("{run_id}.json")).exists();
        let gone = named.filter(|(run_id, _)| is_gone(run_id));
        gone.map(|(run_id, path)| Finding::MissingRun { run_id, path }).collect()
    }

    /// Checks what lies in folders that list their contents.
    fn check_folders(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for path in entries(&self.root().join("datasets")) {
            let damaged = self.damaged_file(&path).or_else(|| contents::first_unlisted(&path));
            findings.extend(damaged.map(|file| Finding::DamagedDataset { path, file }));
        }
        for path in entries(&self.root().join("tables/runs")) {
            let damaged = self.damaged_file(&path);
            findings.extend(damaged.map(|file| Finding::DamagedTables { path, file }));
        }
        findings
    }

    /// `reached`: what the index had when the runs ended that reached it.
    fn check_index(&self, reached: &BTreeMap<Fingerprint, String>) -> Option<Finding> {
        let path = self.root().join("index.jsonl");
        let is_whole = match fs::read(&path) {
            Ok(bytes) => self.is_whole_index(&bytes, reached),
            // It is made before the first answer; a writer may do so at this moment.
            Err(e) if e.kind() == ErrorKind::NotFound => self.manifest_files().is_empty() || path.exists(),
            Err(_) => false,
        };
        (!is_whole).then_some(Finding::DamagedIndex { path })
    }

    fn is_whole_index(&self, bytes: &[u8], reached: &BTreeMap<Fingerprint, String>) -> bool {
        let truth = |f: &Fingerprint| fs::read(self.manifest_path(f)).ok().and_then(|bytes| Manifest::read(&bytes));
        let mut lines: Vec<_> = bytes.split(|b| *b == b'\n').collect();
        lines.pop(); // no newline ends it: a writer may be at it, and whoever comes next begins a new one
        let mut unread = Vec::new();
        let mut told = BTreeMap::<Fingerprint, Option<Manifest>>::new();
        for line in lines {
            let said = index::parts(line).and_then(|(fingerprint, json)| match json {
                "" => Some((fingerprint, None)),
                json => Some((fingerprint, Some(Manifest::read(json.as_bytes())?))),
            });
            match said {
                Some((f, said)) if said.as_ref().is_none_or(|m| m.fingerprint == f) => drop(told.insert(f, said)),
                _ => unread.push(line),
            }
        }
        // What a crash leaves: the beginning of a line, of a manifest that is there, or of a fingerprint to be taken back.
        let names: BTreeSet<String> = self.fingerprints().iter().chain(told.keys()).map(ToString::to_string).collect();
        let is_torn = |line: &&[u8]| match line.split_at_checked(DIGITS) {
            Some((digits, [])) => names.iter().any(|name| name.as_bytes() == digits),
            Some((digits, _)) => {
                let fingerprint = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                fingerprint.and_then(|f| truth(&f)).is_some_and(|m| index::line(&m).as_bytes().starts_with(line))
            }
            None => line.is_empty() || names.iter().any(|name| name.as_bytes().starts_with(line)),
        };
        let agrees = |(fingerprint, said): (&Fingerprint, &Option<Manifest>)| match (said, truth(fingerprint)) {
            (Some(said), Some(truth)) => (&said.outputs, &said.provenance) == (&truth.outputs, &truth.provenance),
            _ => true, // nothing is believed of a manifest whose file is gone
        };
        let is_told = |f: &Fingerprint| told.contains_key(f) || !self.manifest_path(f).exists();
        unread.iter().all(is_torn) && told.iter().all(agrees) && reached.keys().all(is_told)
    }

    fn check_each(
        &self,
        folder: &str,
        is_whole: impl Fn(&Path) -> bool,
        finding: impl Fn(PathBuf) -> Finding,
    ) -> Vec<Finding> {
        let is_damaged = |path: &PathBuf| !is_whole(path) && path.exists();
        entries(&self.root().join(folder)).into_iter().filter(is_damaged).map(finding).collect()
    }
}
