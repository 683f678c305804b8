//! The photos of a run: a folder or an archive that the user names, or a synthetic folder that is drawn into the store
//! once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mlsm_data::archive::{self, Limits, Unpack};
use mlsm_data::{
    Class, ClassId, Dataset, ImageId, OpenOptions, OwnPhotos, Part, Photo, Shard, ShardOptions, counted, shards,
};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Digest, StatCache, StoreError};
use rayon::prelude::*;

use super::kept::Kept;
use super::{Preparation, Purpose, bucket};
use crate::AssembleError;
use crate::config::Config;
use crate::photo_file::{PhotoFile, PhotoRoot, Planned};

/// A data set with the digest of every photo, as far as the photos exist.
#[derive(Clone, Debug)]
pub struct Source {
    /// The data set.
    pub dataset: Dataset,
    /// The digests of photos that exist.
    pub digests: BTreeMap<ImageId, Digest>,
    /// The name under which results are published.
    pub name: String,
    /// What people should read.
    pub warnings: Vec<String>,
    /// Why photos are only listed, when they are.
    pub pending: Option<String>,
    /// A user's own photos, which are part of the data set.
    pub own: Option<OwnPhotos>,
    /// What each class is for, where a file of features says so in place of the configuration.
    pub parts: Option<BTreeMap<ClassId, Part>>,
    /// The path at which the photos begin, below the folder that was named or that the store keeps.
    pub below: String,
    /// Where they lie; a user's own lie elsewhere.
    pub(crate) root: PhotoRoot,
    /// The shards, where the list of a plan says them: those that were not read have no photos.
    pub(crate) listed: Option<Vec<Shard>>,
}

impl Source {
    /// A data set in a folder.
    pub(crate) fn of(dataset: Dataset, digests: BTreeMap<ImageId, Digest>, name: String) -> Self {
        let root = PhotoRoot::Folder(dataset.images_root.as_path().into());
        let (warnings, below) = (Vec::new(), String::new());
        Self { dataset, digests, name, warnings, pending: None, own: None, parts: None, below, root, listed: None }
    }

    /// Returns a photo with where it lies.
    pub(crate) fn file(&self, photo: &Photo) -> PhotoFile {
        let own = self.own.as_ref().and_then(|own| own.file(photo));
        let root = own.map_or_else(|| self.root.clone(), PhotoRoot::File);
        let planned = if self.listed.is_some() { Planned::ByList } else { Planned::ByRun };
        PhotoFile { photo: photo.clone(), root, planned }
    }

    /// Returns the shards: those of the list, or what the photos are divided into.
    pub(crate) fn shards(&self, max_photos: usize) -> Vec<Shard> {
        self.listed.clone().unwrap_or_else(|| shards(&self.dataset, &ShardOptions { max_photos }))
    }
}

/// Opens the photos of a configuration, if it has any, and adds a user's own photos.
pub(super) fn open_beside(own: OwnPhotos, config: &Config, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    let has_photos = config.data_path().is_some() || config.synthetic_spec().is_some();
    let beside = if has_photos { Some(open(config, with)?) } else { None };
    let by_path = own_digests(&own, with)?;
    let (own, own_digests) = by_content(own, &by_path);
    let (mut classes, mut photos) = (own.classes().to_vec(), own.photos().to_vec());
    let (mut digests, mut warnings, mut root) = (BTreeMap::new(), Vec::new(), None);
    if let Some(beside) = beside {
        root = Some(beside.root);
        classes.extend(beside.dataset.classes);
        photos.extend(beside.dataset.photos);
        (digests, warnings) = (beside.digests, beside.warnings);
    }
    digests.extend(own_digests);
    warnings.extend(counted(own.left_out()));
    let (dataset, name) = (Dataset::new(PathBuf::new(), classes, photos), "own".to_owned());
    let source = Source::of(dataset, digests, name);
    Ok(Source { warnings, own: Some(own), root: root.unwrap_or_else(|| source.root.clone()), ..source })
}

/// Digests a user's own photos that have a file.
pub(crate) fn own_digests(own: &OwnPhotos, with: &Preparation<'_>) -> Result<BTreeMap<ImageId, Digest>, AssembleError> {
    let photos: Vec<Photo> = own.photos().iter().filter(|photo| !own.is_stored(photo)).cloned().collect();
    digests(&photos, &|photo| own.file(photo).unwrap_or_default(), &with.store.stat_cache()?, with)
}

