//! The zip layout: `NAME/data.pkl`, and `NAME/data/KEY` for the bytes of each storage. A wheel is a zip too.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{StateDict, bad, pickle, read_pth, tensor};
use crate::error::NetError;

/// No file inside an archive may unpack to more: a small zip can claim terabytes.
const MAX_BYTES: u64 = 2 << 30;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

pub(super) fn read(bytes: &[u8]) -> Result<StateDict, NetError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(format!("no whole zip: {error}")))?;
    let named = |end: &str| -> Vec<String> {
        let mut names: Vec<String> =
            archive.file_names().filter(|name| name.ends_with(end)).map(str::to_owned).collect();
        names.sort();
        names
    };
    let (pickles, weights) = (named("/data.pkl"), named(".pth"));
    match (&pickles[..], &weights[..]) {
        ([pickle], _) => read_pickled(&mut archive, pickle),
        ([], [pth]) => read_pth(&entry(&mut archive, pth)?),
        _ => Err(bad(format!(
            "the archive holds {} data.pkl and {} .pth files, expected one of either",
            pickles.len(),
            weights.len()
        ))),
    }
}

fn read_pickled(archive: &mut Archive<'_>, name: &str) -> Result<StateDict, NetError> {
    let root = name.strip_suffix("data.pkl").expect("the name was chosen by this ending");
    if let Ok(order) = entry(archive, &format!("{root}byteorder"))
        && order != b"little"
    {
        return Err(bad("its numbers are big-endian"));
    }
    let program = entry(archive, name)?;
    let (content, _) = pickle::run(&program)?;
    let mut data = BTreeMap::new();
    for storage in content.storages()? {
        let bytes = entry(archive, &format!("{root}data/{}", storage.key))?;
        data.insert(storage.key, bytes);
    }
    tensor::state_dict(&content, &|key| data.get(key).map(Vec::as_slice))
}

fn entry(archive: &mut Archive<'_>, name: &str) -> Result<Vec<u8>, NetError> {
    let file = archive.by_name(name).map_err(|error| bad(format!("`{name}` in it: {error}")))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| bad(format!("`{name}` in it cannot be unpacked: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(bad(format!("`{name}` in it is larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}
