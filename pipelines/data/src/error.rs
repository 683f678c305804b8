//! What can be wrong with data, its variants by what a caller can do about it.

use crate::{ClassId, ImageProblem, Part};
use mlsm_errors::{Explain, Fix};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of this crate: either of the config ([`DataError::is_config`]) or of the data.
#[derive(Debug, Error)]
pub enum DataError {
    /// A line of a metadata file says something impossible.
    #[error("cannot read line {line} of {}", .path.display())]
    Malformed {
        /// The metadata file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        why: String,
    },

    /// A metadata file lacks what another one lists.
    #[error("{} is incomplete", .path.display())]
    Incomplete {
        /// The metadata file.
        path: PathBuf,
        /// What is lacking.
        why: String,
    },

    /// A folder or metadata file is not there, or is not a dataset.
    #[error("no dataset in {}", .path.display())]
    NoDataset {
        /// The path that was opened.
        path: PathBuf,
        /// What was looked for.
        why: String,
        /// What to do.
        fix: &'static str,
    },

    /// A class loses all its photos.
    #[error("class {class} of {} has no photo left", .path.display())]
    ClassWithoutPhotos {
        /// The folder of class folders.
        path: PathBuf,
        /// The class.
        class: String,
        /// What is left out, and why.
        why: String,
    },

    /// An archive is damaged, hostile, or not the expected one.
    #[error("cannot use the archive {}", .path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        fix: &'static str,
    },

    /// A listed path leads out of the folder of photos.
    #[error("line {line} of {} lists a photo outside the dataset", .path.display())]
    OutsideRoot {
        /// The metadata file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The path as listed.
        listed: String,
    },

    /// Photos are listed and have no file.
    #[error("{absent} of {listed} listed photos are absent")]
    AbsentPhotos {
        /// The folder of photos.
        images_root: PathBuf,
        /// How many are absent.
        absent: usize,
        /// How many are listed.
        listed: usize,
        /// The first absent one.
        first: String,
    },

    /// A photo cannot be decoded.
    #[error("cannot read the photo {path}")]
    Image {
        /// The photo's path.
        path: String,
        /// What is wrong with its bytes.
        problem: ImageProblem,
    },

    /// The file system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },

    /// A pool has fewer classes than an episode needs.
    #[error("too few classes for {need}-way episodes")]
    TooFewClasses {
        /// Classes in the pool.
        have: usize,
        /// Classes in an episode.
        need: usize,
    },

    /// A class has fewer photos than an episode needs.
    #[error("too few photos of class {class_id}")]
    TooFewPhotos {
        /// The class.
        class_id: ClassId,
        /// Its photos.
        have: usize,
        /// Photos of each class in an episode.
        need: usize,
    },

    /// No split has that name.
    #[error("no split is called `{name}`")]
    UnknownSplit {
        /// The name given.
        name: String,
        /// The names there are, in words.
        known: String,
    },

    /// No part has that name.
    #[error("no part of a split is called `{word}`")]
    UnknownPart {
        /// The word given.
        word: String,
    },

    /// A line of a split file cannot be understood.
    #[error("cannot read line {line} of the split")]
    SplitLine {
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        why: String,
    },

    /// A class stands in two parts of a split.
    #[error("the split puts class {class} into both {first} and {second}")]
    ClassInTwoParts {
        /// The class.
        class: String,
        /// The part that names it first.
        first: Part,
        /// The part that names it again.
        second: Part,
    },

    /// A split has no use for any class of the dataset.
    #[error("the split names no class of the dataset")]
    EmptySplit {
        /// Which ids met which.
        why: String,
    },

    /// Synthetic photos cannot be drawn as asked.
    #[error("cannot draw synthetic photos")]
    Synthetic {
        /// What the spec asks for.
        problem: &'static str,
    },

    /// A folder that is to be filled holds something already.
    #[error("{} is not empty", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },

    /// A value of the config is impossible.
    #[error("{what} cannot be used")]
    Invalid {
        /// The value, by its config key.
        what: String,
        /// Why not.
        why: String,
        /// What would be possible.
        fix: String,
    },
}

