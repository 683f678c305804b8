//! TIFF by the `tiff` crate: its first picture, when that is a photo and not a camera's preview of its raw data.

mod claims;

use super::over_white::mixed;
use super::{ImageProblem, check_size};
use crate::brief::brief;
use image::RgbImage;
use image::metadata::Orientation;
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

/// Present in Adobe's raw files alone.
const DNG_VERSION: Tag = Tag::Unknown(50_706);
/// Samples of the sensor's mosaic.
const MOSAIC: u32 = 32_803;

type Tiff<'a> = Decoder<Cursor<&'a [u8]>>;

/// Decodes to RGB as stored, transparency over white, and says how to turn it upright.
pub(super) fn decode(bytes: &[u8]) -> Result<(RgbImage, Orientation), ImageProblem> {
    let (mut tiff, size, orientation) = open(bytes)?;
    let samples = Samples::read(&mut tiff, size)?;
    let extra = tiff.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(problem)?.unwrap_or_default();
    let alpha = match extra.first() {
        Some(1) => Alpha::Multiplied,
        Some(2) => Alpha::Plain,
        _ => Alpha::None,
    };
    let palette = tiff.find_tag(Tag::ColorMap).map_err(problem)?;
    let palette = palette.map(|value| value.into_u16_vec().map_err(problem)).transpose()?.unwrap_or_default();
    let colours = tiff.colortype().map_err(problem)?;
    let pixels = samples.pixels(colours, alpha, &palette).ok_or_else(|| unsupported(&format!("{colours:?}")))?;
    let image = RgbImage::from_raw(size.0, size.1, pixels).ok_or(ImageProblem::Truncated)?;
    Ok((image, orientation))
}

/// Reads width, height as stored, and the orientation.
pub(super) fn header(bytes: &[u8]) -> Result<(u32, u32, Orientation), ImageProblem> {
    let (_, (width, height), orientation) = open(bytes)?;
    Ok((width, height, orientation))
}

fn open(bytes: &[u8]) -> Result<(Tiff<'_>, (u32, u32), Orientation), ImageProblem> {
    claims::check(bytes)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = 1 << 30; // the size is checked below, with its numbers in the message
    let mut tiff = Decoder::new(Cursor::new(bytes)).map_err(problem)?.with_limits(limits);
    let number = |tiff: &mut Tiff<'_>, tag| tiff.find_tag_unsigned::<u32>(tag).map_err(problem);
    if tiff.find_tag(DNG_VERSION).map_err(problem)?.is_some() {
        return Err(ImageProblem::Unsupported { format: "Adobe RAW (DNG)".into() });
    }
    let is_reduced = number(&mut tiff, Tag::NewSubfileType)?.is_some_and(|kind| kind & 1 == 1);
    if is_reduced || number(&mut tiff, Tag::PhotometricInterpretation)? == Some(MOSAIC) {
        return Err(ImageProblem::Unsupported { format: "camera RAW (a TIFF that begins with a preview)".into() });
    }
    let size = tiff.dimensions().map_err(problem)?;
    check_size(size.0, size.1)?;
    let orientation = number(&mut tiff, Tag::Orientation)?.and_then(|value| u8::try_from(value).ok());
    let orientation = orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    Ok((tiff, size, orientation))
}

/// What the samples behind the colours mean.
#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    None,
    Plain,
    /// Colours are multiplied by it already.
    Multiplied,
}

/// Samples of 8 bits, or of fewer that are still packed: pixel by pixel, or plane by plane.
struct Samples {
    values: Vec<u8>,
    bits: usize,
    /// Samples of a pixel.
    count: usize,
    /// Where planes begin, when they stand one after another.
    plane: Option<usize>,
    width: usize,
    height: usize,
}

