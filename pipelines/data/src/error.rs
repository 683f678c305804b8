//! What can be wrong with data, its variants by what a caller can do about it.
//!
//! A message has up to three lines: what failed, `why:` and `fix:`. A source error is not repeated in it.

use crate::{ClassId, ImageProblem, Part};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of this crate: either of the config ([`DataError::is_config`]) or of the data.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A line of a metadata file says something impossible.
    #[error(
        "cannot read line {line} of {}\n  why: {why}\n  fix: correct the line, or extract the archive again",
        .path.display()
    )]
    Malformed {
        /// The metadata file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        why: String,
    },

    /// A metadata file lacks what another one lists.
    #[error("{} is incomplete\n  why: {why}\n  fix: extract the archive again", .path.display())]
    Incomplete {
        /// The metadata file.
        path: PathBuf,
        /// What is lacking.
        why: String,
    },

    /// A folder or metadata file is not there, or is not a dataset.
    #[error("no dataset in {}\n  why: {why}\n  fix: {fix}", .path.display())]
    NoDataset {
        /// The path that was opened.
        path: PathBuf,
        /// What was looked for.
        why: String,
        /// What to do.
        fix: &'static str,
    },

    /// A class loses all its photos.
    #[error(
        "class {class} of {} has no photo left\n  why: {why}\n  fix: mend that, or move the folder of the class away",
        .path.display()
    )]
    ClassWithoutPhotos {
        /// The folder of class folders.
        path: PathBuf,
        /// The class.
        class: String,
        /// What is left out, and why.
        why: String,
    },

    /// An archive is damaged, hostile, or not the expected one.
    #[error("cannot use the archive {}\n  why: {why}\n  fix: {fix}", .path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        fix: &'static str,
    },

    /// A listed path leads out of the folder of photos.
    #[error(
        "line {line} of {} lists a photo outside the dataset\n  why: `{listed}` is not a plain path below the \
         folder `images`\n  fix: do not use this copy; get the dataset from its publisher",
        .path.display()
    )]
    OutsideRoot {
        /// The metadata file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The path as listed.
        listed: String,
    },

    /// Photos are listed and have no file.
    #[error(
        "{absent} of {listed} listed photos are absent\n  why: {} does not hold `{first}`{}\n  fix: extract the \
         archive with its images, or list only the photos that are there",
        .images_root.display(), if *.absent > 1 { " and others" } else { "" }
    )]
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
    #[error("cannot read the photo {path}\n  why: {}\n  fix: {}", .problem.why(), .problem.fix())]
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
    #[error(
        "too few classes for {need}-way episodes\n  why: the part has {have}\n  fix: lower `n_way`, or use a split \
         or a dataset with more classes in this part"
    )]
    TooFewClasses {
        /// Classes in the pool.
        have: usize,
        /// Classes in an episode.
        need: usize,
    },

    /// A class has fewer photos than an episode needs.
    #[error(
        "too few photos of class {class_id}\n  why: it has {have}, an episode needs {need} (`k_shot` + `n_query`)\n  \
         fix: lower `n_query` or `k_shot`, or leave the class out of the split"
    )]
    TooFewPhotos {
        /// The class.
        class_id: ClassId,
        /// Its photos.
        have: usize,
        /// Photos of each class in an episode.
        need: usize,
    },

    /// No split has that name.
    #[error("no split is called `{name}`\n  why: the names are {known}\n  fix: use one of them, or give a split file")]
    UnknownSplit {
        /// The name given.
        name: String,
        /// The names there are, in words.
        known: String,
    },

    /// No part has that name.
    #[error("no part of a split is called `{word}`\n  why: the parts are base, val and novel\n  fix: use one of them")]
    UnknownPart {
        /// The word given.
        word: String,
    },

    /// A line of a split file cannot be understood.
    #[error(
        "cannot read line {line} of the split\n  why: {why}\n  fix: write lines such as `12 base`, or lists such as \
         `base = [1, 2]`"
    )]
    SplitLine {
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        why: String,
    },

    /// A class stands in two parts of a split.
    #[error(
        "the split puts class {class} into both {first} and {second}\n  why: parts must not share a class\n  fix: \
         take it out of one of them"
    )]
    ClassInTwoParts {
        /// The class.
        class: String,
        /// The part that names it first.
        first: Part,
        /// The part that names it again.
        second: Part,
    },

    /// A split has no use for any class of the dataset.
    #[error(
        "the split names no class of the dataset\n  why: {why}\n  fix: use a split that was made for these class ids"
    )]
    EmptySplit {
        /// Which ids met which.
        why: String,
    },

    /// Synthetic photos cannot be drawn as asked.
    #[error("cannot draw synthetic photos\n  why: {problem}\n  fix: change `[data.synthetic]`")]
    Synthetic {
        /// What the spec asks for.
        problem: &'static str,
    },

    /// A folder that is to be filled holds something already.
    #[error(
        "{} is not empty\n  why: nothing that is there is overwritten\n  fix: name a new folder, or empty this one",
        .path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },

    /// A value of the config is impossible.
    #[error("{what} cannot be used\n  why: {why}\n  fix: {fix}")]
    Invalid {
        /// The value, by its config key.
        what: String,
        /// Why not.
        why: String,
        /// What would be possible.
        fix: String,
    },
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
    fn a_message_says_what_why_and_how_to_fix() {
        let error = DataError::TooFewPhotos { class_id: ClassId(12), have: 9, need: 20 };
        assert_eq!(
            error.to_string(),
            "too few photos of class 12\n  why: it has 9, an episode needs 20 (`k_shot` + `n_query`)\n  fix: lower \
             `n_query` or `k_shot`, or leave the class out of the split"
        );
    }

    #[test]
    fn the_source_of_a_refusal_is_left_to_the_chain() {
        let error = DataError::io("read", Path::new("a/b"), io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "cannot read a/b");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
    }

    #[test]
    fn a_wrong_config_and_wrong_data_are_told_apart() {
        assert!(DataError::ClassInTwoParts { class: "1".into(), first: Part::Base, second: Part::Val }.is_config());
        assert!(DataError::invalid("n_way", "it is 0", "at least 2").is_config());
        assert!(!DataError::TooFewClasses { have: 3, need: 5 }.is_config());
        assert!(!DataError::image("a.jpg", ImageProblem::Empty).is_config());
    }
}
