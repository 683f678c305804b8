//! Where a PNG and a WebP keep EXIF and XMP.

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;
use std::io::Read as _;

use super::choose;

/// The most bytes that packed texts may unfold to.
const MOST: u64 = 1 << 20;
/// Keywords of PNG's texts.
const XMP: &[u8] = b"XML:com.adobe.xmp";
const RAW_EXIF: [&[u8]; 2] = [b"Raw profile type exif", b"Raw profile type APP1"];

/// Reads the chunks of a PNG up to its end: EXIF may stand behind the pixels.
pub fn of_png(bytes: &[u8]) -> Orientation {
    let (mut exif, mut raw, mut xmp) = (None, None, None);
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = bytes.get(at + 8..).and_then(|rest| rest.get(..length)) else { break };
        match &head[4..] {
            b"eXIf" => exif = exif.or_else(|| Some(body.to_vec())),
            b"tEXt" | b"zTXt" | b"iTXt" => match text(&head[4..], body) {
                Some((XMP, text)) => xmp = xmp.or(Some(text)),
                Some((keyword, text)) if RAW_EXIF.contains(&keyword) => raw = raw.or_else(|| unhex(&text)),
                _ => {}
            },
            b"IEND" => break,
            _ => {}
        }
        at += 12 + length;
    }
    choose(exif.or(raw).as_deref(), xmp.as_deref())
}

/// Splits a text into keyword and content, of those keywords that matter here.
fn text<'a>(kind: &[u8], body: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (keyword, rest) = (&body[..end], &body[end + 1..]);
    if keyword != XMP && !RAW_EXIF.contains(&keyword) {
        return None;
    }
    let content = match kind {
        b"tEXt" => rest.to_vec(),
        b"zTXt" => unpacked(rest.get(1..)?)?,
        _ => {
            let is_packed = *rest.first()? == 1;
            let mut fields = rest.get(2..)?.splitn(3, |byte| *byte == 0); // language, translated keyword, text
            let text = fields.nth(2)?;
            if is_packed { unpacked(text)? } else { text.to_vec() }
        }
    };
    Some((keyword, content))
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(bytes).take(MOST).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Reads a raw profile: a name, a length, and bytes as hexadecimal digits, parted by line ends.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(2).peekable();
    words.peek()?;
    let digits: Vec<u8> = words.flatten().copied().collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks_exact(2).map(pair).collect()
}

/// Reads the chunks of a WebP.
pub fn of_webp(bytes: &[u8]) -> Orientation {
    let (mut exif, mut xmp) = (None, None);
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(body) = bytes.get(at + 8..).and_then(|rest| rest.get(..length)) else { break };
        match &head[..4] {
            b"EXIF" => exif = exif.or(Some(body)),
            b"XMP " => xmp = xmp.or(Some(body)),
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    choose(exif, xmp)
}
