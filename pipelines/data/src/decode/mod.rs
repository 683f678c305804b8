//! Photo bytes to upright RGB pixels, refusing what other decoders silently repair.
//!
//! The format is told by content. Each decoder here was compared with Pillow on `fixtures/photos`, a photo in every form
//! that people's files have; what is decoded neither there nor here is refused by name. The orientation is applied here,
//! since no decoder does, and what is transparent lies over white. Wrong bytes in the middle of a scan are seen by no
//! decoder: a caller keeps the digest of the file.

mod format;
mod jpeg;
mod orientation;
mod other;
mod over_white;
mod problem;
mod tiff;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;

pub use format::{HEAD, is_photo};
pub use image::RgbImage;
pub use problem::ImageProblem;

use format::{Format, Sniffed, sniff};
use image::DynamicImage;
use image::metadata::Orientation;

/// Longest side of a photo, in pixels; a header that claims more is refused before memory is taken.
pub const MAX_SIDE_PX: u32 = 16_384;

/// Most pixels of a photo: 300 MB of RGB.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Decodes a photo into upright RGB: `[height, width, 3]`, u8. What is transparent lies over white; grey, CMYK, palette
/// and 16-bit photos are converted; of an animation the first frame is taken, of several pages the first.
///
/// # Errors
/// An [`ImageProblem`] when the bytes are not one whole JPEG, PNG, GIF, BMP, WebP or TIFF photo of a sane size.
pub fn open_rgb(bytes: &[u8]) -> Result<RgbImage, ImageProblem> {
    let (pixels, orientation) = match format(bytes)? {
        Format::Jpeg => jpeg::decode(bytes)?,
        Format::Tiff => tiff::decode(bytes)?,
        format => other::decode(bytes, format)?,
    };
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let mut image = DynamicImage::ImageRgb8(pixels);
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Reads `(width, height)` of the upright photo in pixels from its header, without decoding it.
///
/// # Errors
/// An [`ImageProblem`] as of [`open_rgb`], as far as the header shows it.
pub fn dimensions(bytes: &[u8]) -> Result<(u32, u32), ImageProblem> {
    let (width, height, orientation) = match format(bytes)? {
        Format::Jpeg => jpeg::header(bytes)?,
        Format::Tiff => tiff::header(bytes)?,
        format => other::header(bytes, format)?,
    };
    Ok(if swaps_sides(orientation) { (height, width) } else { (width, height) })
}

/// Recognises the format by content: a PNG named `.jpg` is common.
fn format(bytes: &[u8]) -> Result<Format, ImageProblem> {
    if bytes.is_empty() {
        return Err(ImageProblem::Empty);
    }
    match sniff(bytes) {
        Sniffed::Read(format) => Ok(format),
        Sniffed::Unread(format) => Err(ImageProblem::Unsupported { format: format.to_owned() }),
        Sniffed::Unknown => Err(ImageProblem::not_an_image(bytes)),
    }
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Refuses sizes that only a damaged or hostile header claims.
fn check_size(width: u32, height: u32) -> Result<(), ImageProblem> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(ImageProblem::Damaged { detail: "its header gives it no width or no height".into() });
    }
    if width > MAX_SIDE_PX || height > MAX_SIDE_PX || pixels > MAX_PIXELS {
        return Err(ImageProblem::TooLarge { width, height });
    }
    Ok(())
}
