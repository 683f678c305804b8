//! One photo: background, bird, light and noise, with the tight box of what was drawn.

use image::{Rgb, RgbImage};

use super::background::background;
use super::bird::bird;
use super::pose::{Light, Pose, individual};
use super::raster::Canvas;
use super::spec::SyntheticSpec;
use super::species::Species;
use crate::streams::stream;

/// A drawn photo.
#[derive(Debug)]
pub(super) struct DrawnPhoto {
    /// The picture.
    pub(super) image: RgbImage,
    /// How much of each pixel the bird covers, 0..1, row by row; what the box is read from.
    pub(super) mask: Vec<f32>,
}

impl DrawnPhoto {
    /// Draws photo `number` (from 0) of species `index`; it depends on the spec and these two numbers alone.
    pub(super) fn draw(spec: &SyntheticSpec, species: &Species, index: u32, number: u32) -> Self {
        let unit = u64::from(index) << 32 | u64::from(number);
        let mut canvas = background(&mut stream(spec.seed, "synthetic background", unit), spec);
        let mut rng = stream(spec.seed, "synthetic pose", unit);
        let pose = Pose::draw(&mut rng, spec);
        let plumage = individual(&mut rng, &species.plumage, spec.variation);
        let fills = bird(species, &plumage, &pose.stance);
        let place = pose.place(&fills, spec.size_px as f32);
        let mut mask = vec![0.0; canvas.pixels.len()];
        for fill in &fills {
            canvas.lay(&place, fill, 1.0, 1.0, Some(&mut mask));
        }
        let light = Light::draw(&mut stream(spec.seed, "synthetic light", unit));
        Self { image: develop(&canvas, &light, spec.seed ^ unit.rotate_left(17)), mask }
    }

    /// The tight box of the bird: `[x, y, width, height]` in whole pixels, all that it covers by half or more.
    pub(super) fn tight_box(&self) -> [u32; 4] {
        let size = self.image.width();
        let (mut x0, mut y0, mut x1, mut y1) = (size, size, 0, 0);
        for (at, _) in self.mask.iter().enumerate().filter(|(_, covered)| **covered >= 0.5) {
            let (x, y) = (at as u32 % size, at as u32 / size);
            (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1));
        }
        [x0, y0, x1.saturating_sub(x0), y1.saturating_sub(y0)]
    }
}

/// Puts the scene in its light, adds the sensor's noise and rounds to bytes.
fn develop(canvas: &Canvas, light: &Light, noise_seed: u64) -> RgbImage {
    let size = canvas.size as u32;
    let mut grain = Grain(noise_seed);
    RgbImage::from_fn(size, size, |x, y| {
        let at = (y * size + x) as usize;
        let lit = light.on(canvas.pixels[at], x as f32 / size as f32, y as f32 / size as f32);
        let noise = grain.next();
        Rgb([0, 1, 2].map(|i| ((lit[i] + noise[i] * light.noise).clamp(0.0, 1.0) * 255.0 + 0.5) as u8))
    })
}

/// Cheap noise: three values per pixel, mean 0, deviation about 1, from one step of SplitMix64.
struct Grain(u64);

impl Grain {
    fn next(&mut self) -> [f32; 3] {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        [0, 20, 40].map(|shift| {
            let (a, b) = ((z >> shift) & 0x3ff, (z >> (shift + 10)) & 0x3ff);
            (a as f32 + b as f32 - 1023.0) / 418.0
        })
    }
}
