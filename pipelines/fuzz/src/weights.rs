//! Weights: shapes fit the values, and what was read is written to the same bytes.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype;

use crate::arrays::{self, ElementType};
use crate::kept_file::{self, Values};
use crate::pth::read_pth;

/// Reads a PyTorch weight file.
pub fn check_pth(bytes: &[u8]) {
    let Ok(state) = read_pth(bytes) else { return };
    for (name, (shape, values)) in state {
        let count: Option<usize> = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        assert_eq!(count, Some(values.len()), "{name}: {shape:?}");
    }
}

/// Reads a safetensors file in each way that the project does.
pub fn check_safetensors(bytes: &[u8]) {
    let Some(mut found) = kept_file::arrays(bytes) else { return };
    for (name, values) in &found {
        check_array(bytes, name, values);
    }
    let text = kept_file::text_of(bytes);
    let whole = kept_file::write("fuzz", &text, &found);
    let (about, again) = kept_file::read("fuzz", &whole).expect("it was just written");
    assert_eq!((about.as_str(), &again), (text.as_deref(), &found));
    let _ = kept_file::read("support", bytes);
    if let Some(text) = text {
        let same = kept_file::take(&mut found, "", Some(&text)).expect("it was put together before");
        assert_eq!(same, bytes, "a text is told only where the bytes come back");
    }
    let _ = kept_file::take(&mut BTreeMap::new(), "", None);
}

/// Finds an array in place, and compares it with its copy.
fn check_array(bytes: &[u8], name: &str, values: &Values) {
    if values.dtype == Dtype::I64 && values.shape.len() == 1 {
        assert_eq!(Values::ids(&values.to_ids()), *values);
    }
    let Ok(view) = arrays::decode(bytes, name) else { return };
    assert_eq!((&view.shape, &bytes[view.range.clone()]), (&values.shape, &values.bytes[..]));
    let count: usize = view.shape.iter().product();
    assert_eq!(count * view.element.size(), values.bytes.len());
    match view.element {
        ElementType::I64 => assert_eq!(view.to_i64(bytes).len(), count),
        ElementType::F32 => assert_eq!(view.to_f32(bytes).len(), count),
        ElementType::U8 | ElementType::F16 => {}
    }
}
