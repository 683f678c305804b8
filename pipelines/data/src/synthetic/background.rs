//! Cluttered backgrounds: soft patches, branches, leaves, stones and flowers in the colours of plumage.
//!
//! They say nothing about the class, and their colours are the birds' own, so a whole-photo colour
//! statistic is a poor guide. They are out of focus: what tells the bird from them is that it is sharp.

use std::f32::consts::PI;

use rand_chacha::ChaCha8Rng;

use super::chance::{about, between, chance, one_of};
use super::raster::{Affine, Canvas, Colour, Fill, Paint, Point, Shape, direction, mix};
use super::spec::SyntheticSpec;
use super::species::PALETTE;
use crate::streams::Draw;

const GROUNDS: [Colour; 8] = [
    [0.62, 0.76, 0.88],
    [0.42, 0.55, 0.30],
    [0.24, 0.36, 0.20],
    [0.56, 0.50, 0.38],
    [0.76, 0.70, 0.58],
    [0.35, 0.46, 0.52],
    [0.68, 0.72, 0.70],
    [0.45, 0.36, 0.28],
];

/// Draws a background of the given side.
pub(super) fn background(rng: &mut ChaCha8Rng, spec: &SyntheticSpec) -> Canvas {
    let size = spec.size_px as f32;
    let mut canvas = Canvas::new(spec.size_px as usize, [0.5; 3]);
    ground(&mut canvas, rng, size);
    patches(&mut canvas, rng, spec);
    let things = (spec.clutter as f32 * between(rng, 0.5, 1.5)) as usize;
    for _ in 0..things {
        match rng.below(5) {
            0 => branch(&mut canvas, rng, spec),
            1 | 2 => leaves(&mut canvas, rng, spec),
            3 => stone(&mut canvas, rng, spec),
            _ => flower(&mut canvas, rng, spec),
        }
    }
    canvas.blur((between(rng, spec.blur[0], spec.blur[1]) * size).round() as usize);
    canvas
}

fn anywhere(rng: &mut ChaCha8Rng, size: f32) -> Point {
    [between(rng, -0.05, 1.05) * size, between(rng, -0.05, 1.05) * size]
}

fn shade(rng: &mut ChaCha8Rng, colour: Colour) -> Colour {
    let gain = between(rng, 0.75, 1.15);
    colour.map(|c| (c * gain + about(rng, 0.03)).clamp(0.0, 1.0))
}

/// Where the eye goes in a real photo, too: now a ground colour, now a plumage colour.
fn thing_colour(rng: &mut ChaCha8Rng, camouflage: f32) -> Colour {
    let (ground, plumage) = (one_of(rng, &GROUNDS), one_of(rng, &PALETTE));
    let colour = if chance(rng, camouflage) { plumage } else { ground };
    shade(rng, colour)
}

fn ground(canvas: &mut Canvas, rng: &mut ChaCha8Rng, size: f32) {
    let from = one_of(rng, &GROUNDS);
    let to = one_of(rng, &GROUNDS);
    let (from, to) = (shade(rng, from), shade(rng, to));
    let angle = between(rng, 0.0, 2.0 * PI);
    let [cos, sin] = direction(angle);
    let half = size / 2.0;
    let at = [[half - cos * half, half - sin * half], [half + cos * half, half + sin * half]];
    let all = Shape::Polygon(vec![[-9.0, -9.0], [size + 9.0, -9.0], [size + 9.0, size + 9.0], [-9.0, size + 9.0]]);
    canvas.lay(&Affine::pixels(), &Fill::whole(all, Paint::Gradient { from, to, at }), 1.0, 1.0, None);
}

fn patches(canvas: &mut Canvas, rng: &mut ChaCha8Rng, spec: &SyntheticSpec) {
    let size = spec.size_px as f32;
    for _ in 0..6 {
        let radii = [between(rng, 0.1, 0.3) * size, between(rng, 0.1, 0.3) * size];
        let shape = Shape::ellipse(anywhere(rng, size), radii, between(rng, 0.0, PI));
        let colour = thing_colour(rng, spec.camouflage);
        let soft = radii[0].min(radii[1]) * 0.8;
        canvas.lay(&Affine::pixels(), &Fill::whole(shape, Paint::Flat(colour)), soft, 0.6, None);
    }
}

