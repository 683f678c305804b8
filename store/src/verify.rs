//! Verification: re-hashes everything and reports what is wrong, each finding with its repair.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::index::files_below;
use crate::{Digest, Manifest, Store, StoreError};

/// Something wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// An artifact whose bytes do not have its digest.
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
    /// A line of the index that does not agree with its manifest.
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
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedBlob { path } => {
                write!(f, "artifact {} is damaged; repair: `mlsm verify --repair`, then run again", path.display())
            }
            Self::MissingBlob { digest, manifest } => write!(
                f,
                "artifact {} of manifest {} is missing; repair: run again",
                digest.short(),
                manifest.display()
            ),
            Self::DamagedManifest { path } => {
                write!(f, "manifest {} is damaged; repair: `mlsm verify --repair`, then run again", path.display())
            }
            Self::DamagedIndex { path } => {
                write!(f, "index {} disagrees with the manifests; repair: `mlsm verify --repair`", path.display())
            }
            Self::DamagedCheckpoint { path } => {
                write!(f, "checkpoint {} is damaged and is not used; repair: `mlsm verify --repair`", path.display())
            }
            Self::DamagedRun { path } => {
                write!(f, "run record {} is damaged and is not shown; repair: `mlsm verify --repair`", path.display())
            }
        }
    }
}

impl Store {
    /// Checks every file of the store. `progress` receives the bytes hashed so far, from several threads.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the index cannot be read.
    pub fn verify(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Vec<Finding>, StoreError> {
        let hashed = AtomicU64::new(0);
        let root = self.root();
        let mut findings: Vec<Finding> = files_below(&root.join("blobs"))
            .into_par_iter()
            .filter_map(|path| {
                let named: String = path.iter().rev().take(2).map(|p| p.to_string_lossy()).rev_join();
                let (digest, bytes) = Digest::of_file(&path).ok()?;
                progress(hashed.fetch_add(bytes, Ordering::Relaxed) + bytes);
                (digest.to_string() != named).then_some(Finding::DamagedBlob { path })
            })
            .collect();
        for path in self.manifest_files() {
            match fs::read(&path).ok().and_then(|b| Manifest::read(&b)) {
                Some(m) if self.manifest_path(&m.fingerprint) == path => {
                    let absent = m.outputs.values().filter(|o| !self.blob_path(&o.digest).exists());
                    findings.extend(absent.map(|o| Finding::MissingBlob { digest: o.digest, manifest: path.clone() }));
                }
                _ => findings.push(Finding::DamagedManifest { path }),
            }
        }
        findings.extend(self.check_index());
        let flat = |folder: &str| fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|e| e.path());
        for path in flat("checkpoints") {
            let whole = fs::read(&path).is_ok_and(|b| b.len() >= 32 && Digest::of(&b[32..]).as_bytes()[..] == b[..32]);
            if !whole {
                findings.push(Finding::DamagedCheckpoint { path });
            }
        }
        for path in flat("runs") {
            let whole = fs::read(&path).is_ok_and(|b| serde_json::from_slice::<crate::RunRecord>(&b).is_ok());
            if !whole {
                findings.push(Finding::DamagedRun { path });
            }
        }
        Ok(findings)
    }

    fn check_index(&self) -> Option<Finding> {
        let path = self.root().join("index.jsonl");
        let text = fs::read_to_string(&path).ok();
        let Some(text) = text else { return path.exists().then_some(Finding::DamagedIndex { path }) };
        let agrees = |line: &str| {
            let Some((fingerprint, json)) = line.split_once(' ') else { return false };
            let Ok(fingerprint) = fingerprint.parse() else { return false };
            fs::read(self.manifest_path(&fingerprint)).is_ok_and(|bytes| bytes == json.as_bytes())
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1); // a torn last line is no damage
        let good = text[..whole].lines().filter(|l| !l.is_empty()).all(agrees);
        (!good).then_some(Finding::DamagedIndex { path })
    }

    /// Sets aside what [`Store::verify`] found damaged, so that the next run remakes exactly that.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unwritable`].
    pub fn repair(&self, findings: &[Finding]) -> Result<(), StoreError> {
        let folder = self.root().join("quarantine");
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let mut index_is_stale = false;
        for finding in findings {
            let path = match finding {
                Finding::MissingBlob { .. } => continue,
                Finding::DamagedBlob { path }
                | Finding::DamagedManifest { path }
                | Finding::DamagedIndex { path }
                | Finding::DamagedCheckpoint { path }
                | Finding::DamagedRun { path } => path,
            };
            index_is_stale |= matches!(finding, Finding::DamagedManifest { .. });
            let name: String = path.iter().rev().take(2).map(|p| p.to_string_lossy()).rev_join();
            fs::rename(path, folder.join(name)).map_err(|e| StoreError::io("rename", path, e))?;
        }
        let index = self.root().join("index.jsonl");
        if index_is_stale && index.exists() {
            fs::remove_file(&index).map_err(|e| StoreError::io("remove", &index, e))?;
        }
        Ok(())
    }
}

/// Joins the last components of a path in their order.
trait RevJoin {
    fn rev_join(self) -> String;
}

impl<'a, I: Iterator<Item = std::borrow::Cow<'a, str>>> RevJoin for I {
    fn rev_join(self) -> String {
        self.collect::<Vec<_>>().into_iter().rev().collect()
    }
}