/// Numbers a user's own photos by their contents, so that their names play no part in what is computed.
pub(crate) fn by_content(
    own: OwnPhotos,
    by_path: &BTreeMap<ImageId, Digest>,
) -> (OwnPhotos, BTreeMap<ImageId, Digest>) {
    let contents = by_path.iter().map(|(id, digest)| (*id, digest.to_string().into_bytes())).collect();
    let with_file = own.photos().iter().filter_map(|photo| Some((photo.path.clone(), *by_path.get(&photo.image_id)?)));
    let by_file: BTreeMap<String, Digest> = with_file.collect();
    let own = own.by_content(&contents);
    let with_file = own.photos().iter().filter(|photo| !own.is_stored(photo));
    let digests = with_file.map(|photo| (photo.image_id, by_file[&photo.path])).collect();
    (own, digests)
}

pub(super) fn open(config: &Config, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    let Some(path) = config.data_path() else { return synthetic(config, with) };
    if let Some(address) = config.bucket() {
        return reviewed(bucket::open(address, config, with)?, address, with);
    }
    let mut name = path.file_name().map_or_else(|| "photos".to_owned(), |n| n.to_string_lossy().into_owned());
    let options = OpenOptions { strict: config.data.strict, follow_links: config.data.follow_links };
    let source = match path.is_file() {
        true => {
            name = name.split('.').next().unwrap_or_default().to_owned();
            from_archive(path, name, config, with)?
        }
        false => opened(path, path, &options, name, with)?,
    };
    reviewed(source, &path.display().to_string(), with)
}

/// Says what of a data set is absent or left out; one without photos can only be planned.
fn reviewed(mut source: Source, path: &str, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    if source.dataset.absent > 0 {
        let first = source.dataset.first_absent.clone().unwrap_or_default();
        let absent = source.dataset.absent;
        source.warnings.push(format!("{absent} listed photos are absent and left out, the first is {first}"));
    }
    source.warnings.extend(counted(&source.dataset.left_out));
    if source.dataset.photos.is_empty() {
        let absent = source.dataset.absent;
        match with.purpose {
            Purpose::Plan => {
                source.dataset = listed_only(&source.dataset);
                source.pending = Some(format!("its photos are absent ({absent} are listed)"));
            }
            Purpose::Run => {
                let said = Explanation::new(format!("no photo in {path}"))
                    .because(format!("{absent} photos are listed and none is there"));
                return Err(AssembleError::Data(said.fix(Fix::set("data.path", "FOLDER"))));
            }
        }
    }
    Ok(source)
}

/// Lists one photo per class in place of photos that do not exist, so that a plan shows every shard.
fn listed_only(dataset: &Dataset) -> Dataset {
    let placeholder = |class: &Class| Photo {
        image_id: ImageId(class.class_id.0),
        class_id: class.class_id,
        path: "(absent)".to_owned(),
        bbox: None,
    };
    let photos = dataset.classes.iter().map(placeholder).collect();
    Dataset::new(dataset.images_root.clone(), dataset.classes.clone(), photos)
}

fn synthetic(config: &Config, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    let Some(spec) = config.synthetic_spec() else { return Err(no_photos()) };
    let (name, classes) = ("synthetic".to_owned(), spec.classes);
    let kept = Kept::Drawn(spec);
    let (found, warnings) = kept.find(with.store)?;
    if found.is_none() && with.purpose == Purpose::Plan {
        let class = |id| Class { class_id: ClassId(id), name: format!("{id:03}") };
        let classes = (1..=classes).map(class).collect();
        let dataset = listed_only(&Dataset::new(PathBuf::new(), classes, Vec::new()));
        return Ok(pending(dataset, name, warnings, "the synthetic photos are not drawn yet"));
    }
    let folder = found.map_or_else(|| kept.make(with), Ok)?;
    let options = OpenOptions { strict: true, follow_links: false };
    Ok(Source { warnings, ..opened(&folder, &folder, &options, name, with)? })
}

fn no_photos() -> AssembleError {
    let said =
        Explanation::new("there are no photos").because("the configuration has neither data.path nor [data.synthetic]");
    AssembleError::Config(said.fix(Fix::set("data.path", "FOLDER")))
}

