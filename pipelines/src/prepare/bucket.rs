//! Photos in a bucket: what the service lists is the data set, and each photo is read once for its digest, then known by the
//! version that the service gives it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlsm_data::{Dataset, ImageId, ListedFiles, OpenOptions};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Digest, Object, Objects, StoreError};

use super::{Preparation, Source, photos};
use crate::AssembleError;
use crate::config::Config;
use crate::photo_file::PhotoRoot;

/// Opens a place in an object store.
pub(super) fn place(address: &str, with: &Preparation<'_>) -> Result<Arc<dyn Objects>, AssembleError> {
    (with.objects)(address).map_err(|error| match error {
        StoreError::Remote { reason, .. } => {
            let said = Explanation::new(format!("cannot look for photos at {address}")).because(reason);
            AssembleError::Config(said.fix(Fix::set("data.path", "s3://BUCKET/PREFIX")))
        }
        error => error.into(),
    })
}

/// Opens the photos below an address.
pub(super) fn open(address: &str, config: &Config, with: &Preparation<'_>) -> Result<Source, AssembleError> {
    let objects = place(address, with)?;
    let listed = objects.list()?;
    with.check()?;
    let dataset = dataset(&*objects, &listed, config).map_err(|error| with.check().err().unwrap_or(error))?;
    let below = dataset.images_root.strip_prefix(address).unwrap_or(Path::new("")).to_string_lossy().into_owned();
    let digests = digests(&dataset, &*objects, (&listed, &below), with)?;
    let name = address.rsplit('/').find(|part| !part.is_empty()).unwrap_or(address).to_owned();
    let root = PhotoRoot::Bucket { objects, below: below.as_str().into() };
    Ok(Source { root, below, ..Source::of(dataset, digests, name) })
}

fn dataset(objects: &dyn Objects, listed: &[Object], config: &Config) -> Result<Dataset, AssembleError> {
    let read = |path: &str, first: Option<u64>| -> io::Result<Vec<u8>> {
        let mut found = None;
        match first {
            Some(bytes) => found = Some(objects.read_first(path, bytes).map_err(io::Error::other)?),
            None => objects
                .read(&[path], &mut |_, bytes| {
                    found = bytes;
                    Ok(())
                })
                .map_err(io::Error::other)?,
        }
        found.ok_or_else(|| ErrorKind::NotFound.into())
    };
    let files = listed.iter().map(|object| (object.path.clone(), object.bytes));
    let options = OpenOptions { strict: config.data.strict, follow_links: false };
    Ok(Dataset::open_listed(&ListedFiles::new(objects.address(), files, &read), &options)?)
}

/// Digests all photos; those whose version is remembered are not read.
fn digests(
    dataset: &Dataset,
    objects: &dyn Objects,
    (listed, below): (&[Object], &str),
    with: &Preparation<'_>,
) -> Result<BTreeMap<ImageId, Digest>, AssembleError> {
    let cache = with.store.stat_cache()?;
    let by_path: BTreeMap<&str, &Object> = listed.iter().map(|object| (object.path.as_str(), object)).collect();
    let (mut digests, mut unknown) = (BTreeMap::new(), Vec::new());
    for photo in &dataset.photos {
        let path = path_in(below, &photo.path);
        let object = by_path[path.as_str()];
        match cache.object(objects.address(), object) {
            Some(digest) => drop(digests.insert(photo.image_id, digest)),
            None => unknown.push((photo.image_id, object)),
        }
    }
    let paths: Vec<&str> = unknown.iter().map(|(_, object)| object.path.as_str()).collect();
    let mut done = 0;
    let read = objects.read(&paths, &mut |at, bytes| {
        let (image_id, object) = unknown[at];
        let bytes = bytes.ok_or_else(|| gone(objects.address(), &object.path))?;
        let digest = Digest::of(&bytes);
        cache.keep_object(objects.address(), object, (digest, bytes.len() as u64));
        digests.insert(image_id, digest);
        done += 1;
        if done % 64 == 0 || done == paths.len() as u64 {
            with.progress(done, paths.len() as u64, "photos", "hashing");
        }
        if with.cancel.is_cancelled() { Err(StoreError::Stopped) } else { Ok(()) }
    });
    photos::save(&cache)?; // what was read before a request to stop need not be read again
    read.map_err(|error| match error {
        StoreError::Io { path, source, .. } => photos::unreadable(&path, &source),
        StoreError::Stopped => AssembleError::Cancelled,
        other => AssembleError::Store(other),
    })?;
    Ok(digests)
}

/// Names a photo below the address, where photos begin at `below`.
pub(crate) fn path_in(below: &str, path: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{below}/{path}") }
}

fn gone(address: &str, path: &str) -> StoreError {
    StoreError::Io {
        action: "read",
        path: PathBuf::from(format!("{address}/{path}")),
        source: ErrorKind::NotFound.into(),
    }
}
