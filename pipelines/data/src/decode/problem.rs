//! What can be wrong with the bytes of a photo.

use crate::brief::brief;
use thiserror::Error;

/// Why bytes are not accepted as a photo. Its Display is one line: why, then how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}; {}", self.why(), self.fix())]
pub enum ImageProblem {
    /// There are no bytes.
    Empty,
    /// The bytes begin like no known photo.
    NotAnImage {
        /// The first bytes, made readable.
        starts_with: String,
    },
    /// A photo of a format that is not read here.
    Unsupported {
        /// The format.
        format: String,
    },
    /// The photo ends early.
    Truncated,
    /// The header claims more pixels than a photo has.
    TooLarge {
        /// Claimed width in pixels.
        width: u32,
        /// Claimed height in pixels.
        height: u32,
    },
    /// The bytes break the rules of their format.
    Damaged {
        /// The decoder's words.
        detail: String,
    },
}

impl ImageProblem {
    /// Says what is wrong, in words that fit after "why: ".
    pub fn why(&self) -> String {
        match self {
            Self::Empty => "the file is empty".into(),
            Self::NotAnImage { starts_with } => format!("the file is not an image: it begins with `{starts_with}`"),
            Self::Unsupported { format } => format!("{format} files are not read"),
            Self::Truncated => "the file is cut short: it ends before its pixels do".into(),
            Self::TooLarge { width, height } => format!(
                "the header claims {width} x {height} pixels, more than {} a side or {} million in all",
                super::MAX_SIDE_PX,
                super::MAX_PIXELS / 1_000_000
            ),
            Self::Damaged { detail } => format!("the file is damaged: {detail}"),
        }
    }

    /// Says what helps, in words that fit after "fix: ".
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Empty | Self::Truncated | Self::Damaged { .. } => {
                "copy or download the file again, or take it out of the dataset"
            }
            Self::NotAnImage { .. } => {
                "an error page may have been saved in its place: download it again, or take it out of the dataset"
            }
            Self::Unsupported { .. } => "convert it to JPEG, PNG or TIFF of 8 or 16 bits, then run again",
            Self::TooLarge { .. } => "scale the photo down, or take it out of the dataset if it is not one",
        }
    }

    /// Takes a decoder's words, which may hold line breaks, on one line.
    pub(super) fn damaged(words: &str) -> Self {
        Self::Damaged { detail: brief(words.split_whitespace().collect::<Vec<_>>().join(" ")) }
    }

    /// Quotes the first bytes of something that is no image.
    pub(super) fn not_an_image(bytes: &[u8]) -> Self {
        let start = &bytes[..bytes.len().min(24)];
        Self::NotAnImage { starts_with: start.escape_ascii().to_string() }
    }
}
