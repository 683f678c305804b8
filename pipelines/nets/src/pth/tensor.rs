//! From the values of a pickle and the bytes of its storages to tensors; every index is checked before it is used.

use std::collections::BTreeMap;

use half::{bf16, f16};

use super::pickle::{Content, Id, Value};
use super::{StateDict, bad};
use crate::error::NetError;

/// All tensors together may hold this many values, and this many times the bytes of their storages: strides of zero can
/// claim any number, and tensors that share a storage are copied.
const FREE_ELEMENTS: usize = 1 << 20;
const ELEMENTS_A_BYTE: usize = 4;
/// Sides of a tensor; those of networks have up to five.
const MAX_SIDES: usize = 16;
/// Bytes of a tensor's name.
const MAX_NAME_BYTES: usize = 1 << 12;

/// The element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    U8,
    Bool,
}

impl Element {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::U8 | Element::Bool => 1,
        }
    }

    /// The element at `index` of a storage, little-endian.
    fn read(self, bytes: &[u8], index: usize) -> f32 {
        let at = index * self.size();
        match self {
            Element::F32 => f32::from_le_bytes(fixed(bytes, at)),
            Element::F64 => f64::from_le_bytes(fixed(bytes, at)) as f32,
            Element::F16 => f16::from_le_bytes(fixed(bytes, at)).to_f32(),
            Element::Bf16 => bf16::from_le_bytes(fixed(bytes, at)).to_f32(),
            Element::I64 => i64::from_le_bytes(fixed(bytes, at)) as f32,
            Element::I32 => i32::from_le_bytes(fixed(bytes, at)) as f32,
            Element::U8 | Element::Bool => f32::from(bytes[at]),
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// A storage as a pickle names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) element: Element,
}

/// Finds the state dict in a pickle's content and reads its tensors.
pub(super) fn state_dict<'a>(
    content: &Content,
    data: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> Result<StateDict, NetError> {
    let entries = find_dict(content)?;
    let stored: usize = content.storages()?.iter().filter_map(|storage| data(&storage.key)).map(<[u8]>::len).sum();
    let mut left = stored.saturating_mul(ELEMENTS_A_BYTE).max(FREE_ELEMENTS);
    let mut tensors = StateDict::new();
    for (name, parts) in entries {
        if name.len() > MAX_NAME_BYTES {
            return Err(bad(format!("the name of a tensor in it is longer than {MAX_NAME_BYTES} bytes")));
        }
        let tensor = read(content, &parts, data, &mut left).map_err(|why| bad(format!("tensor `{name}`: {why}")))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// Names and parts of the tensors in the root, or in its entry `state_dict` or `model`; of one name the last.
fn find_dict(content: &Content) -> Result<BTreeMap<&str, [Id; 4]>, NetError> {
    let root = tensors_of(content, content.root());
    if !root.is_empty() {
        return Ok(root);
    }
    if let Value::Dict(entries) = content.value(content.root()) {
        for (key, value) in entries {
            if matches!(content.value(*key), Value::Text(name) if name == "state_dict" || name == "model") {
                let nested = tensors_of(content, *value);
                if !nested.is_empty() {
                    return Ok(nested);
                }
            }
        }
    }
    Err(bad("it holds no state dict: neither at its root nor under `state_dict` or `model`"))
}

fn tensors_of(content: &Content, id: Id) -> BTreeMap<&str, [Id; 4]> {
    let Value::Dict(entries) = content.value(id) else { return BTreeMap::new() };
    let tensor = |(key, value): &(Id, Id)| match (content.value(*key), content.value(*value)) {
        (Value::Text(name), Value::Tensor(parts)) => Some((name.as_str(), *parts)),
        _ => None,
    };
    entries.iter().filter_map(tensor).collect()
}

fn read<'a>(
    content: &Content,
    [storage, offset, size, stride]: &[Id; 4],
    data: &dyn Fn(&str) -> Option<&'a [u8]>,
    left: &mut usize,
) -> Result<(Vec<usize>, Vec<f32>), String> {
    let Value::Storage(storage) = content.value(*storage) else { return Err("it has no storage".to_owned()) };
    let (shape, strides) = (whole_numbers(content, *size)?, whole_numbers(content, *stride)?);
    let Value::Int(offset) = content.value(*offset) else { return Err("its offset is no number".to_owned()) };
    let offset = usize::try_from(*offset).map_err(|_| "its offset is negative".to_owned())?;
    if shape.len() != strides.len() {
        return Err(format!("{} sides, but {} strides", shape.len(), strides.len()));
    }
    let bytes = data(&storage.key).ok_or_else(|| format!("storage `{}` is missing", storage.key))?;
    let count = checked_count(&shape, &strides, offset, bytes.len() / storage.element.size())?;
    *left = left
        .checked_sub(count)
        .ok_or_else(|| format!("far more values in all than storages of {} bytes hold", bytes.len()))?;
    let values = indices(&shape, &strides, offset, count).map(|index| storage.element.read(bytes, index)).collect();
    Ok((shape, values))
}

fn whole_numbers(content: &Content, id: Id) -> Result<Vec<usize>, String> {
    let Value::Tuple(items) = content.value(id) else { return Err("its shape is no tuple".to_owned()) };
    if items.len() > MAX_SIDES {
        return Err(format!("{} sides or strides, more than {MAX_SIDES}", items.len()));
    }
    let number = |id: &Id| match content.value(*id) {
        Value::Int(number) => usize::try_from(*number).map_err(|_| format!("negative side or stride {number}")),
        _ => Err("a side or stride is no number".to_owned()),
    };
    items.iter().map(number).collect()
}

/// The count of elements, after checking that the last one lies within the storage.
fn checked_count(shape: &[usize], strides: &[usize], offset: usize, available: usize) -> Result<usize, String> {
    let too_large = || "its shape is too large".to_owned();
    let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side)).ok_or_else(too_large)?;
    if count == 0 {
        return Ok(0);
    }
    let last = shape.iter().zip(strides).try_fold(offset, |last, (side, stride)| {
        (side - 1).checked_mul(*stride).and_then(|reach| last.checked_add(reach))
    });
    match last {
        Some(last) if last < available => Ok(count),
        _ => Err(format!("it reaches beyond its storage of {available} values")),
    }
}

/// The storage index of each element, in C order.
fn indices<'a>(
    shape: &'a [usize],
    strides: &'a [usize],
    offset: usize,
    count: usize,
) -> impl Iterator<Item = usize> + 'a {
    let mut place = vec![0usize; shape.len()];
    let mut index = offset;
    (0..count).map(move |_| {
        let found = index;
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            index += strides[axis];
            if place[axis] < shape[axis] {
                break;
            }
            index -= strides[axis] * shape[axis];
            place[axis] = 0;
        }
        found
    })
}
