//! JPEG by zune-jpeg in strict mode, and a check that the file reaches its end marker.
//!
//! Strict mode alone misses a file that is cut in its last row of blocks, and searching the bytes for an end
//! marker is fooled by the one of an EXIF thumbnail: so the segments are walked.

use super::{ImageProblem, check_size};
use image::RgbImage;
use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes to RGB as stored, and says how to turn it upright.
pub(super) fn decode(bytes: &[u8]) -> Result<(RgbImage, Orientation), ImageProblem> {
    let mut decoder = decoder(bytes);
    let (width, height, orientation) = read_header(&mut decoder, bytes)?;
    if !reaches_end(bytes) {
        return Err(ImageProblem::Truncated);
    }
    let pixels = decoder.decode().map_err(|error| problem(&error, bytes))?;
    let found = pixels.len();
    let image = RgbImage::from_raw(width, height, pixels).ok_or_else(|| ImageProblem::Damaged {
        detail: format!("{found} bytes of pixels for {width} x {height} RGB pixels"),
    })?;
    Ok((image, orientation))
}

/// Reads width, height as stored, and the orientation.
pub(super) fn header(bytes: &[u8]) -> Result<(u32, u32, Orientation), ImageProblem> {
    read_header(&mut decoder(bytes), bytes)
}

fn decoder(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    // The size limits are ours, so that the message can name the size: zune's go up to what a header can say.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn read_header(
    decoder: &mut JpegDecoder<ZCursor<&[u8]>>,
    bytes: &[u8],
) -> Result<(u32, u32, Orientation), ImageProblem> {
    // Before the decoder sees it: an impossible size is named even when a later segment is damaged too.
    if let Some((width, height)) = claimed_size(bytes) {
        check_size(width, height)?;
    }
    decoder.decode_headers().map_err(|error| problem(&error, bytes))?;
    let info = decoder.info().ok_or_else(|| ImageProblem::Damaged { detail: "it has no frame header".into() })?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    Ok((width, height, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn problem(error: &DecodeErrors, bytes: &[u8]) -> ImageProblem {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageProblem::Truncated,
        _ if !reaches_end(bytes) => ImageProblem::Truncated,
        error => ImageProblem::Damaged { detail: one_line(&format!("{error:?}")) },
    }
}

/// Decoder messages may hold line breaks; ours are one line each.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

/// Whether the file goes on to the end marker of the image itself (ITU T.81, annex B).
fn reaches_end(bytes: &[u8]) -> bool {
    segments(bytes).any(|(code, _)| code == END_OF_IMAGE)
}

/// Width and height in the first frame header.
fn claimed_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let is_frame = |code: u8| matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC);
    let (_, body) = segments(bytes).find(|&(code, _)| is_frame(code))?;
    let number = |at: usize| body.get(at..at + 2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    Some((number(5)?, number(3)?))
}

/// Walks the segments: each one's code and what follows it, its two bytes of length first. Scans are skipped.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 2; // after the start marker
    std::iter::from_fn(move || {
        let (code, body) = next_marker(bytes, at)?;
        at = match (code, bytes.get(body..body + 2)) {
            // Markers that stand alone: TEM, restarts, start and end of image.
            (0x01 | 0xD0..=END_OF_IMAGE, _) => body,
            (_, Some(length)) => body + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
            (_, None) => bytes.len(),
        };
        if code == START_OF_SCAN {
            at = end_of_scan(bytes, at);
        }
        Some((code, &bytes[body..]))
    })
}

/// The next marker's code at or after `at`, and where its body begins. Stray and fill bytes are skipped.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF);
    let found = at + bytes.get(at..)?.windows(2).position(is_marker)?;
    Some((bytes[found + 1], found + 2))
}

/// Where the entropy-coded data that begins at `at` stops: at a marker that is neither a stuffed zero nor a
/// restart.
fn end_of_scan(bytes: &[u8], at: usize) -> usize {
    let data = bytes.get(at..).unwrap_or_default();
    let marker = data.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF));
    at + marker.unwrap_or(data.len())
}
