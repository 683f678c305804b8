//! Photos in a bucket: listed once, read a few at a time. Nothing is ever written there.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::{StreamExt, stream};
use mlsm_store::{Access, Object, Objects, StoreError};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::Bucket;
use crate::bucket::LEASE;

/// How many photos are asked for at once: a service answers each after a while, whatever it is.
const AT_ONCE: usize = 32;

/// A place with photos in a bucket.
pub struct PhotoBucket(Bucket);

impl std::fmt::Debug for PhotoBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.0.url)
    }
}

impl PhotoBucket {
    /// Opens `s3://bucket/prefix`, `gs://…` or `az://…`, as [`Bucket::open`] does; asks nothing of the service.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the address or the credentials do not do.
    pub fn open(
        url: &str,
        options: impl IntoIterator<Item = (String, String)>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Bucket::unchecked(url.trim_end_matches('/'), options, Access::ReadOnly, stop)?))
    }

    /// Over any object store.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when no threads can be had.
    pub fn over(
        url: &str,
        objects: Box<dyn ObjectStore>,
        prefix: Path,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Bucket::closed(url, objects, prefix, LEASE, Access::ReadOnly, stop)?))
    }
}

impl Objects for PhotoBucket {
    fn address(&self) -> &str {
        &self.0.0.url
    }

    fn list(&self) -> Result<Vec<Object>, StoreError> {
        let prefix = self.0.place("").to_string();
        let object = |meta: ObjectMeta| {
            let path = meta.location.as_ref().strip_prefix(&prefix)?.trim_start_matches('/').to_owned();
            let version = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
            (!path.is_empty()).then_some(Object { path, bytes: meta.size, version })
        };
        let mut objects: Vec<Object> = self.0.list("")?.into_iter().filter_map(object).collect();
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    fn read(
        &self,
        paths: &[&str],
        each: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let get = |at: usize| {
            let place = self.0.place(paths[at]);
            async move {
                let read = async { self.0.0.objects.get(&place).await?.bytes().await };
                match read.await {
                    Ok(bytes) => Ok((at, Some(bytes.to_vec()))),
                    Err(Error::NotFound { .. }) => Ok((at, None)),
                    Err(error) => Err((place, error)),
                }
            }
        };
        let mut answers = stream::iter(0..paths.len()).map(get).buffer_unordered(AT_ONCE);
        let asked = |error: Error| self.0.failed("read", &self.0.place(""), &error);
        while let Some(answer) = self.0.ask(async { Ok(answers.next().await) }).map_err(asked)? {
            self.0.go_on()?;
            let (at, bytes) = answer.map_err(|(place, error)| self.0.failed("read", &place, &error))?;
            each(at, bytes)?;
        }
        Ok(())
    }

    fn read_first(&self, path: &str, bytes: u64) -> Result<Vec<u8>, StoreError> {
        let place = self.0.place(path);
        let read = self.0.ask(self.0.0.objects.get_range(&place, 0..bytes));
        read.map(|bytes| bytes.to_vec()).map_err(|error| self.0.failed("read", &place, &error))
    }
}
