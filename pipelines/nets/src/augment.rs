//! Random crops, flips and colour changes of a batch of packed pixels, drawn from a given stream.
//!
//! The field's training augmentation (torchvision's RandomResizedCrop, horizontal flip, ColorJitter .4/.4/.4), with
//! the colour changes in one fixed order: brightness, contrast, saturation. Crops are only enlarged, so plain bilinear
//! sampling is enough.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::draw::{between, uniform};

/// How strongly a batch is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// Smallest share of the image's area that a crop keeps; 1 switches cropping off.
    pub min_area: f64,
    /// Widest ratio of a crop's sides; the narrowest is its inverse.
    pub max_ratio: f64,
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// Brightness, contrast and saturation are each scaled by a factor in `1 ± jitter`.
    pub jitter: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Augmentation { min_area: 0.35, max_ratio: 4.0 / 3.0, flip: true, jitter: 0.4 }
    }
}

/// What was drawn for one image.
struct Draw {
    /// Rows of the affine map from output to input places, both in -1..1.
    affine: [f32; 6],
    /// Brightness, contrast, saturation.
    colour: [f32; 3],
}

/// Changes each image of `pixels: [n, s, s, 3]`, u8, as drawn from `rng`, image by image; returns the same shape and
/// type on the same device.
pub fn augment(pixels: &Tensor, how: &Augmentation, rng: &mut ChaCha8Rng) -> Tensor {
    let _guard = tch::no_grad_guard();
    let n = pixels.size()[0];
    let draws: Vec<Draw> = (0..n).map(|_| draw(how, rng)).collect();
    let images = pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float); // [n, 3, s, s]
    let cropped = crop(&images, &draws);
    let coloured = recolour(&cropped, &draws);
    coloured.round().clamp(0.0, 255.0).to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous()
}

fn draw(how: &Augmentation, rng: &mut ChaCha8Rng) -> Draw {
    let (width, height) = draw_sides(how, rng);
    let (left, top) = (uniform(rng) * (1.0 - width), uniform(rng) * (1.0 - height));
    let mirrored = uniform(rng) < 0.5 && how.flip;
    let (shift_x, shift_y) = (2.0 * left + width - 1.0, 2.0 * top + height - 1.0);
    let scale_x = if mirrored { -width } else { width };
    let affine = [scale_x, 0.0, shift_x, 0.0, height, shift_y].map(|value| value as f32);
    let colour = [(); 3].map(|()| between(rng, 1.0 - how.jitter, 1.0 + how.jitter) as f32);
    Draw { affine, colour }
}

/// Relative width and height of a crop; the whole image when ten tries do not fit into it, as torchvision does.
fn draw_sides(how: &Augmentation, rng: &mut ChaCha8Rng) -> (f64, f64) {
    for _ in 0..10 {
        let area = between(rng, how.min_area, 1.0);
        let ratio = between(rng, -how.max_ratio.ln(), how.max_ratio.ln()).exp();
        let (width, height) = ((area * ratio).sqrt(), (area / ratio).sqrt());
        if width <= 1.0 && height <= 1.0 {
            return (width, height);
        }
    }
    (1.0, 1.0)
}

fn crop(images: &Tensor, draws: &[Draw]) -> Tensor {
    const BILINEAR: i64 = 0;
    const BORDER: i64 = 1;
    let rows: Vec<f32> = draws.iter().flat_map(|draw| draw.affine).collect();
    let maps = Tensor::from_slice(&rows).reshape([-1, 2, 3]).to_device(images.device());
    let grid = Tensor::affine_grid_generator(&maps, images.size(), false); // [n, s, s, 2]
    images.grid_sampler(&grid, BILINEAR, BORDER, false)
}

fn recolour(images: &Tensor, draws: &[Draw]) -> Tensor {
    let factor = |index: usize| {
        let values: Vec<f32> = draws.iter().map(|draw| draw.colour[index]).collect();
        Tensor::from_slice(&values).reshape([-1, 1, 1, 1]).to_device(images.device())
    };
    // ITU-R 601 luma, as PIL and torchvision use it.
    let luma = Tensor::from_slice(&[0.299f32, 0.587, 0.114]).reshape([1, 3, 1, 1]).to_device(images.device());
    let grey = |images: &Tensor| (images * &luma).sum_dim_intlist([1i64].as_slice(), true, Kind::Float); // [n, 1, s, s]
    let towards =
        |images: &Tensor, anchor: Tensor, factor: Tensor| ((images - &anchor) * factor + anchor).clamp(0.0, 255.0);
    let bright = (images * factor(0)).clamp(0.0, 255.0);
    let mean = grey(&bright).mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float); // [n, 1, 1, 1]
    let contrasted = towards(&bright, mean, factor(1));
    let anchor = grey(&contrasted);
    towards(&contrasted, anchor, factor(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use tch::Device;

    const NOTHING: Augmentation = Augmentation { min_area: 1.0, max_ratio: 1.0, flip: false, jitter: 0.0 };

    fn photos(n: i64, side: i64) -> Tensor {
        let values = Tensor::arange(n * side * side * 3, (Kind::Int64, Device::Cpu)) * 7919;
        values.remainder(251).to_kind(Kind::Uint8).reshape([n, side, side, 3])
    }

    fn run(pixels: &Tensor, how: &Augmentation, seed: u64) -> Tensor {
        augment(pixels, how, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let pixels = photos(3, 8);
        assert_eq!(run(&pixels, &NOTHING, 1), pixels);
    }

    #[test]
    fn a_flip_mirrors_columns_exactly() {
        let pixels = photos(16, 8);
        let flipped = run(&pixels, &Augmentation { flip: true, ..NOTHING }, 1);
        let mirrored = pixels.flip([2]);
        let mut seen = [0, 0];
        for index in 0..16 {
            let (now, plain, mirror) = (flipped.get(index), pixels.get(index), mirrored.get(index));
            assert!(now == plain || now == mirror);
            seen[usize::from(now == mirror)] += 1;
        }
        assert!(seen[0] > 0 && seen[1] > 0);
    }

    #[test]
    fn equal_streams_change_equally_and_others_differ() {
        let pixels = photos(4, 16);
        let how = Augmentation::default();
        assert_eq!(run(&pixels, &how, 5), run(&pixels, &how, 5));
        assert_ne!(run(&pixels, &how, 5), run(&pixels, &how, 6));
        assert_eq!(run(&pixels, &how, 5).size(), pixels.size());
    }

    #[test]
    fn a_crop_of_one_colour_keeps_the_colour() {
        let pixels = Tensor::full([2, 8, 8, 3], 77, (Kind::Uint8, Device::Cpu));
        assert_eq!(run(&pixels, &Augmentation { jitter: 0.0, ..Augmentation::default() }, 2), pixels);
    }

    #[test]
    fn crops_keep_to_the_asked_area_and_ratio() {
        let how = Augmentation::default();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for _ in 0..1000 {
            let (width, height) = draw_sides(&how, &mut rng);
            assert!(width <= 1.0 && height <= 1.0 && width * height >= 0.35 - 1e-9);
            assert!(width / height <= 4.0 / 3.0 + 1e-9 && height / width <= 4.0 / 3.0 + 1e-9);
        }
    }
}
