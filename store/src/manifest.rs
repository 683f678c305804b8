//! Manifests: which blobs answer a request. The truth of the store, one sealed JSON file each, written last.

use std::collections::BTreeMap;

use memchr::memmem;
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
    /// Reads the answer in a manifest; `None` unless that is whole, sealed and of a known format. The request is not read: what
    /// stands around it is found by bytes that no text of a document has, since a quotation mark in one is escaped.
    pub(crate) fn read(manifest: &[u8]) -> Option<Self> {
        let sealed = seal::sealed(manifest)?;
        let (request, outputs) = (memmem::find(sealed, b",\"request\":")?, memmem::rfind(sealed, b",\"outputs\":{")?);
        let around = [sealed.get(..request)?, sealed.get(outputs..)?, b"}"].concat();
        let answer: Self = serde_json::from_slice(&around).ok()?;
        (answer.format <= crate::FORMAT).then_some(answer)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, Value};

    #[test]
    fn an_answer_is_read_past_a_request_that_speaks_of_outputs() {
        let hostile = r#"x","request":{},"outputs":{"a":1},"provenance":{}"#;
        let field = |key: &str| Field { key: key.to_owned(), value: Value::from(hostile) };
        let request = Request {
            stage: hostile.to_owned(),
            version: 1,
            recipe: vec![field(hostile), field("outputs")],
            inputs: vec![],
        };
        let outputs = BTreeMap::from([(hostile.to_owned(), Output { digest: Digest::of(b"a"), bytes: 1 })]);
        let provenance = ["outputs", "request", hostile].map(|key| (key.to_owned(), hostile.to_owned())).into();
        let fingerprint = request.fingerprint();
        let manifest = Manifest { format: crate::FORMAT, fingerprint, request, outputs, provenance };
        let bytes = manifest.write();
        assert_eq!(Answer::read(&bytes), Some(Answer::from(&manifest)));
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let read = Answer::read(&damaged);
            assert!(read.is_none_or(|answer| answer == Answer::from(&manifest)), "bit {bit} of byte {at}");
        }
    }
}
