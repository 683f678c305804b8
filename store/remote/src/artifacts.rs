//! Artifacts of a bucket: looked up, sent (large ones in parts) and brought, a digest each.

use std::io::Write;
use std::path::PathBuf;

use futures_util::StreamExt;
use mlsm_store::{Manifest, Output, Store, StoreError};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};

use crate::Bucket;

/// From how many bytes on an artifact is sent in parts.
const PART: usize = 16 << 20;

impl Bucket {
    fn has(&self, output: &Output) -> Result<bool, StoreError> {
        let place = self.blob_place(&output.digest);
        match self.ask(self.0.objects.head(&place)) {
            Ok(meta) => Ok(meta.size == output.bytes),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look up", &place, &error)),
        }
    }

    pub(crate) fn has_all(&self, manifest: &Manifest) -> Result<bool, StoreError> {
        for output in manifest.outputs.values() {
            if !self.has(output)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends one artifact.
    fn send_blob(&self, store: &Store, output: &Output) -> Result<(), StoreError> {
        let (place, blob) = (self.blob_place(&output.digest), store.open_blob(&output.digest)?);
        if blob.len() <= PART {
            return self.put(&place, blob.to_vec());
        }
        let sent = self.wait(self.upload(&place, &blob));
        sent.map_err(|error| self.failed("write", &place, &error))
    }

    /// Sends an artifact in parts. What was sent of one that does not come to its end is given up at the service, which
    /// would keep and charge for it.
    async fn upload(&self, place: &Path, bytes: &[u8]) -> object_store::Result<()> {
        let mut upload = self.0.objects.put_multipart(place).await?;
        for part in bytes.chunks(PART) {
            let sent = match self.go_on() {
                Ok(()) => upload.put_part(PutPayload::from(part.to_vec())).await,
                Err(_) => Err(Error::Generic { store: "mlsm", source: "stopping was asked for".into() }),
            };
            if let Err(error) = sent {
                let _ = upload.abort().await; // the first error says more
                return Err(error);
            }
        }
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    /// Sends those artifacts that are not there; returns how many bytes went.
    pub(crate) fn send_missing<'a>(
        &self,
        store: &Store,
        outputs: impl Iterator<Item = &'a Output>,
    ) -> Result<u64, StoreError> {
        let mut sent = 0;
        for output in outputs {
            self.go_on()?;
            if !self.has(output)? {
                self.send_blob(store, output)?;
                sent += output.bytes;
            }
        }
        Ok(sent)
    }

    /// Brings one artifact into a store; returns whether it was there.
    pub(crate) fn receive_blob(&self, store: &Store, output: &Output) -> Result<bool, StoreError> {
        let place = self.blob_place(&output.digest);
        let failed = |error: Error| self.failed("read", &place, &error);
        let found = match self.ask(self.0.objects.get(&place)) {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let mut writer = store.blob_writer()?;
        let mut parts = found.into_stream();
        while let Some(part) = self.ask(async { parts.next().await.transpose() }).map_err(failed)? {
            writer.write_all(&part).map_err(|e| {
                let path = store.blob_path(&output.digest);
                if e.kind() == std::io::ErrorKind::StorageFull { StoreError::Full { path } } else { unwritten(path, e) }
            })?;
        }
        match writer.finish_as(&output.digest)? {
            true => Ok(true),
            false => Err(StoreError::Damaged {
                digest: output.digest,
                path: PathBuf::from(format!("{} ({place})", self.0.url)),
            }),
        }
    }
}

fn unwritten(path: PathBuf, source: std::io::Error) -> StoreError {
    StoreError::Io { action: "write", path, source }
}
