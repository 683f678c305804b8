//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use mlsm_errors::{Explain, Fix};
use thiserror::Error;

use crate::{Digest, FORMAT};

/// Why the store refused.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no store at that place.
    #[error("there is no store at {}", path.display())]
    NotFound {
        /// The place.
        path: PathBuf,
    },
    /// What makes a folder a store is gone from one.
    #[error("the store at {} has lost its file `format`", path.display())]
    LostFormat {
        /// The place.
        path: PathBuf,
    },
    /// The store cannot be written.
    #[error("cannot write the store at {}", path.display())]
    Unwritable {
        /// The place.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The place holds files and is no store: nothing is made there.
    #[error("{} is no store", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// Others use the store, and waiting was not wanted.
    #[error("the store is busy")]
    Busy {
        /// What they do.
        what: String,
        /// Who.
        holder: String,
    },
    /// Stopping was asked for.
    #[error("stopped")]
    Stopped,
    /// A newer program wrote the store.
    #[error("the store at {} has format {found}, this program reads up to {expected}", path.display())]
    NewerFormat {
        /// The place.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The newest that is known.
        expected: u32,
    },
    /// An artifact's bytes are not what its name says; it was set aside.
    #[error("artifact {} was damaged", digest.short())]
    Damaged {
        /// The artifact.
        digest: Digest,
        /// Where the damaged bytes are now.
        path: PathBuf,
    },
    /// A photo or a list that the store keeps is not what was kept; its data set was set aside.
    #[error("{} was damaged", file.display())]
    DamagedDataset {
        /// The first file that differs.
        file: PathBuf,
        /// Where the data set is now.
        path: PathBuf,
    },
    /// A published table is not what was published, and is not shown.
    #[error("published table {} is damaged", path.display())]
    DamagedTable {
        /// Its file, or that of the list of its run's tables.
        path: PathBuf,
    },
    /// An artifact is not there.
    #[error("artifact {} is missing", digest.short())]
    Missing {
        /// The artifact.
        digest: Digest,
    },
    /// The disk is full.
    #[error("no space left while writing {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The disk has no room for a large file; nothing of it was written.
    #[error("no room for {}", path.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// How many bytes it needs.
        needed: u64,
        /// How many are free.
        free: u64,
    },
    /// A shared place cannot be used.
    #[error("cannot {action} {url}")]
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

impl Explain for StoreError {
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "it has no file `format`".to_owned(),
            Self::LostFormat { .. } => "everything else of a store is there".to_owned(),
            Self::Occupied { .. } => "it has no file `format`, and it holds other files".to_owned(),
            Self::Unwritable { reason, .. } | Self::Remote { reason, .. } => reason.clone(),
            Self::Busy { what, holder } => format!("{what} ({holder})"),
            Self::Stopped => "a signal asked to stop".to_owned(),
            Self::NewerFormat { .. } => "a newer mlsm wrote it".to_owned(),
            Self::Damaged { path, .. } => {
                format!("its bytes do not have its digest; it was moved to {}", path.display())
            }
            Self::DamagedDataset { path, .. } => {
                format!("it is not what was kept; its data set was moved to {}", path.display())
            }
            Self::DamagedTable { .. } => "its bytes do not have the digest that they were published with".to_owned(),
            Self::Missing { .. } => "its file is gone".to_owned(),
            Self::Full { .. } => "the disk or its quota is full".to_owned(),
            Self::NoRoom { needed, free, .. } => NoRoom { needed: *needed, free: *free }.to_string(),
            Self::Io { .. } => return None,
        })
    }

    fn fixes(&self) -> Vec<Fix> {
        let words = match self {
            Self::NotFound { .. } => return vec![Fix::OtherStore, "run the pipeline once".into()],
            Self::LostFormat { path } => {
                return vec![format!("if mlsm wrote it, `echo {FORMAT} > {}`", path.join("format").display()).into()];
            }
            Self::Unwritable { .. } => return vec!["make the folder writable".into(), Fix::OtherStore],
            Self::Busy { .. } => return vec!["try again later".into(), Fix::Wait],
            Self::NewerFormat { .. } => return vec!["use that version".into(), Fix::OtherStore],
            Self::Occupied { .. } => "name a store, or an empty folder to make one in",
            Self::Stopped => "give the same command again, it goes on where this one stopped",
            Self::Damaged { .. } => "run again, what depends on it is remade",
            Self::DamagedDataset { .. } => "run again, the data set is made anew",
            Self::DamagedTable { .. } => "run the pipeline again, which publishes its tables anew",
            Self::Missing { .. } => "run again, it is remade",
            Self::Full { .. } | Self::NoRoom { .. } => "free space, then run again",
            Self::Remote { .. } => {
                "check the address, the credentials in the environment and the network, then run again; what was \
                 computed is kept in the cache"
            }
            Self::Io { .. } => "check the disk and the permissions there, then run again",
        };
        vec![words.into()]
    }
}

impl StoreError {
    /// Tells whether space is what is wanting.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::NoRoom { .. })
    }

    /// Sorts an error of the system into the variant that the caller can act on.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
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
