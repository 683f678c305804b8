//! `[data]`, `[data.synthetic]`, `[splits]`: which photos there are, and what each class is for.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::schema;

/// What to do with a photo that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BadImage {
    /// Fail, naming every such photo.
    Error,
    /// Leave it out and list it in the table `skipped`.
    Skip,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A CUB folder, a folder of class folders, an archive of either, or a bucket with either (`s3://bucket/prefix`, `gs://…`,
    /// `az://…`); without it, `[data.synthetic]` is drawn.
    pub path: Option<PathBuf>,
    /// The synthetic data set that is drawn when there is no path.
    pub synthetic: Option<Synthetic>,
    /// For an archive: the MD5 digest that its publisher gives.
    pub md5: Option<String>,
    /// Whether a listed photo that is absent is an error rather than a counted warning.
    pub strict: bool,
    /// Whether links in a folder of class folders are followed; otherwise they are left out and counted.
    pub follow_links: bool,
    /// What to do with a photo that cannot be decoded.
    pub on_bad_image: BadImage,
    /// The most photos of one shard; a larger class is split into buckets.
    pub shard_photos: usize,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            path: None,
            md5: None,
            synthetic: None,
            strict: false,
            follow_links: false,
            on_bad_image: BadImage::Error,
            shard_photos: 512,
        }
    }
}

/// `[data.synthetic]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// How many classes.
    pub classes: u32,
    /// How many photos of each.
    pub images_per_class: u32,
    /// The side of a photo in pixels.
    pub size_px: u32,
    /// The seed; the top-level one when absent.
    pub seed: Option<u64>,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self { classes: 36, images_per_class: 40, size_px: 224, seed: None }
    }
}

/// `[splits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Splits {
    /// The name of a published split, `random`, or `file`.
    #[schemars(schema_with = "schema::split_rule")]
    pub rule: String,
    /// For `random`: the shares of base, val and novel classes.
    pub ratios: [f64; 3],
    /// For `random`: the seed; the top-level one when absent.
    pub seed: Option<u64>,
    /// For `file`: the file that assigns classes to parts.
    pub file: Option<PathBuf>,
}

impl Default for Splits {
    fn default() -> Self {
        Self { rule: "closerlook".to_owned(), ratios: [0.5, 0.25, 0.25], seed: None, file: None }
    }
}
