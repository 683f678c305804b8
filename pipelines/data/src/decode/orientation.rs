//! How a photo is to be turned upright, from every place where cameras and converters write it.
//!
//! EXIF comes first, as Pillow has it: a JPEG's APP1, a WebP's chunk with or without its prefix, a PNG's `eXIf` or the
//! raw profile that older converters write. XMP counts where EXIF has no orientation. An impossible value counts as none.

mod containers;

use image::metadata::Orientation;

pub(super) use containers::{of_png, of_webp};

/// The tag of the orientation (EXIF 2.3, 4.6.4 A).
const TAG: u16 = 0x0112;

/// Chooses between what EXIF and what XMP say.
pub(super) fn choose(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let found = exif.and_then(of_exif).or_else(|| xmp.and_then(of_xmp));
    found.unwrap_or(Orientation::NoTransforms)
}

/// Reads the tag out of EXIF, with or without the prefix `Exif\0\0`.
pub(super) fn of_exif(bytes: &[u8]) -> Option<Orientation> {
    let tiff = bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes);
    let little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let pair = tiff.get(at..at.checked_add(2)?)?;
        let pair = [pair[0], pair[1]];
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let count = usize::from(short(directory)?);
    let entry = (0..count).map(|i| directory + 2 + 12 * i).find(|at| short(*at) == Some(TAG))?;
    let value = match short(entry + 2)? {
        1 | 6 => u32::from(*tiff.get(entry + 8)?), // a byte
        3 | 8 => u32::from(short(entry + 8)?),
        4 | 9 => long(entry + 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}

/// Reads `tiff:Orientation` out of XMP, an attribute or an element.
fn of_xmp(bytes: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let at = bytes.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digit = match bytes.get(at..)? {
        [b'=', b'"' | b'\'', digit, b'"' | b'\'', ..] | [b'>', digit, b'<', ..] => digit,
        _ => return None,
    };
    Orientation::from_exif(digit.checked_sub(b'0')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_bytes_and_every_type_of_number_are_read() {
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let long = b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        for bytes in [big.as_slice(), little, long, &[b"Exif\0\0".as_slice(), little].concat()] {
            assert_eq!(of_exif(bytes), Some(Orientation::Rotate90));
        }
        for cut in 0..20 {
            assert_eq!(of_exif(&little[..cut.min(18)]), None);
        }
        assert_eq!(of_exif(b"II*\0\xff\xff\xff\xff"), None);
    }

    #[test]
    fn xmp_counts_where_exif_says_nothing() {
        let attribute = b"<rdf:Description tiff:Orientation=\"3\"/>";
        let element = b"<tiff:Orientation>3</tiff:Orientation>";
        for xmp in [attribute.as_slice(), element] {
            assert_eq!(choose(None, Some(xmp)), Orientation::Rotate180);
        }
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0";
        assert_eq!(choose(Some(exif), Some(element)), Orientation::NoTransforms);
        assert_eq!(choose(None, Some(b"tiff:Orientation=\"9\"")), Orientation::NoTransforms);
    }
}
