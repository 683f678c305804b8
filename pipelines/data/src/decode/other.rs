//! PNG, GIF, BMP and WebP by the `image` crate, within limits.

use super::format::Format;
use super::orientation::{of_png, of_webp};
use super::{ImageProblem, check_size, over_white};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::{Cursor, ErrorKind};

/// Decodes to RGB as stored, transparency over white, and says how to turn it upright.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<(RgbImage, Orientation), ImageProblem> {
    let decoder = decoder(bytes, format)?;
    let size = decoder.dimensions();
    let image = DynamicImage::from_decoder(decoder).map_err(|error| problem(error, size))?;
    Ok((over_white::rgb(image), orientation(bytes, format)))
}

/// Reads width, height as stored, and the orientation.
pub(super) fn header(bytes: &[u8], format: Format) -> Result<(u32, u32, Orientation), ImageProblem> {
    let (width, height) = decoder(bytes, format)?.dimensions();
    Ok((width, height, orientation(bytes, format)))
}

fn orientation(bytes: &[u8], format: Format) -> Orientation {
    match format {
        Format::Png => of_png(bytes),
        Format::WebP => of_webp(bytes),
        _ => Orientation::NoTransforms,
    }
}

fn decoder(bytes: &[u8], format: Format) -> Result<impl ImageDecoder + '_, ImageProblem> {
    let format = match format {
        Format::Png => ImageFormat::Png,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        Format::WebP => ImageFormat::WebP,
        Format::Jpeg | Format::Tiff => unreachable!("they have decoders of their own"),
    };
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
        error => ImageProblem::damaged(&error.to_string()),
    }
}
