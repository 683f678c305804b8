//! Upright photos to the square pixels a backbone takes: squashed, the aspect ratio is not kept.
//!
//! Bilinear with antialiasing (a triangle as wide as the scale), as in Pillow and torchvision: the largest
//! difference to Pillow is 1 of 255 for 99 % of the pixels. All in integers, so bytes repeat on any machine.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a photo, or a box of it, becomes square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// All of it, squashed.
    #[default]
    Squash,
    /// The middle 7/8 of each side, squashed: what a squash to 96 pixels and a centre cut of 84 leave, or one to 256 and a
    /// cut of 224.
    SquashCenter,
}

impl Resize {
    /// The part of a box that is kept; both as `[x0, y0, x1, y1]`.
    pub fn kept(self, [x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
        match self {
            Self::Squash => [x0, y0, x1, y1],
            Self::SquashCenter => {
                let (x, y) = ((x1 - x0) / 16.0, (y1 - y0) / 16.0);
                [x0 + x, y0 + y, x1 - x, y1 - y]
            }
        }
    }
}

/// Squashes a whole photo to `[size_px, size_px, 3]`, u8.
///
/// ```
/// let photo = mlsm_data::RgbImage::from_pixel(40, 30, image::Rgb([10, 20, 30]));
/// let pixels = mlsm_data::resize::squash(&photo, 8);
/// assert_eq!((pixels.len(), &pixels[..3]), (8 * 8 * 3, [10, 20, 30].as_slice()));
/// ```
///
/// # Panics
/// When the photo or `size_px` is empty.
pub fn squash(photo: &RgbImage, size_px: u32) -> Vec<u8> {
    crop_squash(photo, [0.0, 0.0, 1.0, 1.0], size_px)
}

/// Cuts a box out of a photo and squashes it to `[size_px, size_px, 3]`, u8.
///
/// `relative` is `[x0, y0, x1, y1]` in shares of the photo's sides, 0 to 1; its edges may fall inside pixels.
/// What lies outside of the photo is cut off, and a box thinner than a pixel is widened to one (NaN counts
/// as 0), so any box gives pixels.
///
/// # Panics
/// When the photo or `size_px` is empty.
pub fn crop_squash(photo: &RgbImage, relative: [f32; 4], size_px: u32) -> Vec<u8> {
    let (width, height) = photo.dimensions();
    assert!(width > 0 && height > 0 && size_px > 0, "cannot resize {width} x {height} to {size_px} pixels");
    let [x0, y0, x1, y1] = relative;
    let (left, crop_width) = span(x0, x1, width);
    let (top, crop_height) = span(y0, y1, height);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left,
        top,
        crop_width,
        crop_height,
    );
    resize(&mut Resizer::new(), photo, size_px, &options)
}

/// Resizes by the functions of one kind of pixel: those that choose it at run time compile this crate for all 26.
fn resize(resizer: &mut Resizer, photo: &RgbImage, size_px: u32, options: &ResizeOptions) -> Vec<u8> {
    let source = TypedImageRef::<U8x3>::from_buffer(photo.width(), photo.height(), photo.as_raw())
        .expect("an RGB image has three bytes a pixel");
    let mut bytes = vec![0; size_px as usize * size_px as usize * 3];
    let mut target = TypedImage::<U8x3>::from_buffer(size_px, size_px, &mut bytes).expect("the buffer has that size");
    resizer.resize_typed(&source, &mut target, options).expect("the box lies in the photo");
    bytes
}