impl Explain for DataError {
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::Malformed { why, .. }
            | Self::Incomplete { why, .. }
            | Self::NoDataset { why, .. }
            | Self::Archive { why, .. }
            | Self::ClassWithoutPhotos { why, .. }
            | Self::SplitLine { why, .. }
            | Self::EmptySplit { why }
            | Self::Invalid { why, .. } => why.clone(),
            Self::OutsideRoot { listed, .. } => format!("`{listed}` is not a plain path below the folder `images`"),
            Self::AbsentPhotos { images_root, absent, first, .. } => {
                let others = if *absent > 1 { " and others" } else { "" };
                format!("{} does not hold `{first}`{others}", images_root.display())
            }
            Self::Image { problem, .. } => problem.why(),
            Self::Io { .. } => return None,
            Self::TooFewClasses { have, .. } => format!("the part has {have}"),
            Self::TooFewPhotos { have, need, .. } => {
                format!("it has {have}, an episode needs {need} (`k_shot` + `n_query`)")
            }
            Self::UnknownSplit { known, .. } => format!("the names are {known}"),
            Self::UnknownPart { .. } => "the parts are base, val and novel".to_owned(),
            Self::ClassInTwoParts { .. } => "parts must not share a class".to_owned(),
            Self::Synthetic { problem } => (*problem).to_owned(),
            Self::NotEmpty { .. } => "nothing that is there is overwritten".to_owned(),
        })
    }

    fn fixes(&self) -> Vec<Fix> {
        let words = match self {
            Self::TooFewClasses { .. } => {
                return vec![Fix::lower("n_way"), "use a split or a dataset with more classes in this part".into()];
            }
            Self::TooFewPhotos { .. } => {
                let leave_out = "leave the class out of the split".into();
                return vec![Fix::lower("n_query"), Fix::lower("k_shot"), leave_out];
            }
            Self::Synthetic { .. } => return vec![Fix::other("data.synthetic")],
            Self::Invalid { fix, .. } => fix.as_str(),
            Self::NoDataset { fix, .. } | Self::Archive { fix, .. } => fix,
            Self::Image { problem, .. } => problem.fix(),
            Self::Malformed { .. } => "correct the line, or extract the archive again",
            Self::Incomplete { .. } => "extract the archive again",
            Self::ClassWithoutPhotos { .. } => "mend that, or move the folder of the class away",
            Self::OutsideRoot { .. } => "do not use this copy; get the dataset from its publisher",
            Self::AbsentPhotos { .. } => "extract the archive with its images, or list only the photos that are there",
            Self::Io { .. } => "check that it exists and that you may use it, then run again",
            Self::UnknownSplit { .. } => "use one of them, or give a split file",
            Self::UnknownPart { .. } => "use one of them",
            Self::SplitLine { .. } => "write lines such as `12 base`, or lists such as `base = [1, 2]`",
            Self::ClassInTwoParts { .. } => "take it out of one of them",
            Self::EmptySplit { .. } => "use a split that was made for these class ids",
            Self::NotEmpty { .. } => "name a new folder, or empty this one",
        };
        vec![words.into()]
    }
}

impl DataError {
    /// The file that a full disk had no room for, if that is what went wrong.
    pub fn without_room(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source, .. } => {
                let is_full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                is_full.then_some(path)
            }
            _ => None,
        }
    }

    /// Whether the config is to blame (exit code 2) and not the data (exit code 6).
    pub fn is_config(&self) -> bool {
        match self {
            Self::UnknownSplit { .. }
            | Self::UnknownPart { .. }
            | Self::SplitLine { .. }
            | Self::ClassInTwoParts { .. }
            | Self::EmptySplit { .. }
            | Self::Synthetic { .. }
            | Self::NotEmpty { .. }
            | Self::Invalid { .. } => true,
            Self::Malformed { .. }
            | Self::Incomplete { .. }
            | Self::NoDataset { .. }
            | Self::ClassWithoutPhotos { .. }
            | Self::OutsideRoot { .. }
            | Self::AbsentPhotos { .. }
            | Self::Image { .. }
            | Self::Io { .. }
            | Self::TooFewClasses { .. }
            | Self::Archive { .. }
            | Self::TooFewPhotos { .. } => false,
        }
    }

    /// Wraps a refusal of the file system; `action` is a verb that fits "cannot … PATH".
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Refuses a value of the config.
    pub fn invalid(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into(), fix: fix.into() }
    }

    /// Names the photo that `problem` was found in.
    pub fn image(path: impl Into<String>, problem: ImageProblem) -> Self {
        Self::Image { path: path.into(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_refusal_is_its_reason() {
        let error = DataError::io("read", Path::new("a/b"), io::Error::other("disk on fire"));
        assert_eq!(error.explain().to_string(), "cannot read a/b: disk on fire");
    }

    #[test]
    fn a_wrong_config_and_wrong_data_are_told_apart() {
        assert!(DataError::ClassInTwoParts { class: "1".into(), first: Part::Base, second: Part::Val }.is_config());
        assert!(DataError::invalid("n_way", "it is 0", "at least 2").is_config());
        assert!(!DataError::TooFewClasses { have: 3, need: 5 }.is_config());
        assert!(!DataError::image("a.jpg", ImageProblem::Empty).is_config());
    }
}
