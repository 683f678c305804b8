//! JPEG: the usual forms by zune-jpeg in strict mode, the others by jpeg-decoder, after a walk over the segments.
//!
//! zune-jpeg is several times faster, and measured against Pillow (`fixtures/photos`) right in the forms that cameras and
//! encoders write. It decodes scans of single components into other pixels without a word, and so some samplings:
//! those go to jpeg-decoder, which is right in all of them. Which is which is read from the headers alone.

mod layout;
mod unusual;
mod usual;

use super::orientation;
use super::{ImageProblem, check_size};
use image::RgbImage;
use image::metadata::Orientation;
use layout::{Frame, Layout};

/// What the components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    YCbCr,
    /// Four inks, as Adobe writes them: 255 is no ink.
    Cmyk,
    /// Four inks, the first three as brightness and colour.
    Ycck,
}

/// Decodes to RGB as stored, and says how to turn it upright.
pub(super) fn decode(bytes: &[u8]) -> Result<(RgbImage, Orientation), ImageProblem> {
    let layout = Layout::read(bytes);
    let frame = checked_frame(&layout)?;
    if !layout.is_whole || !layout.has_every_component() {
        return Err(ImageProblem::Truncated);
    }
    let colours = colours(frame, &layout);
    let segments = layout.cleaned(bytes);
    let pixels = match is_usual(frame, &layout, colours) {
        true => usual::decode(&segments)?,
        false => unusual::decode(&segments, colours)?,
    };
    let (found, Frame { width, height, .. }) = (pixels.len(), frame);
    let image = RgbImage::from_raw(*width, *height, pixels).ok_or_else(|| ImageProblem::Damaged {
        detail: format!("{found} bytes of pixels for {width} x {height} RGB pixels"),
    })?;
    Ok((image, orientation::choose(layout.exif, layout.xmp)))
}

/// Reads width, height as stored, and the orientation.
pub(super) fn header(bytes: &[u8]) -> Result<(u32, u32, Orientation), ImageProblem> {
    let layout = Layout::read(bytes);
    let frame = checked_frame(&layout)?;
    Ok((frame.width, frame.height, orientation::choose(layout.exif, layout.xmp)))
}

/// Refuses what no decoder here reads, by its name.
fn checked_frame<'l>(layout: &'l Layout<'_>) -> Result<&'l Frame, ImageProblem> {
    let Some(frame) = &layout.frame else {
        return Err(match layout.is_whole {
            true => ImageProblem::Damaged { detail: "it has no frame header".into() },
            false => ImageProblem::Truncated,
        });
    };
    let process = match frame.code {
        0xC0..=0xC2 => None,
        0xC3 | 0xC7 | 0xCB | 0xCF => Some("lossless JPEG"),
        0xC5 | 0xC6 | 0xCD | 0xCE => Some("hierarchical JPEG"),
        _ => Some("arithmetic-coded JPEG"),
    };
    let format = match (process, frame.precision, frame.components.len()) {
        (Some(process), ..) => process.to_owned(),
        (None, 8, 1 | 3 | 4) => {
            check_size(frame.width, frame.height)?;
            return Ok(frame);
        }
        (None, 8, count) => format!("{count}-component JPEG"),
        (None, bits, _) => format!("{bits}-bit JPEG"),
    };
    Err(ImageProblem::Unsupported { format })
}

/// What the components are, by the rules of libjpeg.
fn colours(frame: &Frame, layout: &Layout<'_>) -> Colours {
    let ids: Vec<u8> = frame.components.iter().map(|(id, ..)| *id).collect();
    match (ids.as_slice(), layout.adobe) {
        ([_], _) => Colours::Grey,
        ([_, _, _], _) if layout.is_jfif => Colours::YCbCr,
        ([_, _, _], Some(0)) => Colours::Rgb,
        ([b'R', b'G', b'B'], None) => Colours::Rgb,
        ([_, _, _], _) => Colours::YCbCr,
        (_, Some(2)) => Colours::Ycck,
        _ => Colours::Cmyk,
    }
}

/// Tells whether a form is one that zune-jpeg was measured to decode right.
fn is_usual(frame: &Frame, layout: &Layout<'_>, colours: Colours) -> bool {
    let is_one_scan =
        frame.code == 0xC2 || (layout.scans.len() == 1 && frame.components.len() * 2 == layout.scans[0].len());
    let sampling: Vec<(u8, u8)> = frame.components.iter().map(|(_, h, v)| (*h, *v)).collect();
    let is_usual_sampling = matches!(
        sampling[..],
        [_] | [(1 | 2, 1 | 2), (1, 1), (1, 1)] | [(1, 1), (1, 1), (1, 1), (1, 1)] | [(2, 2), (1, 1), (1, 1), (2, 2)]
    );
    is_one_scan
        && is_usual_sampling
        && colours != Colours::Rgb
        && (frame.components.len() != 3 || layout.adobe != Some(0))
}