/// Start and length in pixels of the span `from..to` of a side, inside the side and at least a pixel long.
fn span(from: f32, to: f32, side_px: u32) -> (f64, f64) {
    let side = f64::from(side_px);
    let edge = |share: f32| if share.is_nan() { 0.0 } else { f64::from(share.clamp(0.0, 1.0)) * side };
    let (from, to) = (edge(from), edge(to));
    let length = (to - from).max(1.0);
    (from.min(side - length), length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fast_image_resize::CpuExtensions;
    use image::Rgb;

    /// Red rises to the right, green downwards, in steps of one.
    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]))
    }

    /// The antialiased bilinear mean along one axis, in floating point: the definition.
    fn triangle_mean(values: &[f64], start: f64, length: f64, size: usize, at: usize) -> f64 {
        let scale = length / size as f64;
        let radius = scale.max(1.0);
        let centre = start + (at as f64 + 0.5) * scale;
        let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - centre) / radius).abs()).max(0.0);
        let inside = (start.floor() as usize)..((start + length).ceil() as usize).min(values.len());
        let total: f64 = inside.clone().map(weight).sum();
        inside.map(|i| weight(i) * values[i]).sum::<f64>() / total
    }

    #[test]
    fn the_middle_is_what_a_larger_square_keeps_when_its_rim_is_cut_off() {
        let photo = ramp(240, 192);
        let (whole, middle) =
            (squash(&photo, 96), crop_squash(&photo, Resize::SquashCenter.kept([0.0, 0.0, 1.0, 1.0]), 84));
        for (x, y) in [(1, 1), (40, 50), (82, 3)] {
            let at = |pixels: &[u8], side: usize, x: usize, y: usize| pixels[(y * side + x) * 3];
            assert_eq!(at(&middle, 84, x, y), at(&whole, 96, x + 6, y + 6), "{x}, {y}");
        }
    }

    #[test]
    fn a_photo_of_the_wanted_size_is_unchanged() {
        let photo = ramp(20, 20);
        assert_eq!(squash(&photo, 20), photo.into_raw());
    }

    #[test]
    fn a_squashed_photo_is_the_antialiased_bilinear_mean() {
        let photo = ramp(200, 120);
        let pixels = squash(&photo, 21);
        let (xs, ys): (Vec<f64>, Vec<f64>) = ((0..200).map(f64::from).collect(), (0..120).map(f64::from).collect());
        for y in 0..21 {
            for x in 0..21 {
                let pixel = &pixels[(y * 21 + x) * 3..][..3];
                let red = triangle_mean(&xs, 0.0, 200.0, 21, x);
                let green = triangle_mean(&ys, 0.0, 120.0, 21, y);
                // Fixed-point weights and two roundings.
                assert!((f64::from(pixel[0]) - red).abs() <= 1.0, "{x} {y}: {pixel:?}, {red}");
                assert!((f64::from(pixel[1]) - green).abs() <= 1.0, "{x} {y}: {pixel:?}, {green}");
                assert_eq!(pixel[2], 7);
            }
        }
    }

    #[test]
    fn a_crop_equals_the_squashed_part_of_the_photo() {
        let photo = ramp(100, 80);
        let part = image::imageops::crop_imm(&photo, 25, 20, 50, 40).to_image();
        assert_eq!(crop_squash(&photo, [0.25, 0.25, 0.75, 0.75], 16), squash(&part, 16));
    }

    #[test]
    fn a_box_is_cut_at_the_edges_of_the_photo() {
        let photo = ramp(40, 40);
        assert_eq!(crop_squash(&photo, [-0.5, -3.0, 1.5, 2.0], 10), squash(&photo, 10));
    }

    #[test]
    fn an_empty_inverted_or_undefined_box_still_gives_pixels() {
        let photo = ramp(40, 40);
        for relative in [[0.5; 4], [1.0; 4], [0.9, 0.9, 0.1, 0.1], [f32::NAN; 4], [2.0, 2.0, 3.0, 3.0]] {
            assert_eq!(crop_squash(&photo, relative, 8).len(), 8 * 8 * 3, "{relative:?}");
        }
        assert_eq!(squash(&ramp(1, 1), 4), [0, 0, 7].repeat(16));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_instructions_of_the_processor() {
        let photo = RgbImage::from_fn(257, 191, |x, y| Rgb([(x * y) as u8, (x * x + y) as u8, (y * 37) as u8]));
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let mut plain = Resizer::new();
        // SAFETY: no extension is asked for.
        unsafe { plain.set_cpu_extensions(CpuExtensions::None) };
        assert_eq!(resize(&mut plain, &photo, 84, &options), squash(&photo, 84));
    }
}
