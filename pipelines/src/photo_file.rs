//! A photo and where its bytes are: whoever reads it learns whether it is still the one that was planned with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mlsm_data::Photo;
use mlsm_engine::{Context, Item, StageError};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::{Digest, Objects, StoreError};

use crate::AssembleError;
use crate::config::Config;
use crate::prepare::bucket::path_in;
use crate::prepare::{Preparation, Purpose, photos};

/// How many photos of a bucket are held in memory at once.
const AHEAD: usize = 32;

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
    /// A place in an object store.
    Bucket {
        /// The place that was named.
        objects: Arc<dyn Objects>,
        /// Where the photos begin below it.
        below: Arc<str>,
    },
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
        let objects = &|_: &str| Err(StoreError::Stopped); // what is kept comes from no bucket
        let with = Preparation { store, purpose: Purpose::Run, cancel, subscriber, objects };
        let kept = photos::kept_folder(&self.config, &with).map_err(|error| match error {
            AssembleError::Store(error) => StageError::Store(error),
            AssembleError::Cancelled => StageError::Cancelled,
            error => StageError::BadData(error.explain()),
        })?;
        Ok(found.insert(kept.join(&self.below).into()).clone())
    }
}

/// Reads photos one after another; from a bucket a few at once, since a service answers each after a while.
///
/// # Errors
/// [`StageError::BadData`] when one cannot be read; those of drawing or unpacking them, of the service, and of `each`.
pub(crate) fn read_each<'p>(
    photos: impl IntoIterator<Item = &'p PhotoFile>,
    context: &Context<'_>,
    mut each: impl FnMut(&'p PhotoFile, Vec<u8>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let mut ahead: Vec<&PhotoFile> = Vec::new();
    for photo in photos {
        context.check()?;
        if !matches!(photo.root, PhotoRoot::Bucket { .. }) {
            each(photo, std::fs::read(photo.path(context)?).map_err(|e| photo.unreadable(&e))?)?;
            continue;
        }
        ahead.push(photo);
        if ahead.len() == AHEAD {
            fetch(&std::mem::take(&mut ahead), context, &mut each)?;
        }
    }
    fetch(&ahead, context, &mut each)
}

/// Fetches photos of one bucket, and hands them over in their order.
fn fetch<'p>(
    photos: &[&'p PhotoFile],
    context: &Context<'_>,
    each: &mut impl FnMut(&'p PhotoFile, Vec<u8>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let Some(PhotoRoot::Bucket { objects, below }) = photos.first().map(|photo| &photo.root) else { return Ok(()) };
    let paths: Vec<String> = photos.iter().map(|photo| path_in(below, &photo.photo.path)).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut fetched: Vec<Option<Vec<u8>>> = vec![None; photos.len()];
    let keep = &mut |at: usize, bytes| {
        fetched[at] = bytes;
        if context.is_cancelled() { Err(StoreError::Stopped) } else { Ok(()) }
    };
    objects.read(&paths, keep).map_err(|error| match error {
        StoreError::Stopped => StageError::Cancelled,
        error => StageError::Store(error),
    })?;
    for (photo, bytes) in photos.iter().zip(fetched) {
        context.check()?;
        each(photo, bytes.ok_or_else(|| photo.unreadable(&ErrorKind::NotFound.into()))?)?;
    }
    Ok(())
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
            PhotoRoot::Bucket { objects, below } => {
                format!("{}/{}", objects.address(), path_in(below, &self.photo.path))
            }
        }
    }

    /// Where it lies, as the stat cache knows it.
    fn path(&self, context: &Context<'_>) -> Result<PathBuf, StageError> {
        Ok(match &self.root {
            PhotoRoot::File(file) => file.clone(),
            PhotoRoot::Folder(folder) => folder.join(&self.photo.path),
            PhotoRoot::Kept(kept) => kept.folder(context)?.join(&self.photo.path),
            PhotoRoot::Bucket { .. } => PathBuf::from(self.name()),
        })
    }

    fn unreadable(&self, why: &std::io::Error) -> StageError {
        let said = Explanation::new(format!("cannot read photo {}", self.name())).because(why.to_string());
        StageError::BadData(said.fix("restore the file, then run again"))
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
