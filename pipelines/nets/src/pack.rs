//! Named tensors with a text beside them ↔ bytes: how weights, optimiser states and checkpoints are stored.
//!
//! The bytes are a safetensors file. Equal tensors give equal bytes in every process: tensors are sorted by element
//! type and name, and the text is the only metadata entry (the format keeps several in a hash map).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};

use crate::error::NetError;

/// The metadata entry that holds the caller's text.
const TEXT_KEY: &str = "json";

/// Lays named tensors and a text (JSON, by custom) out as one safetensors file; an empty text is left out.
///
/// Tensors of any device and layout are stored in C order. The order given does not matter.
///
/// # Errors
/// [`NetError::WrongKind`] for element types other than f32, f64, f16, bf16, i64, i32, u8 and bool.
pub fn pack(tensors: &[(String, Tensor)], text: &str) -> Result<Vec<u8>, NetError> {
    let stored: Vec<(&str, Stored)> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Stored::new(name, tensor)?)))
        .collect::<Result<_, NetError>>()?;
    let metadata = (!text.is_empty()).then(|| HashMap::from([(TEXT_KEY.to_owned(), text.to_owned())]));
    safetensors::serialize(stored, metadata).map_err(|source| NetError::CannotWrite { source })
}

/// Reads what [`pack`] wrote: CPU tensors by name, and the text (empty when there is none).
///
/// # Errors
/// [`NetError::NotSafetensors`] when the bytes are damaged; [`NetError::WrongKind`] for other element types.
pub fn unpack(bytes: &[u8]) -> Result<(BTreeMap<String, Tensor>, String), NetError> {
    let not_whole = |source| NetError::NotSafetensors { source };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_whole)?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(TEXT_KEY).cloned()).unwrap_or_default();
    let file = SafeTensors::deserialize(bytes).map_err(not_whole)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = kind_of(view.dtype()).ok_or_else(|| wrong_kind(&name, format!("{:?}", view.dtype())))?;
        let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        tensors.insert(name, Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    Ok((tensors, text))
}

/// A tensor's bytes on their way into a file.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(name: &str, tensor: &Tensor) -> Result<Self, NetError> {
        let kind = tensor.f_kind()?;
        let dtype = dtype_of(kind).ok_or_else(|| wrong_kind(name, format!("{kind:?}")))?;
        let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        Ok(Stored { dtype, shape, bytes })
    }
}

impl View for Stored {
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

/// The element types that are stored, in both tongues.
const KINDS: [(Kind, Dtype); 8] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

fn dtype_of(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, dtype)| *dtype)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, known)| *known == dtype).map(|(kind, _)| *kind)
}

fn wrong_kind(name: &str, found: String) -> NetError {
    NetError::WrongKind { name: name.to_owned(), expected: "f32, f64, f16, bf16, i64, i32, u8 or bool", found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_every_kind_and_the_text_come_back() {
        let plain = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).reshape([2, 3]);
        let tensors: Vec<(String, Tensor)> =
            KINDS.iter().map(|(kind, _)| (format!("{kind:?}"), plain.to_kind(*kind))).collect();
        let (read, text) = unpack(&pack(&tensors, r#"{"episode":7}"#).unwrap()).unwrap();
        assert_eq!(text, r#"{"episode":7}"#);
        assert_eq!(read.len(), KINDS.len());
        for (name, tensor) in tensors {
            assert_eq!(read[&name].kind(), tensor.kind());
            assert_eq!(read[&name], tensor, "{name}");
        }
    }

    #[test]
    fn bytes_depend_on_neither_order_nor_layout() {
        let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        let b = Tensor::from_slice(&[5i64]);
        let one = pack(&[("a".into(), a.shallow_clone()), ("b".into(), b.shallow_clone())], "x").unwrap();
        let strided = a.transpose(0, 1).contiguous().transpose(0, 1);
        assert_eq!(one, pack(&[("b".into(), b), ("a".into(), strided)], "x").unwrap());
    }

    #[test]
    fn a_torn_file_is_an_error() {
        let bytes = pack(&[("a".into(), Tensor::from_slice(&[1.0f32, 2.0]))], "").unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(unpack(&bytes[..length]), Err(NetError::NotSafetensors { .. })), "{length}");
        }
    }
}
