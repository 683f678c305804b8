//! What differs from photo to photo: the bird's pose, place and individual colours, and the light.

use rand_chacha::ChaCha8Rng;

use super::bird::Stance;
use super::chance::{about, between, chance};
use super::raster::{Affine, Colour, Fill};
use super::spec::SyntheticSpec;
use super::species::Plumage;

/// One bird's bearing, apart from its place in the frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Limbs.
    pub(super) stance: Stance,
    angle: f32,
    stretch: f32,
    flip: bool,
    /// Longer side of the bird's box as a share of the photo's side.
    side: f32,
    /// Where in the room left free the box lies, 0..1 in x and y.
    at: [f32; 2],
}

impl Pose {
    /// Draws a pose.
    pub(super) fn draw(rng: &mut ChaCha8Rng, spec: &SyntheticSpec) -> Self {
        let raised = chance(rng, 0.2);
        let stance = Stance {
            nod: between(rng, -0.06, 0.10),
            tail: between(rng, -0.25, 0.25),
            wing: between(rng, -0.15, 0.15),
            raised,
        };
        Self {
            stance,
            angle: about(rng, 0.22),
            stretch: between(rng, 0.78, 1.0),
            flip: chance(rng, 0.5),
            side: between(rng, spec.bird_side[0], spec.bird_side[1]),
            at: [between(rng, 0.0, 1.0), between(rng, 0.0, 1.0)],
        }
    }

    /// Places fills of a bird so that their common box has its drawn size and lies wholly in the frame.
    pub(super) fn place(&self, fills: &[Fill], size_px: f32) -> Affine {
        let x = if self.flip { -self.stretch } else { self.stretch };
        let angle = if self.flip { -self.angle } else { self.angle };
        let unit = Affine::new([x, 1.0], angle, [0.0, 0.0]);
        let whole = fills
            .iter()
            .map(|fill| fill.shape.extent(&unit))
            .fold([f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY], |a, b| {
                [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
            });
        let (w, h) = (whole[2] - whole[0], whole[3] - whole[1]);
        let scale = self.side * size_px / w.max(h);
        let margin = 1.5;
        let corner = |length: f32, at: f32| margin + (size_px - 2.0 * margin - length * scale).max(0.0) * at;
        let to = [corner(w, self.at[0]) - whole[0] * scale, corner(h, self.at[1]) - whole[1] * scale];
        Affine::new([x * scale, scale], angle, to)
    }
}

/// One bird's own shade of its species' plumage.
pub(super) fn individual(rng: &mut ChaCha8Rng, plumage: &Plumage, variation: f32) -> Plumage {
    let mut stray = |colour: Colour| colour.map(|c| (c + about(rng, variation)).clamp(0.0, 1.0));
    Plumage {
        back: stray(plumage.back),
        belly: stray(plumage.belly),
        breast: stray(plumage.breast),
        wing: stray(plumage.wing),
        tail: stray(plumage.tail),
        head: stray(plumage.head),
        bill: stray(plumage.bill),
        legs: stray(plumage.legs),
    }
}

/// The light of one photo: brightness, tint, direction and contrast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Light {
    gain: Colour,
    slope: [f32; 2],
    contrast: f32,
    /// Standard deviation of the sensor's noise.
    pub(super) noise: f32,
}

impl Light {
    /// Draws a light.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let brightness = between(rng, 0.72, 1.18);
        Self {
            gain: [0; 3].map(|_: i32| brightness * (1.0 + about(rng, 0.05))),
            slope: [between(rng, -0.2, 0.2), between(rng, -0.2, 0.2)],
            contrast: between(rng, 0.8, 1.15),
            noise: between(rng, 0.01, 0.03),
        }
    }

    /// Colour of a surface at `x`, `y` (0..1) in this light, not yet clamped.
    pub(super) fn on(&self, colour: Colour, x: f32, y: f32) -> Colour {
        let fall = 1.0 + self.slope[0] * (x - 0.5) + self.slope[1] * (y - 0.5);
        [0, 1, 2].map(|i| (colour[i] * self.gain[i] * fall - 0.45) * self.contrast + 0.45)
    }
}
