//! Why a support file cannot be made or used.

use std::path::PathBuf;

use mlsm_errors::{Explain, Fix};
use mlsm_store::Digest;
use thiserror::Error;

use crate::AssembleError;

/// Why a support file cannot be made or used, by what the caller can do.
#[derive(Debug, Error)]
pub enum SupportError {
    /// The file is something else.
    #[error("{} is no support file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is not as it was written.
    #[error("support file {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The file system refuses.
    #[error("cannot read support file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another version of the program made it, whose features are others.
    #[error("support file {} was made by another version of the program", path.display())]
    OtherProgram {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// The configuration that was given is not the one that made it.
    #[error("support file {} was made with another configuration", path.display())]
    OtherConfig {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// The store's weights of that name are others.
    #[error("support file {} was made with other weights", path.display())]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// The name of the weights.
        name: String,
        /// Their digest when the file was made.
        expected: Digest,
        /// Their digest here.
        found: Digest,
    },
    /// The weights that it names are not in the store.
    #[error("support file {} needs weights `{name}`", path.display())]
    MissingWeights {
        /// The file.
        path: PathBuf,
        /// The name of the weights.
        name: String,
        /// The root of the store.
        store: PathBuf,
    },
    /// The row does not read stored features.
    #[error("no support file can be made for row {row}")]
    ReadsPixels {
        /// The row.
        row: String,
    },
    /// Classes cannot be added to or removed from what a network has learnt.
    #[error("the classes of support file {} cannot be changed", path.display())]
    FromLabelled {
        /// The file.
        path: PathBuf,
        /// The node that learnt from the labelled photos.
        node: String,
    },
    /// It has no such class.
    #[error("support file {} has no class `{}`", path.display(), name.escape_debug())]
    NoClass {
        /// The file.
        path: PathBuf,
        /// The class.
        name: String,
        /// The classes that it has.
        known: Vec<String>,
    },
    /// Too few classes would remain.
    #[error("support file {} would keep too few classes", path.display())]
    TooFewClasses {
        /// The file.
        path: PathBuf,
        /// How many would remain.
        remain: usize,
    },
}

impl Explain for SupportError {
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::Foreign { .. } => "it does not begin as one".to_owned(),
            Self::Damaged { why, .. } | Self::OtherProgram { why, .. } | Self::OtherConfig { why, .. } => why.clone(),
            Self::Io { .. } => return None,
            Self::OtherWeights { name, expected, found, .. } => {
                format!("its weights `{name}` have digest {}, those of this store {}", expected.short(), found.short())
            }
            Self::MissingWeights { .. } => "they are not in this store".to_owned(),
            Self::ReadsPixels { .. } => {
                "it reads pixels of the labelled photos, and a support file keeps features alone".to_owned()
            }
            Self::FromLabelled { node, .. } => {
                format!("{node} learnt from the labelled photos themselves: with others it would be another network")
            }
            Self::NoClass { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| name.escape_debug().to_string()).collect();
                format!("its classes are {}", known.join(", "))
            }
            Self::TooFewClasses { remain, .. } => format!("{remain} would remain, and two or more can be told apart"),
        })
    }

    fn fixes(&self) -> Vec<Fix> {
        let again = "build it again from the labelled photos";
        match self {
            Self::Foreign { .. } => {
                vec!["name a support file, or a folder of labelled photos".into()]
            }
            Self::Damaged { .. } => vec!["copy it again from where it is whole".into(), again.into()],
            Self::Io { .. } => vec!["correct the path, or its permissions".into()],
            Self::OtherProgram { .. } => vec![again.into(), "use the version of the program that made it".into()],
            Self::OtherConfig { .. } => {
                let alone = "leave the configuration out, for the file has its own";
                vec![alone.into(), "build it again with this configuration".into()]
            }
            Self::OtherWeights { .. } => vec![again.into(), Fix::OtherStore],
            Self::MissingWeights { name, store, .. } => {
                vec![Fix::FetchWeights { name: name.clone(), store: store.clone() }]
            }
            Self::ReadsPixels { .. } => {
                let such_as = "cl2n, or a method that learns on stored features";
                vec![Fix::OtherRow { such_as }, "predict with the folder of labelled photos".into()]
            }
            Self::FromLabelled { .. } => {
                vec![
                    "build it again from all labelled photos".into(),
                    "use a configuration whose networks learn from other photos".into(),
                ]
            }
            Self::NoClass { .. } => vec!["name one of these".into()],
            Self::TooFewClasses { .. } => vec!["add another class first".into()],
        }
    }
}

impl From<SupportError> for AssembleError {
    fn from(error: SupportError) -> Self {
        let said = error.explain();
        match error {
            SupportError::Foreign { .. } | SupportError::Damaged { .. } | SupportError::Io { .. } => Self::Data(said),
            _ => Self::Config(said),
        }
    }
}
