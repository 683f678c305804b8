//! One invented species: what all its birds have in common, drawn once per class.
//!
//! Species come in genera. The genus settles shape and main plumage, the species its marks and some
//! colours of its own, so near relatives differ in detail only, as real birds do.

use rand_chacha::ChaCha8Rng;

use super::chance::{about, between, chance, one_of};
use super::names::species_name;
use super::raster::Colour;
use super::spec::SyntheticSpec;
use crate::streams::{Draw, stream};

/// Colours that plumage, bills and legs come in; the background uses them too.
pub(super) const PALETTE: [Colour; 14] = [
    [0.10, 0.10, 0.12],
    [0.95, 0.94, 0.90],
    [0.52, 0.54, 0.57],
    [0.25, 0.35, 0.55],
    [0.35, 0.65, 0.88],
    [0.72, 0.35, 0.15],
    [0.40, 0.20, 0.12],
    [0.58, 0.44, 0.28],
    [0.88, 0.76, 0.52],
    [0.95, 0.84, 0.20],
    [0.95, 0.55, 0.12],
    [0.82, 0.14, 0.14],
    [0.45, 0.50, 0.18],
    [0.16, 0.55, 0.36],
];

/// Where the tail ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TailEnd {
    /// Cut straight.
    Square,
    /// Two points.
    Forked,
    /// Spread and rounded.
    Fan,
}

/// What lies on the breast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BreastMark {
    /// Nothing.
    Plain,
    /// Round dark spots.
    Spots,
    /// A band across.
    Band,
    /// Streaks along the body.
    Streaks,
}

/// Proportions, in units of the body's length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Build {
    pub(super) body_depth: f32,
    pub(super) head: f32,
    pub(super) neck: f32,
    pub(super) bill_length: f32,
    pub(super) bill_depth: f32,
    pub(super) bill_droop: f32,
    pub(super) tail_length: f32,
    pub(super) tail_lift: f32,
    pub(super) tail_end: TailEnd,
    pub(super) legs: f32,
    /// Length of the crest, 0 for none.
    pub(super) crest: f32,
}

/// Colours of the parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plumage {
    pub(super) back: Colour,
    pub(super) belly: Colour,
    pub(super) breast: Colour,
    pub(super) wing: Colour,
    pub(super) tail: Colour,
    pub(super) head: Colour,
    pub(super) bill: Colour,
    pub(super) legs: Colour,
}

/// Marks; `None` where the species has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Marks {
    pub(super) crown: Option<Colour>,
    pub(super) throat: Option<Colour>,
    pub(super) eye_ring: Option<Colour>,
    pub(super) eye_stripe: Option<Colour>,
    pub(super) wing_bars: Option<(u32, Colour)>,
    pub(super) wing_tip: Option<Colour>,
    pub(super) tail_tip: Option<Colour>,
    pub(super) rump: Option<Colour>,
    pub(super) breast: BreastMark,
    pub(super) breast_mark: Colour,
}

/// A class of birds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Species {
    /// Invented name with underscores.
    pub(super) name: String,
    pub(super) build: Build,
    pub(super) plumage: Plumage,
    pub(super) marks: Marks,
}

impl Species {
    /// Draws species `index` (from 0); it depends on the seed, the genus size and its own number alone.
    pub(super) fn draw(spec: &SyntheticSpec, index: u32) -> Self {
        let genus = u64::from(index / spec.relatives.max(1));
        let mut shared = stream(spec.seed, "synthetic genus", genus);
        let mut own = stream(spec.seed, "synthetic species", u64::from(index));
        let name = species_name(&mut own);
        let build = draw_build(&mut shared, &mut own);
        let plumage = draw_plumage(&mut shared, &mut own);
        let marks = draw_marks(&mut own);
        Self { name, build, plumage, marks }
    }
}

fn draw_build(shared: &mut ChaCha8Rng, own: &mut ChaCha8Rng) -> Build {
    Build {
        body_depth: between(shared, 0.42, 0.66) * (1.0 + about(own, 0.03)),
        head: between(shared, 0.15, 0.22) * (1.0 + about(own, 0.03)),
        neck: between(shared, 0.0, 0.14),
        bill_length: between(shared, 0.10, 0.36) * (1.0 + about(own, 0.08)),
        bill_depth: between(shared, 0.05, 0.12),
        bill_droop: between(shared, -0.02, 0.09),
        tail_length: between(shared, 0.26, 0.62) * (1.0 + about(own, 0.05)),
        tail_lift: between(shared, -0.35, 0.5),
        tail_end: one_of(shared, &[TailEnd::Square, TailEnd::Forked, TailEnd::Fan]),
        legs: between(shared, 0.12, 0.34),
        crest: if chance(shared, 0.3) { between(shared, 0.10, 0.22) } else { 0.0 },
    }
}

fn draw_plumage(shared: &mut ChaCha8Rng, own: &mut ChaCha8Rng) -> Plumage {
    let mut inherited = |own_share: f32| {
        let (genus, species) = (one_of(shared, &PALETTE), one_of(own, &PALETTE));
        let colour = if chance(own, own_share) { species } else { genus };
        colour.map(|c| (c + about(own, 0.03)).clamp(0.0, 1.0))
    };
    Plumage {
        back: inherited(0.35),
        belly: inherited(0.35),
        breast: inherited(0.6),
        wing: inherited(0.5),
        tail: inherited(0.4),
        head: inherited(0.6),
        bill: inherited(0.4),
        legs: inherited(0.2),
    }
}

fn draw_marks(own: &mut ChaCha8Rng) -> Marks {
    let mut mark = |probability: f32| {
        let colour = one_of(own, &PALETTE);
        chance(own, probability).then_some(colour)
    };
    let (crown, throat, eye_ring, eye_stripe) = (mark(0.5), mark(0.4), mark(0.3), mark(0.35));
    let (bars, wing_tip, tail_tip, rump) = (mark(0.6), mark(0.5), mark(0.5), mark(0.3));
    let breast = [BreastMark::Plain, BreastMark::Spots, BreastMark::Band, BreastMark::Streaks];
    Marks {
        crown,
        throat,
        eye_ring,
        eye_stripe,
        wing_bars: bars.map(|colour| (1 + own.below(2) as u32, colour)),
        wing_tip,
        tail_tip,
        rump,
        breast: one_of(own, &breast),
        breast_mark: one_of(own, &PALETTE),
    }
}
