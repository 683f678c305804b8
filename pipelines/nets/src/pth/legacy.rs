//! The layout before PyTorch 1.6: five pickles one after the other (magic number, version, system, content, keys of
//! the storages), then each storage's length (i64) and bytes, in the order of the keys.

use std::collections::BTreeMap;

use super::pickle::{self, Content};
use super::{StateDict, bad, tensor};
use crate::error::NetError;

/// `0x1950a86a20f9469cfc6c` as a pickled long, protocol 2.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

pub(super) fn read(bytes: &[u8]) -> Result<StateDict, NetError> {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Err(bad("it starts like neither a zip nor a PyTorch file"));
    };
    let mut next = || -> Result<Content, NetError> {
        let (content, used) = pickle::run(rest)?;
        rest = &rest[used..];
        Ok(content)
    };
    let _version = next()?;
    let _system = next()?;
    let content = next()?;
    let keys = next()?.strings()?;
    let data = slices(&content, &keys, rest)?;
    tensor::state_dict(&content, &|key| data.get(key).copied())
}

/// The bytes of each storage.
fn slices<'a>(content: &Content, keys: &[String], mut rest: &'a [u8]) -> Result<BTreeMap<String, &'a [u8]>, NetError> {
    let sizes: BTreeMap<String, usize> =
        content.storages()?.into_iter().map(|storage| (storage.key, storage.element.size())).collect();
    let mut data = BTreeMap::new();
    for key in keys {
        let size = sizes.get(key).ok_or_else(|| bad(format!("storage `{key}` is listed, but no tensor uses it")))?;
        let (head, tail) = rest.split_at_checked(8).ok_or_else(|| bad("it ends early"))?;
        let length = u64::from_le_bytes(head.try_into().expect("eight bytes were split off"));
        let length = usize::try_from(length).ok().and_then(|length| length.checked_mul(*size));
        let split = length.and_then(|length| tail.split_at_checked(length));
        let (bytes, tail) = split.ok_or_else(|| bad(format!("it ends within storage `{key}`")))?;
        data.insert(key.clone(), bytes);
        rest = tail;
    }
    Ok(data)
}
