//! PNG, GIF, BMP and WebP by the `image` crate, within limits.

use super::{ImageProblem, check_size};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::{Cursor, ErrorKind};

/// Decodes to RGB as stored, and says how to turn it upright.
pub(super) fn decode(bytes: &[u8], format: ImageFormat) -> Result<(RgbImage, Orientation), ImageProblem> {
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().map_err(|error| problem(error, (width, height)))?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| problem(error, (width, height)))?;
    Ok((image.into_rgb8(), orientation))
}

/// Reads width, height as stored, and the orientation.
pub(super) fn header(bytes: &[u8], format: ImageFormat) -> Result<(u32, u32, Orientation), ImageProblem> {
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().map_err(|error| problem(error, (width, height)))?;
    Ok((width, height, orientation))
}

fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, ImageProblem> {
    use ImageFormat::{Bmp, Gif, Png, WebP};
    if !matches!(format, Bmp | Gif | Png | WebP) {
        return Err(ImageProblem::Unsupported { format: format!("{format:?}") });
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(Limits::default()); // 512 MiB; the size is checked below, with its numbers in the message
    let decoder = reader.into_decoder().map_err(|error| problem(error, (0, 0)))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    Ok(decoder)
}

fn problem(error: ImageError, (width, height): (u32, u32)) -> ImageProblem {
    match error {
        ImageError::Limits(_) => ImageProblem::TooLarge { width, height },
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => ImageProblem::Truncated,
        error => ImageProblem::Damaged { detail: error.to_string().split_whitespace().collect::<Vec<_>>().join(" ") },
    }
}
