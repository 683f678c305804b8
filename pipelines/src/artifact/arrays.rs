//! Named arrays in the safetensors format: written in a fixed order, read in place from a memory map.

use std::collections::BTreeMap;

use mlsm_engine::StageError;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::misfit;

/// The element types that artifacts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// Unsigned bytes: pixels.
    U8,
    /// Half floats: feature maps.
    F16,
    /// Floats.
    F32,
    /// Ids.
    I64,
}

impl ElementType {
    fn dtype(self) -> Dtype {
        match self {
            Self::U8 => Dtype::U8,
            Self::F16 => Dtype::F16,
            Self::F32 => Dtype::F32,
            Self::I64 => Dtype::I64,
        }
    }

    /// Returns the bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

/// An array to be written: little-endian bytes in row-major order.
#[derive(Clone, Debug)]
pub struct Array {
    element: ElementType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// Wraps bytes that are already in order.
    pub fn from_bytes(element: ElementType, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { element, shape: shape.to_vec(), bytes }
    }

    /// Packs floats.
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        Self::from_bytes(ElementType::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Packs ids.
    pub fn i64(values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::from_bytes(ElementType::I64, &[values.len()], bytes)
    }
}

/// Writes arrays into one artifact; equal arrays give equal bytes.
///
/// # Errors
/// [`StageError::Failed`] when a shape does not fit its bytes.
pub fn encode(arrays: &[(&str, Array)]) -> Result<Vec<u8>, StageError> {
    let failed = |e: safetensors::SafeTensorError| StageError::defect(format!("cannot pack arrays: {e}"));
    let views: Result<BTreeMap<_, _>, StageError> = arrays
        .iter()
        .map(|(name, a)| Ok((*name, TensorView::new(a.element.dtype(), a.shape.clone(), &a.bytes).map_err(failed)?)))
        .collect();
    safetensors::serialize(views?, None).map_err(failed)
}

/// An array inside an artifact.
#[derive(Clone, Debug)]
pub struct ArrayView {
    /// The element type.
    pub element: ElementType,
    /// The shape.
    pub shape: Vec<usize>,
    /// Where its bytes lie in the artifact.
    pub range: std::ops::Range<usize>,
}

/// Finds an array inside an artifact without copying it.
///
/// # Errors
/// [`StageError::Failed`] when the artifact has no such array.
pub fn decode(bytes: &[u8], name: &str) -> Result<ArrayView, StageError> {
    let failed = |why: String| misfit(format!("cannot read array `{name}`"), why);
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| failed(e.to_string()))?;
    let view = tensors.tensor(name).map_err(|e| failed(e.to_string()))?;
    let element = match view.dtype() {
        Dtype::U8 => ElementType::U8,
        Dtype::F16 => ElementType::F16,
        Dtype::F32 => ElementType::F32,
        Dtype::I64 => ElementType::I64,
        other => return Err(failed(format!("its type is {other:?}"))),
    };
    let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(ArrayView { element, shape: view.shape().to_vec(), range: start..start + view.data().len() })
}

impl ArrayView {
    /// Copies ids out.
    pub fn to_i64(&self, bytes: &[u8]) -> Vec<i64> {
        let chunks = bytes[self.range.clone()].chunks_exact(8);
        chunks.map(|c| i64::from_le_bytes(c.try_into().expect("chunks have eight bytes"))).collect()
    }

    /// Copies floats out.
    pub fn to_f32(&self, bytes: &[u8]) -> Vec<f32> {
        let chunks = bytes[self.range.clone()].chunks_exact(4);
        chunks.map(|c| f32::from_le_bytes(c.try_into().expect("chunks have four bytes"))).collect()
    }
}
