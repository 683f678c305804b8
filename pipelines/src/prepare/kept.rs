//! Photos that the store keeps: drawn by a specification or unpacked from an archive, once for all that determines them.

use std::path::{Path, PathBuf};

use mlsm_data::archive::{self, Limits, Unpack};
use mlsm_data::synthetic::{SyntheticSpec, draw};
use mlsm_store::{Digest, Input, Request, Store, StoreError};

use super::{Preparation, photos};
use crate::AssembleError;
use crate::config::Config;
use crate::recipe::field;

/// What determines kept photos.
pub(super) enum Kept<'a> {
    /// They are drawn.
    Drawn(SyntheticSpec),
    /// They come from an archive, named by its digest.
    Unpacked { archive: &'a Path, digest: Digest, md5: Option<&'a str> },
}

impl<'a> Kept<'a> {
    /// Those of an archive, which is read unless its digest is remembered.
    pub fn of_archive(archive: &'a Path, config: &'a Config, store: &Store) -> Result<Self, AssembleError> {
        let cache = store.stat_cache()?;
        let (digest, _) = cache.digest(archive)?;
        photos::save(&cache)?;
        Ok(Self::Unpacked { archive, digest, md5: config.data.md5.as_deref() })
    }

    /// Finds photos that the store keeps; damaged ones count as absent, with a warning.
    pub fn find(&self, store: &Store) -> Result<(Option<PathBuf>, Vec<String>), AssembleError> {
        match store.dataset(&self.request().fingerprint()) {
            Ok(found) => Ok((found, Vec::new())),
            Err(StoreError::DamagedDataset { file, path }) if file.starts_with(&path) => {
                Ok((None, vec![format!("{} is damaged: a run makes its data set anew", file.display())]))
            }
            Err(StoreError::DamagedDataset { file, path }) => {
                let (file, path) = (file.display(), path.display());
                Ok((None, vec![format!("{file} was damaged: its data set was moved to {path} and is made anew")]))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Draws or unpacks them unless another process has done so meanwhile; returns their folder.
    pub fn make(&self, with: &Preparation<'_>) -> Result<PathBuf, AssembleError> {
        let make = |folder: &Path| -> Result<(), AssembleError> {
            match self {
                Self::Drawn(spec) => draw(folder, spec, &|done, total| {
                    with.progress(done as u64, total as u64, "photos", "drawing");
                })?,
                Self::Unpacked { archive, md5, .. } => {
                    let report = |done: u64| with.progress(done, 0, "files", "unpacking");
                    archive::unpack(archive, folder, Unpack::All, *md5, Limits::default(), &report)?;
                }
            }
            with.check()
        };
        with.store.keep_dataset(&self.request().fingerprint(), make)
    }

    /// Returns the folder in it that is opened as a data set.
    pub fn opened(&self, folder: PathBuf) -> PathBuf {
        match self {
            Self::Drawn(_) => folder,
            Self::Unpacked { .. } => archive::innermost(&folder),
        }
    }

    /// Everything that determines the photos.
    fn request(&self) -> Request {
        match self {
            Self::Drawn(spec) => drawn_request(spec),
            Self::Unpacked { digest, md5, .. } => Request {
                stage: "archive".to_owned(),
                version: 1,
                recipe: vec![field("md5", md5.unwrap_or_default().to_lowercase())],
                inputs: vec![Input { name: "archive".to_owned(), digest: *digest }],
            },
        }
    }
}

fn drawn_request(spec: &SyntheticSpec) -> Request {
    let SyntheticSpec {
        classes,
        images_per_class,
        seed,
        size_px,
        bird_side,
        clutter,
        camouflage,
        blur,
        relatives,
        variation,
    } = spec;
    let recipe = vec![
        field("classes", *classes),
        field("images_per_class", *images_per_class),
        field("seed", *seed as i64),
        field("size_px", *size_px),
        field("bird_side", bird_side.map(f64::from).to_vec()),
        field("clutter", *clutter),
        field("camouflage", f64::from(*camouflage)),
        field("blur", blur.map(f64::from).to_vec()),
        field("relatives", *relatives),
        field("variation", f64::from(*variation)),
    ];
    Request { stage: "synthetic".to_owned(), version: 3, recipe, inputs: Vec::new() }
}
