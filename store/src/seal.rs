//! Seals: JSON that ends with the digest of its own bytes, so that a flipped bit in it is noticed.
//!
//! The seal is the last member of the object, `,"seal":"<digest>"}`, and digests all bytes before it: every other
//! program still reads the file as JSON. What was written before there were seals is read without one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Digest, StoreError, disk};

const MEMBER: &[u8] = b",\"seal\":\"";
const END: &[u8] = b"\"}";
const HEX_DIGITS: usize = 64;

/// Writes a value, an object with at least one member, under a seal.
pub(crate) fn write(value: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec(value).expect("the store's records have only text keys");
    let _brace = json.pop();
    let digest = Digest::of(&json).to_string();
    json.extend_from_slice(MEMBER);
    json.extend_from_slice(digest.as_bytes());
    json.extend_from_slice(END);
    json
}

/// Writes a list into a folder that is being built, under a seal and read-only; of nothing there is no list.
pub(crate) fn write_list<T: Serialize>(
    folder: &Path,
    name: &str,
    list: &BTreeMap<String, T>,
) -> Result<(), StoreError> {
    if list.is_empty() {
        return Ok(());
    }
    let path = folder.join(name);
    let mut file = disk::create(&path)?;
    disk::write_all(&mut file, &path, &write(list))?;
    disk::make_read_only(&file, &path)
}

/// Reads what [`write`] wrote, or what was written before there were seals; `None` when it is damaged.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if split(bytes).is_some() { read_sealed(bytes) } else { serde_json::from_slice(bytes).ok() }
}

/// Reads what [`write`] wrote; `None` when it is damaged or has no seal.
pub(crate) fn read_sealed<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(&[sealed(bytes)?, b"}"].concat()).ok()
}

/// Returns the bytes under a seal, an object but for its last brace; `None` when they are damaged or have no seal.
pub(crate) fn sealed(bytes: &[u8]) -> Option<&[u8]> {
    let (sealed, seal) = split(bytes)?;
    (seal.parse() == Ok(Digest::of(sealed))).then_some(sealed)
}

/// Parts a document from the digits of its seal.
fn split(bytes: &[u8]) -> Option<(&[u8], &str)> {
    let rest = bytes.strip_suffix(END)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(HEX_DIGITS)?)?;
    Some((rest.strip_suffix(MEMBER)?, std::str::from_utf8(digits).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Map = BTreeMap<String, u32>;

    fn map() -> Map {
        BTreeMap::from([("seal".to_owned(), 1), ("b".to_owned(), 2)])
    }

    #[test]
    fn what_is_sealed_is_json_and_is_read_back() {
        let bytes = write(&map());
        assert_eq!(read(&bytes), Some(map()));
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["seal"].as_str().map(str::len), Some(HEX_DIGITS));
    }

    #[test]
    fn no_flipped_bit_and_no_truncation_gives_another_value() {
        let bytes = write(&map());
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read::<Map>(&damaged).is_none_or(|m| m == map()), "bit {bit} of byte {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(read::<Map>(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn what_was_written_before_there_were_seals_is_read() {
        assert_eq!(read(&serde_json::to_vec(&map()).unwrap()), Some(map()));
    }
}