/// Photos that are only listed so far.
fn pending(dataset: Dataset, name: String, warnings: Vec<String>, reason: &str) -> Source {
    Source { warnings, pending: Some(reason.to_owned()), ..Source::of(dataset, BTreeMap::new(), name) }
}

/// Unpacks an archive into the store, once for its bytes; a plan reads only the lists in it.
fn from_archive(path: &Path, name: String, config: &Config, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    let kept = Kept::of_archive(path, config, with.store)?;
    let options = OpenOptions { strict: config.data.strict, follow_links: false };
    let (found, warnings) = kept.find(with.store)?;
    if found.is_none() && with.purpose == Purpose::Plan {
        let scratch = tempfile::tempdir().map_err(|e| {
            let said = Explanation::new("cannot make a temporary folder").because(e.to_string());
            AssembleError::Config(said.fix("set TMPDIR to a folder you can write to"))
        })?;
        let (report, md5) = (|done| with.progress(done, 0, "files", "unpacking"), config.data.md5.as_deref());
        let inner = archive::unpack(path, scratch.path(), Unpack::Lists, md5, Limits::default(), &report)?;
        let dataset = listed_only(&Dataset::open(&inner, &OpenOptions::default())?);
        return Ok(pending(dataset, name, warnings, "the archive is not unpacked yet"));
    }
    let folder = found.map_or_else(|| kept.make(with), Ok)?;
    Ok(Source { warnings, ..opened(&kept.opened(folder.clone()), &folder, &options, name, with)? })
}

/// Finds the folder of photos that the store keeps for a configuration; they are drawn or unpacked where they are absent.
pub(crate) fn kept_folder(config: &Config, with: &Preparation<'_>) -> Result<PathBuf, AssembleError> {
    let kept = match (config.data_path(), config.synthetic_spec()) {
        (Some(archive), _) => Kept::of_archive(archive, config, with.store)?,
        (None, Some(spec)) => Kept::Drawn(spec),
        (None, None) => return Err(no_photos()),
    };
    kept.find(with.store)?.0.map_or_else(|| kept.make(with), Ok)
}

/// Keeps what was hashed; a read-only store only costs the hashing again.
pub(super) fn save(cache: &StatCache) -> Result<(), StoreError> {
    match cache.save() {
        Ok(()) | Err(StoreError::Unwritable { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Reports a photo that cannot be read.
pub(super) fn unreadable(path: &Path, source: &std::io::Error) -> AssembleError {
    let said = Explanation::new(format!("cannot read photo {}", path.display()));
    AssembleError::Data(said.because(source.to_string()).fix("restore it"))
}

/// Opens a data set and digests its photos. What is remembered of them is read beside the lists. `root`: the folder that was
/// named, or that the store keeps.
fn opened(
    folder: &Path,
    root: &Path,
    options: &OpenOptions,
    name: String,
    with: &Preparation<'_>,
) -> Result<Source, AssembleError> {
    let (dataset, cache) = rayon::join(|| Dataset::open(folder, options), || with.store.stat_cache());
    let dataset = dataset?;
    let digests = digests(&dataset.photos, &|photo| dataset.images_root.join(&photo.path), &cache?, with)?;
    let below = dataset.images_root.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy().into_owned();
    Ok(Source { below, ..Source::of(dataset, digests, name) })
}

fn digests(
    photos: &[Photo],
    file: &(dyn Fn(&Photo) -> PathBuf + Sync),
    cache: &StatCache,
    with: &Preparation<'_>,
) -> Result<BTreeMap<ImageId, Digest>, AssembleError> {
    let done = AtomicU64::new(0);
    let digest = |photo: &Photo| {
        with.check()?;
        let (digest, _) = cache.digest(&file(photo)).map_err(|e| match e {
            StoreError::Io { path, source, .. } => unreadable(&path, &source),
            other => AssembleError::Store(other),
        })?;
        let (done, total) = (done.fetch_add(1, Ordering::Relaxed) + 1, photos.len() as u64);
        if done % 64 == 0 || done == total {
            with.progress(done, total, "photos", "hashing");
        }
        Ok((photo.image_id, digest))
    };
    let digests: Result<BTreeMap<_, _>, AssembleError> = photos.par_iter().map(digest).collect();
    save(cache)?; // what was hashed before a request to stop need not be hashed again
    digests
}
