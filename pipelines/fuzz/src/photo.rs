//! Photos: what the header says is what is decoded, and sizes are refused before memory is taken.

use mlsm_data::ImageProblem;
use mlsm_data::decode::{HEAD, MAX_PIXELS, MAX_SIDE_PX, dimensions, is_photo, open_rgb};

/// Most pixels that a target decodes: what claims more and is allowed to is left alone, so that the fuzzer's limit of memory
/// shows what takes more than its size.
const MOST_PIXELS: u64 = 1 << 18;

/// Asks for the size alone.
pub fn check_front(bytes: &[u8]) {
    let head = &bytes[..bytes.len().min(HEAD)];
    assert_eq!(is_photo(head), is_photo(bytes), "the first bytes decide");
    match dimensions(bytes) {
        Ok((width, height)) => {
            assert!(is_photo(head), "what has a size is a photo");
            assert!(width > 0 && height > 0, "{width} x {height}");
            assert!(width.max(height) <= MAX_SIDE_PX && u64::from(width) * u64::from(height) <= MAX_PIXELS);
        }
        Err(problem) => check_problem(&problem),
    }
}

/// Decodes a JPEG.
pub fn check_jpeg(bytes: &[u8]) {
    if bytes.starts_with(b"\xFF\xD8\xFF") {
        check(bytes);
    }
}

/// Decodes a TIFF.
pub fn check_tiff(bytes: &[u8]) {
    if matches!(bytes, [b'I', b'I', ..] | [b'M', b'M', ..]) {
        check(bytes);
    }
}

/// Decodes what is neither.
pub fn check_other(bytes: &[u8]) {
    if !matches!(bytes, [b'I', b'I', ..] | [b'M', b'M', ..] | [0xFF, ..]) {
        check(bytes);
    }
}

/// Decodes what is small enough.
fn check(bytes: &[u8]) {
    let claimed = dimensions(bytes);
    if claimed.as_ref().is_ok_and(|(width, height)| u64::from(*width) * u64::from(*height) > MOST_PIXELS) {
        return;
    }
    match (claimed, open_rgb(bytes)) {
        (Ok(size), Ok(image)) => assert_eq!(image.dimensions(), size),
        (Err(problem), Ok(_)) => panic!("it is decoded, and its header is refused: {problem}"),
        (_, Err(problem)) => check_problem(&problem),
    }
}

fn check_problem(problem: &ImageProblem) {
    let text = problem.to_string();
    assert!(!text.contains('\n') && text.len() < 2000, "{text}");
}

/// Puts EXIF or XMP into a photo of 2 x 1 pixels: it may turn it, and nothing else.
pub fn check_orientation(bytes: &[u8]) {
    let Some((place, body)) = bytes.split_first() else { return };
    let photo = match place % 8 {
        0 => png(b"eXIf", b"", body),
        1 => png(b"tEXt", b"XML:com.adobe.xmp\0", body),
        2 => png(b"zTXt", b"Raw profile type exif\0\0", body),
        3 => png(b"iTXt", b"XML:com.adobe.xmp\0", body),
        4 => png(b"tEXt", b"Raw profile type APP1\0", body),
        5 => jpeg(b"Exif\0\0", body),
        6 => jpeg(b"http://ns.adobe.com/xap/1.0/\0", body),
        _ => png(b"tEXt", b"", body),
    };
    if let Some(photo) = photo {
        assert!(matches!(dimensions(&photo), Ok((2, 1) | (1, 2))), "{:?}", dimensions(&photo));
    }
}

/// A PNG's header with one more chunk and an end.
fn png(kind: &[u8; 4], prefix: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR\0\0\0\x02\0\0\0\x01\x08\0\0\0\0\xd1\x49\xfb\xa0";
    let idat =
        b"\0\0\0\x0BIDAT\x78\xda\x63\x60\x60\x00\x00\x00\x03\x00\x01\x68\x26\x59\x0d\0\0\0\0IEND\xae\x42\x60\x82";
    let length = u32::try_from(prefix.len() + body.len()).ok()?.to_be_bytes();
    // The sum of the chunk is not looked at: EXIF counts even where it is wrong.
    Some([&head[..], &length, kind, prefix, body, &[0; 4], idat].concat())
}

/// A JPEG's start with one segment and a frame header.
fn jpeg(prefix: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(prefix.len() + body.len() + 2).ok()?.to_be_bytes();
    let frame = b"\xFF\xC0\0\x0B\x08\0\x01\0\x02\x01\x01\x11\0\xFF\xD9";
    Some([b"\xFF\xD8\xFF\xE1", &length[..], prefix, body, frame].concat())
}
