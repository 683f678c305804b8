//! Manifests: which blobs answer a request. The truth of the store, one sealed JSON file each, written last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Fingerprint, Request, seal};

/// An artifact: its identity and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The digest of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub bytes: u64,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this file.
    pub format: u32,
    /// The identity of the request.
    pub fingerprint: Fingerprint,
    /// The request itself, so that two of them can be compared.
    pub request: Request,
    /// The artifacts by name.
    pub outputs: BTreeMap<String, Output>,
    /// How the bytes came about: device, CPU model, threads.
    pub provenance: BTreeMap<String, String>,
}

/// What answers a request, without the request itself: a look-up needs no more, and a request may name thousands of photos.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    format: u32,
    /// The identity of the request.
    pub fingerprint: Fingerprint,
    /// The artifacts by name.
    pub outputs: BTreeMap<String, Output>,
    /// How the bytes came about: device, CPU model, threads.
    pub provenance: BTreeMap<String, String>,
}

impl Answer {
    /// Reads the answer in a manifest; `None` unless that is whole and of a known format.
    pub(crate) fn read(manifest: &[u8]) -> Option<Self> {
        if !seal::is_sealed(manifest) {
            return Manifest::read(manifest).as_ref().map(Self::from);
        }
        seal::read_sealed(manifest).filter(|answer: &Self| answer.format <= crate::FORMAT)
    }
}

impl From<&Manifest> for Answer {
    fn from(manifest: &Manifest) -> Self {
        let Manifest { format, fingerprint, request: _, outputs, provenance } = manifest;
        Self { format: *format, fingerprint: *fingerprint, outputs: outputs.clone(), provenance: provenance.clone() }
    }
}

impl Manifest {
    /// Writes a manifest under its seal.
    pub fn write(&self) -> Vec<u8> {
        seal::write(self)
    }

    /// Reads a manifest; `None` unless it is whole, of a known format, and its request has its fingerprint.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let manifest: Self = seal::read(bytes)?;
        let known = manifest.format <= crate::FORMAT;
        (known && manifest.request.fingerprint() == manifest.fingerprint).then_some(manifest)
    }
}
