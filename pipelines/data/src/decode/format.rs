//! Recognises the format of a photo by its first bytes, whatever its name says, and names the formats that are not read.

/// How many first bytes tell the format.
pub const HEAD: usize = 64;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Gif,
    Bmp,
    WebP,
    Tiff,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// A photo that is read.
    Read(Format),
    /// A photo of a format that is not read, by its name.
    Unread(&'static str),
    /// No photo.
    Unknown,
}

/// Tells whether a file begins as a photo does, be its format read or not. `head`: its first [`HEAD`] bytes, or all.
pub fn is_photo(head: &[u8]) -> bool {
    sniff(head) != Sniffed::Unknown
}

/// Recognises the format.
pub(super) fn sniff(head: &[u8]) -> Sniffed {
    use Sniffed::{Read, Unread};
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Read(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Read(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Read(Format::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Read(Format::WebP),
        [b'B', b'M', rest @ ..] if is_bmp(rest) => Read(Format::Bmp),
        [b'I', b'I', 0x2A, 0, _, _, _, _, b'C', b'R', ..] => Unread("Canon RAW (CR2)"),
        [b'I', b'I', b'R', b'O' | b'S', ..] | [b'M', b'M', b'O', b'R', ..] => Unread("Olympus RAW (ORF)"),
        [b'I', b'I', 0x55, 0, ..] => Unread("Panasonic RAW (RW2)"),
        [b'I', b'I', 0xBC, 1, ..] => Unread("JPEG XR"),
        [b'I', b'I', 0x2A | 0x2B, 0, ..] | [b'M', b'M', 0, 0x2A | 0x2B, ..] => Read(Format::Tiff),
        [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => Unread("Fujifilm RAW (RAF)"),
        [b'F', b'O', b'V', b'b', ..] => Unread("Sigma RAW (X3F)"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => of_brand(brand),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Unread("JPEG XL"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Unread("JPEG 2000"),
        [b'8', b'B', b'P', b'S', ..] => Unread("Photoshop (PSD)"),
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t' | b'#', ..] => Unread("Netpbm"),
        [b'q', b'o', b'i', b'f', ..] => Unread("QOI"),
        [0, 0, 1, 0, count, 0, ..] if *count > 0 => Unread("Windows icon"),
        [b'g', b'i', b'm', b'p', b' ', b'x', b'c', b'f', ..] => Unread("GIMP (XCF)"),
        _ => Sniffed::Unknown,
    }
}

/// A text may begin with `BM`, too: the size of the second header tells.
fn is_bmp(rest: &[u8]) -> bool {
    let number = |at: usize| rest.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    rest.len() < 16 || matches!(number(12), Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// Formats in boxes (ISO 14496-12) by their brand; films are no photos.
fn of_brand(brand: &[u8]) -> Sniffed {
    match brand {
        [b'c', b'r', b'x', ..] => Sniffed::Unread("Canon RAW (CR3)"),
        [b'a', b'v', b'i', b'f' | b's', ..] => Sniffed::Unread("AVIF"),
        [b'h', b'e', b'i' | b'v', _, ..] | [b'm', b'i' | b's', b'f', b'1', ..] => Sniffed::Unread("HEIC"),
        _ => Sniffed::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_phones_cameras_and_tools_write_is_named() {
        let cases: [(&[u8], &str); 9] = [
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC"),
            (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
            (b"\0\0\0\x18ftypcrx \0\0\0\0", "Canon RAW (CR3)"),
            (b"II*\0\x10\0\0\0CR\x02\0", "Canon RAW (CR2)"),
            (b"\xFF\x0A\xFA\x0F", "JPEG XL"),
            (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
            (b"8BPS\0\x01", "Photoshop (PSD)"),
            (b"P6\n640 480\n", "Netpbm"),
        ];
        for (head, name) in cases {
            assert_eq!(sniff(head), Sniffed::Unread(name));
            assert!(is_photo(head));
        }
    }

    #[test]
    fn texts_films_and_nothing_are_no_photos() {
        for head in [
            b"".as_slice(),
            b"BMW 3, 2019: a list of cars in a long text",
            b"\0\0\0\x18ftypmp42\0\0\0\0",
            b"P6x",
            b"{}",
        ] {
            assert!(!is_photo(head), "{}", head.escape_ascii());
        }
    }
}
