//! Lays what is transparent over white: what lies under a transparent pixel is seen by nobody and must not count.

use image::{DynamicImage, RgbImage};

/// Converts to RGB, transparency over white.
pub(super) fn rgb(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let blended = image.into_rgba8();
    let (width, height) = blended.dimensions();
    let over = |[r, g, b, a]: [u8; 4]| [r, g, b].map(|value| mixed(value, a));
    let pixels = blended.as_chunks::<4>().0.iter().flat_map(|pixel| over(*pixel)).collect();
    RgbImage::from_raw(width, height, pixels).expect("three bytes for each pixel")
}

/// `value` at an opacity of `alpha` over 255, rounded.
pub(super) fn mixed(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed_mixtures() {
        assert_eq!([mixed(0, 0), mixed(200, 0), mixed(200, 255), mixed(0, 255)], [255, 255, 200, 0]);
        assert_eq!(mixed(55, 128), 155); // 55 * 128/255 + 255 * 127/255 = 27.6 + 127
    }
}
