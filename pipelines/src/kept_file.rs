//! Files that users keep: named arrays with a description, in the safetensors format, under a digest of every byte.
//!
//! The only entry of the format's metadata is JSON that begins with the digest. It digests the file with zeros in the
//! digest's place, so that a flipped bit anywhere is noticed. Reading such a file executes nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use mlsm_store::Digest;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};
use serde::Serialize;
use serde_json::Value;

/// The entry of the metadata.
const ENTRY: &str = "mlsm";
/// The entry of an artifact's own metadata that holds its text.
const TEXT: &str = "json";
/// What every such file has behind the eight bytes of its header's length.
const BEGIN: &[u8] = br#"{"__metadata__":{"mlsm":"{\"digest\":\""#;
/// Where that begins, and the digits of the digest.
const HEADER: usize = 8;
const DIGITS: usize = 64;

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is something else.
    Foreign,
    /// It is of this kind, and not what was written.
    Damaged,
}

/// Values of one element type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Values {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Values {
    /// Packs ids.
    pub fn ids(ids: &[i64]) -> Self {
        let bytes = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Self { dtype: Dtype::I64, shape: vec![ids.len()], bytes }
    }

    /// Returns ids; none where the values are something else.
    pub fn to_ids(&self) -> Vec<i64> {
        let is_ids = self.dtype == Dtype::I64 && self.shape.len() == 1;
        let chunks = self.bytes.chunks_exact(8).filter(|_| is_ids);
        chunks.map(|c| i64::from_le_bytes(c.try_into().expect("chunks have eight bytes"))).collect()
    }
}

impl View for &Values {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Lays arrays and the description of a kind of file out; equal ones give equal bytes.
pub(crate) fn write(kind: &str, about: &impl Serialize, arrays: &BTreeMap<String, Values>) -> Vec<u8> {
    let about = serde_json::to_string(about).expect("a description has only text keys");
    let kind = Value::from(kind);
    let entry = format!("{{\"digest\":\"{}\",\"kind\":{kind},\"about\":{about}}}", "0".repeat(DIGITS));
    let metadata = HashMap::from([(ENTRY.to_owned(), entry)]);
    let mut bytes = safetensors::serialize(arrays, Some(metadata)).expect("each array has the bytes of its shape");
    let digest = Digest::of(&bytes).to_string();
    let at = HEADER + BEGIN.len();
    assert!(bytes[HEADER..].starts_with(BEGIN), "the format puts its metadata first");
    bytes[at..at + DIGITS].copy_from_slice(digest.as_bytes());
    bytes
}

/// Reads the description and the arrays of a kind of file.
///
/// # Errors
/// [`Unread`].
pub(crate) fn read(kind: &str, bytes: &[u8]) -> Result<(Value, BTreeMap<String, Values>), Unread> {
    if !bytes.get(HEADER..).is_some_and(|rest| rest.starts_with(BEGIN)) {
        return Err(Unread::Foreign);
    }
    check(bytes).ok_or(Unread::Damaged)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|_| Unread::Damaged)?;
    let entry = header.metadata().as_ref().and_then(|entries| entries.get(ENTRY)).ok_or(Unread::Foreign)?;
    let mut entry: Value = serde_json::from_str(entry).map_err(|_| Unread::Damaged)?;
    if entry["kind"] != kind {
        return Err(Unread::Foreign);
    }
    Ok((entry["about"].take(), arrays(bytes).ok_or(Unread::Damaged)?))
}

/// Reads the arrays of any safetensors file; `None` when it is none.
pub(crate) fn arrays(bytes: &[u8]) -> Option<BTreeMap<String, Values>> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let values = |view: &safetensors::tensor::TensorView<'_>| Values {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    Some(file.tensors().into_iter().map(|(name, view)| (name, values(&view))).collect())
}

/// Lays tensors and a text out as the stages do.
fn artifact(tensors: &BTreeMap<String, Values>, text: &str) -> Option<Vec<u8>> {
    let metadata = (!text.is_empty()).then(|| HashMap::from([(TEXT.to_owned(), text.to_owned())]));
    safetensors::serialize(tensors, metadata).ok()
}

/// Returns the text that an artifact has beside its tensors; `None` when it is no tensors, or the two cannot be put together
/// to the same bytes.
pub(crate) fn text_of(bytes: &[u8]) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(TEXT).cloned()).unwrap_or_default();
    let same = artifact(&arrays(bytes)?, &text)? == bytes;
    same.then_some(text)
}

/// Takes the arrays whose names begin so, and lays the artifact out again that they came from: tensors with their text, or
/// bytes.
pub(crate) fn take(arrays: &mut BTreeMap<String, Values>, prefix: &str, text: Option<&str>) -> Option<Vec<u8>> {
    let own: Vec<String> = arrays.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    let mut tensors: BTreeMap<String, Values> =
        own.iter().filter_map(|name| Some((name[prefix.len()..].to_owned(), arrays.remove(name)?))).collect();
    match text {
        Some(text) => artifact(&tensors, text),
        None => tensors.pop_first().map(|(_, values)| values.bytes),
    }
}

/// Compares the digest with the bytes.
fn check(bytes: &[u8]) -> Option<()> {
    let at = HEADER + BEGIN.len();
    let written = bytes.get(at..at + DIGITS)?;
    let blank = [&bytes[..at], &[b'0'; DIGITS], &bytes[at + DIGITS..]].concat();
    (Digest::of(&blank).to_string().as_bytes() == written).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let arrays = BTreeMap::from([("ids".to_owned(), Values::ids(&[1, 2])), ("none".to_owned(), Values::ids(&[]))]);
        write("support", &serde_json::json!({"row": "a \"b\""}), &arrays)
    }

    #[test]
    fn what_was_written_is_read_and_equal_contents_are_equal_bytes() {
        let (about, arrays) = read("support", &file()).unwrap();
        assert_eq!(about["row"], "a \"b\"");
        assert_eq!((arrays["ids"].to_ids(), arrays["none"].to_ids()), (vec![1, 2], vec![]));
        assert_eq!(file(), file());
        assert_eq!(read("model", &file()).unwrap_err(), Unread::Foreign);
        assert!(self::arrays(&file()).is_some(), "any reader of the format reads it");
    }

    #[test]
    fn every_flipped_bit_and_every_length_but_the_right_one_is_noticed() {
        let whole = file();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read("support", &flipped).is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(read("support", &whole[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(read("support", &[&whole[..], b" "].concat()).unwrap_err(), Unread::Damaged);
        assert_eq!(read("support", b"{\"__metadata__\"").unwrap_err(), Unread::Foreign);
    }
}