fn branch(canvas: &mut Canvas, rng: &mut ChaCha8Rng, spec: &SyntheticSpec) {
    let size = spec.size_px as f32;
    let a = anywhere(rng, size);
    let [cos, sin] = direction(between(rng, 0.0, 2.0 * PI));
    let length = between(rng, 0.3, 0.9) * size;
    let b = [a[0] + cos * length, a[1] + sin * length];
    let radius = between(rng, 0.006, 0.022) * size;
    let colour = thing_colour(rng, spec.camouflage);
    let shape = Shape::Line { a, b, radii: [radius, radius * 0.5] };
    canvas.lay(&Affine::pixels(), &Fill::whole(shape, Paint::Flat(colour)), 1.2, 1.0, None);
}

fn leaves(canvas: &mut Canvas, rng: &mut ChaCha8Rng, spec: &SyntheticSpec) {
    let size = spec.size_px as f32;
    let centre = anywhere(rng, size);
    let colour = thing_colour(rng, spec.camouflage);
    let soft = one_of(rng, &[1.0, 1.5, 4.0]);
    for _ in 0..3 {
        let at = [centre[0] + about(rng, 0.06) * size, centre[1] + about(rng, 0.06) * size];
        let radii = [between(rng, 0.03, 0.07) * size, between(rng, 0.012, 0.03) * size];
        let shape = Shape::ellipse(at, radii, between(rng, 0.0, PI));
        let paint = Paint::Gradient { from: colour, to: shade(rng, colour), at: [centre, at] };
        canvas.lay(&Affine::pixels(), &Fill::whole(shape, paint), soft, 1.0, None);
    }
}

fn stone(canvas: &mut Canvas, rng: &mut ChaCha8Rng, spec: &SyntheticSpec) {
    let size = spec.size_px as f32;
    let centre = anywhere(rng, size);
    let reach = between(rng, 0.03, 0.12) * size;
    let corners = 4 + rng.below(4);
    let turn = between(rng, 0.0, PI);
    let points = (0..corners)
        .map(|corner| {
            let [cos, sin] = direction(turn + 2.0 * PI * corner as f32 / corners as f32);
            let r = reach * between(rng, 0.6, 1.0);
            [centre[0] + cos * r, centre[1] + sin * r]
        })
        .collect();
    let colour = thing_colour(rng, spec.camouflage);
    let at = [[centre[0], centre[1] - reach], [centre[0], centre[1] + reach]];
    let paint = Paint::Gradient { from: mix(colour, [1.0; 3], 0.15), to: mix(colour, [0.0; 3], 0.25), at };
    canvas.lay(&Affine::pixels(), &Fill::whole(Shape::Polygon(points), paint), 1.2, 1.0, None);
}

fn flower(canvas: &mut Canvas, rng: &mut ChaCha8Rng, spec: &SyntheticSpec) {
    let size = spec.size_px as f32;
    let centre = anywhere(rng, size);
    let (petal, heart) = (thing_colour(rng, spec.camouflage), thing_colour(rng, spec.camouflage));
    let radius = between(rng, 0.018, 0.05) * size;
    let petals = 4 + rng.below(3);
    let turn = between(rng, 0.0, PI);
    for number in 0..petals {
        let angle = turn + 2.0 * PI * number as f32 / petals as f32;
        let [cos, sin] = direction(angle);
        let at = [centre[0] + cos * radius, centre[1] + sin * radius];
        let shape = Shape::ellipse(at, [radius, radius * 0.5], angle);
        canvas.lay(&Affine::pixels(), &Fill::whole(shape, Paint::Flat(petal)), 1.0, 1.0, None);
    }
    let shape = Shape::ellipse(centre, [radius * 0.5; 2], 0.0);
    canvas.lay(&Affine::pixels(), &Fill::whole(shape, Paint::Flat(heart)), 1.0, 1.0, None);
}
