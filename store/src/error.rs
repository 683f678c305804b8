//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::Digest;

/// Why the store refused.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no store at that place.
    #[error("there is no store at {}\n  why: it has no file `format`\n  fix: name another with --store, or run the pipeline once", path.display())]
    NotFound {
        /// The place.
        path: PathBuf,
    },
    /// What makes a folder a store is gone from one.
    #[error("the store at {} has lost its file `format`\n  why: everything else of a store is there\n  fix: if mlsm wrote it, `echo {} > {}`", path.display(), crate::FORMAT, path.join("format").display())]
    LostFormat {
        /// The place.
        path: PathBuf,
    },
    /// The store cannot be written.
    #[error("cannot write the store at {}\n  why: {reason}\n  fix: make the folder writable, or name another with --store", path.display())]
    Unwritable {
        /// The place.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The place holds files and is no store: nothing is made there.
    #[error("{} is no store\n  why: it has no file `format`, and it holds other files\n  fix: name a store, or an empty folder to make one in", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// Others use the store, and waiting was not wanted.
    #[error("the store is busy\n  why: {what} ({holder})\n  fix: try again later, or wait for it")]
    Busy {
        /// What they do.
        what: String,
        /// Who.
        holder: String,
    },
    /// Stopping was asked for.
    #[error("stopped\n  why: a signal asked to stop\n  fix: the same command goes on where this one stopped")]
    Stopped,
    /// A newer program wrote the store.
    #[error("the store at {} has format {found}, this program reads up to {expected}\n  why: a newer mlsm wrote it\n  fix: use that version, or another store", path.display())]
    NewerFormat {
        /// The place.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The newest that is known.
        expected: u32,
    },
    /// An artifact's bytes are not what its name says; it was set aside.
    #[error("artifact {} was damaged\n  why: its bytes do not have its digest; it was moved to {}\n  fix: run again, what depends on it is remade", digest.short(), path.display())]
    Damaged {
        /// The artifact.
        digest: Digest,
        /// Where the damaged bytes are now.
        path: PathBuf,
    },
    /// A photo or a list that the store keeps is not what was kept; its data set was set aside.
    #[error("{} was damaged\n  why: it is not what was kept; its data set was moved to {}\n  fix: run again, the data set is made anew", file.display(), path.display())]
    DamagedDataset {
        /// The first file that differs.
        file: PathBuf,
        /// Where the data set is now.
        path: PathBuf,
    },
    /// A published table is not what was published, and is not shown.
    #[error("published table {} is damaged\n  why: its bytes do not have the digest that they were published with\n  fix: run the pipeline again, which publishes its tables anew", path.display())]
    DamagedTable {
        /// Its file, or that of the list of its run's tables.
        path: PathBuf,
    },
    /// An artifact is not there.
    #[error("artifact {} is missing\n  why: its file is gone\n  fix: run again, it is remade", digest.short())]
    Missing {
        /// The artifact.
        digest: Digest,
    },
    /// The disk is full.
    #[error("no space left while writing {}\n  why: the disk or its quota is full\n  fix: free space, then run again; finished artifacts are kept", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The disk has no room for a large file; nothing of it was written.
    #[error("no room for {}\n  why: it needs {needed} bytes, the disk or its quota has {free} free\n  fix: free space, then run again; finished artifacts are kept", path.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// How many bytes it needs.
        needed: u64,
        /// How many are free.
        free: u64,
    },
    /// A shared place cannot be used.
    #[error(
        "cannot {action} {url}\n  why: {reason}\n  fix: check the address, the credentials in the environment and the network, then run again; what was computed is kept in the cache"
    )]
    Remote {
        /// What was tried.
        action: &'static str,
        /// Where.
        url: String,
        /// The reason.
        reason: String,
    },
    /// Anything else the system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Tells whether space is what is wanting.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::NoRoom { .. })
    }

    /// Sorts an error of the system into the variant that the caller can act on.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if let Some(NoRoom { needed, free }) = source.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::NoRoom { path, needed: *needed, free: *free };
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Unwritable { path, reason: source.to_string() }
            }
            _ => Self::Io { action, path, source },
        }
    }
}

/// The disk has less free space than a write needs; carried inside an [`io::Error`] through `Write`.
#[derive(Debug, Error)]
#[error("it needs {needed} bytes, the disk or its quota has {free} free")]
pub(crate) struct NoRoom {
    pub(crate) needed: u64,
    pub(crate) free: u64,
}