impl Samples {
    fn read(tiff: &mut Tiff<'_>, (width, height): (u32, u32)) -> Result<Self, ImageProblem> {
        let colours = tiff.colortype().map_err(problem)?;
        let of_bits = || unsupported(&format!("{colours:?} of {} bits", colours.bit_depth()));
        if !matches!(colours.bit_depth(), 1 | 2 | 4 | 8 | 16) {
            return Err(of_bits());
        }
        let mut result = DecodingResult::U8(Vec::new());
        let layout = tiff.read_image_to_buffer(&mut result).map_err(problem)?;
        if result.as_buffer(0).as_bytes().len() < layout.complete_len {
            return Err(ImageProblem::TooLarge { width, height });
        }
        let is_planar = tiff.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(problem)? == Some(2);
        let count = tiff.find_tag_unsigned::<u16>(Tag::SamplesPerPixel).map_err(problem)?.unwrap_or(1);
        let (values, scale) = match result {
            DecodingResult::U8(values) => (values, 1),
            DecodingResult::U16(values) => (values.into_iter().map(|value| (value >> 8) as u8).collect(), 2),
            _ => return Err(of_bits()),
        };
        let plane = layout.plane_stride.map(|stride| stride.get() / scale).filter(|_| is_planar);
        let bits = usize::from(colours.bit_depth()).min(8);
        Ok(Self { values, bits, count: usize::from(count), plane, width: width as usize, height: height as usize })
    }

    /// The sample `c` of a pixel, of `bits` bits.
    fn at(&self, x: usize, y: usize, c: usize) -> Option<u8> {
        let (count, c, offset) = match self.plane {
            Some(plane) => (1, 0, plane * c),
            None => (self.count, c, 0),
        };
        let row_bytes = (self.width * count * self.bits).div_ceil(8);
        let bit = (x * count + c) * self.bits;
        let byte = *self.values.get(offset + y * row_bytes + bit / 8)?;
        let shift = 8 - self.bits - bit % 8;
        Some(byte >> shift & (0xFF >> (8 - self.bits)) as u8)
    }

    /// Brings every pixel to RGB, or gives up where the kind of colours is not known.
    fn pixels(&self, colours: ColorType, alpha: Alpha, palette: &[u16]) -> Option<Vec<u8>> {
        let full = (1u32 << self.bits) - 1;
        let grey = |value: u8| (u32::from(value) * 255 / full) as u8;
        let entries = 1 << self.bits;
        let mut pixels = Vec::with_capacity(self.width * self.height * 3);
        for y in 0..self.height {
            for x in 0..self.width {
                let at = |c| self.at(x, y, c);
                let rgb = match colours {
                    ColorType::Gray(_) | ColorType::Multiband { num_samples: 2, .. } | ColorType::GrayA(_) => {
                        [over(grey(at(0)?), at(1).filter(|_| self.count > 1), alpha); 3]
                    }
                    ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) => {
                        let a = at(3).filter(|_| self.count > 3);
                        [over(at(0)?, a, alpha), over(at(1)?, a, alpha), over(at(2)?, a, alpha)]
                    }
                    ColorType::Palette(_) => {
                        let entry = usize::from(at(0)?);
                        let colour = |c: usize| Some((palette.get(c * entries + entry)? >> 8) as u8);
                        [colour(0)?, colour(1)?, colour(2)?]
                    }
                    ColorType::CMYK(8 | 16) => {
                        let black = 255 - u32::from(at(3)?);
                        let ink = |value: u8| ((255 - u32::from(value)) * black / 255) as u8;
                        [ink(at(0)?), ink(at(1)?), ink(at(2)?)]
                    }
                    _ => return None,
                };
                pixels.extend(rgb);
            }
        }
        Some(pixels)
    }
}

/// A value over white.
fn over(value: u8, opacity: Option<u8>, alpha: Alpha) -> u8 {
    match (opacity, alpha) {
        (None, _) | (_, Alpha::None) => value,
        (Some(opacity), Alpha::Plain) => mixed(value, opacity),
        (Some(opacity), Alpha::Multiplied) => value.saturating_add(255 - opacity),
    }
}

fn unsupported(what: &str) -> ImageProblem {
    ImageProblem::Unsupported { format: format!("TIFF ({})", brief(what)) }
}

fn problem(error: TiffError) -> ImageProblem {
    match error {
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => ImageProblem::Truncated,
        TiffError::UnsupportedError(what) => unsupported(&what.to_string()),
        error => ImageProblem::damaged(&error.to_string()),
    }
}
