//! What the first directory of a TIFF claims: the `tiff` crate takes memory for as many values as an entry counts, before
//! it looks whether the file holds them.

use super::ImageProblem;

/// Refuses an entry that counts more values than the file has bytes for. What else is wrong with the directory is left to
/// the decoder.
pub(super) fn check(bytes: &[u8]) -> Result<(), ImageProblem> {
    match first_beyond(bytes) {
        None => Ok(()),
        Some((tag, count)) => Err(ImageProblem::Damaged {
            detail: format!("its tag {tag} claims {count} values, more than the file can hold"),
        }),
    }
}

/// Tag and count of the first such entry.
fn first_beyond(bytes: &[u8]) -> Option<(u64, u64)> {
    let numbers = Numbers { bytes, is_little: bytes.starts_with(b"II") };
    // Bytes of an offset, of the count of entries and of an entry.
    let (wide, of_count, of_entry) = if numbers.at(2, 2)? == 43 { (8, 8, 20) } else { (4, 2, 12) };
    let directory = usize::try_from(numbers.at(wide, wide)?).ok()?;
    let count = usize::try_from(numbers.at(directory, of_count)?).unwrap_or(usize::MAX);
    (0..count.min(bytes.len() / of_entry)).find_map(|index| {
        let entry = directory + of_count + index * of_entry;
        let (tag, kind, values) = (numbers.at(entry, 2)?, numbers.at(entry + 2, 2)?, numbers.at(entry + 4, wide)?);
        (values.saturating_mul(size(kind)) > bytes.len() as u64).then_some((tag, values))
    })
}

/// Bytes of a value of a type.
fn size(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

/// Numbers in the order of bytes that a file has.
struct Numbers<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl Numbers<'_> {
    /// Reads the number of `size` bytes at a place.
    fn at(&self, at: usize, size: usize) -> Option<u64> {
        let digits = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |number: u64, digit: &u8| number << 8 | u64::from(*digit);
        Some(if self.is_little { digits.iter().rev().fold(0, add) } else { digits.iter().fold(0, add) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{dimensions, open_rgb};
    use super::*;

    /// A directory of one entry: orientation 6, counted so often.
    fn classic(count: u32) -> Vec<u8> {
        [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"[..], &count.to_be_bytes(), b"\0\x06\0\0\0\0\0\0"].concat()
    }

    fn big(count: u64) -> Vec<u8> {
        let head = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x12\x01\x03\0";
        [&head[..], &count.to_le_bytes(), &[6, 0, 0, 0, 0, 0, 0, 0], &[0; 8]].concat()
    }

    #[test]
    fn a_count_beyond_the_file_is_seen_in_both_forms_and_orders() {
        for (bytes, count) in [(classic(1 << 24), 1 << 24), (big(1 << 40), 1 << 40), (big(u64::MAX), u64::MAX)] {
            assert_eq!(first_beyond(&bytes), Some((0x112, count)));
        }
        for bytes in [classic(1), big(1), b"II*\0".to_vec(), b"II*\0\xff\xff\xff\xff".to_vec()] {
            assert_eq!(first_beyond(&bytes), None);
        }
    }

    #[test]
    fn a_photo_is_refused_before_the_memory_of_such_a_count_is_taken() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photos/turned-6.tif");
        let mut bytes = std::fs::read(folder).unwrap();
        let entry = bytes.windows(4).position(|window| window == [0x12, 1, 3, 0]).unwrap();
        bytes[entry + 4..entry + 8].copy_from_slice(&(1u32 << 24).to_le_bytes());
        for problem in [open_rgb(&bytes).unwrap_err(), dimensions(&bytes).unwrap_err()] {
            assert!(problem.why().contains("tag 274 claims 16777216 values"), "{problem}");
        }
    }
}
