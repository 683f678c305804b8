//! zune-jpeg in strict mode: by default it fills half a photo with grey and reports no error.

use super::ImageProblem;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes whole segments to RGB.
pub(super) fn decode(segments: &[u8]) -> Result<Vec<u8>, ImageProblem> {
    // The size was checked, with its numbers in the message: zune's limits go up to what a header can say.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(segments), options).decode().map_err(|error| match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageProblem::Truncated,
        error => ImageProblem::damaged(&format!("{error:?}")),
    })
}
