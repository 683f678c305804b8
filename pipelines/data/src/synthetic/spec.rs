//! What to draw: how many classes and photos, and how hard they are to tell apart.

use crate::DataError;

/// A request for synthetic photos; equal specs give equal bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticSpec {
    /// Number of classes (species), ids 1 to `classes`.
    pub classes: u32,
    /// Photos of each class.
    pub images_per_class: u32,
    /// Seed of every draw.
    pub seed: u64,
    /// Side of the square photos, in pixels.
    pub size_px: u32,
    /// Shortest and longest value of the bird's longer side, as a share of the photo's side. Marks count in full
    /// although the part they sit on cuts them off, so a tight box may be shorter by up to 0.08.
    pub bird_side: [f32; 2],
    /// Number of things lying about in the background; a photo has half to one and a half times as many.
    pub clutter: u32,
    /// Share of the background's things that come in plumage colours, 0 to 1.
    pub camouflage: f32,
    /// How far out of focus the background is: the least and the greatest radius of its blur, as a share of the photo's
    /// side, 0 to 0.2. The bird is sharp.
    pub blur: [f32; 2],
    /// Species of one genus: they share their shape and part of their plumage, which makes them fine-grained.
    pub relatives: u32,
    /// How far one bird's colours stray from its species' (standard deviation per channel, 0 to 1).
    pub variation: f32,
}

/// Enough classes for 20 base, 8 val and 8 novel ones, and photos on which a small network learns where the bird
/// is: larger birds or less clutter make the whole photo enough, smaller birds or more clutter hide the bird from a
/// network trained from scratch.
impl Default for SyntheticSpec {
    fn default() -> Self {
        Self {
            classes: 36,
            images_per_class: 36,
            seed: 0,
            size_px: 200,
            bird_side: [0.42, 0.66],
            clutter: 10,
            camouflage: 0.6,
            blur: [0.03, 0.06],
            relatives: 3,
            variation: 0.04,
        }
    }
}

impl SyntheticSpec {
    /// Refuses what cannot be drawn.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let [shortest, longest] = self.bird_side;
        let [sharpest, softest] = self.blur;
        let problem = if self.classes == 0 || self.images_per_class == 0 {
            "it asks for no photo at all"
        } else if !(32..=4096).contains(&self.size_px) {
            "size_px must lie between 32 and 4096"
        } else if !(0.05 <= shortest && shortest <= longest && longest <= 0.95) {
            "bird_side must be two rising shares between 0.05 and 0.95"
        } else if !(0.0..=1.0).contains(&self.camouflage) {
            "camouflage must be a share between 0 and 1"
        } else if !(0.0 <= sharpest && sharpest <= softest && softest <= 0.2) {
            "blur must be two rising shares between 0 and 0.2"
        } else if self.relatives == 0 || !(0.0..=0.5).contains(&self.variation) {
            "relatives must be at least 1 and variation between 0 and 0.5"
        } else {
            return Ok(());
        };
        Err(DataError::Synthetic { problem })
    }
}
