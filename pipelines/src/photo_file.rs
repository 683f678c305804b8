//! A photo and where its bytes are: whoever reads it learns whether it is still the one that was planned with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mlsm_data::Photo;
use mlsm_engine::{Context, Item, StageError};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::Digest;

use crate::AssembleError;
use crate::config::Config;
use crate::prepare::{Preparation, Purpose, photos};

/// A photo of a shard and where it lies.
#[derive(Clone)]
pub struct PhotoFile {
    /// The record of the data set.
    pub photo: Photo,
    /// Where it lies; never part of a recipe.
    pub root: PhotoRoot,
    /// Who planned with it.
    pub planned: Planned,
}

/// Where photos lie.
#[derive(Clone, Debug)]
pub enum PhotoRoot {
    /// The file of one photo.
    File(PathBuf),
    /// The folder from which the paths of photos start.
    Folder(Arc<Path>),
    /// A folder that the store keeps, made when the first photo is read.
    Kept(Arc<KeptRoot>),
}

/// Who has looked at a photo before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// This run.
    ByRun,
    /// Whoever wrote the list of a plan.
    ByList,
}

impl Planned {
    /// What helps against a photo that is no longer what it was.
    pub(crate) fn fix(self) -> Fix {
        match self {
            Self::ByRun => "run again".into(),
            Self::ByList => Fix::NewPlan,
        }
    }
}

/// Photos that are drawn or unpacked into the store of the machine that reads them.
#[derive(Debug)]
pub struct KeptRoot {
    config: Config,
    below: String,
    found: Mutex<Option<Arc<Path>>>,
}

impl KeptRoot {
    /// Those of a configuration; `below`: where they begin in the folder that is kept.
    pub(crate) fn new(config: Config, below: String) -> Self {
        Self { config, below, found: Mutex::new(None) }
    }

    /// Returns their folder; whoever comes first makes it, and the others wait.
    fn folder(&self, context: &Context<'_>) -> Result<Arc<Path>, StageError> {
        let mut found = self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(folder) = &*found {
            return Ok(folder.clone());
        }
        let (store, cancel, subscriber) = (context.store(), context.cancel(), context.subscriber());
        let with = Preparation { store, purpose: Purpose::Run, cancel, subscriber };
        let kept = photos::kept_folder(&self.config, &with).map_err(|error| match error {
            AssembleError::Store(error) => StageError::Store(error),
            AssembleError::Cancelled => StageError::Cancelled,
            error => StageError::BadData(error.explain()),
        })?;
        Ok(found.insert(kept.join(&self.below).into()).clone())
    }
}

impl PhotoFile {
    /// Returns which of a unit's photos it is.
    pub fn item(&self) -> Item {
        Item { id: format!("{} {}", self.photo.image_id, self.photo.path), key: self.photo.image_id.0 }
    }

    /// Names it for people.
    pub fn name(&self) -> String {
        match &self.root {
            PhotoRoot::File(file) => file.display().to_string(),
            PhotoRoot::Folder(folder) => folder.join(&self.photo.path).display().to_string(),
            PhotoRoot::Kept(_) => self.photo.path.clone(),
        }
    }

    fn path(&self, context: &Context<'_>) -> Result<PathBuf, StageError> {
        Ok(match &self.root {
            PhotoRoot::File(file) => file.clone(),
            PhotoRoot::Folder(folder) => folder.join(&self.photo.path),
            PhotoRoot::Kept(kept) => kept.folder(context)?.join(&self.photo.path),
        })
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// [`StageError::BadData`] when it cannot be read; those of drawing or unpacking it.
    pub fn read(&self, context: &Context<'_>) -> Result<Vec<u8>, StageError> {
        std::fs::read(self.path(context)?).map_err(|e| {
            let said = Explanation::new(format!("cannot read photo {}", self.name())).because(e.to_string());
            StageError::BadData(said.fix("restore the file, then run again"))
        })
    }

    /// Reports that it is not the photo that was planned with, and forgets what was remembered of it.
    ///
    /// # Errors
    /// [`StageError::Store`] when that cannot be forgotten.
    pub(crate) fn changed(
        &self,
        found: Digest,
        planned: Digest,
        context: &Context<'_>,
    ) -> Result<StageError, StageError> {
        context.store().forget_digest(&self.path(context)?)?; // the next run reads it
        let (name, found, planned_with) = (self.name(), found.short(), planned.short());
        let said = match self.planned {
            Planned::ByRun => Explanation::new(format!("photo {name} changed while the run was going on"))
                .because("its digest differs from the planned one"),
            Planned::ByList => Explanation::new(format!("photo {name} is not the one that the plan lists"))
                .because(format!("its digest is {found}, and the plan was drawn with {planned_with}")),
        };
        Ok(StageError::BadData(said.fix(self.planned.fix())))
    }
}
