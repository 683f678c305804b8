//! jpeg-decoder, with the colours decided here: it takes every file whose components are numbered 1, 2, 3 for YCbCr.

use super::{Colours, ImageProblem};
use jpeg_decoder::{ColorTransform, Decoder, Error, PixelFormat};

/// Decodes whole segments to RGB.
pub(super) fn decode(segments: &[u8], colours: Colours) -> Result<Vec<u8>, ImageProblem> {
    let mut decoder = Decoder::new(segments);
    decoder.set_color_transform(match colours {
        Colours::Grey => ColorTransform::Grayscale,
        Colours::Rgb => ColorTransform::RGB,
        Colours::YCbCr => ColorTransform::YCbCr,
        Colours::Cmyk => ColorTransform::CMYK,
        Colours::Ycck => ColorTransform::YCCK,
    });
    let pixels = decoder.decode().map_err(problem)?;
    let format = decoder.info().map(|info| info.pixel_format);
    match format {
        Some(PixelFormat::L8) => Ok(pixels.iter().flat_map(|grey| [*grey; 3]).collect()),
        Some(PixelFormat::RGB24) => Ok(pixels),
        Some(PixelFormat::CMYK32) => Ok(pixels.as_chunks::<4>().0.iter().flat_map(|inks| of_inks(*inks)).collect()),
        other => Err(ImageProblem::Unsupported { format: format!("JPEG of {other:?}") }),
    }
}

/// Light through four inks, each 255 where it is full.
fn of_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = |ink: u8| u32::from(255 - ink) * u32::from(255 - black);
    [cyan, magenta, yellow].map(|ink| ((light(ink) + 127) / 255) as u8)
}

fn problem(error: Error) -> ImageProblem {
    match error {
        Error::Io(_) => ImageProblem::Truncated,
        Error::Unsupported(feature) => ImageProblem::Unsupported { format: format!("JPEG ({feature:?})") },
        error => ImageProblem::damaged(&error.to_string()),
    }
}
